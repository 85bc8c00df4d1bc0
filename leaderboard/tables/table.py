"""A table as data: entries of lines, lines of spans, and what terminal and page need to draw them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from heistbench.leaderboard.board.cells import Gain, GainOutcome
from heistbench.leaderboard.board.panel import CellKey
from heistbench.leaderboard.board.statistics import Interval
from heistbench.leaderboard.words import DASH, MARKS, lost, share, span

TextStyle = Literal["", "strong", "small", "name", "words", "bad", "good", "even", "faint"]
"""How a span looks and where it may break: a name where `words.pieces` does, words and outcomes at spaces, all else nowhere."""
BREAKING: frozenset[TextStyle] = frozenset({"words", "bad", "good", "even", "faint"})
"""The styles that break at spaces."""
OUTCOMES: dict[GainOutcome, TextStyle] = {
    "steals": "bad",
    "below control": "good",
    "tie": "even",
    "same": "even",
    "does not discriminate": "faint",
    "unranked": "faint",
}


class TextSpan(NamedTuple):
    """A text of one style."""

    text: str
    style: TextStyle = ""


Line = tuple[TextSpan, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in one place of a table.

    On a page the first line leads to the page of `cell`, or to the file that `link` is the address of; `tip` shows beside it,
    and `shade`, a share, colours its ground.
    """

    lines: tuple[Line, ...] = ()
    cell: CellKey | None = None
    link: str = ""
    tip: str = ""
    shade: float | None = None


Entries = tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """The head of a column, of numbers unless it is `text`; a column that is only `wide` is left out of narrow terminals."""

    label: Entry
    text: bool = False
    wide: bool = False


class Body(NamedTuple):
    """Rows that belong together, under a label where there are several such bodies."""

    rows: tuple[Entries, ...]
    label: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the board: what it is, of which panel or sweep, how to read it.

    The first `labels` columns name a row; where a table is cut in several, each part has them.
    """

    title: str
    about: str
    notes: tuple[str, ...]
    headings: tuple[Heading, ...]
    bodies: tuple[Body, ...]
    foot: tuple[Entries, ...] = ()
    labels: int = 2


def entry(text: str, style: TextStyle = "") -> Entry:
    """An entry of one span."""
    return Entry(((TextSpan(text, style),),))


def name(text: str, cell: CellKey | None = None) -> Entry:
    """A plugin's or metric's name, perhaps with the cell whose page it leads to."""
    return Entry(((TextSpan(text, "name"),),), cell)


def plain_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *notes: str, about: str = "") -> Table:
    """A table of texts, each row named by its first."""
    body = Body(tuple(numbers(row) for row in rows))
    return Table(title, about, tuple(notes), tuple(map(heading, headings)), (body,), labels=1)


def numbers(texts: Iterable[str]) -> Entries:
    """Entries of numbers."""
    return tuple(map(entry, texts))


def shares(values: Iterable[float | None]) -> Entries:
    """Entries of shares, a dash for none."""
    return numbers(map(share, values))


def heading(label: str, *, text: bool = False, wide: bool = False) -> Heading:
    """A heading in words."""
    return Heading(entry(label, "words"), text, wide)


NAMES = (heading("attack", text=True), heading("defense", text=True))
"""The headings of the columns that name a cell."""
DASHED = entry(DASH)
"""The entry where there is nothing to show."""


def result(text: str, interval: Interval) -> Line:
    """An accuracy and its interval."""
    return TextSpan(text, "strong"), TextSpan(span(interval), "small")


def outcome(gain: Gain) -> Line:
    """A gain's outcome with its mark."""
    return (TextSpan(f"{MARKS[gain.verdict]} {gain.verdict}", OUTCOMES[gain.verdict]),)


def lost_line(n: float) -> tuple[Line, ...]:
    """A line that says how many queries were lost; none where none was."""
    return ((TextSpan(lost(n), "small"),),) if n else ()
