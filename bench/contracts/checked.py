"""Types are checked where a plugin and the harness meet, so that a slip is one line that says what was expected.

What a plugin hands in is checked on its own side, and raises a TypeError there; what it returns is checked by the harness,
and raises a PluginFailure that names the plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, TypeVar

from heistbench.bench.contracts.errors import PluginFailure, one_line
from heistbench.bench.contracts.nouns import (
    Exposure,
    Grade,
    Message,
    Problem,
    Prompt,
    Question,
    Refusal,
    Reply,
    Stolen,
    Verdict,
)
from heistbench.bench.contracts.places import place_of
from heistbench.bench.contracts.plugins import Attack, Defense, Plugin, Task

_T = TypeVar("_T")


# what a plugin hands in


def prompts_for(verb: str, prompts: Any) -> list[Prompt]:
    """The prompts of a call as a list. Raises TypeError for anything but prompts."""
    wrap = "wrap the text in Prompt.of"
    if isinstance(prompts, (str, Prompt)):
        raise TypeError(
            f"{verb}() takes a list of prompts: " + (wrap if isinstance(prompts, str) else "put the prompt in a list")
        )
    return _all(f"{verb}() takes prompts", Prompt, prompts, wrap, _prompt_fault)


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
            raise TypeError(f"{verb}() takes pairs of a prompt and a text: not {_kind(pair)}")
        _refuse(f"{verb}() takes prompts", _prompt_fault(pair[0]))
    return pairs


def _all(what: str, kind: type[_T], items: Any, hint: str, fault: Callable[[_T], str] = lambda item: "") -> list[_T]:
    if not isinstance(items, Iterable) or isinstance(items, (str, bytes, Mapping)):
        raise TypeError(f"{what}: {hint} (expected a list, not {_kind(items)})")
    checked = list(items)
    for item in checked:
        if not isinstance(item, kind):
            raise TypeError(f"{what}: {hint} (not {_kind(item)})")
        _refuse(what, fault(item))
    return checked


def _refuse(what: str, fault: str) -> None:
    if fault:
        raise TypeError(f"{what}: {fault}")


def _prompt_fault(prompt: Prompt) -> str:
    """Why something of the right class is no prompt all the same; empty where it is one."""
    messages = prompt.messages
    if not isinstance(messages, tuple) or not all(isinstance(message, Message) for message in messages):
        return f"a prompt's messages are a tuple of Message, not {_kind(messages)}; for one text there is Prompt.of"
    wrong = [message.content for message in messages if not isinstance(message.content, str)]
    return f"a message holds a text, not {_kind(wrong[0])}" if wrong else ""


# what a plugin returns


def check_admitted(defense: Defense, admitted: object) -> Prompt | Refusal:
    """A prompt or a refusal that `admit` returned. Raises PluginFailure for anything else."""
    expected = "the Prompt or a Refusal"
    if isinstance(admitted, Refusal) and isinstance(admitted.reason, str):
        return admitted
    if not isinstance(admitted, Prompt):
        raise _returned(defense, "admit", admitted, expected)
    if fault := _prompt_fault(admitted):
        raise _failed(defense, f"admit returned a Prompt that is none: {fault}")
    return admitted


def check_exposure(defense: Defense, exposure: object) -> Exposure:
    """An exposure that `release` returned. Raises PluginFailure for anything but one made of texts."""
    if not isinstance(exposure, Exposure):
        raise _returned(defense, "release", exposure, "an Exposure")
    arguments = exposure.arguments
    _check_field(defense, "release returned an Exposure", "text", exposure.text, str)
    _check_field(defense, "release returned an Exposure", "summary", exposure.summary, str, type(None))
    _check_field(defense, "release returned an Exposure", "refused", exposure.refused, bool)
    _check_field(defense, "release returned an Exposure", "arguments", arguments, Mapping)
    for part in (*arguments, *arguments.values()):
        _check_field(defense, "release returned an Exposure", "arguments", part, str)
    return exposure


def check_rows(attack: Attack, rows: object) -> list[Stolen]:
    """The loot that `steal` returned. Raises PluginFailure for anything but rows of Stolen made of texts."""
    checked = _listed(attack, "steal", rows, Stolen)
    for at, row in enumerate(checked, 1):
        for field in ("id", "question", "answer"):
            _check_field(attack, f"steal returned row {at}", field, getattr(row, field), str)
        _check_field(attack, f"steal returned row {at}", "trace", row.trace, str, type(None))
    return checked


def check_problems(task: Task, problems: object) -> list[Problem]:
    """The problems of a split. Raises PluginFailure for anything but a list of problems made of texts."""
    checked = _listed(task, "problems", problems, Problem)
    for at, problem in enumerate(checked, 1):
        where = f"problems returned problem {at}"
        _check_field(task, where, "question", problem.question, Question)
        for field, value in (("id", problem.question.id), ("text", problem.question.text)):
            _check_field(task, where, f"question.{field}", value, str)
        for field in ("gold", "trace", "recorded"):
            _check_field(task, where, field, getattr(problem, field), str)
    return checked


def check_grade(task: Task, grade: object) -> Grade:
    """A grade that `grade` returned. Raises PluginFailure for anything but one with a score between 0 and 1."""
    if not isinstance(grade, Grade):
        raise _returned(task, "grade", grade, "a Grade")
    _check_field(task, "grade returned a Grade", "verdict", grade.verdict, Verdict)
    for name, share in {"score": grade.score, **grade.metrics}.items():
        _check_field(task, "grade returned a Grade", name, share, float, int)
        if not isfinite(share) or not 0 <= share <= 1:
            raise _failed(task, f"grade returned a Grade whose {name} is {share}; expected 0 to 1")
    for name in ("extracted", "reason"):
        _check_field(task, "grade returned a Grade", name, getattr(grade, name), str)
    return grade


def check_grades(task: Task, grades: object, n: int) -> list[Grade]:
    """The grades that `grade_all` returned for `n` answers. Raises PluginFailure for anything but a grade for each."""
    if not isinstance(grades, Sequence) or isinstance(grades, (str, bytes)):
        raise _returned(task, "grade_all", grades, "a list of Grade")
    if len(grades) != n:
        raise _failed(task, f"grade_all returned {len(grades)} grades for {n} answers")
    return [check_grade(task, grade) for grade in grades]


def _listed(plugin: Plugin, method: str, items: object, kind: type[_T]) -> list[_T]:
    expected = f"a list of {kind.__name__}"
    if not isinstance(items, Sequence) or isinstance(items, (str, bytes)):
        raise _returned(plugin, method, items, expected)
    for item in items:
        if not isinstance(item, kind):
            raise _failed(plugin, f"{method} returned a list with {_kind(item)} in it; expected {expected}")
    return list(items)


def _check_field(plugin: Plugin, where: str, field: str, value: object, *kinds: type) -> None:
    if not isinstance(value, kinds):
        expected = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise _failed(plugin, f"{where} whose {field} is {_kind(value)}; expected {expected}")


def _returned(plugin: Plugin, method: str, value: object, expected: str) -> PluginFailure:
    return _failed(plugin, f"{method} returned {_kind(value)}; expected {expected}")


def _failed(plugin: Plugin, problem: str) -> PluginFailure:
    info = plugin.info
    return PluginFailure(one_line(f"{info.kind} {info.name} ({place_of(type(plugin))}): {problem}"))


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
