"""What `heist run` does: read the options, run the suite, publish records and site."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from heistbench.bench.contracts.errors import HeistError, PluginFailure, printable
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.checkpoints import forget
from heistbench.bench.models.process import default_jobs, no_exit
from heistbench.bench.runs.apart import apart
from heistbench.bench.runs.changes import edited_plugins
from heistbench.bench.runs.checks import check_apis, check_cells, check_machine
from heistbench.bench.runs.estimate import duration, estimate, foresee, outline, outline_table
from heistbench.bench.runs.executors import open_executor
from heistbench.bench.runs.schedule import NO_LIMITS, Limits, Plan, collected, plan, run
from heistbench.bench.runs.splits import check_splits
from heistbench.bench.runs.status import status_of
from heistbench.bench.runs.worker import Conditions
from heistbench.bench.stages.budget import NO_LIMIT, Budget
from heistbench.bench.storage.data_files import as_pinned, use_folder
from heistbench.bench.storage.failures import Failure
from heistbench.bench.storage.mirror import Mirror
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import changed, load_suite, smoke
from heistbench.bench.suites.settings import Suite, Victim
from heistbench.bench.verbs.folders import writable
from heistbench.bench.verbs.progress import watching
from heistbench.bench.verbs.publish import publish
from heistbench.bench.walls.confinement import wall
from heistbench.bench.walls.foreign import known

if TYPE_CHECKING:
    from rich.console import Console

MOST_JOBS = 1024
"""Worker processes; each takes some hundred megabytes."""
ESTIMATE = 120.0
"""Seconds that an estimate may take."""
LOOKED_AT = 100
"""Cells that an estimate of the time looks at, at most: of more, some defenses stand for all. A dry run looks at all."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `heist run`; None leaves what the suite says."""

    attack: list[str] | None = None
    defense: list[str] | None = None
    task: list[str] | None = None
    victim: list[str] | None = None
    surrogate: str | None = None
    seeds: str | None = None
    scale: Literal["full", "smoke"] = "full"
    out: Path = Path("out")
    jobs: int | None = None
    executor: str = "processes"
    ray_address: str | None = None
    mirror: str | None = None
    data: Path | None = None
    budget: Budget = NO_LIMIT
    limits: Limits = NO_LIMITS
    memory: float | None = None
    wall: str | None = None
    dry_run: bool = False
    plugins: tuple[Path, ...] = ()


def run_suite(reference: str, options: Options) -> bool:
    """Run a suite and leave results and site under `out/<suite>/`; whether every cell has a result now."""
    from rich.console import Console

    console = Console()
    use_folder(options.data)
    forget()
    with no_exit():
        return _run(console, reference, options)


def _run(console: Console, reference: str, options: Options) -> bool:
    suite = load_suite(reference)
    suite = customised(smoke(suite) if options.scale == "smoke" else suite, options)
    # A cluster is used whole, unless jobs are counted.
    jobs = job_count(options.jobs, MOST_JOBS if options.ray_address else default_jobs(suite.gpus))
    check_cells(cells(suite))
    mirror = Mirror(options.mirror) if options.mirror else None
    store = Store(options.out / "store", mirror=mirror)
    if options.dry_run:
        _outline(console, suite, store, jobs)
        return True
    planned, failures = _computed(console, suite, store, jobs, options)
    computed = publish(console, collected(planned, store), failures, options.out / suite.name)
    return _complete(console, planned, computed, len(failures))


def job_count(asked: int | None, default: int) -> int:
    """The worker processes of a run. Raises HeistError for too many or none."""
    jobs = default if asked is None else asked
    if not 1 <= jobs <= MOST_JOBS:
        raise HeistError(f"--jobs {jobs}: expected 1 to {MOST_JOBS:,}")
    return jobs


def _complete(console: Console, planned: Plan, computed: int, failed: int) -> bool:
    """Whether every cell has a result; says how many have none."""
    missing = len(planned.cells) - computed
    if missing:
        late = f", {missing - failed} were not reached in time" if missing > failed else ""
        line = f"{missing} of {len(planned.cells)} cells have no result: {failed} failed{late}; the same command tries them again"
        console.print(line, style="bold", highlight=False)
    return not missing


def _computed(console: Console, suite: Suite, store: Store, jobs: int, options: Options) -> tuple[Plan, list[Failure]]:
    """Compute what is missing, after all that can be checked before any work; what failed."""
    check_machine(cells(suite))
    check_apis(cells(suite), options.budget)
    _foresee(console, suite, options.budget)
    planned = plan(cells(suite), store)
    if planned.missing:
        check_splits(planned.work)
    planned, time = _estimated(planned, store, jobs)
    _announce(console, suite, planned, store, time)
    writable(options.out)
    if not planned.missing:
        return planned, []
    if options.wall and (obstacle := wall(options.wall).obstacle()):
        raise HeistError(f"--wall {options.wall}: {obstacle}")
    conditions = Conditions(
        root=store.root,
        budget=options.budget,
        plugins=options.plugins,
        wall=options.wall,
        memory=options.memory,
        gpus=suite.gpus,
        address=options.ray_address,
        mirror=options.mirror,
        attacks=known(),
    )
    with status_of(store.root, suite.name, len(planned.missing)) as status, watching(console, planned, status) as watcher:
        executor = open_executor(options.executor, conditions, jobs, watcher.noted)
        run(planned, store, executor, watcher, options.limits)
    return planned, watcher.failures


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
    if options.surrogate is not None:
        if suite.surrogate is None:
            raise HeistError(f"--surrogate {options.surrogate}: suite {suite.name} has no surrogate to replace")
        changes["surrogate"] = {**suite.surrogate.model_dump(), "model": options.surrogate}
    if options.seeds is not None:
        try:
            changes |= {"seeds": sorted({int(seed) for seed in options.seeds.split(",")}), "yardstick_seeds": 0}
        except ValueError:
            raise HeistError(f"--seeds {options.seeds!r}: expected whole numbers such as 0,1,2") from None
    return changed(suite, changes)


def _victim(suite: Suite, name: str) -> Victim:
    """The suite's victim of this label or model; else a new one under the decoding of the first."""
    known = (victim for victim in suite.victims if name in (victim.label, victim.model))
    return next(known, Victim(model=name, decoding=suite.victims[0].decoding))


def _estimated(planned: Plan, store: Store, jobs: int) -> tuple[Plan, str]:
    """The plan, longest cells first, and how long it takes, in words. Plugins take part in the estimate, so that it may fail."""
    if not planned.missing:
        return planned, ""
    try:
        expected = apart(lambda: estimate(planned.work, store, LOOKED_AT), ESTIMATE)
    except PluginFailure as failure:
        return planned, f"no estimate of the time: {failure.reason}"
    return planned.longest_first(expected.trained), how_long(planned, expected.seconds, jobs)


def how_long(planned: Plan, seconds: float, jobs: int) -> str:
    """How long a plan takes that takes one core so many seconds, in words."""
    minutes = seconds / 60 / max(1, min(jobs, len(planned.missing)))
    about = f"about {minutes:.0f} min" if minutes >= 1.5 else f"about {minutes * 60:.0f} s"
    return f"{about} on {jobs} {'process' if jobs == 1 else 'processes'}" if jobs < MOST_JOBS else f"{about} at best"


def _announce(console: Console, suite: Suite, planned: Plan, store: Store, time: str) -> None:
    lines = [f"{suite.name}: {_size(planned)}" + (f"; {time}" if planned.missing else "")]
    lines += [f"{name} changed: {n} {'cell' if n == 1 else 'cells'}" for name, n in edited_plugins(planned, store).items()]
    for spec in sorted({*suite.tasks, *suite.exams}):
        if not as_pinned(cast(Task, registry.build("task", spec)).data_digest()):
            lines.append(f"{spec}: its data files are not the ones tasks/data.sha256 lists; records say so")
    for line in lines:
        _say(console, line)


def _size(planned: Plan) -> str:
    """How much there is to do."""
    total, new = len(planned.cells), len(planned.missing)
    return f"{total} cells, {new} to compute" if new else f"{total} cells, all of them computed before"


def _foresee(console: Console, suite: Suite, budget: Budget) -> None:
    """Say what victims behind an API will cost, and hold it against the budget, which also holds while they are asked."""
    remote = [cell for cell in cells(suite) if cell.victim.remote]
    try:
        lines = apart(lambda: foresee(remote, budget), ESTIMATE) if remote else []
    except PluginFailure as failure:
        lines = [f"no estimate of what victims behind an API cost: {failure.reason}"]
    for line in lines:
        _say(console, line)


def _say(console: Console, line: str) -> None:
    """Print a line as it is: names in it come from suites, which anybody may have written."""
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def _outline(console: Console, suite: Suite, store: Store, jobs: int) -> None:
    """Say what would run, also where the data is not here yet: a dry run downloads nothing."""
    work = apart(lambda: outline(suite), ESTIMATE)
    console.print(outline_table(suite.name, work))
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        planned = plan(cells(suite), store)
    except HeistError:
        console.print(f"{len(cells(suite))} cells; not all of their data is here yet: it is downloaded when they run")
        return
    whole = len(planned.missing) == len(planned.cells)
    seconds = duration(work, len(planned.cells), store)
    _announce(console, suite, planned, store, how_long(planned, seconds, jobs) if whole else _estimated(planned, store, jobs)[1])
    for at, cell in enumerate(planned.cells):
        state = "to compute" if at in planned.missing else "there"
        budget = f"{cell.budget} queries  " if suite.budgets else ""
        line = f"{cell.task}  {cell.victim.label}  {cell.defense}  {cell.attack}  {budget}seed {cell.seed}  ({state})"
        _say(console, line)
