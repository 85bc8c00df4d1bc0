"""What the harness takes back from a plugin: the right types pass unchanged, all else names the plugin and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from heistbench.bench import Exposure, Grade, Message, Problem, Prompt, Question, Refusal, Stolen, Verdict
from heistbench.bench.contracts.checked import (
    check_admitted,
    check_exposure,
    check_grade,
    check_grades,
    check_problems,
    check_rows,
)
from heistbench.bench.contracts.errors import PluginFailure
from heistbench.bench.contracts.places import place_of
from heistbench.bench.contracts.registry import registry

ATTACK, DEFENSE, TASK = (
    registry.build("attack", "rep"),
    registry.build("defense", "none"),
    registry.build("task", "pocket"),
)
PROMPT, GRADE = Prompt.of("a"), Grade.of(True)
ROW, PROBLEM = Stolen("1", "q", None, "a"), Problem(Question("1", "q"), "7", "")


@pytest.mark.parametrize(
    ("check", "plugin", "value"),
    [
        (check_admitted, DEFENSE, PROMPT),
        (check_admitted, DEFENSE, Refusal("no")),
        (check_exposure, DEFENSE, Exposure("a", None, False, {"x": "y"})),
        (check_rows, ATTACK, [ROW]),
        (check_rows, ATTACK, []),
        (check_problems, TASK, [PROBLEM]),
        (check_grade, TASK, GRADE),
        (check_grade, TASK, Grade(Verdict.WRONG, 0.5, metrics={"f1": 1})),
    ],
)
def test_what_is_right_passes_unchanged(check: Callable, plugin: Any, value: object) -> None:
    assert check(plugin, value) == value


@pytest.mark.parametrize(
    ("check", "plugin", "value", "message"),
    [
        (check_admitted, DEFENSE, None, "admit returned None; expected the Prompt or a Refusal"),
        (check_admitted, DEFENSE, "a", "admit returned a value of type str; expected the Prompt or a Refusal"),
        (check_admitted, DEFENSE, Prompt("a"), "admit returned a Prompt that is none: a prompt's messages are a tuple"),
        (check_admitted, DEFENSE, Prompt((Message("user", 7),)), "a message holds a text"),
        (check_exposure, DEFENSE, None, "release returned None; expected an Exposure"),
        (check_exposure, DEFENSE, "a", "release returned a value of type str; expected an Exposure"),
        (check_exposure, DEFENSE, Exposure(None), "release returned an Exposure whose text is None; expected str"),
        (check_exposure, DEFENSE, Exposure("a", 7), "whose summary is a value of type int; expected str or None"),
        (check_exposure, DEFENSE, Exposure("a", refused=1), "whose refused is a value of type int; expected bool"),
        (check_exposure, DEFENSE, Exposure("a", arguments={"x": 1}), "whose arguments is a value of type int"),
        (check_exposure, DEFENSE, Exposure("a", arguments=None), "whose arguments is None"),
        (check_rows, ATTACK, None, "steal returned None; expected a list of Stolen"),
        (check_rows, ATTACK, iter([ROW]), "steal returned a value of type list_iterator; expected a list of Stolen"),
        (check_rows, ATTACK, ["a"], "steal returned a list with a value of type str in it; expected a list of Stolen"),
        (check_rows, ATTACK, [ROW, Stolen("2", "q", None, None)], "steal returned row 2 whose answer is None; expected str"),
        (check_rows, ATTACK, [Stolen("2", "q", 7, "a")], "row 1 whose trace is a value of type int; expected str or None"),
        (check_problems, TASK, None, "problems returned None; expected a list of Problem"),
        (check_problems, TASK, [None], "problems returned a list with None in it"),
        (check_problems, TASK, [Problem("q", "7", "")], "problem 1 whose question is a value of type str; expected Question"),
        (check_problems, TASK, [Problem(Question(1, "q"), "7", "")], "whose question.id is a value of type int"),
        (check_problems, TASK, [Problem(Question("1", "q"), 7, "")], "whose gold is a value of type int; expected str"),
        (check_grade, TASK, None, "grade returned None; expected a Grade"),
        (check_grade, TASK, True, "grade returned a value of type bool; expected a Grade"),
        (check_grade, TASK, Grade("right", 1.0), "whose verdict is a value of type str; expected Verdict"),
        (check_grade, TASK, Grade(Verdict.RIGHT, 2.0), "whose score is 2.0; expected 0 to 1"),
        (check_grade, TASK, Grade(Verdict.RIGHT, float("nan")), "whose score is nan; expected 0 to 1"),
        (check_grade, TASK, Grade(Verdict.RIGHT, 1.0, metrics={"f1": -1}), "whose f1 is -1; expected 0 to 1"),
        (check_grade, TASK, Grade(Verdict.RIGHT, 1.0, extracted=7), "whose extracted is a value of type int"),
    ],
)
def test_what_is_wrong_names_the_plugin_and_what_was_expected(check: Callable, plugin: Any, value: object, message: str) -> None:
    with pytest.raises(PluginFailure) as caught:
        check(plugin, value)
    info = plugin.info
    assert caught.value.reason.startswith(f"{info.kind} {info.name} ({place_of(type(plugin))}): ")
    assert message in caught.value.reason


def test_there_is_a_grade_for_each_answer() -> None:
    assert check_grades(TASK, [GRADE, GRADE], 2) == [GRADE, GRADE]
    for grades in (None, [GRADE], [GRADE, None]):
        with pytest.raises(PluginFailure, match=r"grade_all returned|grade returned None"):
            check_grades(TASK, grades, 2)
