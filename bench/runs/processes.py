"""The executor of one machine: worker processes of one thread each, one per GPU or else one per core.

Each slot is a process of its own, so that a worker that dies takes its own job with it and no other.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pickle import UnpicklingError

from heistbench.bench.contracts.registry import load_plugin
from heistbench.bench.models.process import gpus, hush, one_thread, use_gpu
from heistbench.bench.runs.executors import Conditions
from heistbench.bench.runs.worker import Failed, Job, Note, Outcome, run_job, to_log
from heistbench.bench.stages.stage import Need

DIED = "its worker process died (out of memory, killed, or ended by a plugin)"


class Processes:
    """`jobs` worker processes; each uses one GPU where there are any."""

    def __init__(self, conditions: Conditions, jobs: int, note: Note) -> None:
        self._conditions, self._note, self._context = conditions, note, get_context("spawn")
        self._devices = gpus() or [""]
        self._pools: list[ProcessPoolExecutor | None] = [None] * jobs

    @property
    def slots(self) -> Sequence[frozenset[Need]]:
        """See `Executor.slots`: every worker can do everything."""
        return [frozenset({"cpu", "gpu", "network"})] * len(self._pools)

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        """See `Executor.submit`."""
        future: Future[Outcome] = Future()
        running = self._pool(slot).submit(_work, job)

        def pass_on(ended: Future[Outcome]) -> None:
            if isinstance(error := ended.exception(), BrokenProcessPool):
                self._pools[slot] = None  # the next job of this slot gets a new process
                future.set_result(Failed(DIED))
            elif error:
                future.set_result(Failed(f"{type(error).__name__}: {error}"))
            else:
                future.set_result(ended.result())

        running.add_done_callback(pass_on)
        return future

    def close(self) -> None:
        """See `Executor.close`."""
        for pool in filter(None, self._pools):
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)

    def _pool(self, slot: int) -> ProcessPoolExecutor:
        pool = self._pools[slot]
        if pool is None:
            # A pipe of its own: a worker that is killed while it writes garbles nobody else's notes.
            ours, theirs = self._context.Pipe(duplex=False)
            threading.Thread(target=self._listen, args=(ours,), daemon=True).start()
            starting = (self._conditions, theirs, self._devices[slot % len(self._devices)], os.getpid())
            pool = self._pools[slot] = ProcessPoolExecutor(1, self._context, _start, starting)
        return pool

    def _listen(self, notes: Connection) -> None:
        while True:
            try:
                self._note(*notes.recv())
            except (EOFError, OSError, UnpicklingError):  # the worker is gone
                return


_conditions: Conditions
_notes: Connection


def _start(conditions: Conditions, notes: Connection, device: str, parent: int) -> None:
    """Prepare a worker: one thread, one GPU if any, chatter of the libraries into a log, an end when its parent ends."""
    from tqdm import tqdm

    global _conditions, _notes
    _conditions, _notes = conditions, notes
    one_thread()
    use_gpu(device)
    to_log(conditions.root)
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    hush()
    tqdm.set_lock(threading.RLock())  # its own would outlive a worker that is killed, which Python warns of
    for plugin in conditions.plugins:
        load_plugin(plugin)


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _work(job: Job) -> Outcome:
    last = 0.0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        if done >= total or time.monotonic() - last > 0.2:
            last = time.monotonic()
            _notes.send((job.at, what, done, total))

    return run_job(job, _conditions.root, _conditions.budget, progress)
