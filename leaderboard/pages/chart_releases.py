"""Releases: what students of each attack get from one release of a victim after the other, regressions marked."""

from __future__ import annotations

from collections.abc import Iterator

from heistbench.leaderboard.compare.comparison import Compared
from heistbench.leaderboard.compare.releases import History, HistoryLine
from heistbench.leaderboard.pages.chart import (
    COLOURS,
    DASHES,
    Chart,
    Datum,
    Spec,
    by_facet,
    chart,
    layer,
    nominal,
    quantity,
    series,
)
from heistbench.leaderboard.words import DASH, clean, p_text, queries, share, signed, signed_span, span, star

HEADINGS = ("attack", "defense", "queries", "release", "accuracy", "n", "seeds", "change", "p, adjusted", "verdict")
MARKED: dict[str, tuple[str, str]] = {"worse": ("triangle-up", COLOURS[1]), "better": ("triangle-down", COLOURS[2])}
"""Students get more: up, vermilion. They get less: down, green."""
CONTROLS = "controls"
LINES = {"symbolType": "stroke", "symbolStrokeWidth": 2}
READING = (
    "Each line is one attack behind one defense, from release to release. A triangle up is a regression: students get "
    "significantly more than from the release before. A triangle down is an improvement, a mere point shows no difference. Where "
    "controls that never ask the victim move, the ground moved, and changes beside them are not the victim's doing alone."
)


def releases(history: History) -> Chart | None:
    """The chart of a history; a small one for each defense and budget, controls apart. None where there is nothing to draw."""
    facets = list(dict.fromkeys(_facet(history, line) for line in history.lines))
    data = [datum for line in history.lines for datum in _data(history, line)]
    if not data:
        return None
    return chart(
        ("releases", history.victim),
        f"From release to release of {history.victim}",
        READING,
        HEADINGS,
        {"arms": data},
        by_facet("facet", facets, _layers(history)),
    )


def _facet(history: History, line: HistoryLine) -> str:
    name = CONTROLS if line.control else line.defense
    several = len({line.budget for line in history.lines}) > 1
    return f"{name}, {queries(line.budget)}" if several else name


def _data(history: History, line: HistoryLine) -> Iterator[Datum]:
    for at, (release, point, step) in enumerate(zip(history.releases, line.points, line.steps, strict=True)):
        if point:
            accuracy = f"{share(point.accuracy)}{star(point)} {span(point.interval)}"
            about = (line.attack, line.defense, f"{line.budget:,}", release, accuracy, f"{point.n}", f"{len(point.seeds)}")
            drawn = {"x": at, "y": point.accuracy, "low": point.interval.low, "high": point.interval.high}
            yield Datum((*about, *_change(step)), {**drawn, "facet": _facet(history, line)})


def _change(step: Compared | None) -> tuple[str, str, str]:
    if step is None:
        return DASH, DASH, DASH
    return f"{signed(step.mean)} {signed_span(step.interval)}", p_text(step.p_adjusted), step.verdict


def _layers(history: History) -> list[Spec]:
    attacks = [line.attack for line in history.lines]
    x = nominal("release", sort=list(map(clean, history.releases)), axis={"title": "release", "labelAngle": 0})
    y = quantity("y", "student accuracy", (0, 1))
    colour, dash = series("attack", attacks, COLOURS, legend=LINES), series("attack", attacks, DASHES)
    changed = {"filter": {"field": "verdict", "oneOf": list(MARKED)}}
    shapes = series("verdict", MARKED, [shape for shape, _ in MARKED.values()], title="since the release before")
    fills = series("verdict", MARKED, [fill for _, fill in MARKED.values()], title="since the release before")
    mark = {"type": "point", "filled": True, "opacity": 1}
    return [
        layer({"type": "line"}, x=x, y=y, color=colour, strokeDash=dash, detail=nominal("defense")),
        layer({"type": "rule", "strokeOpacity": 0.4}, x=x, y={**y, "field": "low"}, y2={"field": "high"}, color=colour),
        layer({**mark, "size": 40}, HEADINGS, x=x, y=y, color=colour),
        {"transform": [changed], **layer({**mark, "size": 140}, HEADINGS, x=x, y=y, shape=shapes, fill=fills)},
    ]
