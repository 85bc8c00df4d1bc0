"""Tables in a terminal: as wide as it is, in several parts where they do not fit, text as text and never as markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heistbench.leaderboard.tables.table import Entries, Entry, Heading, Table
from heistbench.leaderboard.terminal.folding import folded, narrowest, prose, widest
from heistbench.leaderboard.words import clean

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

WIDE = 120
"""From so many columns on a terminal shows the headings that are only `wide`."""
GAP = 2
"""Columns of text between two columns of a table."""
LEAST = 12
"""Columns that names get at least, if they are as long, before numbers are set on one line."""


@dataclass(frozen=True, slots=True)
class _Column:
    """One column: its heading, what stands in it from top to bottom, and how narrow it may be."""

    heading: Heading
    entries: Entries
    narrow: int
    wide: int


def draw(table: Table, width: int) -> list[RenderableType]:
    """A table for a terminal of this width: title, rows and notes; columns that do not fit go on in a further part."""
    shown = [at for at, heading in enumerate(table.headings) if width >= WIDE or not heading.wide]
    columns = [_column(table, at, width) for at in shown]
    labels, others = columns[: table.labels], columns[table.labels :]
    parts = [part for group in _groups(labels, others, width) for part in (_part(table, [*labels, *group], width), text(""))]
    name = f"{table.title} · {table.about}" if table.about else table.title
    return [prose(name, width, "bold"), *parts[:-1], *(prose(note, width, "dim") for note in table.notes), text("")]


def text(plain: str, style: str = "") -> Text:
    """Text with its control characters replaced."""
    from rich.text import Text

    return Text(clean(plain), style)


def _rows(table: Table) -> list[Entries]:
    return [*(row for body in table.bodies for row in body.rows), *table.foot]


def _column(table: Table, at: int, width: int) -> _Column:
    """A column of a table; none may be so wide that names and numbers do not fit beside each other."""
    most = width // 4 if at < table.labels else width // 3
    entries = tuple(row[at] for row in _rows(table))
    label = table.headings[at].label
    narrow = min(most, narrowest([label, *entries]))
    return _Column(table.headings[at], entries, narrow, max(narrow, widest(entries), min(widest([label]), narrow)))


def _groups(labels: Sequence[_Column], others: Sequence[_Column], width: int) -> Iterator[list[_Column]]:
    """The columns beside the labels, as many at a time as fit at their narrowest."""
    room = width - sum(max(column.narrow, min(column.wide, LEAST)) + GAP for column in labels) + GAP
    group: list[_Column] = []
    for column in others:
        if group and sum(each.narrow + GAP for each in (*group, column)) > room:
            yield group
            group = []
        group.append(column)
    yield group


def _part(table: Table, columns: Sequence[_Column], width: int) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable

    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    widths = _widths(columns, table.labels, width)
    for column, wide in zip(columns, widths, strict=True):
        left = column.heading.text or table.labels == 1
        drawn.add_column(folded(column.heading.label, wide), width=wide, justify="left" if left else "right", no_wrap=True)
    for at, row in enumerate(_drawn_rows(table, columns)):
        if at in _sections(table):
            drawn.add_section()
        drawn.add_row(*(folded(entry, wide) for entry, wide in zip(row, widths, strict=True)))
    return drawn


def _widths(columns: Sequence[_Column], labels: int, width: int) -> list[int]:
    """Narrow columns, then room for numbers on one line if all of them get it, then room for names."""
    widths = [column.narrow for column in columns]
    spare = width - sum(wide + GAP for wide in widths) + GAP
    least = [max(0, min(column.wide, LEAST) - column.narrow) for column in columns[:labels]]
    joined = sum(column.wide - column.narrow for column in columns[labels:])
    if joined + sum(least) <= spare:
        widths[labels:] = [column.wide for column in columns[labels:]]
        spare -= joined
    for at in range(labels):
        more = min(columns[at].wide - widths[at], spare // (labels - at))
        widths[at] += more
        spare -= more
    return widths


def _drawn_rows(table: Table, columns: Sequence[_Column]) -> list[Entries]:
    """The rows of some columns; a name that stands above already is not repeated."""
    rows = list(zip(*(column.entries for column in columns), strict=True))
    first = [row[0].lines for row in rows]
    repeated = [at > 0 and table.labels > 1 and first[at] == first[at - 1] for at in range(len(rows))]
    return [(Entry(), *row[1:]) if again else row for row, again in zip(rows, repeated, strict=True)]


def _sections(table: Table) -> set[int]:
    """The rows before which a line is drawn."""
    ends, at = set(), 0
    for body in table.bodies:
        at += len(body.rows)
        ends.add(at)
    return ends - {0, len(_rows(table))}
