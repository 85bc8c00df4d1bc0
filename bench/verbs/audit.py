"""What `heist leaderboard audit` does: draw cells of a submission, run them afresh, and judge what it stated of them."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from heistbench.bench.contracts.errors import HeistError, PluginFailure, one_line
from heistbench.bench.models.checkpoints import forget
from heistbench.bench.models.process import default_jobs, no_exit
from heistbench.bench.runs.apart import apart
from heistbench.bench.runs.estimate import estimate
from heistbench.bench.runs.executors import open_executor
from heistbench.bench.runs.schedule import Limits, Plan, run
from heistbench.bench.runs.status import status_of
from heistbench.bench.runs.worker import Conditions
from heistbench.bench.stages.record import cell_spec
from heistbench.bench.storage.failures import Failure
from heistbench.bench.storage.provenance import harness_differs
from heistbench.bench.storage.records import Record, path_of
from heistbench.bench.storage.result_files import KEPT, kept_files, read_record
from heistbench.bench.storage.store import Store, write_bytes
from heistbench.bench.suites.cells import Cell
from heistbench.bench.verbs.folders import writable
from heistbench.bench.verbs.progress import watching
from heistbench.bench.verbs.rebuilt_cells import Rebuilder
from heistbench.bench.verbs.run import ESTIMATE, LOOKED_AT, how_long, job_count
from heistbench.bench.walls.foreign import known
from heistbench.leaderboard.submit.audit_compare import AuditedCell, judge
from heistbench.leaderboard.submit.audit_draw import draw, submitted
from heistbench.leaderboard.submit.audit_report import Audit
from heistbench.leaderboard.submit.questions import offline
from heistbench.leaderboard.submit.stated import COMMIT
from heistbench.leaderboard.terminal.draw import text
from heistbench.leaderboard.words import clean

if TYPE_CHECKING:
    from rich.console import Console

SUITE = "audit"
"""What `heist status` calls it."""


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """The options of `heist leaderboard audit`; without a seed one is drawn, without `out` nothing is kept."""

    cells: int = 12
    minutes: float | None = None
    seed: int | None = None
    out: Path | None = None
    jobs: int | None = None
    executor: str = "processes"


def audit(folder: Path, options: AuditOptions, console: Console) -> Audit:
    """Audit a submission; says on the console what it is about to do and how far it is.

    Raises HeistError for bad options, for a submission that cannot be read, and where none of it can be run here.
    """
    jobs = _checked(options)
    forget()
    with offline(), no_exit():  # nothing is downloaded for a submission
        records = submitted(folder)
        cells, elsewhere = _rebuilt(records)
        if not cells:
            raise HeistError(f"{folder}: none of its cells can be run here: {next(iter(elsewhere))}")
        # What the submitter could know before submitting must not decide what is drawn.
        seed = secrets.randbits(63) if options.seed is None else options.seed
        drawn = draw(cells, options.cells, seed)
        _say(console, f"seed {seed}{'' if options.seed is not None else ', drawn just now'}; it must be chosen after submission")
        with _folder(options.out) as out:
            fresh, failures = _run(console, [cells[path] for path in drawn], out, jobs, options)
    failed = {path_of(failure.arm).as_posix(): failure for failure in failures}
    judged = {cell.path: cell for cell in judge({path: (records[path], fresh[path]) for path in drawn if path in fresh})}
    judged |= {path: AuditedCell(path, "failed", [one_line(failed[path].reason)]) for path in drawn if path in failed}
    return Audit(
        seed=seed,
        records=len(records),
        elsewhere=elsewhere,
        cells=[judged[path] for path in drawn if path in judged],
        unreached=[path for path in drawn if path not in judged],
        notes=[*_other_harness({path: records[path] for path in fresh})],
    )


def _checked(options: AuditOptions) -> int:
    """The number of worker processes, after a look at all other options."""
    if options.cells < 1:
        raise HeistError(f"--cells {options.cells}: expected 1 or more")
    if options.minutes is not None and not 0 < options.minutes < float("inf"):
        raise HeistError(f"--minutes {options.minutes}: expected a number above 0")
    return job_count(options.jobs, default_jobs())


def _rebuilt(records: Mapping[str, Record]) -> tuple[dict[str, Cell], dict[str, list[str]]]:
    """The cells that can be run here, by path; why others cannot, with the paths of each reason."""
    cells, elsewhere, rebuilder = dict[str, Cell](), defaultdict[str, list[str]](list), Rebuilder()
    for path, record in records.items():
        try:
            cells[path] = rebuilder.cell(record)
        except (HeistError, PluginFailure) as error:
            elsewhere[one_line(error)].append(path)
    return cells, dict(elsewhere)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """An empty folder to run in: nothing that was there before may answer for a cell."""
    if out is None:
        with TemporaryDirectory(prefix="heist-audit-") as folder:
            yield Path(folder)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HeistError(f"--out {out}: is not an empty folder; an audit starts from nothing")
    yield writable(out)


def _run(
    console: Console, cells: list[Cell], out: Path, jobs: int, options: AuditOptions
) -> tuple[dict[str, Record], list[Failure]]:
    """The fresh records by path, which `out` keeps too, and what failed.

    Cells begin in the order of the draw, so that those which are done in time are a draw themselves.
    """
    planned, store = Plan(cells, [*range(len(cells))]), Store(out / "store")
    _say(console, f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'} to run afresh: {_time(planned, store, jobs)}")
    conditions = Conditions(root=store.root, attacks=known())
    limits = Limits(begin_seconds=options.minutes and options.minutes * 60)
    with status_of(store.root, SUITE, len(cells)) as status, watching(console, planned, status) as watcher:
        run(planned, store, open_executor(options.executor, conditions, jobs, watcher.noted), watcher, limits)
    kept = (store.verified("record", cell_spec(cell)) for cell in cells)
    fresh = {}
    for folder in filter(None, kept):
        record = read_record(folder / KEPT)
        fresh[record.path().as_posix()] = record
        for place, file in kept_files(folder):
            write_bytes(out / "results" / place, file.read_bytes())
    return fresh, watcher.failures


def _time(planned: Plan, store: Store, jobs: int) -> str:
    """How long it takes, in words. Attacks take part in the estimate, so that it may fail."""
    try:
        seconds = apart(lambda: estimate(planned.work, store, LOOKED_AT), ESTIMATE).seconds
    except PluginFailure as failure:
        return f"no estimate of the time: {failure.reason}"
    return how_long(planned, seconds, jobs)


def _other_harness(records: Mapping[str, Record]) -> Iterator[str]:
    """A line for each commit whose harness may be another than this one: a difference may come from there."""
    by_commit = defaultdict[str, list[str]](list)
    for path, record in records.items():
        by_commit[record.provenance.commit].append(path)
    for commit, paths in by_commit.items():
        differs = harness_differs(commit) if COMMIT.fullmatch(commit) else None
        if differs is not False:
            why = "whose harness is another" if differs else "which is not in this checkout"
            yield f"from commit {clean(commit)}, {why}: {len(paths):,} audited cells; what differs may differ for that reason"


def _say(console: Console, line: str) -> None:
    console.print(text(line), soft_wrap=True)
