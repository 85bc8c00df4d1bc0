"""The board: what is pooled, compared, credited, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import heistbench.leaderboard
from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.scoring.overlap import SIGNATURES
from heistbench.bench.storage.packed_results import ResultFile
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.build import Board, build
from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.panel import Panel
from heistbench.leaderboard.board.statistics import wilson

Make = Callable[..., Record]
AFTER = "provenance__models__student after"


def cell_of(panel: Panel, attack: str, defense: str = "none") -> PooledCell:
    at = [column.defense for column in panel.defenses].index(defense)
    cell = next(row for row in (*panel.attacks, *panel.controls) if row.attack == attack).cells[at]
    assert cell is not None
    return cell


def verdict_of(panel: Panel, attack: str, defense: str = "none") -> str | None:
    gain = cell_of(panel, attack, defense).gain
    return gain and gain.verdict


@settings(max_examples=8, deadline=None)
@given(seed=st.integers())
def test_the_order_of_records_makes_no_difference(sample: list[Record], board: Board, seed: int) -> None:
    shuffled = Random(seed).sample(sample, len(sample))
    assert build(shuffled).to_json() == board.to_json()


def test_json_holds_numbers_and_no_nan(board: Board) -> None:
    raw = json.loads(board.to_json(), parse_constant=pytest.fail)
    assert raw["panels"][0]["feasible"]["name"] == "surrogate_trace"
    assert set(raw["panels"][0]["attacks"][0]["cells"][0]["interval"]) == {"low", "high"}


def test_no_records_give_an_empty_board() -> None:
    assert build([]).panels == ()


def test_seeds_are_pooled_and_verdicts_summed(board: Board, sample: list[Record]) -> None:
    mine = [r for r in sample if r.arm.attack.spec == "answer_only" and r.arm.defense == "none"]
    cell = cell_of(board.panels[0], "answer_only")
    assert cell.seeds == (0, 1, 2)
    assert cell.accuracy == pytest.approx(sum(r.exam.accuracy for r in mine) / 3)
    assert sum(cell.verdicts.values()) == 3 * cell.n == 360
    assert cell.interval.low < cell.accuracy < cell.interval.high


def best(panel: Panel) -> str | None:
    return panel.feasible and panel.feasible.name


def test_gain_is_over_the_best_control_that_never_queried_the_victim(board: Board) -> None:
    panel = board.panels[0]
    assert best(panel) == "surrogate_trace"
    gain = cell_of(panel, "trace_inversion(use_summary=false)").gain
    assert gain is not None
    expected = cell_of(panel, "trace_inversion(use_summary=false)").accuracy - cell_of(panel, "surrogate_trace").accuracy
    assert gain.mean == pytest.approx(expected)
    assert gain.interval.low < gain.mean < gain.interval.high
    assert gain.p is not None
    assert gain.p_adjusted is not None
    assert gain.p <= gain.p_adjusted


def test_a_control_that_asked_the_victim_in_one_seed_is_no_baseline(make: Make, control: Make) -> None:
    records = [make(), control("quiet", 0.2), control("nosy", 0.8, seed=0), control("nosy", 0.8, seed=1, queries=1)]
    assert best(build(records).panels[0]) == "quiet"


def test_without_such_a_control_there_are_no_gains(make: Make, control: Make) -> None:
    panel = build([make(), control("true_trace", 0.9, queries=5)]).panels[0]
    assert best(panel) is None
    assert cell_of(panel, "copy").gain is None


def test_controls_and_privileged_ones_never_stand_among_attacks(board: Board) -> None:
    panel = board.panels[0]
    assert {row.attack for row in panel.attacks} == {"answer_only", "trace_inversion(use_summary=false)"}
    assert {row.attack for row in panel.controls} == {"untrained", "surrogate_trace", "true_trace"}
    assert all(column.worst and column.worst.attack != "true_trace" for column in panel.defenses)


def thrice(*records: Record) -> list[Record]:
    """The same results for three training seeds: enough for a verdict."""
    return [r.model_copy(update={"arm": r.arm.model_copy(update={"seed": seed})}) for r in records for seed in range(3)]


def test_an_attack_with_the_controls_own_results_ties(make: Make, control: Make) -> None:
    base = control("untrained", 0.5)
    panel = build(thrice(base, make("copy", exam=base.exam.model_dump()))).panels[0]
    gain = cell_of(panel, "copy").gain
    assert gain is not None
    assert (gain.mean, gain.p, gain.verdict) == (0, 1, "tie")


def test_verdicts(make: Make, control: Make) -> None:
    panel = build(thrice(control("untrained", 0.5), make("strong", accuracy=0.95), make("harmful", accuracy=0.05))).panels[0]
    assert verdict_of(panel, "strong") == "steals"
    assert verdict_of(panel, "harmful") == "below control"


def test_fewer_than_three_seeds_on_either_side_give_no_verdict(make: Make, control: Make) -> None:
    base, strong = control("untrained", 0.5), make("strong", accuracy=0.95)
    assert verdict_of(build([base, *thrice(strong)]).panels[0], "strong") == "unranked"
    assert verdict_of(build([*thrice(base), strong]).panels[0], "strong") == "unranked"


def test_a_defense_gets_no_credit_against_an_attack_that_gains_nothing_undefended(make: Make, control: Make) -> None:
    records = [control("untrained", 0.5)]
    records += [make("weak", accuracy=0.5), make("weak", "wall", 0.1), make("strong", accuracy=0.95), make("strong", "wall", 0.5)]
    panel = build(thrice(*records)).panels[0]
    assert verdict_of(panel, "weak", "wall") == "does not discriminate"
    assert verdict_of(panel, "strong", "wall") == "tie"


def test_a_defense_without_an_undefended_cell_to_compare_with_gets_no_credit(make: Make, control: Make) -> None:
    panel = build(thrice(control("untrained", 0.5), make("copy", "wall", 0.5))).panels[0]
    assert verdict_of(panel, "copy", "wall") == "does not discriminate"


def test_what_steals_through_a_defense_is_said_whatever_happened_undefended(make: Make, control: Make) -> None:
    panel = build(thrice(control("untrained", 0.5), make("odd", accuracy=0.5), make("odd", "leaky", 0.95))).panels[0]
    assert verdict_of(panel, "odd", "leaky") == "steals"


def test_p_is_adjusted_over_the_different_students_of_one_panel(make: Make, control: Make) -> None:
    def gain_of(*more: Record) -> Any:
        return cell_of(build(thrice(control("untrained", 0.5), make("a", accuracy=0.6), *more)).panels[0], "a").gain

    alone, student = gain_of(), {AFTER: "one"}
    assert alone.p_adjusted == alone.p
    assert gain_of(*(make(f"b{i}", accuracy=0.5) for i in range(9))).p_adjusted > alone.p
    assert gain_of(control("untrained", 0.5, arm__student="z"), make("b", arm__student="z")).p_adjusted == alone.p
    again = {"exam": make("b").exam.model_dump(), **student}
    assert gain_of(make("b", **again)).p_adjusted == gain_of(*(make("b", f"wall{i}", **again) for i in range(9))).p_adjusted


def test_to_steal_is_to_beat_every_control_that_anyone_could_run(make: Make, control: Make) -> None:
    controls = [control("untrained", 0.1), control("surrogate_trace", 0.6), control("gold_answer", 0.99, arm__privileged=True)]
    panel = build(thrice(*controls, make("strong", accuracy=0.9), make("weak", accuracy=0.6))).panels[0]
    assert (verdict_of(panel, "strong"), verdict_of(panel, "weak")) == ("steals", "tie")
    assert panel.feasible
    assert (panel.feasible.name, panel.feasible.controls) == ("surrogate_trace", ("surrogate_trace", "untrained"))
    assert panel.gold
    assert panel.gold.name == "gold_answer"
    beyond = cell_of(panel, "strong").beyond_gold
    assert beyond
    assert beyond.mean == pytest.approx(cell_of(panel, "strong").accuracy - panel.gold.accuracy)
    assert beyond.interval.high < 0


def test_controls_may_have_more_seeds_than_attacks(make: Make, control: Make) -> None:
    controls = [control("surrogate_trace", 0.5, seed=seed) for seed in range(20)]
    panel = build([*controls, *(make("strong", accuracy=0.9, seed=seed) for seed in range(3))]).panels[0]
    assert verdict_of(panel, "strong") == "steals"
    assert panel.feasible
    assert panel.feasible.seeds == 20


def test_a_control_that_is_unsteady_does_not_hide_a_theft_that_beats_it_and_all_others(make: Make, control: Make) -> None:
    unsteady = [control("surrogate_trace", 0.3 + 0.1 * (seed % 3), seed=seed) for seed in range(20)]
    steady = [control("untrained", 0.39, seed=seed) for seed in range(20)]
    panel = build([*unsteady, *steady, *(make("strong", accuracy=0.6, seed=seed) for seed in range(5))]).panels[0]
    assert verdict_of(panel, "strong") == "steals"


def test_the_students_of_a_control_are_the_same_and_not_tested(make: Make, control: Make) -> None:
    base = [control("surrogate_trace", 0.5, seed=seed) for seed in range(5)]
    copies = [
        make("copy", wall, seed=r.arm.seed, exam=r.exam.model_dump(), **{AFTER: r.provenance.models["student after"]})
        for r in base[:3]
        for wall in ("none", "wall")
    ]
    panel = build([*base, *copies]).panels[0]
    gain = cell_of(panel, "copy").gain
    assert gain is not None
    assert (gain.verdict, gain.over, gain.mean, gain.p, gain.p_adjusted) == ("same", "surrogate_trace", 0, None, None)
    assert verdict_of(panel, "copy", "wall") == "does not discriminate"


def test_an_attack_without_loot_leaves_the_untrained_student(make: Make, control: Make) -> None:
    records = [control("untrained", 0.1, loot__rows=0), make("nothing", accuracy=0.1, loot__rows=0)]
    assert verdict_of(build(thrice(*records)).panels[0], "nothing") == "same"


def test_three_seeds_make_a_ranked_cell(make: Make) -> None:
    records = [*(make("a", seed=s) for s in range(3)), *(make("b", seed=s) for s in range(2))]
    panel = build(records).panels[0]
    assert cell_of(panel, "a").ranked
    assert not cell_of(panel, "b").ranked


def test_arms_may_have_other_seeds_and_other_numbers_of_them(make: Make, control: Make) -> None:
    controls = [control("untrained", 0.3, seed=s) for s in (1, 2, 3, 7)]
    records = [*controls, *(make("a", accuracy=0.9, seed=s) for s in (0, 5, 9))]
    panel = build(records).panels[0]
    assert cell_of(panel, "a").seeds == (0, 5, 9)
    assert verdict_of(panel, "a") == "steals"


def test_ranked_attacks_stand_in_the_order_of_accuracy_and_before_unranked_ones(make: Make) -> None:
    records = [make("best", accuracy=1.0)]
    records += [make(name, accuracy=a, seed=s) for name, a in (("low", 0.2), ("high", 0.9)) for s in range(3)]
    assert [row.attack for row in build(records).panels[0].attacks] == ["high", "low", "best"]


def test_the_worst_case_is_the_strongest_attack_and_a_stronger_one_can_only_raise_it(make: Make) -> None:
    records = [make("weak", "wall", 0.2), make("strong", "wall", 0.7)]
    column = build(records).panels[0].defenses[0]
    assert column.worst
    assert column.worst.attack == "strong"
    stronger = build([*records, make("stronger", "wall", 1.0)]).panels[0].defenses[0].worst
    assert stronger
    assert (stronger.attack, stronger.accuracy, stronger.tried) == ("stronger", 1.0, 3)
    assert stronger.interval.high == 1
    assert stronger.interval.low < wilson(120, 120).low  # it was chosen among three


def test_a_pair_that_was_not_run_is_none_and_named(board: Board) -> None:
    panel = board.panels[0]
    column = next(c for c in panel.defenses if c.defense == "noise_answers")
    row = next(r for r in panel.attacks if r.attack == "answer_only")
    assert row.cells[panel.defenses.index(column)] is None
    assert column.worst
    assert column.worst.missing == ("answer_only",)


def test_the_undefended_column_comes_first(boards: Callable[..., Board]) -> None:
    assert boards(("none", "aaa", "zzz")).panels[0].defenses[0].defense == "none"


def test_overlap_keeps_every_metric_and_is_none_without_loot(board: Board) -> None:
    overlap = cell_of(board.panels[0], "answer_only").overlap["words"]
    assert set(overlap.stolen) == {*SIGNATURES["words"].metrics, "answer_agreement"}
    assert cell_of(board.panels[0], "untrained").overlap == {}


@pytest.mark.parametrize("change", [{"arm__student": "b"}, {"arm__victim": "b"}, {"arm__release": "2"}, {"arm__task__spec": "b"}])
def test_another_student_victim_release_or_task_is_another_panel(make: Make, change: dict[str, Any]) -> None:
    assert len(build([make(), make(**change)]).panels) == 2


def test_another_comparability_number_is_another_panel_and_another_interface_letter_is_not(make: Make) -> None:
    assert len(build([make(), make("b", arm__task__version="2-A")]).panels) == 2
    assert len(build([make(), make("b", arm__task__version="1-B")]).panels) == 1


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("exam.verdicts", {"n": 7}),
        ("arm.recipe.epochs", {"arm__recipe": {"epochs": 3}}),
        ("provenance.models.victim", {"provenance__models__victim": "sha256:other"}),
        ("provenance.models.student before", {"provenance__models__student before": "c"}),
        ("provenance.data.questions examined", {"provenance__data__questions examined": "other"}),
        ("provenance.settings.student.decoding.temperature", {"provenance__settings__student__decoding__temperature": 1.0}),
        ("provenance.settings.sizes.query", {"provenance__settings__sizes": {}}),
        ("overlap.words.signature", {"overlap__words__signature": "words|other"}),
    ],
)
def test_records_made_in_different_ways_are_refused_by_name(make: Make, field: str, change: dict[str, Any]) -> None:
    a, b = make("a"), make("b", **change)
    with pytest.raises(HeistError) as error:
        build([b, a])
    assert all(str(part) in str(error.value) for part in (field, a.path(), b.path()))


def test_one_spec_means_one_plugin_in_a_panel(make: Make) -> None:
    with pytest.raises(HeistError, match="comparable version of attack copy is '1' in"):
        build([make(), make(seed=1, arm__attack__version="2-A")])
    with pytest.raises(HeistError, match="parameters of attack copy"):
        build([make(), make(defense="wall", arm__attack__parameters={"shots": 2})])
    assert build([make(), make(seed=1, arm__attack__version="1-B")]).panels


def test_results_and_names_may_differ(make: Make) -> None:
    settings_ = {"student": {"model": "elsewhere/base", "decoding": {"temperature": 0.0}}, "sizes": {"query": 200}}
    assert len(build([make(), make("b", provenance__settings=settings_)]).panels) == 1


def test_one_cell_twice_is_refused(make: Make) -> None:
    with pytest.raises(HeistError, match=r"twice: .*seed-0\.json, of suites made and more"):
        build([make(), make(arm__suite="more")])


def test_no_questions_are_no_record(make: Make) -> None:
    with pytest.raises(ValidationError, match="no question was examined"):
        make(n=0)


def test_the_shipped_schema_is_that_of_result_files() -> None:
    """To renew: json.dumps(ResultFile.model_json_schema(), indent=2, sort_keys=True) and a newline."""
    shipped = Path(heistbench.leaderboard.__file__).with_name("record.schema.json").read_text(encoding="utf-8")
    assert shipped == json.dumps(ResultFile.model_json_schema(), indent=2, sort_keys=True) + "\n"
