"""Accuracy by queries: attacks down, budgets across; at the foot both yardsticks and the ceiling."""

from __future__ import annotations

from heistbench.leaderboard.board.cells import RANKED_SEEDS
from heistbench.leaderboard.board.sweep import CEILING, Point, Points, Sweep
from heistbench.leaderboard.tables.table import (
    DASHED,
    NAMES,
    Body,
    Entries,
    Entry,
    Line,
    Table,
    TextSpan,
    entry,
    heading,
    lost_line,
    name,
    result,
)
from heistbench.leaderboard.words import FEASIBLE, GOLD, queries, share, star, title

NOTES = (
    f"student accuracy and its 95% interval, by the number of queries; *: fewer than {RANKED_SEEDS} seeds",
    "a budget is compared with its own control only: gains and outcomes are in its panel",
)


def accuracy_by_queries(sweep: Sweep) -> Table:
    """The table of a sweep."""
    return Table(
        title="Accuracy by queries",
        about=title(sweep),
        notes=NOTES,
        headings=(*NAMES, *(heading(queries(budget)) for budget in sweep.budgets)),
        bodies=(Body(tuple((name(line.attack), name(line.defense), *_points(line.points)) for line in sweep.attacks)),),
        foot=(
            (entry(FEASIBLE, "words"), Entry(), *_points(sweep.feasible, named=True)),
            (entry(GOLD, "words"), Entry(), *_points(sweep.gold, named=True)),
            (name(CEILING), Entry(), *_points(sweep.ceiling)),
        ),
    )


def _points(points: Points, named: bool = False) -> Entries:
    return tuple(_point(point, named) if point else DASHED for point in points)


def _point(point: Point, named: bool) -> Entry:
    which: tuple[Line, ...] = ((TextSpan(point.attack, "name"),),) if named else ()
    return Entry((result(f"{share(point.accuracy)}{star(point)}", point.interval), *which, *lost_line(point.lost)))
