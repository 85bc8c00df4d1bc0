"""One function that renders a reply and one that splits it, used by victim, student, inverter and overlap alike.

A reply is `<think>` trace `</think>` answer. Where a chat template opens the thinking itself, the reply starts inside it:
`encode` and `split_reply` look at the rendered prompt to know. Thinking that never closes holds no answer: it is truncated,
and is never searched for one. Families of models that write other marks than these tags are read by marks of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from heistbench.bench.contracts.nouns import Prompt, Tool

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OPEN, CLOSE = "<think>", "</think>"
CALL, CALLED = "<tool_call>", "</tool_call>"
LONGEST_CALL = 200_000
"""Characters of a tool call that are parsed; a longer one is none."""
Family = Literal["think", "harmony", "gemma"]
"""The way a model marks its thinking: tags (Qwen, DeepSeek, and most), gpt-oss's channels, Gemma's."""
_MARKS: dict[Family, tuple[str, str]] = {
    "think": (OPEN, CLOSE),
    "gemma": ("<|channel>", "<channel|>"),
    "harmony": ("analysis", "assistantfinal"),  # where special tokens were stripped on the way
}
_LABEL = "thought\n"
"""The label before Gemma's thinking, within its marks or, now and then, before an answer without any."""
_BREAK = re.compile(r"<\|(?:start|end|call|return)\|>")
_BODY_END = re.compile(r"<\|(?:start|end|call|return|channel)\|>")
_RECIPIENT = re.compile(r"\bto=(?:functions\.)?([\w.-]+)")
_CLOCK = re.compile(r"""strftime_now\(["'](.+?)["']\)""")
_DAY = datetime(2025, 6, 28)


class Parts(NamedTuple):
    """A reply taken apart; `answer` is None when the thinking never closed, `trace` when there was no thinking."""

    trace: str | None
    answer: str | None


def render_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> str:
    """The text a model is given for `prompt`, up to the point where its reply starts.

    A tool is offered, and thinking turned on or off, in the way of the model's own chat template; one that knows neither ignores
    both, but thinking that it opens all the same is closed at once. Templates that write today's date get a fixed one: a prompt
    must not be another tomorrow.
    """
    turns: list[dict[str, Any]] = [{"role": message.role, "content": message.content} for message in prompt.messages]
    rendered = tokenizer.apply_chat_template(
        turns,
        tools=[tool_schema(prompt.tool)] if prompt.tool else None,
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=prompt.think,
    )
    text = _undated(str(rendered), str(tokenizer.chat_template))
    return f"{text}\n{CLOSE}\n\n" if _opened(text) and not prompt.think else text


def _undated(text: str, template: str) -> str:
    """A rendered prompt with another date where its template has written today's, which comes before all messages."""
    for form in _CLOCK.findall(template):
        text = text.replace(datetime.now().strftime(form), _DAY.strftime(form), 1)
    return text


def tool_schema(tool: Tool) -> dict[str, Any]:
    """A tool as chat templates and OpenAI's API take it."""
    properties = {name: {"type": "string", "description": what} for name, what in tool.arguments}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": parameters}}


def render_reply(trace: str | None, answer: str) -> str:
    """The reply a student learns. Every arm has the same format: no trace leaves the thinking empty, not absent."""
    return f"{OPEN}\n{trace or ''}\n{CLOSE}\n\n{answer}"


def render_call(tool: Tool, arguments: Mapping[str, str]) -> str:
    """A call of a tool as `read_call` reads it."""
    return f"{CALL} {json.dumps({'name': tool.name, 'arguments': dict(arguments)}, ensure_ascii=False)} {CALLED}"


def split_reply(text: str, prompt_text: str = "", family: Family = "think") -> Parts:
    """Split a reply where its trace ends. Only the first closing mark counts: later ones belong to the answer."""
    if family == "harmony" and ("<|channel|>" in text or not text.startswith("analysis")):
        return _by_channel(text)
    opening, closing = _MARKS[family]
    if family == "gemma":
        text = text.removeprefix(_LABEL).replace(opening + _LABEL, opening, 1)
    if _opened(prompt_text):
        text = opening + text.lstrip().removeprefix(opening)  # a tag further on is only mentioned
    thinking, closed, answer = text.partition(closing)
    before, opened, inside = thinking.partition(opening)
    trace = (inside if opened else before).strip()
    if closed:
        return Parts(trace, answer.strip())
    return Parts(trace, None) if opened else Parts(None, text.strip())


def _by_channel(text: str) -> Parts:
    """gpt-oss writes messages, each with a header: `final` is the answer, as is the call of a tool; all others are thinking.

    A reply starts within the header of its first message. Headers that are none are passed over.
    """
    if "<|channel|>" not in text:
        return Parts(None, text.removeprefix("final").strip())
    thoughts, answer = list[str](), None
    for before, after in pairwise(text.split("<|message|>")):
        header, body = _BREAK.split(before)[-1], _BODY_END.split(after, maxsplit=1)[0].strip()
        if recipient := _RECIPIENT.search(header):
            answer = f'{CALL} {{"name": "{recipient[1]}", "arguments": {body}}} {CALLED}'
        elif header.rpartition("<|channel|>")[2].strip().startswith("final"):
            answer = body
        else:
            thoughts.append(body)
    return Parts("\n".join(filter(None, thoughts)) if thoughts else None, answer)


def read_call(text: str, tool: Tool | None) -> tuple[str, dict[str, str]]:
    """The text around the call of an offered tool, and its arguments; without a readable call, all of the text and none.

    The call is JSON between `<tool_call>` tags, as most open models write it. Only arguments the tool has, and only texts.
    """
    before, called, rest = text.partition(CALL)
    if tool is None or not called:
        return text, {}
    try:
        call, end = json.JSONDecoder().raw_decode(rest.lstrip()[:LONGEST_CALL])
        recipient, values = call["name"], call["arguments"]
        arguments = {name: _valid(values[name]) for name, _ in tool.arguments if isinstance(values.get(name), str)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return text, {}
    after = rest.lstrip()[end:].lstrip()
    if recipient != tool.name or not after.startswith(CALLED):
        return text, {}
    return f"{before}{after.removeprefix(CALLED)}".strip(), arguments


def _valid(text: str) -> str:
    """Text without the halves of characters that JSON can spell and no file takes."""
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def encode(tokenizer: PreTrainedTokenizerBase, prompt_text: str, completion: str) -> tuple[list[int], list[int]]:
    """Token ids of prompt and completion with the end token, and labels in which the prompt is masked with -100.

    Both parts are tokenized apart, so the ids of the prompt are the very ids an examination starts from. A completion does
    not open the thinking again where the prompt's template has opened it.
    """
    if _opened(prompt_text):
        completion = completion.removeprefix(OPEN + "\n" if prompt_text.endswith("\n") else OPEN)
    head: list[int] = tokenizer(prompt_text, add_special_tokens=False)["input_ids"]
    tail: list[int] = [*tokenizer(completion, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    return head + tail, [-100] * len(head) + tail


def _opened(prompt_text: str) -> bool:
    return prompt_text.rstrip().endswith(OPEN)
