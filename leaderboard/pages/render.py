"""The pages of the site as HTML, and how their texts are made safe.

Every string is escaped, and shown with its control and bidi characters replaced by U+FFFD.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from heistbench.bench.storage.failures import Failure
from heistbench.bench.storage.records import slug
from heistbench.leaderboard import words
from heistbench.leaderboard.board import measured
from heistbench.leaderboard.board.build import Board
from heistbench.leaderboard.board.cells import GainOutcome
from heistbench.leaderboard.board.panel import Panel
from heistbench.leaderboard.board.sweep import Sweep
from heistbench.leaderboard.pages import charts
from heistbench.leaderboard.pages.cellpage import CellPage
from heistbench.leaderboard.pages.colours import DARK, LIGHT, fill, ink
from heistbench.leaderboard.pages.contest import Contest
from heistbench.leaderboard.pages.summary import Summary
from heistbench.leaderboard.tables.budgets import accuracy_by_queries
from heistbench.leaderboard.tables.failed import failed
from heistbench.leaderboard.tables.lists import lists
from heistbench.leaderboard.tables.matrix import matrix

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
STEPS = 11
"""Samples of the colour scale in the legend."""


def index_page(rows: Sequence[Summary], failures: Sequence[Failure] = ()) -> str:
    """The first page: one line per contest, then the cells that failed."""
    return _render("index.html.j2", root="", rows=rows, failures=failures)


def contest_page(contest: Contest, failures: Sequence[Failure] = ()) -> str:
    """The page of a contest, in its folder."""
    history, board = contest.history, contest.board
    breaks = [(release, why) for release, why in zip(history.releases, history.breaks, strict=True) if why] if history else []
    legend = [paint(i / (STEPS - 1)) for i in range(STEPS)]
    about = {"contest": contest, "board": board, "breaks": breaks, "legend": legend, "outcomes": _outcomes(board)}
    about["failures"] = failures
    return _render("contest.html.j2", root="../", page=lambda cell: f"../{quote(contest.pages[cell])}", **about)


def cell_page(page: CellPage, contest: Contest, root: str) -> str:
    """The page of a cell, from where `root` leads to the site's folder."""
    return _render("cell.html.j2", root=root, cellpage=page, contest_page=f"{root}{quote(contest.name.folder)}/index.html")


@cache
def paint(share: float) -> str:
    """Style declarations that colour a cell by a share: background and ink, for light pages and for dark ones."""
    light, dark = fill(share, LIGHT), fill(share, DARK)
    return f"--l:{light};--li:{ink(light)};--d:{dark};--di:{ink(dark)}"


@cache
def breakable(spec: str) -> Markup:
    """A plugin's spec, escaped, with places where a line may break."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(map(escape, words.pieces(spec)))


def lines(text: str) -> Markup:
    """A text of several lines, escaped, each of them cleaned."""
    from markupsafe import escape

    return escape("\n".join(words.clean(line.expandtabs(4)) for line in text.split("\n")))


def anchor(about: Panel | Sweep) -> str:
    """The name of a panel or sweep within its page."""
    budget = str(about.budget) if isinstance(about, Panel) else "queries"
    return slug("-".join((words.clean(about.victim), words.clean(about.task_version), budget)))


def _render(template: str, **about: object) -> str:
    return _environment().get_template(template).render(**about)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        # Markup, a subclass of str, comes from the templates' own macros and is safe already.
        finalize=lambda value: words.clean(value) if type(value) is str else value,
    )
    environment.filters.update(lines=lines, url=quote)
    tables = {"matrix": matrix, "lists": lists, "failed": failed, "accuracy_by_queries": accuracy_by_queries}
    environment.globals.update(words=words, charts=charts, tables=tables, paint=paint, breakable=breakable, anchor=anchor)
    return environment


def _outcomes(board: Board) -> list[GainOutcome]:
    """The verdicts that the board holds, in the order of the legend."""
    cells = [cell for panel in board.panels for cell in measured.all_cells(panel)]
    held = {cell.gain.verdict for cell in cells if cell.gain}
    return [verdict for verdict in words.MEANINGS if verdict in held]
