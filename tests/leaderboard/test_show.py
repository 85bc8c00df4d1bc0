"""The board in a terminal: whole at every width, and safe with hostile names."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable, Iterator
from html import unescape

import pytest
from leaderboard.conftest import exposure, make_control, make_record, overlap_by
from rich.console import Console

from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_records
from heistbench.leaderboard.board.build import Board, build
from heistbench.leaderboard.published import PUBLISHED
from heistbench.leaderboard.tables.budgets import accuracy_by_queries
from heistbench.leaderboard.tables.lists import lists
from heistbench.leaderboard.tables.matrix import matrix
from heistbench.leaderboard.tables.table import Table, TextSpan
from heistbench.leaderboard.terminal.draw import WIDE, draw
from heistbench.leaderboard.words import clean, count, p_text, pieces, share, signed

SIX = ("none", "redact_summary(level=numbers)+noise_answers(rate=0.5)", "noise_answers", "pad", "refuse", "watermark(key=1)")
WIDTHS = (80, 100, 120, 160)
Make = Callable[..., Record]
Boards = Callable[..., Board]
Printed = Callable[[Board, int], str]


def costly() -> Board:
    """Seven defenses, large bills, lost queries, every list, and a sweep to sixteen and five and a half thousand queries."""
    walls = (*SIX, "redact_summary(level=first_sentence)")
    records = []
    for budget in (16, 5500):
        records.append(make_control("gold_inversion", 0.3, arm__budget=budget, provenance__data={}))
        for wall in walls:
            records.append(
                make_record(
                    "trace_inversion(adaptive=true,use_summary=false)",
                    wall,
                    0.7,
                    arm__budget=budget,
                    provenance__data={},
                    loot__lost=3,
                    bill__queries=16,
                    bill__prompt_tokens=123_456_789_012,
                    bill__completion_tokens=98_765_432_109,
                    bill__attacker_tokens_trained=55_555_555_555,
                    bill__dollars=1_234_567.89,
                    overlap={name: overlap_by(name) for name in ("words", "tia", "rep")},
                    exposure=exposure(16, 0.5, r01=0.31, r02=0.42, r12=0.63),
                    exam__traces={f"q{i:04}": "right 15" for i in range(120)},
                )
            )
    return build(records)


BOARDS: dict[str, Callable[[], Board]] = {
    "costly": costly,
    "plain": lambda: build([make_record("rep", wall) for wall in SIX[:3]] + [make_control()]),
    "one seed": lambda: build([make_record(), make_control()]),
    "babi": lambda: build(read_records(PUBLISHED / "babi")),
}


def tables_of(board: Board) -> Iterator[Table]:
    """Every table of a board."""
    for panel in board.panels:
        yield from (matrix(panel), *lists(panel))
    yield from map(accuracy_by_queries, board.sweeps)


def spans(table: Table, width: int) -> Iterator[TextSpan]:
    """All that stands in a table of this width."""
    shown = [at for at, heading in enumerate(table.headings) if width >= WIDE or not heading.wide]
    rows = [tuple(heading.label for heading in table.headings), *(row for body in table.bodies for row in body.rows), *table.foot]
    yield from (span for row in rows for at in shown for line in row[at].lines for span in line)


def drawn(table: Table, width: int) -> str:
    """A table as a terminal of this width shows it."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    for part in draw(table, width):
        console.print(part)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", BOARDS)
def test_no_number_is_cut_and_no_name_breaks_within_a_word(kind: str, width: int) -> None:
    for table in tables_of(BOARDS[kind]()):
        text = drawn(table, width)
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= width
        for span in spans(table, width):
            parts = pieces(span.text) if span.style == "name" else span.text.split() if " " in span.text else [span.text]
            numbers = [span.text] if not span.style or re.fullmatch(r"\[.*\]", span.text) else []
            for part in (*parts, *numbers):
                assert re.search(rf"(?<!\d){re.escape(part)}(?!\d)", text), (table.title, part)


def test_what_eighty_columns_used_to_cut_is_whole() -> None:
    text = "".join(drawn(table, 80) for table in tables_of(costly()))
    assert re.search(r"\b16\b\s", text)
    for number in ("5,500", "123,456,789,012", "98,765,432,109", "1,234,567.89", "3 lost"):
        assert number in text
    assert "< .001" in drawn(lists(build(read_records(PUBLISHED / "babi")).panels[0])[1], 80)


def test_a_wide_terminal_shows_columns_that_a_narrow_one_leaves_out() -> None:
    bill = lists(costly().panels[0])[-1]
    assert "threat" in drawn(bill, 160)
    assert "threat" not in drawn(bill, 80)


def test_a_board_fits_the_terminal_it_is_printed_in(printed: Printed, board: Board) -> None:
    for width in WIDTHS:
        assert max(map(len, printed(board, width).splitlines())) <= width


def test_columns_that_do_not_fit_go_on_in_another_part_with_the_names_of_rows(boards: Boards) -> None:
    board = boards(("none", *(f"wall{i}" for i in range(8))))
    text = drawn(matrix(board.panels[0]), 100)
    assert all(text.count(f"wall{i}") == 1 for i in range(8))
    assert text.count("worst case") == len(re.findall(r"^attack ", text, flags=re.MULTILINE)) > 1


def test_terminal_and_page_show_the_same_tables(board: Board, media: Callable[[Board], tuple[str, str]]) -> None:
    terminal, page = map(unescape, media(board))
    for table in tables_of(board):
        assert table.title in terminal
        assert table.title in page
        for span in spans(table, WIDE):
            assert all(word in terminal for word in span.text.split())
            assert " ".join(span.text.split()) in page


def test_it_says_what_a_reader_needs(printed: Printed, board: Board) -> None:
    text = " ".join(printed(board, 200).split())
    for phrase in (
        "▲ steals",
        "worst case",
        "honest user",
        "0.97 [",
        "0.01 refused",
        "not run:",
        "120 questions, 3 seeds per cell",
    ):
        assert phrase in text
    assert "gain: over surrogate_trace 0." in text
    assert "3 seeds, the best of surrogate_trace, untrained" in text
    assert "words|empty:0|v:1" in text
    assert "not evidence about real models" in text
    assert "unranked" not in text


def test_unranked_cells_are_marked(printed: Printed, boards: Boards) -> None:
    text = printed(boards(seeds=1), 100)
    assert "unranked: fewer than 3 seeds" in text
    assert re.search(r"\d\.\d\d\*\s", text)


def test_a_missing_pair_is_a_dash(make: Make) -> None:
    table = matrix(build([make("a"), make("b", "wall")]).panels[0])
    assert drawn(table, 100).count("–") == 2  # noqa: RUF001


HOSTILE = ["[bold red]x[/]", "[/]", "x\\", ":smile:", "\x1b[31mx\x1b[0m", "a\u202eb\u2066c", "x\ny\tz\r", "界" * 90, "w" * 300]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_show_only_themselves(printed: Printed, make: Make, control: Make, name: str) -> None:
    control_named = control(f"c{name}", 0.1, overlap={}) if name.isprintable() else control("c", 0.1)
    shown = exposure(2, 0.5, name, r01=0.5)
    mine = [make(name, defense=name, arm__budget=budget, exposure=shown) for budget in (2, 200)]
    for record in mine:
        record.overlap[name] = record.overlap["words"].model_copy(update={"signature": name, "stolen": {name: 0.5}})
    for width in (80, 100):
        text = printed(build([*mine, control_named]), width)
        assert not {char for char in text if char != "\n" and unicodedata.category(char) in {"Cc", "Cf", "Cs"}}
        assert "".join(clean(name).split()) in "".join(text.split()) or len(name) > width // 4
        assert "…" not in text


def test_numbers_as_text() -> None:
    assert [signed(x) for x in (0.314, -0.05, 0.001, -0.004)] == ["+0.31", "−0.05", "0.00", "0.00"]  # noqa: RUF001
    assert [share(x) for x in (1, 0.005, None)] == ["1.00", "0.01", "–"]  # noqa: RUF001
    assert [p_text(p) for p in (0.0, 0.0123, 1.0)] == ["< .001", ".012", "1.000"]
    assert count(1234567.0) == "1,234,567"
