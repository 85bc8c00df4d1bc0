"""The board in a terminal: for each panel a table of cells, one of overlap and bill, one of answers against traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heistbench.leaderboard.board import Board, Column, Panel, Row
from heistbench.leaderboard.cells import Cell
from heistbench.leaderboard.words import (
    DASH,
    MARKS,
    MEANINGS,
    POCKET,
    all_cells,
    clean,
    count,
    is_pocket,
    p_text,
    pieces,
    protocol,
    share,
    signed,
    signed_span,
    span,
    title,
    traced,
)

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

WIDE, NARROW = 20, 14
"""Columns of text a cell needs with a number and its interval on one line, and on two."""
LABEL = 20
FEW, MANY = 3, 6
"""Up to FEW defenses get wide cells; more than MANY go on in a further table."""
SHORT = {"does not discriminate": "n/d"}
READ_OVERLAP = (
    "stolen, floors (another question's trace, the surrogate's own), ceiling (the victim asked again): LCS-F\n"
    "whole: attacked questions with a whole true trace; tokens: the victim's, in and out"
)
READ_TRACES = (
    "questions by whether the student's answer (A) and the trace before it (T) are right, summed over seeds;\n"
    "p: that the two are independent"
)
COLOURS = {"steals": "bold red", "worse": "green", "tie": "", "does not discriminate": "dim", "unranked": "dim"}


def tables(board: Board) -> list[Table]:
    """Tables for `rich.print`, readable from 100 columns on with three defenses and from 120 with six.

    All strings of models and users go in as text, never as markup, with control characters replaced.
    """
    found = []
    for panel in board.panels:
        for start in range(0, len(panel.defenses), MANY):
            found.append(_matrix(panel, slice(start, start + MANY), last=start + MANY >= len(panel.defenses)))
        found += [_overlap_and_bill(panel), *([_answers_and_traces(panel)] if traced(panel) else [])]
    return found


def _matrix(panel: Panel, shown: slice, last: bool) -> Table:
    """Attacks and controls down, some of the defenses across, worst case and honest user at the foot."""
    columns = panel.defenses[shown]
    width, joint = (WIDE, " ") if len(panel.defenses) <= FEW else (NARROW, "\n")
    table = _table(title(panel), _footer(panel) if last else [])
    table.add_column("attack", overflow="fold", min_width=12)
    for column in columns:
        table.add_column(_name(column.defense, width), width=width, overflow="fold")
    _add_rows(table, panel.attacks, shown, joint, DASH)
    table.add_section()
    _add_rows(table, panel.controls, shown, joint, "")
    table.add_section()
    table.add_row(_text("worst case", "bold"), *(_worst(column, width) for column in columns))
    table.add_row(_text("honest user", "bold"), *(_honest(column) for column in columns))
    return table


def _add_rows(table: Table, rows: Sequence[Row], shown: slice, joint: str, missing: str) -> None:
    for row in rows:
        table.add_row(_name(row.attack, LABEL), *(_cell(cell, joint) if cell else missing for cell in row.cells[shown]))


def _cell(cell: Cell, joint: str) -> Text:
    star = "" if cell.ranked else "*"
    text = _text(f"{share(cell.accuracy)}{star}").append(f"{joint}{span(cell.interval)}")
    if cell.gain:
        verdict = cell.gain.verdict
        text.append(f"\n{signed(cell.gain.mean)}{joint}{signed_span(cell.gain.interval)}\n")
        text.append(f"{MARKS[verdict]} {SHORT.get(verdict, verdict)}", COLOURS[verdict])
    return text


def _worst(column: Column, width: int) -> Text:
    text = _text(share(column.worst_accuracy), "bold")
    if column.worst_attack:
        text.append("\n").append(_name(column.worst_attack, width))
    return text.append(f"\n{len(column.missing)} not run", "dim") if column.missing else text


def _honest(column: Column) -> Text:
    return _text(f"{share(column.utility['accuracy'])} right").append(f"\n{share(column.utility['refused'])} refused")


def _footer(panel: Panel) -> list[str]:
    cells = all_cells(panel)
    verdicts = sorted({cell.gain.verdict for cell in cells if cell.gain})
    marks = [f"{MARKS[v]} {SHORT.get(v, v)}: {MEANINGS[v]}" for v in verdicts]
    return [*protocol(panel), *marks, *([POCKET] if is_pocket(panel) else [])]


def _overlap_and_bill(panel: Panel) -> Table:
    table = _table("overlap and bill · " + title(panel), [READ_OVERLAP])
    table.add_column("attack", overflow="fold", min_width=12)
    table.add_column("defense", overflow="fold", min_width=12)
    for name in ("stolen", "floors", "ceiling", "whole", "queries", "tokens", "$"):
        table.add_column(name, justify="right", no_wrap=True)
    above = None
    for cell in all_cells(panel):
        name, above = "" if cell.attack == above else cell.attack, cell.attack
        tokens = cell.bill["prompt_tokens"] + cell.bill["completion_tokens"]
        cost = (count(cell.bill["queries"]), count(tokens), f"{cell.bill['dollars']:.2f}")
        table.add_row(
            _name(name, LABEL), _name(cell.defense, NARROW), *_overlap(cell), share(cell.loot.get("whole_traces")), *cost
        )
    return table


def _answers_and_traces(panel: Panel) -> Table:
    table = _table("answers against traces · " + title(panel), [READ_TRACES])
    for name in ("attack", "defense"):
        table.add_column(name, overflow="fold", min_width=12)
    for name in ("A+ T+", "A+ T-", "A- T+", "A- T-", "P(A-|T+)", "P(T+|A-)", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    above = None
    for cell in traced(panel):
        name, above, found = "" if cell.attack == above else cell.attack, cell.attack, cell.traces
        assert found is not None
        counts = [count(found.table[answer][trace]) for answer in found.table for trace in found.table[answer]]
        shares = share(found.wrong_given_right_trace), share(found.right_trace_given_wrong)
        p = p_text(found.independence.p) if found.independence else DASH
        table.add_row(_name(name, LABEL), _name(cell.defense, NARROW), *counts, *shares, p)
    return table


def _overlap(cell: Cell) -> tuple[str, str, str]:
    if cell.overlap is None:
        return DASH, DASH, DASH
    o, key = cell.overlap, "lcs_f"
    floors = f"{share(o.floor_other_question.get(key))} {share(o.floor_surrogate.get(key))}"
    return share(o.stolen.get(key)), floors, share(o.ceiling_victim_again.get(key))


def _table(name: str, footer: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    return Table(
        title=_text(name, "bold"),
        caption=Text("\n".join(footer), "dim") if footer else None,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )


def _name(spec: str, width: int) -> Text:
    """A plugin's spec in lines of `width`, broken where it reads well."""
    from rich.text import Text

    lines = [""]
    for piece in pieces(spec):
        if lines[-1] and len(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece
    return Text("\n".join(lines))


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(clean(text), style)
