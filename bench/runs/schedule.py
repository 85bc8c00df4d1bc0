"""Running many cells: which are missing, in what order their steps are handed out, and what comes back.

A step that needs what another process is computing lets its slot go (`Waiting`) and is taken up again as soon as any step has
ended. So cells need no order, and two runs on one store share their work.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.models.checkpoints import resolved
from heistbench.bench.runs.executors import Executor
from heistbench.bench.runs.worker import Failed, Job, Outcome, Waiting
from heistbench.bench.stages.pipeline import steps
from heistbench.bench.stages.record import cell_spec
from heistbench.bench.storage.locks import shared
from heistbench.bench.storage.records import Record, load
from heistbench.bench.storage.store import IN_USE, MANIFEST, VICTIMS, Store
from heistbench.bench.suites.cells import Cell

PATIENCE = 0.5
"""Seconds until work that another run holds is tried again, when nothing of this run is left to wait for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run has to do: its cells, and the places of those whose record is not in the store."""

    cells: list[Cell]
    missing: list[int]

    @property
    def work(self) -> list[Cell]:
        """The missing cells."""
        return [self.cells[at] for at in self.missing]


def plan(cells: Sequence[Cell], store: Store) -> Plan:
    """Which cells are missing from the store; a damaged record is missing."""
    return Plan(list(cells), [at for at, cell in enumerate(cells) if not store.has("record", cell_spec(cell))])


def run(planned: Plan, store: Store, executor: Executor, finished: Callable[[int], None]) -> list[Record]:
    """Compute what is missing and return every cell's record, in the order of the cells.

    Raises HeistError when a cell fails; what other cells computed by then is kept.
    """
    with shared(store.root / IN_USE), closing(executor):
        _Schedule(planned, executor, finished, store.notice).drain()
    return collected(planned, store)


def collected(planned: Plan, store: Store) -> list[Record]:
    """Every cell's record, in the order of the cells, from a store that holds them all. Raises HeistError for a damaged one."""
    return [load(store.verified("record", cell_spec(cell)) / "record.json") for cell in planned.cells]


@dataclass
class _Schedule:
    """Jobs that wait for a slot, that wait for others' work, and that run."""

    planned: Plan
    executor: Executor
    finished: Callable[[int], None]
    notice: Callable[[str], None]
    ready: deque[Job] = field(default_factory=deque)
    parked: list[tuple[Job, Path]] = field(default_factory=list)
    running: dict[Future[Outcome], tuple[int, Job]] = field(default_factory=dict)

    def drain(self) -> None:
        """Run all jobs."""
        models = resolved()
        self.ready.extend(Job(at, self.planned.cells[at], 0, models) for at in self.planned.missing)
        while self.ready or self.parked or self.running:
            self._fill()
            if not self.running:
                time.sleep(PATIENCE)  # another run holds all that is left
                self._unpark(everything=True)
            for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                _, job = self.running.pop(future)
                self._take(job, future.result())

    def _fill(self) -> None:
        """Give free slots the first jobs that they can run."""
        occupied = {slot for slot, _ in self.running.values()}
        for slot, offers in enumerate(self.executor.slots):
            if slot not in occupied and (job := next((job for job in self.ready if job.needs in offers), None)):
                self.ready.remove(job)
                self.running[self.executor.submit(slot, job)] = slot, job

    def _take(self, job: Job, outcome: Outcome) -> None:
        for line in outcome.notices:
            self.notice(line)
        if isinstance(outcome, Failed):
            log = f" (traceback in {outcome.log})" if outcome.log else ""
            cell = job.cell
            raise HeistError(f"cell {cell.attack} x {cell.defense}, seed {cell.seed}: {outcome.reason}{log}")
        if isinstance(outcome, Waiting):
            self.parked.append((job, Path(outcome.target)))
            return
        self._unpark()
        if job.step + 1 < len(steps(job.cell)):
            self.ready.appendleft(replace(job, step=job.step + 1))  # a cell that was begun comes before the next
        else:
            self.finished(job.at)

    def _unpark(self, everything: bool = False) -> None:
        """Take up again what waits for an artifact that is there now, or for a victim that others were asking."""
        waiting, free = list[tuple[Job, Path]](), list[Job]()
        for job, target in self.parked:
            if everything or _is_there(target):
                free.append(job)
            else:
                waiting.append((job, target))
        self.parked = waiting
        self.ready.extendleft(reversed(free))


def _is_there(target: Path) -> bool:
    """Whether an artifact is finished. A victim's lock is no artifact: whether it is free is found out by trying."""
    return VICTIMS in target.parts or (target / MANIFEST).is_file()
