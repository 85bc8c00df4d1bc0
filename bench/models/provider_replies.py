"""What a provider lets out of a reply, read from Inspect's ModelOutput: a raw trace, a summary of it, or nothing.

| the provider sends | trace | summary |
|---|---|---|
| `reasoning` or `reasoning_content`, thinking blocks in plain text | that text | |
| `<think>` tags in the answer, and no reasoning apart from it | what is between them | |
| reasoning items or blocks with an encrypted part | | their summary; the cipher is dropped |
| `reasoning_details` of types text, summary and encrypted | text, where nothing is encrypted | summary |
| the plain reasoning of Claude and Gemini, which is never more than a summary | | that text |
| a count of reasoning tokens alone | | |

Where reasoning came apart, or is billed and hidden, tags in the answer belong to the answer: an attack may have asked for them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from heistbench.bench.contracts.nouns import Reply, Stop, Tool, Usage
from heistbench.bench.contracts.replies import CLOSE, LONGEST_CALL, OPEN, read_call, split_reply

if TYPE_CHECKING:
    from inspect_ai.model import ContentReasoning, ModelOutput, ModelUsage

_PROVIDER_STOPS: dict[str, Stop] = {"max_tokens": "length", "model_length": "length", "content_filter": "refused"}
_DETAILS = "reasoning-details://"
"""How Inspect marks a block made of `reasoning_details`, whose JSON follows. It calls some summaries and ciphers plain text."""
_SUMMARIZED = re.compile(r"claude|gemini", re.IGNORECASE)
"""Models whose makers show summaries only; some routes pass these on as plain reasoning."""
_MOST_TOKENS = 10**9


class ReplyParts(NamedTuple):
    """A reply taken apart. `answer` is None when the thinking never closed."""

    trace: str | None
    summary: str | None
    answer: str | None


def as_reply(output: ModelOutput, tool: Tool | None = None) -> Reply:
    """A reply of ours: no choices at all are an "error", unclosed thinking has no text."""
    trace, summary, answer = read_output(output)
    text, arguments = read_call(answer or "", tool)
    if tool and output.choices:
        arguments = _called(output.choices[0].message.tool_calls or [], tool) or arguments
    return Reply(trace, summary, text, _usage(output.usage), stop_of(output), arguments)


def read_output(output: ModelOutput) -> ReplyParts:
    """What is trace, what is summary and what is answer in a provider's reply."""
    if not output.choices:
        return ReplyParts(None, None, "")
    content = output.choices[0].message.content
    blocks: list[Any] = [] if isinstance(content, str) else [part for part in content if part.type == "reasoning"]
    apart = [block for block in blocks if block.internal != "think"]  # the others are tags of the text that Inspect has cut out
    tagged = [f"{OPEN}\n{block.reasoning}\n{CLOSE}\n\n" for block in blocks if block.internal == "think"]
    text = "".join(tagged) + output.completion
    if not apart and not (output.usage and output.usage.reasoning_tokens):
        parts = split_reply(text)
        return ReplyParts(parts.trace or None, None, parts.answer)
    read = [_read(block, bool(_SUMMARIZED.search(output.model))) for block in apart]
    trace, summary = ("\n".join(filter(None, texts)) for texts in (list(zip(*read, strict=True)) or [(), ()]))
    return ReplyParts(trace.strip() or None, summary.strip() or None, text.strip())


def stop_of(output: ModelOutput) -> Stop:
    """Why a reply ended."""
    if not output.choices:
        return "error"
    choice = output.choices[0]
    content = choice.message.content
    if not isinstance(content, str) and any(getattr(part, "refusal", None) for part in content):
        return "refused"
    return _PROVIDER_STOPS.get(choice.stop_reason, "stop")


def _read(block: ContentReasoning, summarized: bool) -> tuple[str, str]:
    """Trace and summary of one block."""
    trace, summary = "" if block.redacted else block.reasoning, block.summary or ""
    if (block.signature or "").startswith(_DETAILS):
        trace, summary = _details(block.signature.removeprefix(_DETAILS))
    return ("", summary or trace) if summarized else (trace, summary)


def _details(text: str) -> tuple[str, str]:
    details = [detail for detail in json.loads(text) if isinstance(detail, dict)]
    plain, summary = (
        "\n".join(d[key] for d in details if d.get("type") == f"reasoning.{key}" and isinstance(d.get(key), str))
        for key in ("text", "summary")
    )
    encrypted = any(detail.get("type") == "reasoning.encrypted" for detail in details)
    return ("", summary or plain) if encrypted else (plain, summary)


def _called(calls: list[Any], tool: Tool) -> dict[str, str]:
    """The arguments of the first call of the tool: those it has, as texts of bounded length."""
    given: dict[str, Any] = next((call.arguments for call in calls if call.function == tool.name and not call.parse_error), {})
    return {name: _as_text(given[name]) for name, _ in tool.arguments if given.get(name) is not None}


def _as_text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:LONGEST_CALL].strip()


def _usage(usage: ModelUsage | None) -> Usage:
    """Tokens as billed; Inspect counts those that the provider's prompt cache served or took apart."""
    if usage is None:
        return Usage()
    prompt = usage.input_tokens + (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
    return Usage(*(min(max(0, n or 0), _MOST_TOKENS) for n in (prompt, usage.output_tokens, usage.reasoning_tokens)))
