"""Executors: where jobs run. Each has slots, and takes a job for a free one.

To add one, say for many machines: write a class with this contract and name it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from heistbench.bench.contracts.engines import load
from heistbench.bench.runs.worker import Job, Note, Outcome
from heistbench.bench.stages.budget import NO_LIMIT, Budget
from heistbench.bench.stages.stage import Need

EXECUTORS: dict[str, str] = {
    "here": "heistbench.bench.runs.here:Here",
    "processes": "heistbench.bench.runs.processes:Processes",
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What every job of a run works under: the store, what may be spent, and plugin files to load."""

    root: Path
    budget: Budget = NO_LIMIT
    plugins: tuple[Path, ...] = ()


class Executor(Protocol):
    """Made of `Conditions`, a number of jobs at a time, and who is told of their progress."""

    @property
    def slots(self) -> Sequence[frozenset[Need]]:
        """What the jobs of each slot may need."""

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        """Start a job in a free slot. A job that fails says so in its outcome: the future itself never fails."""

    def close(self) -> None:
        """End whatever still runs."""


def open_executor(name: str, conditions: Conditions, jobs: int, note: Note) -> Executor:
    """The executor of that name."""
    return cast(Executor, load(EXECUTORS[name])(conditions, jobs, note))
