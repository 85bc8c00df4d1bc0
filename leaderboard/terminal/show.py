"""The board in a terminal: for each panel its matrix and its lists; at the end accuracy by queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heistbench.bench.storage.failures import Failure
from heistbench.leaderboard.board.build import Board
from heistbench.leaderboard.board.measured import all_cells
from heistbench.leaderboard.board.panel import Panel
from heistbench.leaderboard.tables.budgets import accuracy_by_queries
from heistbench.leaderboard.tables.failed import failed
from heistbench.leaderboard.tables.lists import lists
from heistbench.leaderboard.tables.matrix import matrix
from heistbench.leaderboard.terminal.draw import draw, text
from heistbench.leaderboard.terminal.folding import prose
from heistbench.leaderboard.words import MARKS, MEANINGS, POCKET, is_pocket, protocol

if TYPE_CHECKING:
    from rich.console import RenderableType


def tables(board: Board, width: int | None = None) -> list[RenderableType]:
    """What a board shows, for `rich.print`, in a terminal of this width; without one, in this terminal.

    All strings of models and users go in as text, never as markup, with control characters replaced.
    """
    from rich.console import Console

    width = width or Console().width
    shown: list[RenderableType] = []
    for panel in board.panels:
        shown += draw(matrix(panel), width)[:-1]
        shown += [*(prose(line, width, "dim") for line in _reading(panel)), text("")]
        shown += [part for table in lists(panel) for part in draw(table, width)]
    return shown + [part for sweep in board.sweeps for part in draw(accuracy_by_queries(sweep), width)]


def failed_cells(failures: Sequence[Failure], width: int | None = None) -> list[RenderableType]:
    """The cells that failed, and why; nothing where none did."""
    from rich.console import Console

    return draw(failed(failures), width or Console().width) if failures else []


def _reading(panel: Panel) -> list[str]:
    """How to read a panel: its protocol, the outcomes that it has, a warning where it is of the pocket world."""
    outcomes = sorted({cell.gain.verdict for cell in all_cells(panel) if cell.gain})
    marks = [f"{MARKS[outcome]} {outcome}: {MEANINGS[outcome]}" for outcome in outcomes]
    return [*protocol(panel), *marks, *([POCKET] if is_pocket(panel) else [])]
