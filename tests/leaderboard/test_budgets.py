"""Budgets of queries: a panel each, a sweep over them, and the baseline where nobody is billed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random

import pytest
from pydantic import ValidationError

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.build import Board, build
from heistbench.leaderboard.board.panel import present

Make = Callable[..., Record]
Media = Callable[[Board], tuple[str, str]]
BUDGETS = (0, 50, 1000)


def swept(make: Make, control: Make, seeds: int = 3) -> list[Record]:
    """An attack that learns with every query, on two defenses; another control is the best at each budget."""
    records = []
    for at, budget in enumerate(BUDGETS):
        for seed in range(seeds):
            here = {"seed": seed, "arm__budget": budget, "provenance__data__questions attacked": f"the first {budget}"}
            records += [make("rep", wall, 0.2 + 0.35 * at, bill__queries=budget, **here) for wall in ("none", "wall")]
            records += [control("untrained", 0.3, **here), control("surrogate_trace", 0.1 + 0.25 * at, **here)]
            records += [control("true_trace", 0.9, queries=budget, **{**here, "arm__threat": "full-leak"})]
    return records


@pytest.fixture(scope="module")
def sweep_board(make: Make, control: Make) -> Board:
    return build(swept(make, control))


def test_every_budget_is_a_panel_of_its_own_in_the_order_of_budgets(sweep_board: Board) -> None:
    assert [panel.budget for panel in sweep_board.panels] == [0, 50, 1000]
    assert all(len(cell.seeds) == 3 for panel in sweep_board.panels for cell in present(panel.attacks))


def test_a_budgets_gains_are_over_its_own_controls(sweep_board: Board) -> None:
    best = [panel.feasible and panel.feasible.name for panel in sweep_board.panels]
    assert best == ["untrained", "surrogate_trace", "surrogate_trace"]
    last = sweep_board.panels[-1]
    cells = {cell.attack: cell for cell in present((*last.attacks, *last.controls)) if cell.defense == "none"}
    gain = cells["rep"].gain
    assert gain is not None
    assert gain.mean == pytest.approx(cells["rep"].accuracy - cells["surrogate_trace"].accuracy)


def test_the_budget_is_in_the_title(sweep_board: Board, media: Media, make: Make) -> None:
    for text in media(sweep_board):
        assert all(f"student pocket/base · {budget} queries" in text for budget in ("0", "50", "1,000"))
    assert all("· 1 query" in text for text in media(build([make(arm__budget=1)])))


def test_a_sweep_has_attacks_down_and_budgets_across(sweep_board: Board) -> None:
    (sweep,) = sweep_board.sweeps
    assert sweep.budgets == BUDGETS
    assert [(line.attack, line.defense) for line in sweep.attacks] == [("rep", "none"), ("rep", "wall")]
    for line in sweep.attacks:
        accuracies = [point.accuracy for point in line.points if point]
        assert accuracies == sorted(accuracies)
        assert len(accuracies) == 3


def test_a_sweeps_foot_is_the_best_control_of_each_budget_and_the_ceiling(sweep_board: Board) -> None:
    (sweep,) = sweep_board.sweeps
    assert [point and point.attack for point in sweep.feasible] == ["untrained", "surrogate_trace", "surrogate_trace"]
    assert {point and point.attack for point in sweep.ceiling} == {"true_trace"}


def test_points_are_the_panels_own_cells(sweep_board: Board) -> None:
    (sweep,) = sweep_board.sweeps
    for at, panel in enumerate(sweep_board.panels):
        cells = {(cell.attack, cell.defense): cell for cell in present(panel.attacks)}
        for line in sweep.attacks:
            point, cell = line.points[at], cells[line.attack, line.defense]
            assert point is not None
            assert (point.accuracy, point.interval, point.ranked) == (cell.accuracy, cell.interval, cell.ranked)


def test_what_was_not_run_at_a_budget_is_none(make: Make, control: Make) -> None:
    records = [make("rep", arm__budget=0), make("rep", arm__budget=9), make("late", arm__budget=9)]
    (sweep,) = build(records).sweeps
    late = next(line for line in sweep.attacks if line.attack == "late")
    assert late.points[0] is None
    assert late.points[1] is not None
    assert sweep.feasible == sweep.gold == sweep.ceiling == (None, None)


def test_one_budget_makes_no_sweep(board: Board, media: Media) -> None:
    assert board.sweeps == ()
    assert not any("by queries" in text for text in media(board))


def test_other_students_are_other_sweeps(make: Make, control: Make) -> None:
    records = swept(make, control, seeds=1)
    others = [r.model_copy(update={"arm": r.arm.model_copy(update={"student": "big"})}) for r in records]
    assert [sweep.student for sweep in build([*records, *others]).sweeps] == ["big", "pocket/base"]


def test_a_sweep_says_what_a_reader_needs(sweep_board: Board, media: Media) -> None:
    phrases = ("accuracy by queries · pocket 1-A", "best without the victim", "1,000 queries", "its own control only")
    for text in media(sweep_board):
        assert all(phrase in text.replace("Accuracy", "accuracy") for phrase in phrases)
        assert "compared" in text


def test_many_budgets_go_on_in_another_table_and_nothing_is_cut(make: Make, printed: Callable[[Board, int], str]) -> None:
    board = build([make("trace_inversion(use_summary=false)", "redact_summary(level=all)", arm__budget=n) for n in range(7)])
    text = printed(board, 120).partition("Accuracy by queries")[2]
    assert len(re.findall(r"^attack ", text, flags=re.MULTILINE)) == 2
    assert all(f"{n} {'query' if n == 1 else 'queries'}" in text for n in range(7))


def test_sweeps_are_in_the_json_whatever_the_order_of_records(sweep_board: Board, make: Make, control: Make) -> None:
    records = swept(make, control)
    assert build(Random(1).sample(records, len(records))).to_json() == sweep_board.to_json()
    raw = json.loads(sweep_board.to_json())["sweeps"][0]
    assert raw["budgets"] == [0, 50, 1000]
    assert raw["attacks"][0]["points"][2].keys() == {"attack", "accuracy", "interval", "n", "seeds", "dollars", "ranked", "lost"}


def test_budgets_made_in_different_ways_do_not_belong_on_one_board(make: Make) -> None:
    with pytest.raises(HeistError, match=r"arm\.recipe\.epochs"):
        build([make(arm__budget=1), make(arm__budget=2, arm__recipe={"epochs": 3})])
    with pytest.raises(HeistError, match="comparable version of attack copy"):
        build([make(arm__budget=1), make(arm__budget=2, arm__attack__version="2-A")])


def test_other_questions_attacked_are_another_budgets_right_and_nobody_elses(make: Make) -> None:
    other = {"provenance__data__questions attacked": "others", "provenance__settings__sizes": {"query": 9}}
    assert len(build([make("a"), make("b", arm__budget=9, **other)]).panels) == 2
    with pytest.raises(HeistError, match="questions attacked"):
        build([make("a"), make("b", **other)])


# the baseline is a control that never asks, not one whose bill is empty


def test_where_nothing_is_asked_a_control_that_would_ask_is_no_baseline(make: Make, control: Make) -> None:
    records = [make(arm__budget=0, bill__queries=0), control("untrained", 0.2, arm__budget=0)]
    records += [control("shuffled_inversion", 0.6, arm__budget=0, arm__threat="black-box")]
    records += [control("true_trace", 0.9, arm__budget=0, arm__threat="full-leak", arm__privileged=True)]
    feasible = build(records).panels[0].feasible
    assert feasible
    assert feasible.name == "untrained"


def test_a_control_that_says_it_never_asks_and_asks_is_no_record(control: Make) -> None:
    with pytest.raises(ValidationError, match=r"bill\.queries: the victim was asked, and arm\.threat is none"):
        control("liar", 0.9, queries=3, arm__threat="none")


def test_privileged_controls_that_never_ask_are_the_other_yardstick(make: Make, control: Make) -> None:
    records = [make(), control("untrained", 0.2), control("gold_inversion", 0.7, arm__privileged=True)]
    panel = build(records).panels[0]
    assert panel.feasible
    assert panel.gold
    assert (panel.feasible.name, panel.gold.name) == ("untrained", "gold_inversion")
