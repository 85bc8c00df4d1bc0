"""The executor of one job at a time: this process."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from heistbench.bench.models.process import hush, no_exit, stderr_to
from heistbench.bench.runs.executors import Conditions
from heistbench.bench.runs.worker import Job, Note, Outcome, open_log, run_job
from heistbench.bench.stages.stage import Need


class Here:
    """Runs each job as it is submitted."""

    slots: Sequence[frozenset[Need]] = (frozenset({"cpu", "gpu", "network"}),)

    def __init__(self, conditions: Conditions, jobs: int, note: Note) -> None:
        self._conditions, self._note = conditions, note
        hush()

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        """See `Executor.submit`."""
        given, future = self._conditions, Future[Outcome]()
        with open_log(given.root) as log, stderr_to(log.fileno()), no_exit():
            future.set_result(run_job(job, given.root, given.budget, lambda *what: self._note(job.at, *what)))
        return future

    def close(self) -> None:
        """See `Executor.close`."""
