"""The executor for debuggers: this process, one job after the other. A job that hangs takes the run with it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from heistbench.bench.models.process import hush, no_exit, stderr_to
from heistbench.bench.runs.worker import Conditions, Job, Note, Outcome, open_log, run_job
from heistbench.bench.stages.stage import Need


class Here:
    """Runs each job as it is submitted."""

    slots: Sequence[frozenset[Need]] = (frozenset({"cpu", "gpu", "network"}),)

    def __init__(self, conditions: Conditions, jobs: int, note: Note) -> None:
        self._conditions, self._note = conditions, note
        hush()

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        """See `Executor.submit`."""
        future = Future[Outcome]()
        with open_log(self._conditions.root) as log, stderr_to(log.fileno()), no_exit():
            future.set_result(run_job(job, self._conditions, lambda *what: self._note(job.at, *what)))
        return future

    def end(self, slot: int, reason: str) -> None:
        """See `Executor.end`: a job here is over when it is looked at."""

    def close(self) -> None:
        """See `Executor.close`."""
