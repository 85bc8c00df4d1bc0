"""`heist status`: what the runs on a store are doing, from another terminal; on a terminal, until they are over."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from heistbench.bench.contracts.errors import printable
from heistbench.bench.runs.status import EVERY, Status, running

if TYPE_CHECKING:
    from rich.console import Group


def show_status(out: Path, as_json: bool) -> None:
    """Show every run on the store of an `--out` folder."""
    from rich.console import Console, Group
    from rich.live import Live

    console, root = Console(), out / "store"
    runs = running(root)
    if as_json:
        print(json.dumps([{**run.model_dump(mode="json"), "alive": run.alive} for run in runs], indent=1, ensure_ascii=False))
    elif not runs:
        console.print(printable(f"no run uses {root}"), markup=False, highlight=False, soft_wrap=True)
    elif not console.is_terminal:
        console.print(*map(_shown, runs), sep="\n")
    else:
        with Live(console=console, refresh_per_second=2) as live:
            while runs:
                live.update(Group(*map(_shown, runs)))
                time.sleep(EVERY)
                runs = running(root) if any(run.alive for run in runs) else []


def _shown(run: Status) -> Group:
    """A run: a line on all of it, and a row for each cell that is worked on."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    state = "" if run.alive else "; it was killed, and the same command continues it"
    left = run.cells - run.done - run.failed
    title = f"{run.suite}: {run.done} of {run.cells} cells done, {run.failed} failed, {left} to go, {_ago(run.began)}{state}"
    table = Table(box=None)
    for heading in ("cell", "step", "for", "progress"):
        table.add_column(heading, overflow="fold")
    for cell in run.running.values() if run.alive else ():
        progress = f"{cell.what}: {cell.done:,} of {cell.total:,}" if cell.what else ""
        table.add_row(*(Text(printable(text)) for text in (cell.cell, cell.step, _ago(cell.since), progress)))
    return Group(Text(printable(title), "bold"), *([table] if table.row_count else []))


def _ago(since: float) -> str:
    minutes, seconds = divmod(max(0, round(time.time() - since)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
