"""Executors: where jobs run. Each has slots, and takes a job for a free one.

To add one, write a class with this contract and name it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol, cast

from heistbench.bench.contracts.engines import load
from heistbench.bench.runs.worker import Conditions, Job, Note, Outcome
from heistbench.bench.stages.stage import Need

EXECUTORS: dict[str, str] = {
    "processes": "heistbench.bench.runs.processes:Processes",
    "ray": "heistbench.bench.runs.ray_cluster:RayCluster",
    "here": "heistbench.bench.runs.here:Here",
}


class Executor(Protocol):
    """Made of `Conditions`, a number of jobs at a time, and who is told of their progress."""

    @property
    def slots(self) -> Sequence[frozenset[Need]]:
        """What the jobs of each slot may need."""

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        """Start a job in a free slot. A job that fails says so in its outcome: the future itself never fails."""

    def end(self, slot: int, reason: str) -> None:
        """End the job of a slot, whose outcome is then a failure for that reason."""

    def close(self) -> None:
        """End whatever still runs."""


def open_executor(name: str, conditions: Conditions, jobs: int, note: Note) -> Executor:
    """The executor of that name."""
    return cast(Executor, load(EXECUTORS[name])(conditions, jobs, note))
