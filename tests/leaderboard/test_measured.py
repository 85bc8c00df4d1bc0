"""What is measured beside accuracy: overlap by several signatures, exposure, what an outage swallowed, dollars."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from leaderboard.conftest import exposure

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board import measured
from heistbench.leaderboard.board.build import Board, build
from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.panel import Panel, present
from heistbench.leaderboard.words import dollars

Make = Callable[..., Record]
Overlap = Callable[..., dict[str, Any]]
Media = Callable[[Board], tuple[str, str]]
OURS = ("lcs_f", "length_ratio")
TIA = ("bleu", "rouge_l", "token_f1_set")


def first_cell(panel: Panel) -> PooledCell:
    return next(present(panel.attacks))


# overlap


def test_the_first_signature_is_the_houses_and_the_others_stand_in_the_order_of_names(make: Make, overlap: Overlap) -> None:
    by_all = {name: overlap(name, "bleu") for name in ("words", "tia", "rep")}
    assert measured.signatures(build([make(overlap=by_all)]).panels[0]) == ["words", "rep", "tia"]
    del by_all["words"]
    assert measured.signatures(build([make(overlap=by_all)]).panels[0]) == ["rep", "tia"]


@pytest.mark.parametrize(
    ("metrics", "headline"),
    [(OURS, "lcs_f"), (TIA, "rouge_l"), (("bleu", "rouge_l", "lcs_f"), "lcs_f"), (("zeta", "eta"), "eta")],
)
def test_a_signatures_headline_is_one_of_its_own_metrics(
    make: Make, overlap: Overlap, metrics: tuple[str, ...], headline: str
) -> None:
    panel = build([make(overlap={"x": overlap("x", *metrics)})]).panels[0]
    assert measured.headline(panel, "x") == headline


def test_further_signatures_have_tables_with_their_own_metrics_floors_and_ceiling(
    make: Make, overlap: Overlap, media: Media
) -> None:
    both = {"words": overlap("words", *OURS), "tia": overlap("tia", *TIA, stolen=0.47, ceiling_victim_again=0.83)}
    board = build([make(overlap=both)])
    for text in media(board):
        assert "tia|empty:0|v:1" in text
        after = text.split("Overlap by tia", 1)[1]
        assert all(word in after for word in ("bleu", "0.47", "floor: surrogate", "0.52", "ceiling: victim again", "0.83"))


def test_one_signature_needs_no_further_table(board: Board, media: Media) -> None:
    assert not any("Overlap by" in text for text in media(board))


def test_the_first_table_names_its_metric(make: Make, overlap: Overlap, media: Media) -> None:
    for text in media(build([make(overlap={"rep": overlap("rep")})])):
        assert "ROUGE-L unless named otherwise" in text
        assert "LCS-F" not in text


def test_overlap_is_pooled_signature_by_signature(make: Make, overlap: Overlap) -> None:
    seeds = [make(seed=s, overlap={"rep": overlap("rep", "rouge_l", stolen=v)}) for s, v in enumerate((0.2, 0.4))]
    assert first_cell(build(seeds).panels[0]).overlap["rep"].stolen["rouge_l"] == pytest.approx(0.3)


def test_a_panel_without_overlap_still_says_what_was_carried_off(make: Make, media: Media) -> None:
    terminal, page = media(build([make(overlap={})]))
    assert "LCS-F" not in terminal + page
    assert "0.93" in page[page.index("Overlap of stolen traces") : page.index("Bill")]


def test_one_name_of_a_signature_means_one_signature_in_a_panel(make: Make, overlap: Overlap) -> None:
    changed = overlap("tia", *TIA) | {"signature": "tia|v:2"}
    with pytest.raises(HeistError, match=r"overlap\.tia\.signature"):
        build([make("a", overlap={"tia": overlap("tia", *TIA)}), make("b", overlap={"tia": changed})])


# exposure


def test_exposure_is_shown_for_the_attacks_that_have_one(make: Make, media: Media) -> None:
    board = build([make("rep", exposure=exposure(struct=0.77, r01=0.31, r02=0.42, r12=0.63)), make("answer_only")])
    for text in media(board):
        table = text.split("Exposure", 1)[1]
        assert all(value in table for value in ("0.77", "0.31", "0.41", "0.42", "0.52", "0.63", "0.73", "0.93", "rep|v:1"))
    assert [cell.attack for cell, _ in measured.prompted(board.panels[0])] == ["rep"]


def test_without_exposure_there_is_no_table_of_it(board: Board, media: Media) -> None:
    terminal, page = media(board)
    assert "R12" not in terminal + page


def test_exposure_is_pooled_over_seeds_and_a_seed_without_whole_replies_moves_no_mean(make: Make) -> None:
    none = exposure(9, 0.0, r02=0.2)
    records = [make(seed=0, exposure=exposure(struct=0.5, r02=0.4)), make(seed=1, exposure=none)]
    cell = json.loads(build(records).to_json())["panels"][0]["attacks"][0]["cells"][0]
    assert cell["exposed"] == {"signature": "rep|v:1", "struct": 0.25, "all": {"r02": 0.3}, "struct_only": {"r02": 0.5}}


def test_exposure_measured_in_two_ways_is_refused(make: Make) -> None:
    other = exposure(r02=0.1) | {"signature": "rep|v:2"}
    with pytest.raises(HeistError, match=r"exposure\.signature"):
        build([make("a", exposure=exposure(r02=0.1)), make("b", exposure=other)])


# what an outage swallowed


def test_lost_queries_are_said_where_they_were_lost(make: Make, media: Media) -> None:
    records = [make("unlucky", seed=seed, loot__lost=lost) for seed, lost in enumerate((2, 0, 1))]
    board = build([*records, make("lucky")])
    assert {cell.attack: cell.lost for cell in present(board.panels[0].attacks)} == {"unlucky": 3, "lucky": 0}
    for text in media(board):
        assert text.count("3 lost") == 1
        assert "neither for nor against anyone" in text


def test_an_honest_users_lost_queries_are_said_too(make: Make, media: Media) -> None:
    for text in media(build([make(utility__lost=4)])):
        assert "4 lost" in text
        assert "neither for nor against anyone" in text


def test_a_sweep_says_what_was_lost(make: Make) -> None:
    (sweep,) = build([make(arm__budget=1), make(arm__budget=2, loot__lost=2)]).sweeps
    assert [point and point.lost for point in sweep.attacks[0].points] == [0, 2]


def test_without_outages_nothing_is_lost(board: Board, media: Media) -> None:
    assert not any("lost" in text for text in media(board))


# dollars


def test_dollars_are_shown_where_something_was_paid(make: Make, media: Media) -> None:
    board = build([make("dear", bill__dollars=1234.567), make("cheap", bill__dollars=0.004), make("free")])
    for text in media(board):
        assert "1,234.57" in text


def test_where_nothing_was_paid_there_is_no_column_of_dollars(board: Board, media: Media) -> None:
    assert not any("dollars" in text for text in media(board))


def test_a_little_money_is_not_none() -> None:
    assert [dollars(value) for value in (0.0, 0.004, 0.01, 1234.567)] == ["", "< 0.01", "0.01", "1,234.57"]
