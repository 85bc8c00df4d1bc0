"""One function that renders a reply and one that splits it, used by victim, student, inverter and overlap alike.

A reply is `<think>` trace `</think>` answer. Where a chat template opens the thinking itself, the reply starts inside it:
`encode` and `split_reply` look at the rendered prompt to know. Thinking that never closes holds no answer: it is truncated,
and is never searched for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from heistbench.bench._nouns import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OPEN, CLOSE = "<think>", "</think>"


class Parts(NamedTuple):
    """A reply taken apart; `answer` is None when the thinking never closed, `trace` when there was no thinking."""

    trace: str | None
    answer: str | None


def render_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> str:
    """The text a model is given for `prompt`, up to the point where its reply starts."""
    turns: list[dict[str, Any]] = [{"role": message.role, "content": message.content} for message in prompt.messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def render_reply(trace: str | None, answer: str) -> str:
    """The reply a student learns. Every arm has the same format: no trace leaves the thinking empty, not absent."""
    return f"{OPEN}\n{trace or ''}\n{CLOSE}\n\n{answer}"


def split_reply(text: str, prompt_text: str = "") -> Parts:
    """Where the trace ends and the answer starts. Only the first closing tag counts: later ones belong to the answer."""
    thinking, closed, answer = text.partition(CLOSE)
    before, opened, inside = thinking.partition(OPEN)
    trace = (inside if opened else before).strip()
    if closed:
        return Parts(trace, answer.strip())
    return Parts(trace, None) if opened or _opened(prompt_text) else Parts(None, text.strip())


def encode(tokenizer: PreTrainedTokenizerBase, prompt_text: str, completion: str) -> tuple[list[int], list[int]]:
    """Token ids of prompt and completion with the end token, and labels in which the prompt is masked with -100.

    Both parts are tokenized apart, so the ids of the prompt are the very ids an examination starts from. A completion does
    not open the thinking again where the prompt's template has opened it.
    """
    completion = completion.removeprefix(OPEN) if _opened(prompt_text) else completion
    head: list[int] = tokenizer(prompt_text, add_special_tokens=False)["input_ids"]
    tail: list[int] = [*tokenizer(completion, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    return head + tail, [-100] * len(head) + tail


def _opened(prompt_text: str) -> bool:
    return prompt_text.rstrip().endswith(OPEN)
