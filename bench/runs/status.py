"""What a run is doing, in a file of its store, for `heist status` in another terminal."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import Field, ValidationError

from heistbench.bench.storage.store import write_json
from heistbench.bench.storage.strict import Natural, Strict

FOLDER = "running"
"""Of the store: a file for each run."""
EVERY = 1.0
"""Seconds between two writes."""
BEAT = 10.0
"""Seconds after which a run says again that it is there."""


class Running(Strict):
    """A cell that is worked on: in which step, since when, and how far that has come."""

    cell: str
    step: str
    since: float
    what: str = ""
    done: Natural = 0
    total: Natural = 0


class Status(Strict, frozen=False):
    """A run: whose process it is, and how many of its cells are computed or have failed."""

    suite: str
    host: str
    process: Natural
    began: float
    seen: float
    cells: Natural
    done: Natural = 0
    failed: Natural = 0
    running: dict[str, Running] = Field(default={})

    @property
    def alive(self) -> bool:
        """Whether the run still goes on: its process, on this machine; elsewhere, that it was seen a short while ago."""
        if self.host == platform.node():
            return Path(f"/proc/{self.process}").exists() if Path("/proc/self").exists() else _answers(self.process)
        return time.time() - self.seen < 6 * BEAT


class StatusFile:
    """The status of this process's run, written as it changes."""

    def __init__(self, root: Path, suite: str, cells: int) -> None:
        now = time.time()
        self._path = root / FOLDER / f"{platform.node()}-{os.getpid()}.json"
        self.status = Status(suite=suite, host=platform.node(), process=os.getpid(), began=now, seen=now, cells=cells)
        self._written = 0.0

    def begun(self, at: int, cell: str, step: str) -> None:
        """A step of a cell was begun."""
        self.status.running[str(at)] = Running(cell=cell, step=step, since=time.time())
        self._write()

    def noted(self, at: int, what: str, done: int, total: int) -> None:
        """So much of what a cell does is done."""
        if (running := self.status.running.get(str(at))) is not None:
            self.status.running[str(at)] = running.model_copy(update={"what": what, "done": done, "total": total})
            self._write()

    def ended(self, at: int, failed: bool = False) -> None:
        """A cell is computed, or has failed."""
        self.status.running.pop(str(at), None)
        self.status.done += not failed
        self.status.failed += failed
        self._write()

    def close(self) -> None:
        """Take the file away: the run is over."""
        with suppress(OSError):
            self._path.unlink()

    def _write(self) -> None:
        now = time.time()
        if now - self._written >= EVERY:
            self._written = self.status.seen = now
            with suppress(OSError):  # no run ends for want of its status: whatever needs the disk will say what is wrong with it
                write_json(self._path, self.status.model_dump(mode="json"))


@contextmanager
def status_of(root: Path, suite: str, cells: int) -> Iterator[StatusFile]:
    """The status file of a run, for as long as it goes on."""
    for path, status in _files(root):
        if not status.alive:  # what a killed run left
            path.unlink(missing_ok=True)
    file = StatusFile(root, suite, cells)
    try:
        yield file
    finally:
        file.close()


def running(root: Path) -> list[Status]:
    """The runs on a store that have not said that they are over, those that were killed included."""
    return [status for _, status in _files(root)]


def _files(root: Path) -> Iterator[tuple[Path, Status]]:
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            yield path, Status.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue  # it was taken away meanwhile, or is none


def _answers(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
