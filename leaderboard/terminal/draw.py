"""Tables in a terminal: how they look, and text that goes in as text, never as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from heistbench.leaderboard.words import clean, pieces

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

LABEL, NARROW = 20, 14
"""Columns of text for an attack's name, and for a defense's."""
Line = tuple[str, str, Sequence["str | Text"]]
"""A row of a list: attack, defense, what there is to say."""


def table(name: str, footer: Sequence[str] = ()) -> Table:
    """An empty table with a title and lines under it, which have to be clean."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    return Table(
        title=text(name, "bold"),
        caption=Text("\n".join(footer), "dim") if footer else None,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )


def listing(name: str, footer: Sequence[str], headings: Sequence[str], lines: Iterable[Line], foot: Iterable[Line] = ()) -> Table:
    """A table with a line for each pair of attack and defense; an attack's name stands once.

    Headings may have several lines; `foot` stands apart below.
    """
    from rich.text import Text

    drawn = table(name, footer)
    for heading in ("attack", "defense"):
        drawn.add_column(heading, overflow="fold", min_width=12)
    for heading in headings:
        drawn.add_column(Text("\n".join(map(clean, heading.split("\n")))), justify="right", no_wrap=True)
    above = None
    for attack, defense, found in lines:
        drawn.add_row(spec("" if attack == above else attack, LABEL), spec(defense, NARROW), *found)
        above = attack
    drawn.add_section()
    for label, defense, found in foot:
        drawn.add_row(text(label), spec(defense, NARROW), *found)
    return drawn


def spec(name: str, width: int) -> Text:
    """A plugin's spec in lines of `width`, broken where it reads well."""
    from rich.text import Text

    lines = [""]
    for piece in pieces(name):
        if lines[-1] and len(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece
    return Text("\n".join(lines))


def text(plain: str, style: str = "") -> Text:
    """Text with its control characters replaced."""
    from rich.text import Text

    return Text(clean(plain), style)
