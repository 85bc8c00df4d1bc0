"""Folding: lines of spans in columns of a width, broken where they read well and never within a number or a word that fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from heistbench.leaderboard.tables.table import BREAKING, Entry, Line, TextSpan
from heistbench.leaderboard.words import clean, pieces

if TYPE_CHECKING:
    from rich.text import Text

STYLES = {"strong": "bold", "bad": "bold red", "good": "green", "faint": "dim"}


def folded(entry: Entry, width: int) -> Text:
    """An entry in lines of at most this many columns of text."""
    from rich.text import Text

    return Text("\n").join(line for spans in entry.lines for line in _fold(spans, width))


def prose(text: str, width: int, style: str = "") -> Text:
    """A sentence in lines of at most this many columns; a name that is longer than a line is broken as names are."""
    drawn = folded(Entry(((TextSpan(text, "words"),),)), width)
    drawn.stylize(style)
    return drawn


def widest(entries: Iterable[Entry]) -> int:
    """The columns of text that these entries take when no line of theirs is broken."""
    from rich.cells import cell_len

    return max((cell_len(" ".join(clean(span.text) for span in line)) for entry in entries for line in entry.lines), default=0)


def narrowest(entries: Iterable[Entry]) -> int:
    """The columns that their longest unbreakable part takes."""
    from rich.cells import cell_len

    lines = (line for entry in entries for line in entry.lines)
    return max((cell_len(atom.rstrip()) for line in lines for span in line for atom in _atoms(span)), default=0)


def _atoms(span: TextSpan) -> list[str]:
    """The parts of a span between which a line may break; a blank at the end of one is dropped there."""
    if span.style == "name":
        return pieces(span.text)
    text = clean(span.text)
    return re.findall(r"\S+ *", text) if span.style in BREAKING else [text]


def _fold(line: Line, width: int) -> Iterator[Text]:
    from rich.cells import cell_len
    from rich.text import Text

    drawn = Text()
    for at, span in enumerate(line):
        gap = " " if at else ""
        for atom in _fitting(span, width):
            if drawn and cell_len(drawn.plain) + len(gap) + cell_len(atom.rstrip()) > width:
                yield _stripped(drawn)
                drawn = Text()
            drawn.append(gap if drawn else "").append(atom, STYLES.get(span.style, ""))
            gap = ""
    yield _stripped(drawn)


def _fitting(span: TextSpan, width: int) -> Iterator[str]:
    """The parts of a span; one that no line can hold is broken as a name, and at last anywhere."""
    from rich.cells import cell_len, chop_cells

    for atom in _atoms(span):
        if cell_len(atom.rstrip()) <= width:
            yield atom
            continue
        for piece in pieces(atom):
            yield from [piece] if cell_len(piece.rstrip()) <= width else chop_cells(piece, width)


def _stripped(drawn: Text) -> Text:
    drawn.rstrip()
    return drawn
