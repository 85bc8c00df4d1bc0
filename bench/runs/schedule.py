"""Running many cells: worker processes with one thread each, progress, resume, and what it will cost.

A worker that needs what another is computing lets its cell go (`Busy`); the cell is taken up again when something has
finished. So cells need no order, and two runs on one store share their work.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from heistbench.bench.contracts.errors import Busy, HeistError
from heistbench.bench.contracts.registry import load_plugin
from heistbench.bench.models.devices import deal, take
from heistbench.bench.models.process import hush, one_thread, stderr_to
from heistbench.bench.stages.budget import Budget
from heistbench.bench.stages.record import cell_spec, run_cell
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import MANIFEST, Store
from heistbench.bench.suites.cells import Cell

SECONDS_A_TOKEN = 3e-5
"""Of training a small student on one core; used for estimates until the store holds a measurement."""
SECONDS_A_CELL = 5
"""Of all else: examination, overlap, record."""

Note = Callable[[int, str, int, int], None]
"""Told which cell does what, how much of it is done, and how much there is."""


Found = Record | None
"""What a worker says of a cell: its record, or None when something it needs is being computed elsewhere."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run has to do."""

    cells: list[Cell]
    missing: list[int]
    seconds: float

    def describe(self, jobs: int) -> str:
        """One line for the user."""
        total, new = len(self.cells), len(self.missing)
        if not new:
            return f"{total} cells, all of them computed before"
        minutes = self.seconds / 60 / max(1, min(jobs, new))
        about = f"about {minutes:.0f} min" if minutes >= 1.5 else f"about {minutes * 60:.0f} s"
        return f"{total} cells, {new} to compute; {about} on {jobs} process(es)"


def plan(cells: Sequence[Cell], store: Store) -> Plan:
    """Which cells are missing from the store, and a rough estimate of the work, too high where cells share loot."""
    missing = [i for i, cell in enumerate(cells) if not store.has("record", cell_spec(cell))]
    words = {cell.task: _words(cell) for cell in {cells[i].task: cells[i] for i in missing}.values()}
    tokens = 0.0
    for cell in {cells[i].task: cells[i] for i in missing}.values():
        surrogate = cell.suite.surrogate
        tokens += surrogate.recipe.epochs * surrogate.lessons * words[cell.task] if surrogate else 0
    for cell in (cells[i] for i in missing):
        tokens += cell.student.recipe.epochs * cell.budget * words[cell.task] if cell.attack != "untrained" else 0
    for cell in {cells[i].seed: cells[i] for i in missing}.values():
        # Two inverters a seed, whose rows are up to twice as long as a student's.
        inverter = cell.suite.inverter
        tokens += 2 * 2 * inverter.recipe.epochs * cell.sizes.surrogate * words[cell.task] if inverter else 0
    return Plan(list(cells), missing, tokens * _pace(store) + SECONDS_A_CELL * len(missing))


def run(
    planned: Plan,
    store: Store,
    jobs: int,
    plugins: Sequence[Path],
    budget: Budget,
    note: Note,
    finished: Callable[[int], None],
) -> list[Record]:
    """Compute what is missing and return every cell's record, in the order of the cells.

    Raises HeistError when a cell fails; what other cells computed by then is kept.
    """
    if planned.missing:
        with _pool(jobs, store, plugins, budget, note) as submit:
            _drain(planned, submit, finished, jobs)
    return [run_cell(cell, store) for cell in planned.cells]


def _drain(planned: Plan, submit: Callable[[int, Cell], Future[Found]], finished: Callable[[int], None], jobs: int) -> None:
    waiting, parked, running = deque(planned.missing), deque[int](), dict[Future[Found], int]()
    while waiting or parked or running:
        while waiting and len(running) < jobs:
            at = waiting.popleft()
            running[submit(at, planned.cells[at])] = at
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            at = running.pop(future)
            if _result(future, planned.cells[at]) is None:
                parked.append(at)
            else:
                finished(at)
                waiting.extend(parked)
                parked.clear()
        if parked and not running and not waiting:
            time.sleep(0.5)  # another run holds all that is left
            waiting.extend(parked)
            parked.clear()


def _result(future: Future[Found], cell: Cell) -> Found:
    where = f"cell {cell.attack} x {cell.defense}, seed {cell.seed}"
    try:
        return future.result()
    except HeistError as error:
        raise HeistError(f"{where}: {error}") from None
    except BrokenProcessPool:
        raise HeistError(f"{where}: a worker died (out of memory?); the same command continues from here") from None
    except Exception as error:
        raise HeistError(f"{where}: {type(error).__name__}: {error}") from error


@contextmanager
def _pool(
    jobs: int, store: Store, plugins: Sequence[Path], budget: Budget, note: Note
) -> Iterator[Callable[[int, Cell], Future[Found]]]:
    """Submit cells to worker processes; one job runs here, in this process."""
    if jobs == 1:
        hush()
        yield lambda at, cell: _here(at, cell, store, budget, note)
        return
    context = get_context("spawn")
    notes: Any = context.Queue()
    listener = threading.Thread(target=_listen, args=(notes, note), daemon=True)
    listener.start()
    starting = (list(plugins), store.root, notes, deal(context, jobs), os.getpid())
    pool = ProcessPoolExecutor(jobs, context, _start_worker, starting)
    try:
        yield lambda at, cell: pool.submit(_work, at, cell, store.root, budget)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list((pool._processes or {}).values()):
            process.terminate()
        notes.put(None)


def _here(at: int, cell: Cell, store: Store, budget: Budget, note: Note) -> Future[Found]:
    future: Future[Found] = Future()
    try:
        with stderr_to(_log(store.root)):
            future.set_result(run_cell(cell, store, lambda *what: note(at, *what), budget))
    except Busy:
        future.set_result(None)
    except Exception as error:
        future.set_exception(error)
    return future


def _listen(notes: Any, note: Note) -> None:
    while (what := notes.get()) is not None:
        note(*what)


_notes: Any = None


def _start_worker(plugins: list[Path], root: Path, notes: Any, devices: Any, parent: int) -> None:
    """Prepare a worker: one thread, one GPU if any, chatter of the libraries into a log file, an end when its parent ends."""
    global _notes
    _notes = notes
    one_thread()
    take(devices)
    log = _log(root)
    for stream in (1, 2):
        os.dup2(log, stream)
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    hush()
    for plugin in plugins:
        load_plugin(plugin)


def _log(root: Path) -> int:
    """A file of this process under `log/`, open for writing: the libraries' chatter and the tracebacks of plugins."""
    (root / "log").mkdir(parents=True, exist_ok=True)
    return os.open(root / "log" / f"worker-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _work(at: int, cell: Cell, root: Path, budget: Budget) -> Found:
    last = 0.0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        if done >= total or time.monotonic() - last > 0.2:
            last = time.monotonic()
            _notes.put((at, what, done, total))

    try:
        return run_cell(cell, Store(root), progress, budget)
    except Busy:
        return None
    except BaseException:
        traceback.print_exc(file=sys.stderr)
        raise


def _pace(store: Store) -> float:
    """Seconds a token took to train on, by the students this store holds."""
    seconds = tokens = 0.0
    for tuned in list(store.root.glob("train/*/tuned.json"))[:50]:
        manifest = tuned.with_name(MANIFEST)
        if manifest.is_file():
            seconds += json.loads(manifest.read_text())["seconds"]
            tokens += json.loads(tuned.read_text())["tokens"]
    return seconds / tokens if tokens else SECONDS_A_TOKEN


def _words(cell: Cell) -> float:
    """Words of a row that a student is trained on, as the first problems have it, with a dozen of the chat template's."""
    problems = cell.build_task().problems("query", min(100, cell.sizes.query))
    return 12 + sum(len(f"{p.question.text} {p.trace} {p.shown}".split()) for p in problems) / len(problems)
