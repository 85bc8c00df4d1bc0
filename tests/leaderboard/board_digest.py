"""What the published board says, in short: a line per cell, so that a change of results or of statistics shows as a difference.

`python tests/leaderboard/board_digest.py` writes `published_board.json` again, after results were added or an estimate was
changed on purpose; whoever reviews sees the numbers that moved.
"""

from __future__ import annotations

import json
from pathlib import Path

from heistbench.bench.storage.result_files import read_records
from heistbench.leaderboard.board.build import Board, build
from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.measured import all_cells
from heistbench.leaderboard.board.panel import Panel
from heistbench.leaderboard.board.statistics import Interval
from heistbench.leaderboard.published import PUBLISHED

FILE = Path(__file__).with_name("published_board.json")
Digest = dict[str, dict[str, str]]
"""For each panel, by its name, what each of its cells gave."""


def digest(board: Board) -> Digest:
    """The board in short."""
    return {name(panel): {f"{cell.attack} x {cell.defense}": line(cell) for cell in all_cells(panel)} for panel in board.panels}


def name(panel: Panel) -> str:
    """A panel in words; what its gains are over is part of them."""
    setting = f"{panel.task}, exam {panel.exam}, {panel.victim}, {panel.student}, {panel.budget} queries, {panel.n} questions"
    yardsticks = (f"{kind} {best.name}" for kind, best in (("over", panel.feasible), ("gold", panel.gold)) if best)
    return ", ".join([setting, *yardsticks])


def line(cell: PooledCell) -> str:
    """Accuracy with its interval; gain with its interval, p and verdict."""
    accuracy = f"{number(cell.accuracy)} {span(cell.interval)}"
    if not (gain := cell.gain):
        return accuracy
    tested = "" if gain.p is None or gain.p_adjusted is None else f"p {number(gain.p)} adjusted {number(gain.p_adjusted)} "
    return f"{accuracy}; gain {number(gain.mean)} {span(gain.interval)} {tested}{gain.verdict}"


def span(interval: Interval) -> str:
    """An interval."""
    return f"[{number(interval.low)}, {number(interval.high)}]"


def number(value: float) -> str:
    """A number to nine digits after the point."""
    return f"{round(value, 9):.9g}"


def published() -> Digest:
    """The digest of the published results."""
    return digest(build(read_records(PUBLISHED)))


if __name__ == "__main__":
    FILE.write_text(json.dumps(published(), indent=1) + "\n", encoding="utf-8")
