from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Bill, Exposure, Message, Problem, Prompt, Question, Reply, Stolen, TraceCheck, Usage, question_id
from heistbench.bench.contracts.nouns import Stop

bills = st.builds(
    Bill,
    **{f.name: st.integers(0, 10**6).map(type(f.default)) for f in dataclasses.fields(Bill)},
)


@given(bills, bills)
def test_bills_add_field_by_field(a: Bill, b: Bill) -> None:
    assert all(getattr(a + b, f.name) == getattr(a, f.name) + getattr(b, f.name) for f in dataclasses.fields(Bill))
    assert a + Bill() == a


def test_the_wall_starts_with_the_nouns() -> None:
    assert {f.name for f in dataclasses.fields(Exposure)} == {"text", "summary", "refused", "arguments", "usage", "stop"}
    assert {f.name for f in dataclasses.fields(Question)} == {"id", "text", "metadata"}


@pytest.mark.parametrize(
    "noun", [Question("q", "t"), Problem(Question("q", "t"), "1", "x"), Exposure("x"), Stolen("q", "t", None, "1"), Usage()]
)
def test_nouns_are_frozen(noun: object) -> None:
    field = dataclasses.fields(noun)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(noun, field, None)


def test_a_prompt_holds_its_turns_in_order() -> None:
    assert Prompt.of("why?").messages == (Message("user", "why?"),)
    assert Prompt.of("why?", system="be brief").messages == (Message("system", "be brief"), Message("user", "why?"))
    assert Prompt.of("why?", system="be brief").text == "be brief\n\nwhy?"


@given(st.text(), st.text())
def test_ids_hang_on_the_text_alone(a: str, b: str) -> None:
    assert len(question_id(a)) == 16
    assert int(question_id(a), 16) >= 0
    assert (question_id(a) == question_id(b)) == (a == b)


@pytest.mark.parametrize(("right", "steps", "whole"), [(3, 3, True), (2, 3, False), (0, 1, False)])
def test_a_trace_is_whole_when_every_step_is_right(right: int, steps: int, whole: bool) -> None:
    assert TraceCheck(right, steps, True, True, 9).whole is whole


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        (TraceCheck(2, 2, True, True, 9), "right"),
        (TraceCheck(1, 2, True, False, 9), "class"),
        (TraceCheck(1, 2, False, True, 9), "facts"),
        (TraceCheck(0, 2, False, False, 9), "wrong"),
        (TraceCheck(0, 2, False, False, 0), "none"),
    ],
)
def test_a_trace_in_one_word(check: TraceCheck, kind: str) -> None:
    assert check.kind == kind


# what a reply exposes

replies = st.builds(
    Reply,
    st.text() | st.none(),
    st.text() | st.none(),
    st.text(),
    st.builds(Usage),
    st.sampled_from(get_args(Stop)),
    st.dictionaries(st.text(), st.text()),
)


@given(replies)
def test_all_but_the_trace_is_exposed(reply: Reply) -> None:
    assert reply.exposed() == Exposure(
        reply.text, reply.summary, reply.stop == "refused", reply.arguments, reply.usage, reply.stop
    )


@given(replies, st.text())
def test_a_defense_changes_what_it_names(reply: Reply, text: str) -> None:
    assert reply.exposed(text=text) == dataclasses.replace(reply.exposed(), text=text)


@pytest.mark.parametrize(
    ("exposure", "answered"),
    [(Exposure("7"), True), (Exposure(""), False), (Exposure("no", refused=True), False), (Exposure("", "recap"), False)],
)
def test_an_answer_is_visible_and_no_refusal(exposure: Exposure, answered: bool) -> None:
    assert exposure.answered is answered


def test_a_recorded_answer_goes_before_gold() -> None:
    assert Problem(Question("q", "t"), "1", "x").shown == "1"
    assert Problem(Question("q", "t"), "1", "x", r"so \boxed{1}").shown == r"so \boxed{1}"
