"""Families of comparisons: against every rival, and over many students at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.leaderboard.board.family import Pair, claim, step_down
from heistbench.leaderboard.board.statistics import Results, paired_difference

QUESTIONS = np.linspace(0.2, 0.8, 200)


def results(rng: np.random.Generator, level: float = 0.0, seeds: int = 5, spread: float = 0.0, first: int = 0) -> Results:
    """An arm on questions from hard to easy, `level` above a half."""
    chances = QUESTIONS[None, :] + level + spread * rng.standard_normal((seeds, 1))
    return Results((rng.random((seeds, QUESTIONS.size)) < chances).astype(float), tuple(range(first, first + seeds)))


def pair(new: Results, base: Results) -> Pair:
    return Pair(new, base, paired_difference(new, base).p)


# a claim


def test_against_one_rival_a_claim_is_the_paired_difference() -> None:
    rng = np.random.default_rng(0)
    new, rival = results(rng, 0.1), results(rng)
    claimed, difference = claim(new, {"a": rival}), paired_difference(new, rival)
    assert (claimed.over, claimed.mean, claimed.interval) == ("a", difference.mean, difference.interval())
    assert claimed.p == pytest.approx(difference.p)


def test_the_rival_that_decides_is_the_one_that_is_hardest_to_beat() -> None:
    rng = np.random.default_rng(1)
    new, steady, loose = results(rng, 0.15), results(rng, 0.02, seeds=20), results(rng, 0.0, spread=0.15)
    claimed = claim(new, {"steady": steady, "loose": loose})
    alone = {name: paired_difference(new, rival) for name, rival in (("steady", steady), ("loose", loose))}
    assert claimed.over == max(("steady", "loose"), key=lambda name: {"steady": steady, "loose": loose}[name].mean)
    assert claimed.rival is loose
    assert claimed.p == pytest.approx(max(d.p for d in alone.values()))
    assert claimed.interval.low == min(d.interval().low for d in alone.values())


def test_to_be_below_the_best_rival_is_enough_to_be_below() -> None:
    rng = np.random.default_rng(2)
    claimed = claim(results(rng, -0.1), {"best": results(rng, 0.2), "poor": results(rng, -0.15)})
    assert claimed.mean < 0
    assert claimed.interval.high < 0
    assert claimed.p < 0.05


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_a_claim_holds_its_mean_and_a_further_rival_never_helps_it(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    new, rivals = results(rng, 0.1), {f"r{at}": results(rng, 0.1 * rng.standard_normal(), first=9) for at in range(n + 1)}
    some, every = claim(new, dict(list(rivals.items())[:n])), claim(new, rivals)
    for claimed in (some, every):
        assert claimed.interval.low <= claimed.mean <= claimed.interval.high
        assert 0 < claimed.p <= 1
    assert every.mean <= some.mean
    assert every.interval.low <= some.interval.low


# many of them


def test_nothing_to_test_and_one_test_are_not_adjusted() -> None:
    rng = np.random.default_rng(3)
    one = pair(results(rng, 0.1), results(rng))
    assert step_down([]) == []
    assert step_down([one]) == [one.p]


def test_tests_that_have_all_in_common_are_one_test() -> None:
    rng = np.random.default_rng(4)
    one = pair(results(rng, 0.07), results(rng))
    assert step_down([one] * 12) == pytest.approx([one.p] * 12, rel=0.2)


def test_tests_that_have_nothing_in_common_are_adjusted_as_by_sidak() -> None:
    rng = np.random.default_rng(5)
    pairs = [pair(results(rng, 0.045 if at else 0.06), results(rng, first=10 * at)) for at in range(8)]
    least = min(range(8), key=lambda at: pairs[at].p)
    assert step_down(pairs)[least] == pytest.approx(1 - (1 - pairs[least].p) ** 8, rel=0.25)


@given(st.integers(0, 2**32), st.integers(2, 8))
def test_adjusted_p_values_keep_order_and_are_between_the_raw_ones_and_bonferronis(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    base = results(rng)
    pairs = [pair(results(rng, 0.05 * at), base) for at in range(n)]
    adjusted = step_down(pairs)
    for raw, after in zip(pairs, adjusted, strict=True):
        assert raw.p <= after <= min(1.0, n * raw.p + 0.02)
    by_raw = [adjusted[at] for at in sorted(range(n), key=lambda at: pairs[at].p)]
    assert by_raw == sorted(by_raw)


def test_the_same_family_gives_the_same_p_values_again() -> None:
    rng = np.random.default_rng(6)
    base = results(rng)
    pairs = [pair(results(rng, 0.03 * at), base) for at in range(6)]
    assert step_down(pairs) == step_down(pairs)


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_of_students_no_better_than_any_control_one_is_called_a_thief_no_more_often_than_alpha(spread: float) -> None:
    hits, boards = 0, 80
    for board in range(boards):
        rng = np.random.default_rng([board, round(100 * spread)])
        rivals = {"steady": results(rng, seeds=20, first=0), "loose": results(rng, seeds=20, spread=spread)}
        claims = [claim(results(rng, spread=spread), rivals) for _ in range(8)]
        adjusted = step_down([Pair(each.new, each.rival, each.p) for each in claims])
        hits += any(p < 0.05 and each.interval.low > 0 for p, each in zip(adjusted, claims, strict=True))
    assert hits / boards <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / boards)
