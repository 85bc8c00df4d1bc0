"""Progress of a run: a bar for all cells and one for each that runs.

On anything but a terminal: a line per finished cell, and one a minute for each that waits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import UnsupportedOperation
from typing import TYPE_CHECKING, TextIO

from heistbench.bench.runs.schedule import Plan
from heistbench.bench.runs.worker import Note
from heistbench.bench.stages.stage import WAITING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def progress_of(console: Console, planned: Plan) -> Iterator[tuple[Note, Callable[[int], None]]]:
    """What is told of progress, and of finished cells."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    if not console.is_terminal:
        with _lasting_stderr() as stderr:
            yield _lines(planned, stderr)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        overall, bars = progress.add_task("cells", total=len(planned.missing)), {}

        def note(at: int, what: str, done: int, total: int) -> None:
            if at not in bars:
                bars[at] = progress.add_task("", total=total)
            progress.update(bars[at], description=f"{_title(planned, at)}: {what}", completed=done, total=total)

        def finished(at: int) -> None:
            progress.advance(overall)
            if at in bars:
                progress.remove_task(bars.pop(at))

        yield note, finished


def _lines(planned: Plan, stderr: TextIO) -> tuple[Note, Callable[[int], None]]:
    def note(at: int, what: str, done: int, total: int) -> None:
        if WAITING in what:
            print(f"{_title(planned, at)}: {what}, {done} of {total} answered", file=stderr, flush=True)

    def finished(at: int) -> None:
        print(f"done: {_title(planned, at)}", file=stderr, flush=True)

    return note, finished


@contextmanager
def _lasting_stderr() -> Iterator[TextIO]:
    """Where this process's stderr goes now; a job that runs in this process sends its own into a log."""
    try:
        copy = os.dup(sys.stderr.fileno())
    except UnsupportedOperation:  # no file, but what a program put in its place
        yield sys.stderr
        return
    with os.fdopen(copy, "w", encoding="utf-8", errors="backslashreplace") as stderr:
        yield stderr


def _title(planned: Plan, at: int) -> str:
    cell = planned.cells[at]
    return f"{cell.attack} x {cell.defense}, seed {cell.seed}"
