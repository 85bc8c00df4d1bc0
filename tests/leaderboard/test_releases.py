"""History: releases in their order, points and steps in their places, breaks with their reason."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.build import build
from heistbench.leaderboard.compare.comparison import compare
from heistbench.leaderboard.compare.releases import History, HistoryLine, history_of, natural

Make = Callable[..., Record]
RELEASES = ("2", "9", "10")


@pytest.fixture(scope="module")
def records(make: Make, control: Make) -> list[Record]:
    """Three releases: `rep` is closed by the second and open again in the third, `late` is run on the third only."""
    made = []
    for release, strength in zip(RELEASES, (0.9, 0.2, 0.9), strict=True):
        for seed in range(3):
            known = {"arm__release": release, "seed": seed, "provenance__models__victim": f"sha256:v{release}"}
            made += [control("untrained", 0.1, **known), make("rep", "none", strength, **known)]
            made += [make("inversion", wall, 0.8, **known) for wall in ("a_wall", "none")]
            made += [make("late", "none", 0.5, **known)] if release == "10" else []
    return made


@pytest.fixture(scope="module")
def history(records: list[Record]) -> History:
    made = history_of(records)
    assert made
    return made


def line_of(history: History, attack: str) -> HistoryLine:
    return next(line for line in history.lines if line.attack == attack)


def test_releases_stand_in_the_order_of_their_numbers(history: History) -> None:
    assert history.releases == RELEASES
    assert (history.task, history.exam, history.student, history.victim) == ("pocket", "pocket", "pocket/base", "oracle")


def test_attacks_stand_before_controls_and_undefended_first(history: History) -> None:
    assert [(line.attack, line.defense, line.control) for line in history.lines] == [
        ("inversion", "none", False), ("inversion", "a_wall", False), ("late", "none", False), ("rep", "none", False),
        ("untrained", "none", True),
    ]  # fmt: skip


def test_steps_say_what_each_release_changed(history: History) -> None:
    steps = line_of(history, "rep").steps
    assert [step and step.verdict for step in steps] == [None, "better", "worse"]
    assert [step and step.verdict for step in line_of(history, "inversion").steps] == [None, "tie", "tie"]
    assert history.breaks == (None, None, None)


def test_points_are_the_arms_of_each_release(history: History, records: list[Record]) -> None:
    for line in history.lines:
        for release, point in zip(history.releases, line.points, strict=True):
            arm = [
                r for r in records if (r.arm.release, r.arm.attack.spec, r.arm.defense) == (release, line.attack, line.defense)
            ]
            assert (point is None) == (not arm)
            if point:
                assert point.accuracy == pytest.approx(sum(r.exam.accuracy for r in arm) / 3)
                assert (point.n, point.seeds, point.ranked, point.victim) == (120, (0, 1, 2), True, f"oracle-{release}")


def test_steps_are_those_of_compare(history: History, records: list[Record]) -> None:
    base, new = ([r for r in records if r.arm.release == release] for release in RELEASES[:2])
    for pair in compare(base, new).pairs:
        line = next(line for line in history.lines if (line.attack, line.defense) == (pair.new.attack, pair.new.defense))
        assert line.steps[1] == pair.compared
        assert line.points[:2] == (pair.base, pair.new)


def test_panels_that_are_built_already_make_no_difference(history: History, records: list[Record]) -> None:
    assert history_of(records[::-1], build(records).panels) == history


def test_one_release_has_no_history(records: list[Record]) -> None:
    assert history_of([r for r in records if r.arm.release == "9"]) is None
    assert history_of([]) is None


def test_releases_made_in_different_ways_are_shown_and_not_compared(make: Make) -> None:
    broken = history_of([make("rep", arm__release="1"), make("rep", arm__release="2", arm__recipe={"epochs": 9})])
    assert broken
    assert broken.breaks[0] is None
    assert "arm.recipe.epochs is 30" in str(broken.breaks[1])
    assert broken.lines[0].steps == (None, None)
    assert None not in broken.lines[0].points


def test_budgets_are_lines_of_their_own(make: Make) -> None:
    made = history_of([make("rep", arm__release=release, arm__budget=budget) for release in "12" for budget in (50, 200)])
    assert made
    assert [(line.budget, len(line.points)) for line in made.lines] == [(50, 2), (200, 2)]
    assert all(line.steps[1] for line in made.lines)


def test_numbers_in_names_of_releases_count_as_numbers() -> None:
    names = ["", "1", "2", "007", "10", "2026-01-20", "2026-02-03", "v1.9", "v1.10"]
    assert sorted(set(names), key=natural) == names


@given(st.lists(st.text("0123456789.v-\u0663²", max_size=8)), st.randoms())
def test_any_names_have_one_order(names: list[str], rng: Random) -> None:
    shuffled = rng.sample(names, len(names))
    assert sorted(shuffled, key=natural) == sorted(names, key=natural)


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_whole_numbers_sort_by_size(one: int, other: int) -> None:
    assert (natural(f"r{one}") < natural(f"r{other}")) == (one < other)
