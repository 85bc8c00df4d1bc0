"""What a panel says against itself: each flag is raised by a planted case, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from leaderboard.conftest import overlap_by

from heistbench.bench.suites.files import load_suite
from heistbench.leaderboard.board.build import Board, build
from heistbench.leaderboard.board.flags import CONTAMINATED, SATURATED
from heistbench.leaderboard.words import FLAG

Make = Callable[..., Any]
SPLITS = "test questions sharing a 13-gram with attack queries"


def attack_id(source: str) -> dict[str, Any]:
    return {"spec": "copy", "name": "copy", "version": "1-A", "parameters": {}, "paper": "", "source": source}


def flags_of(*records: Any) -> tuple[str, ...]:
    (panel,) = build(records).panels
    return panel.flags


def test_a_clean_panel_has_no_flag(board: Board) -> None:
    assert all(panel.flags == () for panel in board.panels)


@pytest.mark.parametrize(("share", "flagged"), [(CONTAMINATED, False), (CONTAMINATED + 0.01, True)])
def test_contamination_is_reported_and_above_a_share_flagged(make: Make, share: float, flagged: bool) -> None:
    records = [make(seed=0), make(seed=1, provenance__contamination={SPLITS: share})]
    (panel,) = build(records).panels
    assert panel.contamination == {SPLITS: share}
    assert bool(panel.flags) is flagged
    assert all("share a 13-gram with attack queries" in flag for flag in panel.flags)


def test_records_of_one_version_and_two_sources_stand_side_by_side_with_a_flag(make: Make) -> None:
    same = [make(seed=seed, arm__attack=attack_id("a" * 16)) for seed in range(2)]
    other = make(seed=2, arm__attack=attack_id("b" * 16))
    assert flags_of(*same) == ()
    assert flags_of(*same, other) == ("copy 1-A stands here in 2 different sources under one version",)
    assert flags_of(*same, make(seed=2, arm__attack=attack_id(""))) == (), "made before sources were recorded"


def test_code_in_no_commit_is_named(make: Make) -> None:
    assert flags_of(make(provenance__uncommitted=["copy", "noise"])) == ("code in no commit: copy, noise",)


def test_a_victim_that_repeats_itself_is_flagged(make: Make) -> None:
    repeats, varies = overlap_by("words", ceiling_victim_again=1.0), overlap_by("words", ceiling_victim_again=0.999)
    (flag,) = flags_of(make(overlap={"words": repeats}))
    assert flag.startswith("the victim has no entropy")
    assert flags_of(make(overlap={"words": repeats}), make(seed=1, overlap={"words": varies})) == ()
    assert flags_of(make(overlap={})) == (), "not measured"


def test_a_victim_that_is_always_right_is_flagged(make: Make) -> None:
    (flag,) = flags_of(make(utility__accuracy=1.0, utility__refused=0.0))
    assert flag.startswith("the victim is always right")
    assert flags_of(make(utility__accuracy=1.0, utility__refused=0.0), make(seed=1, utility__accuracy=0.99)) == ()
    assert flags_of(make(defense="noise", utility__accuracy=1.0, utility__refused=0.0)) == (), "what the defense hides"


@pytest.mark.parametrize(("accuracy", "flagged"), [(1.0, True), (SATURATED - 0.03, False)])
def test_students_without_room_above_them_are_flagged(make: Make, control: Make, accuracy: float, flagged: bool) -> None:
    flags = flags_of(*(make(seed=seed, accuracy=accuracy, n=2000) for seed in range(3)))
    assert [flag.partition(":")[0] for flag in flags] == ["saturated"] * flagged
    assert flags_of(control("true_trace", 1.0, 200), make(defense="noise", accuracy=1.0)) == (), "a ceiling, and not undefended"


def test_a_student_that_is_a_controls_is_flagged(make: Make, control: Make) -> None:
    def students(*names: str) -> list[Any]:
        models = [{**make().provenance.models, "student after": name} for name in names]
        return [{"seed": seed, "provenance__models": model} for seed, model in enumerate(models)]

    twins = [make(**made) for made in students("x", "y")] + [make(defense="noise", **made) for made in students("x", "y")]
    controls = [control("gold", 0.5, loot__rows=200, **made) for made in students("x", "y")]
    assert flags_of(*twins, *controls) == ("the same students as those of the control gold: copy (2 defenses)",)
    others = [make(**made) for made in students("x", "z")]
    assert flags_of(*others, *controls) == ()


def test_flags_stand_where_the_numbers_stand(make: Make, media: Callable[[Board], tuple[str, str]]) -> None:
    terminal, page = media(build([make(provenance__uncommitted=["copy"])]))
    assert f"{FLAG} code in no commit: copy" in terminal
    assert f"{FLAG} code in no commit: copy" in page


def test_students_that_the_suite_trains_otherwise_today_are_named(make: Make) -> None:
    flag, _ = flags_of(make(arm__suite="pocket"))
    assert flag == "the suite pocket trains pocket/base in another way today: epochs 8 instead of 30"
    now = load_suite("pocket").students[0].recipe.identity
    assert not [flag for flag in flags_of(make(arm__suite="pocket", arm__recipe=now)) if "trains" in flag]


def test_attacks_of_the_suite_that_were_not_run_are_named(make: Make) -> None:
    now = {"arm__suite": "babi", "arm__recipe": load_suite("babi").students[0].recipe.identity}
    assert flags_of(make("answer_only", **now)) == ()
    assert flags_of(make("other", **now)) == ("not run, though the suite ships with them: answer_only",)
    here = make("answer_only", **now), make("other", "wall", **now)
    assert flags_of(*here) == ("not run, though the suite ships with them: answer_only behind wall",)
    assert flags_of(make("other", arm__suite="mine")) == (), "nobody knows what a suite that does not ship names"


def test_controls_that_tie_and_differ_in_spread_are_flagged(make: Make, control: Make) -> None:
    loose = [control("loose", level, seed=seed, n=1000) for seed, level in enumerate((0.4, 0.5, 0.6))]
    steady = [control("steady", 0.5, seed=seed, n=1000) for seed in range(3)]
    low = [control("low", 0.1, seed=seed, n=1000) for seed in range(3)]
    gold = [r.model_copy(update={"arm": r.arm.model_copy(update={"privileged": True})}) for r in steady]
    (flag,) = flags_of(*loose, *steady, *low)
    assert flag.startswith("the controls loose and steady tie, but one seed of loose differs from another by 0.")
    assert flags_of(*steady, *low) == flags_of(*loose, *low) == ()
    assert flags_of(*loose, *gold) == (), "of two kinds"


def test_gains_that_so_few_seeds_cannot_show_are_flagged(make: Make, control: Make) -> None:
    base = [control("untrained", 0.5, seed=seed, n=400) for seed in range(3)]
    unclear = [make("unclear", accuracy=level, seed=seed, n=400) for seed, level in enumerate((0.5, 0.65, 0.8))]
    (flag,) = flags_of(*base, *unclear)
    assert flag.startswith("1 of 1 ties are gains of more than 0.10, which these seeds cannot show (they would show 0.")
    assert flags_of(*base, *(make("clear", accuracy=0.9, seed=seed, n=400) for seed in range(3))) == ()
