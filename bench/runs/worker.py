"""One job: a step of a cell, run wherever an executor puts it, and what came of it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from heistbench.bench.contracts.errors import Busy, HeistError, PluginFailure
from heistbench.bench.contracts.failures import keep_traceback, traceback_text
from heistbench.bench.contracts.places import blame
from heistbench.bench.contracts.registry import load_plugin
from heistbench.bench.models import checkpoints
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.process import hush
from heistbench.bench.models.secrets import clear
from heistbench.bench.stages.budget import NO_LIMIT, Budget
from heistbench.bench.stages.pipeline import StoredCell, log_of, steps
from heistbench.bench.stages.stage import Need, Progress
from heistbench.bench.storage.failures import DETAILS
from heistbench.bench.storage.mirror import Mirror
from heistbench.bench.storage.owner import Owner
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import Cell
from heistbench.bench.walls.foreign import ForeignAttack, know

Note = Callable[[int, str, int, int], None]
"""Told which cell does what, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What every job of a run works under: the store, what may be spent, plugin files to import, the wall around thefts."""

    root: Path
    budget: Budget = NO_LIMIT
    plugins: tuple[Path, ...] = ()
    wall: str | None = None
    memory: float | None = None
    """GiB that a worker and the processes it starts may hold."""
    gpus: float = 1.0
    """GPUs that a worker uses where there are any, perhaps a share of one."""
    address: str | None = None
    """Of a cluster of machines."""
    mirror: str | None = None
    """A URL where artifacts are copied to, for machines that share no file system."""
    attacks: tuple[ForeignAttack, ...] = ()
    """Those that are not ours, as the run's first process knows them."""


@dataclass(frozen=True, slots=True)
class Job:
    """A step of the cell at a place of the plan; `models` are those that the run has resolved already."""

    at: int
    cell: Cell
    step: int
    models: Mapping[str, Checkpoint]

    @property
    def needs(self) -> Need:
        """What it occupies."""
        return steps(self.cell)[self.step].needs

    @property
    def name(self) -> str:
        """That of the step."""
        return steps(self.cell)[self.step].name


@dataclass(frozen=True, slots=True)
class Done:
    """The step's artifacts are in the store. `notices`, here as below, are what the user should know of the store."""

    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Another process computes what this step needs at `target`; try again later."""

    target: str
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The step failed: why, in one line; the traceback, and the log that holds it."""

    reason: str
    details: str = ""
    log: str = ""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """The machine that ran the step is gone; it may be run again elsewhere."""

    reason: str
    notices: tuple[str, ...] = ()


Outcome = Done | Waiting | Failed | Lost


def run_job(job: Job, conditions: Conditions, progress: Progress, owner: Owner | None = None) -> Outcome:
    """Run a step. Whatever it raises becomes its outcome, `sys.exit` included; only Ctrl-C passes through.

    `owner` has the store's locks where many machines use it.
    """
    notices = list[str]()
    mirror = Mirror(conditions.mirror) if conditions.mirror else None
    outcome = _run_job(job, conditions, Store(conditions.root, notices.append, owner, mirror), progress)
    return replace(outcome, notices=tuple(notices))


def _run_job(job: Job, conditions: Conditions, store: Store, progress: Progress) -> Outcome:
    checkpoints.know(job.models)
    try:
        steps(job.cell)[job.step].run(StoredCell(job.cell, store, conditions.budget, progress, conditions.wall))
    except Busy as busy:
        return Waiting(str(busy))
    except KeyboardInterrupt:
        raise
    except HeistError as error:
        return _failed(str(error))
    except PluginFailure as failure:
        return _failed(failure.reason, failure.details or traceback_text(failure), failure.log)
    except BaseException as error:
        return _failed(blame(error), traceback_text(error), keep_traceback(error, log_of(store.root)))
    return Done()


def _failed(reason: str, details: str = "", log: Path | None = None) -> Failed:
    """A failure without keys in it."""
    return Failed(clear(reason), clear(details)[-DETAILS:], str(log or ""))


def prepare(conditions: Conditions) -> None:
    """Make this process a worker: chatter of the libraries into a log, and the run's plugins."""
    from tqdm import tqdm

    to_log(conditions.root)
    hush()
    tqdm.set_lock(threading.RLock())  # its own would outlive a worker that is killed, which Python warns of
    for plugin in conditions.plugins:
        load_plugin(plugin)
    know(conditions.attacks)


def open_log(root: Path) -> TextIO:
    """The log of this process, open for writing."""
    log = log_of(root)
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("a", encoding="utf-8")


def to_log(root: Path) -> None:
    """Send all that this process prints to its log."""
    sys.stdout.flush()
    log = open_log(root)
    for stream in (1, 2):
        os.dup2(log.fileno(), stream)
