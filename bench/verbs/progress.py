"""Progress of a run: a bar for all cells and one for each that runs.

On anything but a terminal: a line per cell that ended, and one a minute for each that waits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import UnsupportedOperation
from typing import TYPE_CHECKING, TextIO

from heistbench.bench.contracts.errors import printable
from heistbench.bench.runs.schedule import Plan
from heistbench.bench.runs.status import StatusFile
from heistbench.bench.runs.worker import Failed
from heistbench.bench.stages.record import arm_of
from heistbench.bench.stages.stage import WAITING
from heistbench.bench.storage.failures import Failure
from heistbench.bench.suites.cells import Cell

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Lines:
    """Implements `Watcher` with a line for each cell that ended or waits; notes what failed."""

    def __init__(self, planned: Plan, status: StatusFile, stream: TextIO | None = None) -> None:
        self._planned, self._status, self._stream = planned, status, stream or sys.stderr
        self.failures: list[Failure] = []

    def begun(self, at: int, step: str) -> None:
        """See `Watcher.begun`."""
        self._status.begun(at, self.title(at), step)

    def noted(self, at: int, what: str, done: int, total: int) -> None:
        """See `Watcher.noted`."""
        self._status.noted(at, what, done, total)
        if WAITING in what:
            self.tell(f"{self.title(at)}: {what}, {done} of {total} answered")

    def finished(self, at: int) -> None:
        """See `Watcher.finished`."""
        self._status.ended(at)
        self.tell(f"done: {self.title(at)}")

    def failed(self, at: int, step: str, why: Failed) -> None:
        """See `Watcher.failed`."""
        created = datetime.now(UTC).isoformat(timespec="seconds")
        arm = arm_of(self._planned.cells[at])
        self.failures.append(Failure(arm=arm, step=step, reason=why.reason, details=why.details, log=why.log, created=created))
        self._status.ended(at, failed=True)
        self.tell(f"failed: {self.title(at)}, in {step}: {why.reason}")

    def told(self, line: str) -> None:
        """See `Watcher.told`."""
        self.tell(f"heist: {line}")

    def tell(self, line: str) -> None:
        """Show a line."""
        print(line, file=self._stream, flush=True)

    def title(self, at: int) -> str:
        """A cell's name."""
        return title(self._planned.cells[at])


class Bars(Lines):
    """The same on a terminal."""

    def __init__(self, planned: Plan, status: StatusFile, progress: Progress) -> None:
        super().__init__(planned, status)
        self._progress, self._bars = progress, dict[int, int]()
        self._all = progress.add_task("cells", total=len(planned.missing))

    def noted(self, at: int, what: str, done: int, total: int) -> None:
        """See `Watcher.noted`."""
        self._status.noted(at, what, done, total)
        if at not in self._bars:
            self._bars[at] = self._progress.add_task("", total=total)
        self._progress.update(self._bars[at], description=f"{self.title(at)}: {printable(what)}", completed=done, total=total)  # type: ignore[arg-type]

    def finished(self, at: int) -> None:
        """See `Watcher.finished`."""
        self._status.ended(at)
        self._ended(at)

    def failed(self, at: int, step: str, why: Failed) -> None:
        """See `Watcher.failed`."""
        super().failed(at, step, why)
        self._ended(at)

    def tell(self, line: str) -> None:
        """Show a line above the bars."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _ended(self, at: int) -> None:
        self._progress.advance(self._all)
        if at in self._bars:
            self._progress.remove_task(self._bars.pop(at))  # type: ignore[arg-type]


@contextmanager
def watching(console: Console, planned: Plan, status: StatusFile) -> Iterator[Lines]:
    """Who watches a run for this console, and keeps its status."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    if not console.is_terminal:
        with _lasting_stderr() as stderr:
            yield Lines(planned, status, stderr)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(planned, status, progress)


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


def title(cell: Cell) -> str:
    """A cell's name."""
    return printable(f"{cell.attack} x {cell.defense}, seed {cell.seed}")
