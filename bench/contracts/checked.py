"""What a plugin returns is checked by the harness, and raises a PluginFailure that names the plugin and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from random import Random
from typing import TypeVar, get_args

from heistbench.bench.contracts.arguments import kind_of, prompt_fault
from heistbench.bench.contracts.errors import PluginFailure, one_line
from heistbench.bench.contracts.nouns import (
    Exposure,
    Grade,
    Problem,
    Prompt,
    Question,
    Refusal,
    Stolen,
    Stop,
    Usage,
    Verdict,
)
from heistbench.bench.contracts.places import place_of
from heistbench.bench.contracts.plugins import Attack, Defense, Plugin, Task

_T = TypeVar("_T")


class Undeclared(Random):
    """What a defense draws from that does not say it is random. Raises TypeError for the first draw."""

    def random(self) -> float:
        """See `Random.random`."""
        return self.getrandbits(53)

    def getrandbits(self, k: int, /) -> int:
        """See `Random.getrandbits`."""
        raise TypeError("draws at random and does not say so: declare it with random=True")


def check_admitted(defense: Defense, admitted: object) -> Prompt | Refusal:
    """A prompt or a refusal that `admit` returned. Raises PluginFailure for anything else."""
    expected = "the Prompt or a Refusal"
    if isinstance(admitted, Refusal) and isinstance(admitted.reason, str):
        return admitted
    if not isinstance(admitted, Prompt):
        raise _returned(defense, "admit", admitted, expected)
    if fault := prompt_fault(admitted):
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
    _check_field(defense, "release returned an Exposure", "usage", exposure.usage, Usage)
    if exposure.stop not in get_args(Stop):
        raise _failed(
            defense, f"release returned an Exposure whose stop is {exposure.stop!r}; expected one of {', '.join(get_args(Stop))}"
        )
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
            raise _failed(plugin, f"{method} returned a list with {kind_of(item)} in it; expected {expected}")
    return list(items)


def _check_field(plugin: Plugin, where: str, field: str, value: object, *kinds: type) -> None:
    if not isinstance(value, kinds):
        expected = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise _failed(plugin, f"{where} whose {field} is {kind_of(value)}; expected {expected}")


def _returned(plugin: Plugin, method: str, value: object, expected: str) -> PluginFailure:
    return _failed(plugin, f"{method} returned {kind_of(value)}; expected {expected}")


def _failed(plugin: Plugin, problem: str) -> PluginFailure:
    info = plugin.info
    return PluginFailure(one_line(f"{info.kind} {info.name} ({place_of(type(plugin))}): {problem}"))
