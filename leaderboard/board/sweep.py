"""Accuracy by queries: what a student learns from thefts of different budgets (as arXiv:2603.07267, Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.gains import NONE, Place, Yardstick
from heistbench.leaderboard.board.panel import Panel, Setting, present
from heistbench.leaderboard.board.statistics import Interval

CEILING = "true_trace"
"""The control whose student learns from the victim's own hidden traces."""


@dataclass(frozen=True, slots=True)
class Point:
    """One arm at one budget; `dollars` is what a theft of it cost, a mean over seeds."""

    attack: str
    accuracy: float
    interval: Interval
    n: int
    seeds: int
    dollars: float
    ranked: bool
    lost: int


Points = tuple[Point | None, ...]
"""A point for each budget of a sweep; None where nothing was run."""


@dataclass(frozen=True, slots=True)
class SweepLine:
    """One attack on one defense, from budget to budget."""

    attack: str
    defense: str
    points: Points


@dataclass(frozen=True, slots=True)
class Sweep(Setting):
    """The panels that differ in their budget alone: each point stands for itself and is compared within its panel only.

    `feasible` and `gold` are at each budget the best control that anyone could run, and the best that knows the gold answers;
    `ceiling` is the victim's true traces.
    """

    budgets: tuple[int, ...]
    attacks: tuple[SweepLine, ...]
    feasible: Points
    gold: Points
    ceiling: Points


def sweep_of(panels: Sequence[Panel]) -> Sweep:
    """The sweep over panels of one setting, at least one, in the order of budgets."""
    first = panels[0]
    places = dict.fromkeys(_place(cell) for panel in reversed(panels) for cell in present(panel.attacks))
    return Sweep(
        task=first.task,
        task_name=first.task_name,
        task_version=min(panel.task_version for panel in panels),
        exam=first.exam,
        victim=first.victim,
        student=first.student,
        budgets=tuple(panel.budget for panel in panels),
        attacks=tuple(SweepLine(*place, tuple(_point(panel, place) for panel in panels)) for place in places),
        feasible=tuple(_best(panel, panel.feasible) for panel in panels),
        gold=tuple(_best(panel, panel.gold) for panel in panels),
        ceiling=tuple(_point(panel, (CEILING, NONE)) for panel in panels),
    )


def _place(cell: PooledCell) -> Place:
    return cell.attack, cell.defense


def _point(panel: Panel, place: Place) -> Point | None:
    cells = present((*panel.attacks, *panel.controls))
    return next((_of(cell) for cell in cells if _place(cell) == place), None)


def _best(panel: Panel, yardstick: Yardstick | None) -> Point | None:
    cell = panel.control(yardstick)
    return _of(cell) if cell else None


def _of(cell: PooledCell) -> Point:
    seeds, dollars = len(cell.seeds), cell.bill["dollars"]
    return Point(cell.attack, cell.accuracy, cell.interval, cell.n, seeds, dollars, cell.ranked, cell.lost)
