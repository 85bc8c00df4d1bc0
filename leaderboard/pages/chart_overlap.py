"""Overlap against gain: whether traces that look like the victim's teach what the victim knows."""

from __future__ import annotations

from collections.abc import Sequence

from heistbench.leaderboard.board import measured
from heistbench.leaderboard.board.cells import Gain, PooledCell
from heistbench.leaderboard.board.panel import Panel, present
from heistbench.leaderboard.pages.chart import (
    COLOURS,
    HEIGHT,
    INK,
    SHAPES,
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
from heistbench.leaderboard.words import DASH, metric_title, share, signed, signed_span, star

HEADINGS = ("attack", "defense", "overlap", "gain", "n", "seeds", "verdict")
ENOUGH = 5
"""Fewer points have no rank correlation worth saying."""
READING = (
    "If overlap measured theft, points would climb from left to right. Read it between its floors and its ceiling; above the "
    "line at zero the student has more than any control that anyone could run without the victim."
)


def overlap(panel: Panel) -> Chart | None:
    """The chart of a panel, by its first signature; None where no attack has both overlap and gain."""
    signature = next(iter(measured.signatures(panel)), "")
    metric = measured.headline(panel, signature)
    points = [
        (cell, cell.gain, cell.overlap[signature].stolen[metric])
        for cell in present(panel.attacks)
        if cell.gain and signature in cell.overlap and metric in cell.overlap[signature].stolen
    ]
    if not points:
        return None
    bounds = [(label, scores[metric]) for label, scores in measured.bounds(panel, signature) if metric in scores]
    title = f"Overlap ({metric_title(metric)}) against gain{_correlation([(x, gain.mean) for _, gain, x in points])}"
    across = domain_of([*(x for _, _, x in points), *(x for _, x in bounds)])
    down = domain_of([0.0, *(end for _, gain, _ in points for end in (gain.interval.low, gain.interval.high))])
    return chart(
        ("overlap", panel.victim, panel.task_version, panel.budget),
        title,
        READING,
        HEADINGS,
        {"cells": [_datum(*each) for each in points], "bounds": [_bound(*bound) for bound in bounds]},
        {"height": HEIGHT, "layer": _layers([cell.attack for cell, *_ in points], [label for label, _ in bounds], across, down)},
    )


def _correlation(points: Sequence[tuple[float, float]]) -> str:
    """Spearman's rank correlation of the points, row in a title; nothing for few points or where one side never varies."""
    from scipy.stats import spearmanr

    xs, ys = [x for x, _ in points], [y for _, y in points]
    if len(points) < ENOUGH or len(set(xs)) == 1 or len(set(ys)) == 1:
        return ""
    return f": rank correlation {signed(spearmanr(xs, ys).statistic)} over {len(points)} cells"


def _datum(cell: PooledCell, gain: Gain, x: float) -> Datum:
    worth = f"{signed(gain.mean)}{star(cell)} {signed_span(gain.interval)}"
    row = (cell.attack, cell.defense, share(x), worth, f"{cell.n}", f"{len(cell.seeds)}", gain.verdict)
    return Datum(row, {"x": x, "y": gain.mean, "low": gain.interval.low, "high": gain.interval.high})


def _bound(label: str, x: float) -> Datum:
    return Datum((label, DASH, share(x), DASH, DASH, DASH, DASH), {"x": x, "bound": label})


def _layers(attacks: Sequence[str], bounds: Sequence[str], across: tuple[float, float], down: tuple[float, float]) -> list[Spec]:
    x, y = quantity("x", "overlap of stolen traces with the victim's", across), quantity("y", "gain in student accuracy", down)
    colour, shape = series("attack", attacks, COLOURS), series("attack", attacks, SHAPES)
    dash = series("bound", bounds, ([2, 2], [6, 3], [1, 0]), title=None)
    return [
        {"data": {"values": [{}]}, "mark": {"type": "rule", "color": SOFT}, "encoding": {"y": {"datum": 0}}},
        layer({"type": "rule", "color": INK}, HEADINGS, "bounds", x=x, strokeDash=dash),
        layer({"type": "rule", "strokeOpacity": 0.6}, x=x, y={**y, "field": "low"}, y2={"field": "high"}, color=colour),
        layer({"type": "point", "filled": True, "size": 80, "opacity": 1}, HEADINGS, x=x, y=y, color=colour, shape=shape),
    ]
