"""Running many cells: which are missing, in what order their steps are handed out, and what comes back.

A step that needs what another process is computing lets its slot go (`Waiting`) and is taken up again as soon as that is there,
or whoever computed it has ended. So cells need no order, and two runs on one store share their work. A cell that fails fails
alone: all others are run.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Protocol

from heistbench.bench.contracts.engines import SLOW_TO_START
from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.models.checkpoints import resolved
from heistbench.bench.runs.executors import Executor
from heistbench.bench.runs.worker import Failed, Job, Lost, Outcome, Waiting
from heistbench.bench.stages.pipeline import steps
from heistbench.bench.stages.record import cell_specs
from heistbench.bench.storage.locks import shared
from heistbench.bench.storage.store import IN_USE, VICTIMS, Store
from heistbench.bench.suites.cells import Cell

PATIENCE = 0.5
"""Seconds until work that another run holds is tried again, when nothing of this run is left to wait for."""
TRIES = 3
"""How often a cell is run again because its machine is gone."""
LOOK = 0.5
"""Seconds between two looks at the clock, where there are limits, and at what an idle slot might go on with."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take; None is no limit. After `begin_seconds` what was begun is finished, and nothing else is begun."""

    fail_fast: bool = False
    cell_seconds: float | None = None
    run_seconds: float | None = None
    begin_seconds: float | None = None


NO_LIMITS = Limits()


class Watcher(Protocol):
    """Told how a run goes; `at` is the place of a cell in the plan."""

    def begun(self, at: int, step: str) -> None:
        """A step of a cell was handed out."""

    def noted(self, at: int, what: str, done: int, total: int) -> None:
        """So much of what a cell does is done."""

    def finished(self, at: int) -> None:
        """A cell is computed."""

    def failed(self, at: int, step: str, why: Failed) -> None:
        """A cell failed."""

    def told(self, line: str) -> None:
        """Something happened to the store that its user should know."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run has to do: its cells, and the places of those whose record is not in the store."""

    cells: list[Cell]
    missing: list[int]

    @property
    def work(self) -> list[Cell]:
        """The missing cells."""
        return [self.cells[at] for at in self.missing]

    def longest_first(self, trained: Mapping[Hashable, float]) -> Plan:
        """The same, cells that begin with long training first: what is short fills the gaps at the end."""
        return replace(self, missing=sorted(self.missing, key=lambda at: -trained.get(self.cells[at].arm, 0.0)))


def plan(cells: Sequence[Cell], store: Store) -> Plan:
    """Which cells are missing from the store; a damaged record is missing."""
    return Plan(list(cells), [at for at, spec in enumerate(cell_specs(cells)) if not store.has("record", spec)])


def run(planned: Plan, store: Store, executor: Executor, watcher: Watcher, limits: Limits = NO_LIMITS) -> None:
    """Compute what is missing, as far as that goes in the time of the run, and close the executor.

    Raises HeistError for the first cell that fails, where the limits say so; what is computed by then is kept.
    """
    with shared(store.root / IN_USE), closing(executor):
        _Schedule(planned, store, executor, watcher, limits).drain()


def collected(planned: Plan, store: Store) -> list[Path]:
    """Where the records lie that there are."""
    return [folder for spec in cell_specs(planned.cells) if (folder := store.verified("record", spec))]


@dataclass
class _Schedule:
    """Jobs that wait for a slot, that wait for others' work, and that run."""

    planned: Plan
    store: Store
    executor: Executor
    watcher: Watcher
    limits: Limits
    ready: deque[Job] = field(default_factory=deque)
    parked: list[tuple[Job, Path]] = field(default_factory=list)
    running: dict[Future[Outcome], tuple[int, Job]] = field(default_factory=dict)
    started: dict[int, float] = field(default_factory=dict)
    lost: Counter[int] = field(default_factory=Counter)
    spent: dict[int, float] = field(default_factory=lambda: defaultdict(float))

    def drain(self) -> None:
        """Run all jobs."""
        begun, models = time.monotonic(), resolved()
        end, last = begun + (self.limits.run_seconds or inf), begun + (self.limits.begin_seconds or inf)
        self.ready.extend(Job(at, self.planned.cells[at], 0, models) for at in self.planned.missing)
        while (self.ready or self.parked or self.running) and time.monotonic() < end:
            self._fill()
            if time.monotonic() > last:
                self.ready = deque(job for job in self.ready if job.at in self.spent)
            if not self.running:
                self._refuse()
                time.sleep(PATIENCE)  # another run holds all that is left, or a cluster has no node
                self._unpark(anything)
            ended = wait(self.running, self._pause(), FIRST_COMPLETED).done
            for future in ended:
                self._take(future)
            if not ended:
                self._unpark(self.store.holds)  # a step leaves several artifacts behind, one after the other
            self._end_overdue()

    def _pause(self) -> float | None:
        """How long to wait for a job before looking at all else; None where nothing else can happen."""
        idle = bool(self.parked) and len(self.running) < len(self.executor.slots)
        return LOOK if idle or self.limits.cell_seconds is not None or self.limits.run_seconds is not None else None

    def _fill(self) -> None:
        """Give free slots the first jobs that they can run."""
        occupied = {slot for slot, _ in self.running.values()}
        for slot, offers in enumerate(self.executor.slots):
            if slot not in occupied and (job := next((job for job in self.ready if job.needs in offers), None)):
                self.ready.remove(job)
                self.started[job.at] = time.monotonic()
                self.watcher.begun(job.at, job.name)
                self.running[self.executor.submit(slot, job)] = slot, job

    def _take(self, future: Future[Outcome]) -> None:
        """See what came of a job."""
        _, job = self.running.pop(future)
        outcome = future.result()
        self.spent[job.at] += time.monotonic() - self.started.pop(job.at)
        for line in outcome.notices:
            self.watcher.told(line)
        if isinstance(outcome, Waiting):
            self.parked.append((job, Path(outcome.target)))
            self.watcher.noted(job.at, "held up: another cell computes what it needs", 0, 1)
            return
        if isinstance(outcome, Lost):
            self._again(job, outcome)
            return
        self._unpark(anything if isinstance(outcome, Failed) else self._may_be_there)  # a failed one may have held it
        if isinstance(outcome, Failed):
            self._fail(job, outcome)
        elif job.step + 1 < len(steps(job.cell)):
            self._go_on(replace(job, step=job.step + 1))
        else:
            self.watcher.finished(job.at)

    def _go_on(self, job: Job) -> None:
        """A cell that was begun comes before the next, but where all students are better trained before the first is examined."""
        put = self.ready.append if job.cell.suite.engine in SLOW_TO_START else self.ready.appendleft
        put(job)

    def _again(self, job: Job, why: Lost) -> None:
        """Run a job again whose machine is gone, but not for ever."""
        self.lost[job.at] += 1
        self._unpark(anything)
        if self.lost[job.at] > TRIES:
            self._fail(job, Failed(f"{why.reason}, and {TRIES} others before"))
            return
        self.watcher.told(f"{why.reason}; what it worked on is run again elsewhere")
        self.ready.appendleft(job)

    def _fail(self, job: Job, why: Failed) -> None:
        if self.limits.fail_fast:
            log = f" (traceback in {why.log})" if why.log else ""
            cell = job.cell
            raise HeistError(f"cell {cell.attack} x {cell.defense}, seed {cell.seed}: {why.reason}{log}")
        self.watcher.failed(job.at, job.name, why)

    def _refuse(self) -> None:
        """Fail what no slot can run, though all are free. Where there is none at all, nodes of a cluster may still come."""
        while self.ready and any(self.executor.slots):
            job = self.ready.popleft()
            self._fail(job, Failed(f"its step {job.name} needs {job.needs}, which no worker has"))

    def _end_overdue(self) -> None:
        """End the jobs of cells that have run for too long."""
        most, now = self.limits.cell_seconds, time.monotonic()
        for slot, job in self.running.values():
            if most is not None and self.spent[job.at] + now - self.started[job.at] > most:
                self.executor.end(slot, f"it ran for more than {most / 60:g} min")

    def _unpark(self, is_there: Callable[[Path], bool]) -> None:
        """Take up again what waits for something that is there now."""
        waiting, free = list[tuple[Job, Path]](), list[Job]()
        for job, target in self.parked:
            if is_there(target):
                free.append(job)
            else:
                waiting.append((job, target))
        self.parked = waiting
        self.ready.extendleft(reversed(free))

    def _may_be_there(self, target: Path) -> bool:
        """Whether an artifact is finished. A victim's lock is no artifact: whether it is free is found out by trying."""
        return VICTIMS in target.parts or self.store.holds(target)


def anything(target: Path) -> bool:
    """Whatever a step waits for, it may be there."""
    return True
