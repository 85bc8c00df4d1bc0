"""The verbs of `heist leaderboard`: thin functions, as in `cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

board_app = App(name="leaderboard", help="Boards from result files.")

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


@board_app.command
def show(folder: Path | None = None, *, json: Json = False) -> None:
    """Show the board of a folder of result files; without one, the published results."""
    from heistbench.bench._session import show_board

    show_board(folder, json)
