"""The board in a terminal: readable at its widths, and safe with hostile names."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from leaderboard.conftest import exposure

from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.build import Board, build
from heistbench.leaderboard.terminal.show import tables
from heistbench.leaderboard.words import clean, count, p_text, share, signed

SIX = ("none", "redact_summary(level=numbers)+noise_answers(rate=0.5)", "noise_answers", "pad", "refuse", "watermark(key=1)")
Make = Callable[..., Record]
Boards = Callable[..., Board]
Printed = Callable[[Board, int], str]


@pytest.mark.parametrize(("width", "defenses"), [(100, SIX[:1]), (100, SIX[:3]), (120, SIX[:4]), (120, SIX)])
def test_no_number_is_cut_or_folded(printed: Printed, boards: Boards, width: int, defenses: tuple[str, ...]) -> None:
    board = boards(defenses)
    text = printed(board, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for row in (*board.panels[0].attacks, *board.panels[0].controls):
        for cell in filter(None, row.cells):
            assert f"[{cell.interval.low:.2f}, {cell.interval.high:.2f}]" in text
            if cell.gain:
                assert f"[{signed(cell.gain.interval.low)}, {signed(cell.gain.interval.high)}]" in text


def test_more_defenses_than_fit_go_on_in_another_table(printed: Printed, boards: Boards) -> None:
    board = boards(("none", *(f"wall{i}" for i in range(8))))
    assert len(tables(board)) == 3
    text = printed(board, 120)
    assert all(f"wall{i}" in text for i in range(8))


def test_it_says_what_a_reader_needs(printed: Printed, board: Board) -> None:
    text = " ".join(printed(board, 200).split())
    for phrase in ("▲ steals", "worst case", "honest user", "0.97 right", "0.01 refused", "1 not run", "120 questions, 3"):
        assert phrase in text
    assert "over surrogate_trace, the best control that never queried the victim" in text
    assert "words|empty:0|v:1" in text
    assert "not evidence about real models" in text
    assert "unranked" not in text


def test_unranked_cells_are_marked(printed: Printed, boards: Boards) -> None:
    text = printed(boards(seeds=1), 100)
    assert "unranked: fewer than 3 seeds" in text
    assert "* [" in text


def test_a_missing_pair_is_a_dash(printed: Printed, make: Make) -> None:
    text = printed(build([make("a"), make("b", "wall")]), 100)
    assert text.count("–") >= 2  # noqa: RUF001


HOSTILE = ["[bold red]x[/]", "[/]", "x\\", ":smile:", "\x1b[31mx\x1b[0m", "a\u202eb\u2066c", "x\ny\tz\r"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_show_only_themselves(printed: Printed, make: Make, control: Make, name: str) -> None:
    control_named = control(f"c{name}", 0.1, overlap={}) if name.isprintable() else control("c", 0.1)
    shown = exposure(2, 0.5, name, r01=0.5)
    mine = [make(name, defense=name, arm__budget=budget, exposure=shown) for budget in (2, 200)]
    for record in mine:
        record.overlap[name] = record.overlap["words"].model_copy(update={"signature": name, "stolen": {name: 0.5}})
    text = printed(build([*mine, control_named]), 100)
    assert not {char for char in text if char != "\n" and unicodedata.category(char) in {"Cc", "Cf", "Cs"}}
    assert "".join(clean(name).split()) in "".join(text.split())


def test_numbers_as_text() -> None:
    assert [signed(x) for x in (0.314, -0.05, 0.001, -0.004)] == ["+0.31", "−0.05", "0.00", "0.00"]  # noqa: RUF001
    assert [share(x) for x in (1, 0.005, None)] == ["1.00", "0.01", "–"]  # noqa: RUF001
    assert [p_text(p) for p in (0.0, 0.0123, 1.0)] == ["< .001", ".012", "1.000"]
    assert count(1234567.0) == "1,234,567"
