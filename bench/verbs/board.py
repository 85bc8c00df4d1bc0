"""What `heist leaderboard show` does."""

from __future__ import annotations

from pathlib import Path

from heistbench.bench.contracts.errors import printable_json
from heistbench.bench.storage.result_files import read_records
from heistbench.leaderboard.published import published


def show_board(folder: Path | None, as_json: bool) -> None:
    """Print the board of a folder of result files, or of the published ones."""
    from rich.console import Console

    from heistbench.leaderboard.board.build import build
    from heistbench.leaderboard.terminal.show import tables

    board = build(read_records(folder or published()))
    if as_json:
        print(printable_json(board.to_json()))
        return
    for table in tables(board):
        Console().print(table)
