"""What the command line's larger verbs do: run a suite with progress, show a board, build the pocket models."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.devices import default_jobs
from heistbench.bench.runs.checks import check_apis, check_cells, check_machine
from heistbench.bench.runs.schedule import Note, Plan, plan, run
from heistbench.bench.stages.budget import Budget
from heistbench.bench.storage.data_files import as_pinned, use_folder
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_records, write_record
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import cells, changed, load_suite, smoke
from heistbench.bench.suites.settings import Suite, Victim

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `heist run`; None leaves what the suite says."""

    attack: list[str] | None
    defense: list[str] | None
    task: list[str] | None
    victim: list[str] | None
    surrogate: str | None
    seeds: str | None
    scale: Literal["full", "smoke"]
    out: Path
    jobs: int | None
    data: Path | None
    budget: Budget
    dry_run: bool
    plugins: tuple[Path, ...]


def run_suite(reference: str, options: Options) -> None:
    """Run a suite and leave results and site under `out/<suite>/`."""
    from rich.console import Console

    console = Console()
    use_folder(options.data)
    suite, jobs = load_suite(reference), default_jobs() if options.jobs is None else options.jobs
    suite = customised(smoke(suite) if options.scale == "smoke" else suite, options)
    if jobs < 1:
        raise HeistError(f"--jobs {jobs}: expected at least 1")
    check_cells(cells(suite))
    store = Store(options.out / "store")
    if options.dry_run:
        _outline(console, suite, store, jobs)
        return
    check_machine(cells(suite))
    check_apis(cells(suite), options.budget)
    _foresee(console, suite, options.budget)
    planned = plan(cells(suite), store)
    _announce(console, suite, planned, jobs)
    _writable(options.out)
    with _progress(console, planned) as (note, finished):
        records = run(planned, store, jobs, options.plugins, options.budget, note, finished)
    _publish(console, suite, records, options.out / suite.name)


def customised(suite: Suite, options: Options) -> Suite:
    """The suite with what the command line put in its place; controls always stay."""
    changes: dict[str, object] = {}
    if options.attack:
        changes["attacks"] = [spec for spec in options.attack if spec not in suite.controls]
    if options.defense:
        changes["defenses"] = options.defense
    if options.task:
        changes["tasks"] = options.task
    if options.victim:
        changes["victims"] = [_victim(suite, name).model_dump() for name in options.victim]
    if options.surrogate and suite.surrogate:
        changes["surrogate"] = {**suite.surrogate.model_dump(), "model": options.surrogate}
    if options.seeds:
        try:
            changes["seeds"] = sorted({int(seed) for seed in options.seeds.split(",")})
        except ValueError:
            raise HeistError(f"--seeds {options.seeds!r}: expected whole numbers such as 0,1,2") from None
    return changed(suite, changes)


def _victim(suite: Suite, name: str) -> Victim:
    """The suite's victim of this label or model; else a new one under the decoding of the first."""
    known = (victim for victim in suite.victims if name in (victim.label, victim.model))
    return next(known, Victim(model=name, decoding=suite.victims[0].decoding))


def show_board(folder: Path | None, as_json: bool) -> None:
    """Print the board of a folder of result files, or of the published ones."""
    from rich.console import Console

    from heistbench.leaderboard.board.build import build
    from heistbench.leaderboard.published import published
    from heistbench.leaderboard.terminal.show import tables

    board = build(read_records(folder or published()))
    if as_json:
        print(board.to_json())
        return
    for table in tables(board):
        Console().print(table)


def build_pocket(names: Sequence[str], out: Path | None, scale: float) -> None:
    """Train pocket models one after the other and print what each scores on the development split."""
    from rich.console import Console

    from heistbench.bench.contracts.registry import suggest
    from heistbench.bench.models.checkpoints import SHIPPED
    from heistbench.bench.models.pocket_models import MEASURED, PUPILS, build, steps
    from heistbench.bench.models.process import hush

    for name in names:
        if name not in PUPILS:
            raise HeistError(f"unknown pocket model {name!r}{suggest(name, PUPILS)}")
    if scale != 1 and out is None:
        raise HeistError("--scale needs --out: a model taught less must not replace the shipped one")
    hush()
    console, folder = Console(), _writable(out or SHIPPED / "pocket")
    for name in names or PUPILS:
        with _bar(console, f"{name}: training", steps(name, scale)) as advance:
            card = build(name, folder / name, advance, scale)
        console.print(f"[bold]{name}[/], {MEASURED}:", highlight=False)
        for what, value in card[MEASURED].items():
            console.print(f"  {what}: {value:.3f}", highlight=False)


def _publish(console: Console, suite: Suite, records: list[Record], folder: Path) -> None:
    from heistbench.leaderboard.board.build import build
    from heistbench.leaderboard.pages.site import build_site
    from heistbench.leaderboard.terminal.show import tables

    written = {write_record(folder / "results", record) for record in records}
    for path in (folder / "results").rglob("seed-*.json"):
        if path not in written:  # of another run of this suite; the store still holds it
            path.unlink()
    build_site(folder / "results", folder / "site")
    for table in tables(build(records)):
        console.print(table)
    console.print(f"results  {folder / 'results'}\npages    {folder / 'site' / 'index.html'}", highlight=False, soft_wrap=True)


def _announce(console: Console, suite: Suite, planned: Plan, jobs: int) -> None:
    console.print(f"[bold]{suite.name}[/]: {planned.describe(jobs)}", highlight=False)
    for spec in sorted({*suite.tasks, *suite.exams}):
        if not as_pinned(cast(Task, registry.build("task", spec)).data_digest()):
            console.print(
                f"{spec}: its data files are not the ones tasks/data.sha256 lists; records say so", highlight=False, markup=False
            )


def _foresee(console: Console, suite: Suite, budget: Budget) -> None:
    """Say what victims behind an API will cost, and hold it against the budget."""
    if any(victim.remote for victim in suite.victims):
        from heistbench.bench.runs.estimate import foresee

        for line in foresee(cells(suite), budget):
            console.print(line, highlight=False, markup=False)


def _outline(console: Console, suite: Suite, store: Store, jobs: int) -> None:
    """Say what would run, also where the data is not here yet: a dry run downloads nothing."""
    from heistbench.bench.runs.estimate import outline_table

    console.print(outline_table(suite))
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        planned = plan(cells(suite), store)
    except HeistError:
        console.print(f"{len(cells(suite))} cells; not all of their data is here yet: it is downloaded when they run")
        return
    _announce(console, suite, planned, jobs)
    for at, cell in enumerate(planned.cells):
        state = "to compute" if at in planned.missing else "there"
        budget = f"{cell.budget} queries  " if suite.budgets else ""
        line = f"{cell.task}  {cell.victim.label}  {cell.defense}  {cell.attack}  {budget}seed {cell.seed}  ({state})"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HeistError(f"--out {folder}: cannot write there ({error.strerror})") from None
    return folder


@contextmanager
def _progress(console: Console, planned: Plan) -> Iterator[tuple[Note, Callable[[int], None]]]:
    """A bar for all cells and one for each that runs; on anything but a terminal, a line a finished cell."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    if not console.is_terminal:
        yield (lambda at, what, done, total: None), lambda at: print(f"done: {_title(planned, at)}", file=sys.stderr, flush=True)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        overall, bars = progress.add_task("cells", total=len(planned.missing)), {}

        def note(at: int, what: str, done: int, total: int) -> None:
            if at not in bars:
                bars[at] = progress.add_task("", total=total)
            progress.update(bars[at], description=f"{_title(planned, at)}: {what}", completed=done, total=total)

        def finished(at: int) -> None:
            progress.advance(overall)
            if at in bars:
                progress.remove_task(bars.pop(at))

        yield note, finished


@contextmanager
def _bar(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda n: progress.advance(bar, n)


def _title(planned: Plan, at: int) -> str:
    cell = planned.cells[at]
    return f"{cell.attack} x {cell.defense}, seed {cell.seed}"
