"""What the harness itself takes for many cells: `python bench_many_cells.py [CELLS...]`, by default 100, 1000 and 10000.

For each number of cells a process plans a suite of that size on the pocket world, runs it with jobs that end at once, plans it
again on a store that holds all records but one, and collects and publishes them. Prints the seconds of each part, those of
processors too and by cell, and the peak memory so far of the process and of the largest one that it has started.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from io import StringIO
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from rich.console import Console

from heistbench.bench.models.process import one_thread
from heistbench.bench.runs.apart import apart
from heistbench.bench.runs.changes import edited_plugins
from heistbench.bench.runs.checks import check_apis, check_cells, check_machine
from heistbench.bench.runs.estimate import estimate, foresee
from heistbench.bench.runs.schedule import Plan, collected, plan, run
from heistbench.bench.runs.splits import check_splits
from heistbench.bench.runs.status import status_of
from heistbench.bench.runs.worker import Done, Job, Outcome
from heistbench.bench.stages.budget import NO_LIMIT
from heistbench.bench.stages.record import arm_of, cell_spec
from heistbench.bench.stages.stage import Need
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import KEPT, read_record, write_record
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite
from heistbench.bench.verbs.progress import Lines
from heistbench.bench.verbs.publish import publish
from heistbench.bench.verbs.run import LOOKED_AT
from heistbench.leaderboard.pages.site import build_site

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "leaderboard" / "results" / "pocket-full"
SHAPES = {100: (5, 5, 4), 1000: (10, 10, 10), 10_000: (20, 25, 20)}
"""Attacks, defenses and seeds; the controls come on top."""
ATTACKS = (
    *("answer_only", "summary_answer", "zero_shot_inversion", "trace_inversion", "trace_inversion(use_summary=false)"),
    *("trace_inversion(adaptive=true)", "rep_request", "rep_request(request=stepwise)", "tool_elicitation", "rep_inversion"),
    *(
        f"rep(shots={shots},wrapper={wrapper})"
        for shots, wrapper in product((1, 2), ("bash", "plain", "shell", "python", "tool"))
    ),
)
DEFENSES = (
    *("none", "redact_summary", "redact_summary(level=first_sentence)", "redact_summary(level=all)", "noise_answers"),
    *(f"noise_answers(rate=0.{tenths}5)" for tenths in range(10)),
    *(f"redact_summary(level=all)+noise_answers(rate=0.{tenths}5)" for tenths in range(10)),
)
CONTROLS = ("untrained", "surrogate_trace", "true_trace")


class Instant:
    """An executor whose jobs end at once."""

    slots: Sequence[frozenset[Need]] = (frozenset({"cpu", "gpu", "network"}),) * 8

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        """See `Executor.submit`."""
        future = Future[Outcome]()
        future.set_result(Done())
        return future

    def end(self, slot: int, reason: str) -> None:
        """See `Executor.end`."""

    def close(self) -> None:
        """See `Executor.close`."""


@contextmanager
def part(name: str, n: int) -> Iterator[None]:
    """Print what a part took."""
    began, used = time.perf_counter(), sum(os.times()[:4])
    yield
    seconds, busy = time.perf_counter() - began, sum(os.times()[:4]) - used
    own, child = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    took = f"{seconds:7.2f} s ({busy:7.2f} of processors) {1000 * busy / n:7.3f} ms a cell"
    print(f"  {name:<28} {took}, peak {own:5.0f} MB, children {child:5.0f} MB", flush=True)


def write_suite(folder: Path, n: int) -> Path:
    """The pocket suite with so many cells."""
    attacks, defenses, seeds = SHAPES[n]
    document = yaml.safe_load((ROOT / "bench" / "suites" / "pocket.yaml").read_text(encoding="utf-8"))
    document |= {"name": "many", "attacks": [*ATTACKS[:attacks]], "controls": [*CONTROLS], "defenses": [*DEFENSES[:defenses]]}
    document |= {"seeds": [*range(seeds)], "smoke": {}}
    path = folder / "many.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def planning(path: Path, store: Store, n: int) -> Plan:
    """All that `heist run` does before the first job."""
    with part("plan: load the suite", n):
        suite = load_suite(str(path))
    with part("plan: check the cells", n):
        every = cells(suite)
        check_cells(every)
        check_machine(every)
        check_apis(every, NO_LIMIT)
        foresee([cell for cell in every if cell.victim.remote], NO_LIMIT)
    with part("plan: what is missing", n):
        planned = plan(every, store)
    with part("plan: check the splits", n):
        check_splits(planned.work)
    with part("plan: dry run, apart", n):
        apart(lambda: estimate(planned.work, store, LOOKED_AT), 600)
    with part("plan: edited plugins", n):
        edited_plugins(planned, store)
    return planned


def make_records(path: Path, root: Path) -> None:
    """A published record for each cell of a suite but the last, in a store."""
    templates = {}
    for control, attack in ((False, "trace_inversion"), *((True, control) for control in CONTROLS)):
        templates[control and attack] = read_record(next(PUBLISHED.rglob(f"**/none/{attack}/**/seed-0.json")))
    for cell in cells(load_suite(str(path)))[:-1]:
        record = templates.get(cell.attack) or templates[False]
        own: dict[str, Any] = {**dict(record), "arm": arm_of(cell)}
        Store(root).once("record", cell_spec(cell), _writing(Record.model_construct(**own)))  # as each job has a store of its own


def _writing(record: Record) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_record(folder, record, KEPT)

    return write


def bench(n: int, folder: Path) -> None:
    """Plan, run, plan again, collect and publish, and say what each took."""
    path, empty, full = write_suite(folder, n), Store(folder / "empty"), Store(folder / "full")
    with part("planning, all of it", n):
        planned = planning(path, empty, n)
    with (folder / "log").open("w") as log, status_of(empty.root, "many", n) as status, part("schedule, instant steps", n):
        run(planned, empty, Instant(), Lines(planned, status, log))
    alone(make_records, path, full.root)
    with part("planning again, all of it", n):
        again = planning(path, full, n)
    console = Console(file=StringIO(), width=200)
    with part("collect and publish", n):
        publish(console, collected(again, full), [], folder / "out")
    alone(site_alone, folder, n)


def site_alone(folder: Path, n: int) -> None:
    """The site of what is published, built by a process that does nothing else."""
    with part("the site again, alone", n):
        build_site(folder / "out" / "results", folder / "site")


def alone(function: Callable[..., None], *arguments: object) -> None:
    """Call a function in a process of its own, whose memory is its own."""
    process = get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def main(sizes: Iterable[int]) -> None:
    """Bench each size in a process of its own."""
    one_thread()
    for n in sizes:
        print(f"{n:,} cells and {len(CONTROLS) * SHAPES[n][2]} of controls", flush=True)
        with TemporaryDirectory() as folder:
            alone(bench, n, Path(folder))


if __name__ == "__main__":
    main(map(int, sys.argv[1:]) if len(sys.argv) > 1 else SHAPES)
