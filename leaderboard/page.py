"""The board as one HTML file: no script, no network, the same bytes for the same records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from heistbench.bench._nouns import Verdict
from heistbench.leaderboard import measured, words
from heistbench.leaderboard.board import Board
from heistbench.leaderboard.cells import Outcome
from heistbench.leaderboard.colours import DARK, LIGHT, fill, ink
from heistbench.leaderboard.sweep import CEILING

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATE = "page.html.j2"
STEPS = 11
"""Samples of the colour scale in the legend."""


def render(board: Board, title: str) -> str:
    """The page. Every string is escaped, and shown with its control and bidi characters replaced by U+FFFD."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Markup, a subclass of str, comes from the template's own macros and is safe already.
        finalize=lambda value: words.clean(value) if type(value) is str else value,
    )
    environment.globals.update(words=words, measured=measured, ceiling=CEILING, paint=paint, breakable=breakable)
    legend = [paint(i / (STEPS - 1)) for i in range(STEPS)]
    return environment.get_template(TEMPLATE).render(
        board=board, title=title, legend=legend, outcomes=_outcomes(board), verdicts=[*Verdict]
    )


def paint(share: float) -> str:
    """Style declarations that colour a cell by a share: background and ink, for light pages and for dark ones."""
    light, dark = fill(share, LIGHT), fill(share, DARK)
    return f"--l:{light};--li:{ink(light)};--d:{dark};--di:{ink(dark)}"


def breakable(spec: str) -> Markup:
    """A plugin's spec, escaped, with places where a line may break."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(map(escape, words.pieces(spec)))


def _outcomes(board: Board) -> list[Outcome]:
    """The verdicts that the board holds, in the order of the legend."""
    cells = [cell for panel in board.panels for cell in measured.all_cells(panel)]
    held = {cell.gain.verdict for cell in cells if cell.gain}
    return [verdict for verdict in words.MEANINGS if verdict in held]
