"""One reply in the two dialects of OpenAI's API, with reasoning in each of the forms that providers send."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Form = Literal["nothing", "reasoning", "reasoning_content", "think", "details", "details_text", "details_summary"]
"""How a trace goes out. The Responses dialect knows three: nothing, `reasoning` (in plain text) and `details` (encrypted)."""
CIPHER = "gAAAAABo-cipher-that-nobody-can-read"


@dataclass(frozen=True)
class Query:
    """One request as the model sees it: all messages as one text, how often it came before, and the raw request."""

    prompt: str
    before: int
    body: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def tool(self) -> str:
        """The name of the tool that must be called, if any."""
        choice = self.body.get("tool_choice")
        return choice.get("name") or choice["function"]["name"] if isinstance(choice, dict) else ""


@dataclass(frozen=True)
class Said:
    """What the model says: `refusal` and `arguments` (of a tool call, as JSON) stand in for the text where they are set.

    With a `status` that is not 200 the text is an error's message, `code` its code, and `headers` go with it. `delay` is in
    seconds.
    """

    text: str = ""
    trace: str = ""
    summary: str = ""
    form: Form = "nothing"
    stop: Literal["stop", "length", "content_filter"] = "stop"
    refusal: str = ""
    arguments: str = ""
    usage: tuple[int, int, int] | None = None
    """Tokens of prompt, completion and reasoning; None counts words."""
    cached: int = 0
    delay: float = 0.0
    status: int = 200
    code: str = "invalid_request_error"
    headers: Mapping[str, str] = field(default_factory=dict)
    message: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of a chat message, as they are."""


Says = Callable[[Query], Said]


def read(path: str, raw: bytes) -> tuple[dict[str, Any], str]:
    """A request's body, and its messages as one text."""
    body = json.loads(raw)
    turns = body["messages"] if path.endswith("/chat/completions") else body["input"]
    return body, "\n\n".join(map(_text, turns))


def _text(turn: dict[str, Any]) -> str:
    content = turn.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def counted(asked: Query, said: Said) -> tuple[int, int, int]:
    """Tokens of prompt, completion and reasoning: words, where the reply does not say."""
    thinking = len(said.trace.split())
    return said.usage or (len(asked.prompt.split()), len(f"{said.text}{said.arguments}".split()) + thinking, thinking)


def write(path: str, asked: Query, said: Said) -> dict[str, Any]:
    """The body of a whole reply."""
    return _chat(asked, said) if path.endswith("/chat/completions") else _responses(asked, said)


def _chat(asked: Query, said: Said) -> dict[str, Any]:
    prompt, completion, reasoning = counted(asked, said)
    message: dict[str, Any] = {"role": "assistant", "content": said.text, **_reasoning(said), **said.message}
    if said.form == "think":
        message["content"] = f"<think>{said.trace}</think>{said.text}"
        reasoning = 0
    if said.refusal:
        message |= {"content": None, "refusal": said.refusal}
    if said.arguments:
        call = {"name": asked.tool, "arguments": said.arguments}
        message |= {"content": said.text or None, "tool_calls": [{"id": "call_1", "type": "function", "function": call}]}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": asked.body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if said.arguments else said.stop}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": said.cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        },
    }


def _reasoning(said: Said) -> dict[str, Any]:
    text = {"type": "reasoning.text", "text": said.trace}
    summary = {"type": "reasoning.summary", "summary": said.summary}
    encrypted = {"type": "reasoning.encrypted", "data": CIPHER}
    forms: dict[str, dict[str, Any]] = {
        "reasoning": {"reasoning": said.trace},
        "reasoning_content": {"reasoning_content": said.trace},
        "details": {"reasoning_details": [summary, encrypted]},
        "details_text": {"reasoning_details": [text]},
        "details_summary": {"reasoning_details": [summary]},
    }
    return forms.get(said.form, {})


def _responses(asked: Query, said: Said) -> dict[str, Any]:
    prompt, completion, reasoning = counted(asked, said)
    item: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": []}
    if said.summary:
        item["summary"] = [{"type": "summary_text", "text": said.summary}]
    if said.form == "details":
        item["encrypted_content"] = CIPHER
    if said.form == "reasoning":
        item["content"] = [{"type": "reasoning_text", "text": said.trace}]
    part = {"type": "output_text", "text": said.text, "annotations": []}
    if said.refusal:
        part = {"type": "refusal", "refusal": said.refusal}
    answer: dict[str, Any] = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    if said.arguments:
        answer = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": asked.tool, "arguments": said.arguments}
    why = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(said.stop)
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "model": asked.body["model"],
        "status": "incomplete" if why else "completed",
        "incomplete_details": {"reason": why} if why else None,
        "error": None,
        "output": [*([item] if said.form != "nothing" else []), answer],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": said.cached, "cache_write_tokens": 0},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": prompt + completion,
        },
    }
