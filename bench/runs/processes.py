"""The executor of one machine: worker processes of one thread each, one per GPU or else one per core.

Each slot is a process of its own, so that a worker that dies takes its own job with it and no other.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pickle import UnpicklingError
from typing import cast

from heistbench.bench.contracts.failures import ended
from heistbench.bench.models.process import gpus, held, one_thread, use_gpu
from heistbench.bench.runs.worker import Conditions, Failed, Job, Note, Outcome, prepare, run_job
from heistbench.bench.stages.pipeline import log_of
from heistbench.bench.stages.stage import Need, Progress

WATCH = 1.0
"""Seconds between two looks at what workers hold of memory."""
_SPAWN = get_context("spawn")


class Processes:
    """`jobs` worker processes; each uses one GPU where there are any."""

    def __init__(self, conditions: Conditions, jobs: int, note: Note) -> None:
        self._devices = gpus() or [""]
        self._workers = [_Worker(conditions, self._devices[slot % len(self._devices)], note) for slot in range(jobs)]
        self._threads = ThreadPoolExecutor(jobs)

    @property
    def slots(self) -> Sequence[frozenset[Need]]:
        """See `Executor.slots`: every worker can do everything."""
        return [frozenset({"cpu", "gpu", "network"})] * len(self._workers)

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        """See `Executor.submit`."""
        return self._threads.submit(self._workers[slot].run, job)

    def end(self, slot: int, reason: str) -> None:
        """See `Executor.end`."""
        self._workers[slot].end(reason)

    def close(self) -> None:
        """See `Executor.close`."""
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()


class _Worker:
    """A process that runs one job after the other; when it dies, the next job gets a new one."""

    def __init__(self, conditions: Conditions, device: str, note: Note) -> None:
        self._conditions, self._device, self._note = conditions, device, note
        self._process: BaseProcess | None = None
        self._line: Connection
        self._lock, self._busy, self._reason = threading.Lock(), False, ""

    def run(self, job: Job) -> Outcome:
        """Have a job done: pass its notes on, and return its outcome."""
        with self._lock:
            self._busy, self._reason = True, ""
            if self._process is None:
                self._start()
        try:
            self._line.send(job)
            while isinstance(word := self._line.recv(), tuple):
                self._note(job.at, *word)
        except (EOFError, OSError, UnpicklingError):
            return self._buried()
        with self._lock:
            self._busy = False
        return cast(Outcome, word)

    def end(self, reason: str) -> None:
        """Kill the process where it runs a job, which then fails for this reason."""
        with self._lock:
            if self._busy:
                self._reason = reason
                self.kill()

    def kill(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()

    def _start(self) -> None:
        self._line, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(self._conditions, theirs, self._device, os.getpid()))
        self._process.start()
        theirs.close()
        if self._conditions.memory is not None:
            threading.Thread(target=self._watch, args=(self._process, self._conditions.memory), daemon=True).start()

    def _watch(self, process: BaseProcess, most: float) -> None:
        """End a process that holds more GiB of memory, with all that it has started, than it may."""
        while process.is_alive():
            if process.pid and held(process.pid) > most:
                self.end(f"it held more than {most:g} GiB of memory")
            time.sleep(WATCH)

    def _buried(self) -> Failed:
        """The failure of a job whose process is gone."""
        with self._lock:
            assert self._process is not None
            self._process.join()
            reason = self._reason or f"its worker process {ended(self._process.exitcode or 0)}"
            log = log_of(self._conditions.root, self._process.pid)
            self._line.close()
            self._process, self._busy = None, False
        return Failed(reason, log=str(log) if log.is_file() else "")


def _work(conditions: Conditions, line: Connection, device: str, parent: int) -> None:
    """A worker: one thread, one GPU if any, chatter of the libraries into a log, an end when its parent ends."""
    one_thread()
    use_gpu(device)
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    prepare(conditions)
    with suppress(EOFError):
        while True:
            line.send(run_job(line.recv(), conditions, _notes(line)))


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _notes(line: Connection) -> Progress:
    """Sends progress, a few times a second at most."""
    last = 0.0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        if done >= total or time.monotonic() - last > 0.2:
            last = time.monotonic()
            line.send((what, done, total))

    return progress
