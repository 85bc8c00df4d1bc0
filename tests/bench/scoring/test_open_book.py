from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Grade, OpenBook, Problem, Question, TraceCheck
from heistbench.bench.scoring.open_book import LIMIT, ask, plain, read_trace, tidy, write_trace

KINDS = ("equal", "two supporting facts", "path finding")
texts = st.text(max_size=40)
facts = texts.map(tidy).filter(plain)
contexts = st.lists(facts, min_size=1, max_size=6, unique_by=plain)


class Quiz(OpenBook):
    """An open-book task as small as they come."""

    licence: ClassVar[str] = "none"

    def kinds(self) -> Sequence[str]:
        return KINDS

    def problems(self, split: str, n: int | None) -> list[Problem]:
        return []

    def grade(self, problem: Problem, answer: str) -> Grade:
        return Grade.of(answer == problem.gold)


QUIZ = Quiz()


def a_problem(context: list[str], right: list[str], kind: str = "equal") -> Problem:
    return Problem(Question("q", ask(context, "who left ?", "Answer.")), "mary", write_trace(kind, right))


def checked(problem: Problem, trace: str) -> TraceCheck:
    check = QUIZ.check(problem, trace)
    assert check is not None
    return check


@st.composite
def drawn(draw: st.DrawFn) -> Problem:
    """Any context, some of whose facts are the right ones, and any kind."""
    context = draw(contexts)
    right = draw(st.lists(st.sampled_from(context), min_size=1, unique=True))
    return a_problem(context, right, draw(st.sampled_from(KINDS)))


# reading and writing


@given(st.sampled_from(KINDS), contexts)
def test_what_is_written_is_read(kind: str, named: list[str]) -> None:
    assert read_trace(write_trace(kind, named)) == (kind, named)


@given(contexts)
def test_a_question_holds_its_facts(context: list[str]) -> None:
    assert QUIZ.facts(a_problem(context, context[:1])) == context


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Kind: Equal.\nFacts: Mary left; John came.", ("Equal", ["Mary left", "John came."])),
        ("kind:equal.facts:mary left;john came", ("equal", ["mary left", "john came"])),
        ("well , KIND : equal . Facts :mary left ;; ; john came ;", ("equal", ["mary left", "john came"])),
        ("kind : two supporting facts . facts : mary left", ("two supporting facts", ["mary left"])),
        ("kind : equal . facts : the facts : kind : mary left", ("equal", ["the facts : kind : mary left"])),
        ("facts : mary left . kind : equal", ("", ["mary left . kind : equal"])),
        ("kind : equal", ("equal", [])),
        ("kind : equal . and so on . it ends", ("equal", [])),
        ("mary left", ("", [])),
        ("", ("", [])),
    ],
)
def test_traces_are_read_as_models_garble_them(text: str, read: tuple[str, list[str]]) -> None:
    assert read_trace(text) == read


@given(texts)
def test_a_tidy_fact_is_one_line_that_a_trace_can_hold(text: str) -> None:
    assert len(tidy(text).splitlines()) <= 1
    assert ";" not in tidy(text)
    assert tidy(tidy(text)) == tidy(text)


# checking


@given(drawn())
def test_the_rule_built_trace_is_right(problem: Problem) -> None:
    check = checked(problem, problem.trace)
    assert (check.whole, check.classified, check.retrieved, check.kind) == (True, True, True, "right")
    assert check.words == len(problem.trace.split())


@given(drawn(), st.randoms(use_true_random=False))
def test_the_wrong_twin_is_right_in_nothing(problem: Problem, rng: Random) -> None:
    wrong = QUIZ.wrong_trace(problem, rng)
    check = checked(problem, wrong)
    assert (check.right, check.classified, check.retrieved, check.kind) == (0, False, False, "wrong")
    assert read_trace(wrong)[0] in KINDS
    assert len(read_trace(wrong)[1]) == len(read_trace(problem.trace)[1])


@given(drawn(), st.text())
def test_right_steps_are_all_steps_just_when_both_parts_are_right(problem: Problem, text: str) -> None:
    for trace in (text, problem.trace + text, write_trace("equal", [text]), write_trace("equal", QUIZ.facts(problem))):
        check = checked(problem, trace)
        assert 0 <= check.right <= check.steps
        assert check.whole == (check.classified and check.retrieved)
        assert all(isinstance(value, str) for value in QUIZ.values(trace))


PROBLEM = a_problem(["mary left", "john came", "sandra slept"], ["mary left", "john came"])


@pytest.mark.parametrize(
    ("trace", "right", "steps", "kind"),
    [
        ("kind : EQUAL . facts : John came ; Mary left .", 3, 3, "right"),
        ("kind : equal . facts : mary left ; john came ; mary left", 3, 3, "right"),
        ("kind : equal . facts : mary left", 2, 3, "class"),
        ("kind : equal . facts : mary left ; john came ; sandra slept", 3, 4, "class"),
        ("kind : path finding . facts : mary left ; john came", 2, 3, "facts"),
        ("kind : path finding . facts : mary left ; sandra slept", 1, 3, "wrong"),
        ("mary left and john came", 0, 3, "wrong"),
        ("", 0, 3, "none"),
    ],
)
def test_traces_are_checked_step_by_step(trace: str, right: int, steps: int, kind: str) -> None:
    check = checked(PROBLEM, trace)
    assert (check.right, check.steps, check.kind) == (right, steps, kind)


def test_no_reference_no_check() -> None:
    assert QUIZ.check(Problem(Question("q", "who left ?"), "mary", ""), "kind : equal . facts : mary left") is None


def test_a_megabyte_is_checked_at_its_length() -> None:
    trace = PROBLEM.trace + " ; mary" * LIMIT
    assert checked(PROBLEM, trace).words == len(PROBLEM.trace.split()) + 2 * LIMIT


# wrong twins


def test_wrong_facts_are_other_facts_of_the_context() -> None:
    context = [f"person {i} left" for i in range(8)]
    for seed in range(20):
        _, wrong = read_trace(QUIZ.wrong_trace(a_problem(context, context[:3]), Random(seed)))
        assert len(set(wrong)) == 3
        assert set(wrong) <= set(context[3:])


@pytest.mark.parametrize(
    ("context", "right", "wrong"),
    [
        (["mary left", "john came"], ["mary left", "john came"], ["left mary", "came john"]),
        (["mary left", "john came", "x y"], ["mary left", "john came"], ["x y", "came john"]),
        (["mary"], ["mary"], ["not mary"]),
        (["mary", "Mary !", "x x"], ["mary", "x x"], ["not mary", "not x x"]),
    ],
)
def test_without_other_facts_the_right_ones_are_turned_round(context: list[str], right: list[str], wrong: list[str]) -> None:
    assert read_trace(QUIZ.wrong_trace(a_problem(context, right), Random(0)))[1] == wrong


# what is shown and compared


@pytest.mark.parametrize(
    ("trace", "summary"),
    [
        (PROBLEM.trace, "a question of equal , answered from 2 facts ."),
        ("kind : equal . facts : mary left", "a question of equal , answered from 1 fact ."),
        ("facts : mary left ; Mary left .", "a question of no kind , answered from 1 fact ."),
        ("kind : equal", "a question of equal , answered from 0 facts ."),
        ("no trace of this form", None),
    ],
)
def test_the_summary_counts_the_facts_and_hides_them(trace: str, summary: str | None) -> None:
    assert QUIZ.summarize(trace) == summary


def test_values_are_the_facts_by_their_words() -> None:
    assert QUIZ.values("Kind: equal. Facts: Mary left! ; John's coming.") == ["mary left", "john s coming"]
