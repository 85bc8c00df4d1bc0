"""A chart: a Vega-Lite spec with its data inside, and the table of the same data for those who read tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from heistbench.bench.storage.records import slug
from heistbench.leaderboard.tables.table import Body, Table, heading, numbers
from heistbench.leaderboard.words import clean

Spec = dict[str, Any]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b8689a", "#a37500")
GREY = "#7f7f7f"
"""After Okabe and Ito (2008), some of them darker: each contrasts by 3 or more with a light page and with a dark one."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
"""Colour never stands alone: series differ in shape or dash too. With 5 colours, 8 shapes and 4 dashes 20 series share no pair.
"""
INK, SOFT = "var(--ink)", "var(--soft)"
"""Colours of the page that shows the chart."""
HEIGHT, SMALL = 340, 220
"""Pixels of a chart, and of one of several small ones."""
TEXTS = ("attack", "defense", "by attack", "standing", "verdict", "control")
"""The headings of columns that hold texts."""
MARGIN = 0.03
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure of a page: `name` is unique there, `reading` says how to read it, `rows` are the data of `spec` as text.

    The spec has no width and no configuration: the page's script adds both.
    """

    name: str
    title: str
    reading: str
    spec: Spec
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def table(self) -> Table:
        """The same data as a table."""
        headings = tuple(heading(label, text=label in TEXTS) for label in self.headings)
        return Table(self.title, self.name, (), headings, (Body(tuple(map(numbers, self.rows))),), labels=1)


@dataclass(frozen=True, slots=True)
class Datum:
    """One datum: its row of the table, a text for each heading, and where it is drawn, by names of fields."""

    row: tuple[str, ...]
    drawn: Mapping[str, float | str]


def chart(
    name: Sequence[object], title: str, reading: str, headings: Sequence[str], data: Mapping[str, Sequence[Datum]], view: Spec
) -> Chart:
    """The chart of named data sets; layers of `view` draw the first unless they name another, and headings are fields in all.

    All texts are cleaned and all numbers rounded, so that the same results give the same bytes.
    """
    rows = {key: [tuple(map(clean, datum.row)) for datum in datums] for key, datums in data.items()}
    datasets = {
        key: [{**dict(zip(headings, row, strict=True)), **_plain(d.drawn)} for row, d in zip(rows[key], data[key], strict=True)]
        for key in data
    }
    return Chart(
        name=slug("-".join(clean(str(part)) for part in name)),
        title=clean(title),
        reading=reading,
        spec={"description": clean(title), "datasets": datasets, "data": {"name": next(iter(data))}, **view},
        headings=tuple(headings),
        rows=tuple(row for each in rows.values() for row in each),
    )


def _plain(drawn: Mapping[str, float | str]) -> dict[str, float | str]:
    return {key: clean(value) if isinstance(value, str) else round(value, DIGITS) for key, value in drawn.items()}


def layer(mark: Spec, headings: Sequence[str] = (), data: str = "", **encoding: Spec) -> Spec:
    """A layer over the chart's first data set or another; with `headings`, pointing at a mark tells what its row says."""
    source = {"data": {"name": data}} if data else {}
    tips = {"tooltip": [nominal(heading) for heading in headings]} if headings else {}
    return {**source, "mark": mark, "encoding": {**encoding, **tips}}


def nominal(field: str, **more: Any) -> Spec:
    """A field of texts."""
    return {"field": field, "type": "nominal", **more}


def quantity(field: str, title: str = "", domain: Sequence[float] = (), **more: Any) -> Spec:
    """A field of numbers, on a scale that need not begin at zero."""
    scale = {"zero": False, "nice": False, **({"domain": list(domain)} if domain else {})}
    axis = {"axis": {"title": title, "format": ".2f"}} if title else {}
    return {"field": field, "type": "quantitative", "scale": scale, **axis, **more}


def series(field: str, values: Iterable[str], styles: Sequence[object], **more: Any) -> Spec:
    """A field whose texts are told apart by `styles`, colours, shapes or dashes, over and over again in the order of `values`."""
    domain = list(dict.fromkeys(map(clean, values)))
    return nominal(field, scale={"domain": domain, "range": [styles[i % len(styles)] for i in range(len(domain))]}, **more)


def domain_of(values: Iterable[float]) -> tuple[float, float]:
    """The ends of an axis that shows all of these values and a margin, in twentieths; shares end at 0 and 1."""
    ends = list(values)
    least, most = min(ends), max(ends)
    low, high = floor((least - MARGIN) * 20) / 20, ceil((most + MARGIN) * 20) / 20
    return round(max(0.0, low) if least >= 0 else low, 2), round(min(1.0, high) if most <= 1 else high, 2)


def by_facet(field: str, values: Sequence[str], layers: Sequence[Spec]) -> Spec:
    """A small view of these layers for each value of a field, where there are several; other data than the first is in all."""
    if len(values) < 2:
        return {"height": HEIGHT, "layer": layers}
    facet = nominal(field, sort=list(map(clean, values)), header={"title": None})
    return {"facet": facet, "spec": {"height": SMALL, "layer": layers}}
