"""The board in a terminal: for each panel a table of cells and its lists; at the end accuracy by queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heistbench.leaderboard.board.build import Board
from heistbench.leaderboard.board.cells import Cell
from heistbench.leaderboard.board.measured import all_cells
from heistbench.leaderboard.board.panel import Column, Panel, Row
from heistbench.leaderboard.terminal.draw import LABEL, NARROW, spec, table, text
from heistbench.leaderboard.terminal.lists import MANY, accuracy_by_queries, lists
from heistbench.leaderboard.words import (
    DASH,
    MARKS,
    MEANINGS,
    POCKET,
    is_pocket,
    lost,
    protocol,
    share,
    signed,
    signed_span,
    span,
    star,
    title,
)

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

WIDE = 20
"""Columns of text a cell needs with a number and its interval on one line; on two, NARROW will do."""
FEW = 3
"""Up to FEW defenses get wide cells; more than MANY go on in a further table."""
SHORT = {"does not discriminate": "n/d"}
COLOURS = {"steals": "bold red", "worse": "green", "tie": "", "does not discriminate": "dim", "unranked": "dim"}


def tables(board: Board) -> list[Table]:
    """Tables for `rich.print`, readable from 100 columns on with three defenses and from 120 with six.

    All strings of models and users go in as text, never as markup, with control characters replaced.
    """
    found = []
    for panel in board.panels:
        for start in range(0, len(panel.defenses), MANY):
            found.append(_matrix(panel, slice(start, start + MANY), last=start + MANY >= len(panel.defenses)))
        found += lists(panel)
    return found + [drawn for sweep in board.sweeps for drawn in accuracy_by_queries(sweep)]


def _matrix(panel: Panel, shown: slice, last: bool) -> Table:
    """Attacks and controls down, some of the defenses across, worst case and honest user at the foot."""
    columns = panel.defenses[shown]
    width, joint = (WIDE, " ") if len(panel.defenses) <= FEW else (NARROW, "\n")
    drawn = table(title(panel), _footer(panel) if last else [])
    drawn.add_column("attack", overflow="fold", min_width=12)
    for column in columns:
        drawn.add_column(spec(column.defense, width), width=width, overflow="fold")
    _add_rows(drawn, panel.attacks, shown, joint, DASH)
    drawn.add_section()
    _add_rows(drawn, panel.controls, shown, joint, "")
    drawn.add_section()
    drawn.add_row(text("worst case", "bold"), *(_worst(column, width) for column in columns))
    drawn.add_row(text("honest user", "bold"), *(_honest(column) for column in columns))
    return drawn


def _add_rows(drawn: Table, rows: Sequence[Row], shown: slice, joint: str, missing: str) -> None:
    for row in rows:
        drawn.add_row(spec(row.attack, LABEL), *(_cell(cell, joint) if cell else missing for cell in row.cells[shown]))


def _cell(cell: Cell, joint: str) -> Text:
    found = text(f"{share(cell.accuracy)}{star(cell)}").append(f"{joint}{span(cell.interval)}")
    if cell.gain:
        verdict = cell.gain.verdict
        found.append(f"\n{signed(cell.gain.mean)}{joint}{signed_span(cell.gain.interval)}\n")
        found.append(f"{MARKS[verdict]} {SHORT.get(verdict, verdict)}", COLOURS[verdict])
    return found.append(f"\n{lost(cell.lost)}", "dim") if cell.lost else found


def _worst(column: Column, width: int) -> Text:
    found = text(share(column.worst_accuracy), "bold")
    if column.worst_attack:
        found.append("\n").append(spec(column.worst_attack, width))
    return found.append(f"\n{len(column.missing)} not run", "dim") if column.missing else found


def _honest(column: Column) -> Text:
    found = text(f"{share(column.utility['accuracy'])} right").append(f"\n{share(column.utility['refused'])} refused")
    return found.append(f"\n{lost(column.utility['lost'])}", "dim") if column.utility["lost"] else found


def _footer(panel: Panel) -> list[str]:
    cells = all_cells(panel)
    verdicts = sorted({cell.gain.verdict for cell in cells if cell.gain})
    marks = [f"{MARKS[v]} {SHORT.get(v, v)}: {MEANINGS[v]}" for v in verdicts]
    return [*protocol(panel), *marks, *([POCKET] if is_pocket(panel) else [])]
