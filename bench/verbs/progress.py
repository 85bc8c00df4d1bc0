"""Progress of a run: a bar for all cells and one for each that runs; on anything but a terminal, a line per finished cell."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from heistbench.bench.contracts.errors import printable
from heistbench.bench.runs.schedule import Plan
from heistbench.bench.runs.worker import Note

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def progress_of(console: Console, planned: Plan) -> Iterator[tuple[Note, Callable[[int], None]]]:
    """What is told of progress, and of finished cells."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    if not console.is_terminal:
        yield (lambda at, what, done, total: None), lambda at: print(f"done: {_title(planned, at)}", file=sys.stderr, flush=True)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        overall, bars = progress.add_task("cells", total=len(planned.missing)), {}

        def note(at: int, what: str, done: int, total: int) -> None:
            if at not in bars:
                bars[at] = progress.add_task("", total=total)
            progress.update(bars[at], description=f"{_title(planned, at)}: {printable(what)}", completed=done, total=total)

        def finished(at: int) -> None:
            progress.advance(overall)
            if at in bars:
                progress.remove_task(bars.pop(at))

        yield note, finished


def _title(planned: Plan, at: int) -> str:
    cell = planned.cells[at]
    return printable(f"{cell.attack} x {cell.defense}, seed {cell.seed}")
