"""Filtering by stolen answers: which traces of the attacker's own model are kept."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Exposure, Prompt, Question, Reply, Search, Stolen, Usage, bare_answer, doubt_of, filtered
from heistbench.bench.prompting.filtering import CERTAIN, Doubt

QUESTION = Question("q", "What is it?")
USUAL = Search()


class FakeKit:
    """A surrogate that draws its answers from a script, with a trace that numbers them."""

    def __init__(self, *answers: str, own: int = 0, altered: float = 0.0) -> None:
        self.script, self.drawn, self.calls = answers, 0, list[tuple[list[str], int | None]]()
        self.own, self.altered = [Question(f"o{i}", f"own {i}") for i in range(own)], altered

    def questions(self) -> list[Question]:
        return self.own

    def surrogate(self, prompts: Sequence[Prompt], samples: int | None = None, summaries: bool = True) -> list:
        self.calls.append(([prompt.text for prompt in prompts], samples))
        if samples is None:
            return [self._reply("7", f"own {prompt.text}") for prompt in prompts]
        return [[self._next() for _ in range(samples)] for _ in prompts]

    def rehearse(self, prompts: Sequence[Prompt], replies: Sequence[Reply]) -> list[Exposure]:
        rng = Random(0)
        few = self.altered * len(replies)
        return [Exposure(str(rng.randrange(10, 19)) if at < few else reply.text) for at, reply in enumerate(replies)]

    def _next(self) -> Reply:
        answer = self.script[self.drawn % len(self.script)]
        self.drawn += 1
        return self._reply(answer, f"trace {self.drawn}")

    def _reply(self, answer: str, trace: str) -> Reply:
        return Reply(trace, None, answer, Usage(), "stop" if answer else "length")


def kept(kit: FakeKit, shown: str, search: Search = USUAL, doubt: Doubt = CERTAIN) -> list[tuple[str | None, str]]:
    return [(row.trace, row.answer) for row in filtered(kit, [QUESTION], [shown], search, doubt)]


def test_the_first_trace_that_ends_in_the_answer_is_kept() -> None:
    assert kept(FakeKit("3", "7", "7", "1"), "7") == [("trace 2", "7")]


def test_the_answer_is_compared_without_what_is_around_it() -> None:
    assert kept(FakeKit(r"so it is \boxed{7}"), "Think well.\n\n7 ") == [("trace 1", "Think well.\n\n7 ")]


def test_what_never_fits_gives_no_row_after_all_rounds() -> None:
    kit = FakeKit("3")
    assert kept(kit, "7", Search(samples=2, rounds=3)) == []
    assert kit.calls == [(["What is it?"], 2)] * 3


def test_only_what_does_not_fit_yet_is_drawn_again() -> None:
    kit, other = FakeKit("7", "3", "3", "5"), Question("p", "And that?")
    rows = filtered(kit, [QUESTION, other], ["7", "5"], Search(samples=1, rounds=9))
    assert rows == [Stolen("q", QUESTION.text, "trace 1", "7"), Stolen("p", other.text, "trace 4", "5")]
    assert [texts for texts, _ in kit.calls] == [["What is it?", "And that?"], ["And that?"], ["And that?"]]


def test_a_sample_that_never_ended_is_none() -> None:
    assert kept(FakeKit("", "7"), "7") == [("trace 2", "7")]
    assert kept(FakeKit(""), "") == []


@pytest.mark.parametrize(("agree", "rounds"), [(1, 1), (2, 1), (3, 2), (5, 3)])
def test_so_many_samples_must_agree(agree: int, rounds: int) -> None:
    kit = FakeKit("7", "3", "7", "1")
    assert kept(kit, "7", Search(samples=4, rounds=9, agree=agree)) == [("trace 1", "7")]
    assert len(kit.calls) == rounds


def test_the_commonest_trace_is_kept_where_asked_for() -> None:
    kit = FakeKit("7")
    traces = iter(["odd", "usual", "usual", "rare"])
    kit._next = lambda: Reply(next(traces), None, "7", Usage(), "stop")  # type: ignore[method-assign]
    assert kept(kit, "7", Search(choice="commonest")) == [("usual", "7")]


def test_doubt_outweighs_an_answer_that_no_sample_supports() -> None:
    """Where half of the answers are altered, an answer that most samples end in is likelier than a rare one that is shown."""
    doubt = Doubt(0.5, 9)
    assert kept(FakeKit("3"), "7", doubt=doubt) == [("trace 1", "3")]
    assert kept(FakeKit("3", "3", "3", "7"), "7", doubt=doubt) == [("trace 4", "7")]  # 1/4 * 1/2 against 3/4 * 1/18
    assert kept(FakeKit("3", "3", "3", "7"), "7", doubt=Doubt(0.9, 3)) == [("trace 1", "3")]  # 1/4 * 1/10 against 3/4 * 3/10
    assert kept(FakeKit("3", "7"), "7", doubt=Doubt(1.0, 9)) == [("trace 1", "3")]


@given(st.lists(st.sampled_from(["1", "2", "3", ""]), min_size=1, max_size=8), st.integers(1, 4), st.integers(1, 3))
def test_without_doubt_every_row_ends_in_what_was_shown(script: list[str], samples: int, rounds: int) -> None:
    rows = kept(FakeKit(*script), "2", Search(samples, rounds))
    fits = "2" in [script[i % len(script)] for i in range(samples * rounds)]
    assert rows == ([(f"trace {script.index('2') + 1}", "2")] if fits else [])


@pytest.mark.parametrize("altered", [0.0, 0.3, 1.0])
def test_doubt_is_learnt_from_a_rehearsal(altered: float) -> None:
    doubt = doubt_of(FakeKit(own=200, altered=altered))
    assert doubt.altered == altered
    assert doubt.others == (8 if altered else 1)


def test_an_answer_is_bare_of_what_is_around_it() -> None:
    assert [bare_answer(text) for text in ("7", " a\n b \n", r"\boxed{1} or \boxed{2}", "")] == ["7", "b", "1, 2", ""]
