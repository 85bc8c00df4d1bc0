"""The frontier: what honest users keep against what attackers get, one point per defense."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.gains import Yardstick
from heistbench.leaderboard.board.panel import Column, Panel, present
from heistbench.leaderboard.board.statistics import Interval, wilson
from heistbench.leaderboard.board.worst import Worst
from heistbench.leaderboard.pages.chart import (
    COLOURS,
    GREY,
    HEIGHT,
    INK,
    SOFT,
    Chart,
    Datum,
    Spec,
    chart,
    domain_of,
    layer,
    quantity,
    series,
)
from heistbench.leaderboard.words import DASH, count, share, span, star

HEADINGS = ("defense", "honest user", "worst case", "by attack", "n", "seeds", "standing", "attacks not run")
STANDINGS = ("on the frontier", "dominated")
READING = (
    "Down and to the right is better: attackers get less, honest users keep more. A defense is dominated where another keeps as "
    "much, gives away as little and is better in one of both, by the figures themselves, whatever their intervals. Defenses of "
    "one kind are joined. The dashed lines are the best control that anyone could run, below which nothing is stolen, and the "
    "best that knows the gold answers."
)
LINE = 14
"""Pixels that a label needs."""
EXACT = 9
"""Digits to which means are compared: the same results over more records must not differ by the last bit."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """A defense in the plane, with its worst cell."""

    column: Column
    worst: Worst
    cell: PooledCell
    x: float
    y: float
    span: Interval


def frontier(panel: Panel) -> Chart | None:
    """The chart of a panel; None where fewer than two defenses were attacked."""
    spots = [spot for column in panel.defenses if (spot := _spot(panel, column))]
    if len(spots) < 2:
        return None
    idle = [(kind, cell) for kind, best in _kinds(panel) if (cell := panel.control(best))]
    across = domain_of([end for spot in spots for end in (spot.span.low, spot.span.high)])
    down = domain_of([end for cell in _spread(idle, spots) for end in (cell.low, cell.high)])
    labels = _labels(spots, down)
    data = [_datum(spot, spots, across, label) for spot, label in zip(spots, labels, strict=True)]
    return chart(
        ("frontier", panel.victim, panel.task_version, panel.budget),
        "What honest users keep against what attackers get",
        READING,
        HEADINGS,
        {"defenses": data, "idle": [_line(*each) for each in idle]},
        {"height": HEIGHT, "layer": _layers(across, down)},
    )


def _spot(panel: Panel, column: Column) -> _Spot | None:
    attack, n = column.worst and column.worst.attack, round(column.utility["n"] - column.utility["lost"])
    cell = next((c for c in present(panel.attacks) if (c.attack, c.defense) == (attack, column.defense)), None)
    if cell is None or column.worst is None:
        return None
    kept, got = (round(value, EXACT) for value in (column.utility["accuracy"], cell.accuracy))
    return _Spot(column, column.worst, cell, kept, got, wilson(round(kept * n), n))


def _dominating(spot: _Spot, spots: Sequence[_Spot]) -> list[str]:
    """The defenses that are better in one way and no worse in the other, and that all attacks on this one were run against."""
    return [
        other.column.defense
        for other in spots
        if (other.x >= spot.x and other.y <= spot.y and (other.x, other.y) != (spot.x, spot.y))
        and set(other.worst.missing) <= set(spot.worst.missing)
    ]


def _datum(spot: _Spot, spots: Sequence[_Spot], across: tuple[float, float], label: float) -> Datum:
    cell, column, worst, better = spot.cell, spot.column, spot.worst, _dominating(spot, spots)
    standing = STANDINGS[bool(better)]
    row = (
        column.defense,
        f"{share(spot.x)} {span(spot.span)}",
        f"{share(worst.accuracy)}{star(cell)} {span(worst.interval)}",
        f"{cell.attack}, of {worst.tried}",
        f"{cell.n}",
        f"{len(cell.seeds)}",
        f"{standing} by {', '.join(better)}" if better else standing,
        count(len(worst.missing)) if worst.missing else DASH,
    )
    drawn = {"x": spot.x, "left": spot.span.low, "right": spot.span.high, "y": spot.y, "low": worst.interval.low}
    drawn |= {"high": worst.interval.high, "label": label}
    side = "left" if spot.x > sum(across) / 2 else "right"
    return Datum(row, {**drawn, "side": side, "group": standing, "kind": _kind(column.defense)})


def _kinds(panel: Panel) -> list[tuple[str, Yardstick | None]]:
    """Both yardsticks, in words."""
    return [("control that anyone could run", panel.feasible), ("control that knows the gold answers", panel.gold)]


def _spread(idle: Sequence[tuple[str, PooledCell]], spots: Sequence[_Spot]) -> list[Interval]:
    return [*(cell.interval for _, cell in idle), *(spot.worst.interval for spot in spots)]


def _line(kind: str, cell: PooledCell) -> Datum:
    worth = f"{share(cell.accuracy)}{star(cell)} {span(cell.interval)}"
    row = (cell.attack, DASH, worth, DASH, f"{cell.n}", f"{len(cell.seeds)}", kind, DASH)
    return Datum(row, {"y": cell.accuracy})


def _kind(defense: str) -> str:
    """A defense without its strength: its parts' names."""
    return re.sub(r"\([^()]*\)", "", defense)


def _labels(spots: Sequence[_Spot], down: tuple[float, float]) -> list[float]:
    """Heights for the labels: those of the points, moved down where two would touch."""
    step, most, heights = (down[1] - down[0]) * LINE / HEIGHT, down[1], {}
    for at, spot in sorted(enumerate(spots), key=lambda pair: (-pair[1].y, pair[0])):
        heights[at] = min(spot.y, most)
        most = heights[at] - step
    return [heights[at] for at in range(len(spots))]


def _layers(across: tuple[float, float], down: tuple[float, float]) -> list[Spec]:
    x = quantity("x", "what honest users keep: share of right answers", across)
    y = quantity("y", "what attackers get: student accuracy, worst case", down)
    name = {"type": "text", "align": "left", "dy": -7, "fontSize": 12, "color": SOFT}
    rule = {"type": "rule", "color": SOFT, "strokeOpacity": 0.6}
    shape = series("group", STANDINGS, ("circle", "cross"), title=None)
    colour = series("group", STANDINGS, (COLOURS[0], GREY), title=None)
    return [
        layer({"type": "rule", "strokeDash": [6, 4], "color": INK}, HEADINGS, "idle", y=y),
        layer(name, (), "idle", x={"value": 4}, y=y, text={"field": "defense"}),
        layer({"type": "line", "color": SOFT}, x=x, y=y, detail={"field": "kind"}),
        layer(rule, x=x, y={**y, "field": "low"}, y2={"field": "high"}),
        layer(rule, x={**x, "field": "left"}, x2={"field": "right"}, y=y),
        layer({"type": "point", "filled": True, "size": 110, "opacity": 1}, HEADINGS, x=x, y=y, shape=shape, color=colour),
        *(_text(x, {**y, "field": "label"}, side) for side in ("left", "right")),
    ]


def _text(x: Spec, y: Spec, side: str) -> Spec:
    """The names of the points whose label is on this side."""
    align, dx = ("right", -10) if side == "left" else ("left", 10)
    mark = {"type": "text", "align": align, "dx": dx, "fontSize": 12, "limit": 260, "color": INK}
    drawn = layer(mark, x=x, y=y, text={"field": "defense"})
    return {**drawn, "transform": [{"filter": {"field": "side", "equal": side}}]}
