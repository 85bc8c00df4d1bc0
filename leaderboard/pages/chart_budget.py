"""Accuracy by queries: what a student learns from thefts of different sizes, beside what no theft and the whole truth teach."""

from __future__ import annotations

from collections.abc import Iterator

from heistbench.leaderboard.board.gains import NONE
from heistbench.leaderboard.board.sweep import Point, Points, Sweep, SweepLine
from heistbench.leaderboard.pages.chart import (
    COLOURS,
    DASHES,
    SHAPES,
    SOFT,
    Chart,
    Datum,
    Spec,
    by_facet,
    chart,
    layer,
    quantity,
    series,
)
from heistbench.leaderboard.words import DASH, FEASIBLE, GOLD, count, dollars, share, span, star

HEADINGS = ("attack", "defense", "queries", "dollars", "accuracy", "n", "seeds", "control")
CEILING = "ceiling: the victim's own traces"
READING = (
    "Each line is one attack, its band the 95% interval. What stands above the line of the best control without the victim was "
    "stolen; the others are what a thief could do who knows the gold answers, and what the victim's own traces teach. A budget "
    "is compared with its own controls only."
)


def budget(sweep: Sweep) -> Chart:
    """The chart of a sweep; a small one for each defense."""
    references = {FEASIBLE: sweep.feasible, GOLD: sweep.gold, CEILING: sweep.ceiling}
    data = {
        "attacks": [datum for line in sweep.attacks for datum in _attack(sweep, line)],
        "controls": [datum for name, points in references.items() for datum in _control(sweep, name, points)],
    }
    defenses = list(dict.fromkeys(line.defense for line in sweep.attacks))
    return chart(
        ("budget", sweep.victim, sweep.task_version),
        "Accuracy by queries",
        READING,
        HEADINGS,
        data,
        by_facet("defense", defenses, _layers(sweep)),
    )


def _attack(sweep: Sweep, line: SweepLine) -> Iterator[Datum]:
    for queries, point in _there(sweep, line.points):
        yield _datum(point, line.defense, queries, DASH)


def _control(sweep: Sweep, name: str, points: Points) -> Iterator[Datum]:
    for queries, point in _there(sweep, points):
        yield _datum(point, NONE, queries, name)


def _there(sweep: Sweep, points: Points) -> list[tuple[int, Point]]:
    return [(queries, point) for queries, point in zip(sweep.budgets, points, strict=True) if point]


def _datum(point: Point, defense: str, queries: int, control: str) -> Datum:
    accuracy, paid = f"{share(point.accuracy)}{star(point)} {span(point.interval)}", dollars(point.dollars) or DASH
    row = (point.attack, defense, count(queries), paid, accuracy, str(point.n), str(point.seeds), control)
    return Datum(row, {"x": queries, "y": point.accuracy, "low": point.interval.low, "high": point.interval.high})


def _layers(sweep: Sweep) -> list[Spec]:
    attacks = [line.attack for line in sweep.attacks]
    x = {
        "field": "x",
        "type": "quantitative",
        "scale": {"type": "symlog", "constant": max(1, min(filter(None, sweep.budgets), default=1))},
        "axis": {"title": "queries", "values": list(sweep.budgets), "format": ",d"},
    }
    y = quantity("y", "student accuracy", (0, 1))
    colour, shape = series("attack", attacks, COLOURS), series("attack", attacks, SHAPES)
    dash = series("control", [FEASIBLE, GOLD, CEILING], DASHES[1:])
    return [
        layer({"type": "area", "fillOpacity": 0.15}, x=x, y={**y, "field": "low"}, y2={"field": "high"}, color=colour),
        layer({"type": "line", "color": SOFT}, (), "controls", x=x, y=y, strokeDash=dash),
        layer({"type": "point", "color": SOFT, "size": 30}, HEADINGS, "controls", x=x, y=y),
        layer({"type": "line"}, x=x, y=y, color=colour),
        layer({"type": "point", "filled": True, "size": 70, "opacity": 1}, HEADINGS, x=x, y=y, color=colour, shape=shape),
    ]
