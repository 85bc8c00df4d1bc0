"""What a plugin hands in is checked on its own side of the wall, and raises a TypeError there that says what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from heistbench.bench.contracts.nouns import Message, Prompt, Question, Reply

_T = TypeVar("_T")


def prompts_for(verb: str, prompts: Any) -> list[Prompt]:
    """The prompts of a call as a list. Raises TypeError for anything but prompts."""
    wrap = "wrap the text in Prompt.of"
    if isinstance(prompts, (str, Prompt)):
        raise TypeError(
            f"{verb}() takes a list of prompts: " + (wrap if isinstance(prompts, str) else "put the prompt in a list")
        )
    return _all(f"{verb}() takes prompts", Prompt, prompts, wrap, prompt_fault)


def replies_for(verb: str, replies: Any, n: int) -> list[Reply]:
    """The replies of a call as a list. Raises TypeError for anything but `n` replies."""
    checked = _all(f"{verb}() takes replies", Reply, replies, "as kit.surrogate gives them")
    if len(checked) != n:
        raise TypeError(f"{verb}() takes one reply per prompt: {len(checked)} for {n}")
    return checked


def questions_for(verb: str, questions: Any) -> list[Question]:
    """The questions of a call as a list. Raises TypeError for anything but questions."""
    return _all(f"{verb}() takes questions", Question, questions, "those that steal() was given")


def examples_for(verb: str, examples: Any) -> list[tuple[Prompt, str]]:
    """Rows to train on as a list. Raises TypeError for anything but pairs of a prompt and a text."""
    pairs = _all(f"{verb}() takes pairs of a prompt and a text", tuple, examples, "(prompt, completion)")
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[0], Prompt) or not isinstance(pair[1], str):
            raise TypeError(f"{verb}() takes pairs of a prompt and a text: not {kind_of(pair)}")
        _refuse(f"{verb}() takes prompts", prompt_fault(pair[0]))
    return pairs


def _all(what: str, kind: type[_T], items: Any, hint: str, fault: Callable[[_T], str] = lambda item: "") -> list[_T]:
    if not isinstance(items, Iterable) or isinstance(items, (str, bytes, Mapping)):
        raise TypeError(f"{what}: {hint} (expected a list, not {kind_of(items)})")
    checked = list(items)
    for item in checked:
        if not isinstance(item, kind):
            raise TypeError(f"{what}: {hint} (not {kind_of(item)})")
        _refuse(what, fault(item))
    return checked


def _refuse(what: str, fault: str) -> None:
    if fault:
        raise TypeError(f"{what}: {fault}")


def prompt_fault(prompt: Prompt) -> str:
    """Why something of the right class is no prompt all the same; empty where it is one."""
    messages = prompt.messages
    if not isinstance(messages, tuple) or not all(isinstance(message, Message) for message in messages):
        return f"a prompt's messages are a tuple of Message, not {kind_of(messages)}; for one text there is Prompt.of"
    wrong = [message.content for message in messages if not isinstance(message.content, str)]
    return f"a message holds a text, not {kind_of(wrong[0])}" if wrong else ""


def kind_of(value: object) -> str:
    """A value by its type, for a message."""
    return "None" if value is None else f"a value of type {type(value).__name__}"
