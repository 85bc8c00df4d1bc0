"""The parts of a provider's reply, read from Inspect's ModelOutput: answer, and raw trace, summary of it, or neither.

| the provider sends | trace | summary |
|---|---|---|
| `reasoning` or `reasoning_content`, thinking blocks in plain text | that text | |
| `<think>` tags in the answer, and no separate reasoning | the text between them | |
| reasoning items or blocks with an encrypted part | | their summary; the ciphertext is dropped |
| `reasoning_details` of types text, summary and encrypted | text, if nothing is encrypted | summary |
| the plain reasoning of Claude and Gemini, which is only ever a summary | | that text |
| only a count of reasoning tokens | | |

If reasoning came separately, or is billed but hidden, tags in the answer belong to the answer: an attack may have asked for them.
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
"""Inspect's mark for a block made of `reasoning_details`, whose JSON follows. Inspect takes some summaries and ciphertexts for
plain text."""
_SUMMARIZED = re.compile(r"claude|gemini", re.IGNORECASE)
"""Models whose providers show only summaries; some routes pass these on as plain reasoning."""
_MOST_TOKENS = 10**9


class ReplyParts(NamedTuple):
    """The parts of a provider's reply. `answer` is None if the thinking never closed."""

    trace: str | None
    summary: str | None
    answer: str | None


def as_reply(output: ModelOutput, tool: Tool | None = None) -> Reply:
    """A provider's output as our `Reply`. An output without choices is an "error"; unclosed thinking gives no text."""
    trace, summary, answer = read_output(output)
    text, arguments = read_call(answer or "", tool)
    if tool and output.choices:
        arguments = _called(output.choices[0].message.tool_calls or [], tool) or arguments
    return Reply(trace, summary, text, _usage(output.usage), stop_of(output), arguments)


def read_output(output: ModelOutput) -> ReplyParts:
    """The trace, the summary and the answer in a provider's output."""
    if not output.choices:
        return ReplyParts(None, None, "")
    content = output.choices[0].message.content
    blocks: list[Any] = [] if isinstance(content, str) else [part for part in content if part.type == "reasoning"]
    apart = [block for block in blocks if block.internal != "think"]  # Inspect cut the others out of the text, by its tags
    tagged = [f"{OPEN}\n{block.reasoning}\n{CLOSE}\n\n" for block in blocks if block.internal == "think"]
    text = "".join(tagged) + output.completion
    if not apart and not (output.usage and output.usage.reasoning_tokens):
        parts = split_reply(text)
        return ReplyParts(parts.trace or None, None, parts.answer)
    read = [_read(block, bool(_SUMMARIZED.search(output.model))) for block in apart]
    trace, summary = ("\n".join(filter(None, texts)) for texts in (list(zip(*read, strict=True)) or [(), ()]))
    return ReplyParts(trace.strip() or None, summary.strip() or None, text.strip())


def stop_of(output: ModelOutput) -> Stop:
    """The reason why a reply ended."""
    if not output.choices:
        return "error"
    choice = output.choices[0]
    content = choice.message.content
    if not isinstance(content, str) and any(getattr(part, "refusal", None) for part in content):
        return "refused"
    return _PROVIDER_STOPS.get(choice.stop_reason, "stop")


def _read(block: ContentReasoning, summarized: bool) -> tuple[str, str]:
    """The trace and the summary in one block."""
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
    """The known arguments of the first call of the tool, as texts of bounded length."""
    given: dict[str, Any] = next((call.arguments for call in calls if call.function == tool.name and not call.parse_error), {})
    return {name: _as_text(given[name]) for name, _ in tool.arguments if given.get(name) is not None}


def _as_text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:LONGEST_CALL].strip()


def _usage(usage: ModelUsage | None) -> Usage:
    """Tokens as billed. Inspect counts tokens read from or written to the provider's prompt cache separately."""
    if usage is None:
        return Usage()
    prompt = usage.input_tokens + (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
    return Usage(*(min(max(0, n or 0), _MOST_TOKENS) for n in (prompt, usage.output_tokens, usage.reasoning_tokens)))
