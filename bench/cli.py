"""The command line: `heist`. Each verb is a thin function; heavy libraries load inside the verb that needs them."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter

from heistbench.bench.cli_leaderboard import Json, board_app
from heistbench.bench.cli_store import store_app
from heistbench.bench.contracts.errors import HeistError, PluginFailure, one_line, printable_json
from heistbench.bench.contracts.failures import DEBUG, traceback_text, wants_tracebacks
from heistbench.bench.models.process import one_thread
from heistbench.bench.verbs.stopping import Terminated, terminable

app = App(
    name="heist",
    help="Measure who wins when hidden reasoning is stolen: attacks against defenses, on a leaderboard.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
pocket_app = App(name="pocket", help="The shipped model organisms.")
app.command(board_app)
app.command(pocket_app)
app.command(store_app)

Two = tuple[str, str] | None
Debug = Annotated[bool, Parameter(negative="", help="Print the traceback of an error too, a plugin's above all.")]
Plugins = Annotated[list[Path] | None, Parameter(name="--plugin", help="A Python file with attacks, defenses or tasks.")]


@app.command
def run(
    suite: str = "pocket",
    *,
    attack: Annotated[list[str] | None, Parameter(help="Attacks instead of the suite's, such as 'rep(shots=2)'.")] = None,
    defense: Annotated[list[str] | None, Parameter(help="Defenses instead of the suite's; compose with +.")] = None,
    task: Annotated[list[str] | None, Parameter(help="Tasks instead of the suite's.")] = None,
    victim: Annotated[
        list[str] | None,
        Parameter(help="Victims instead of the suite's: shipped, folder, org/name@commit, inspect:provider/model."),
    ] = None,
    surrogate: Annotated[
        str | None, Parameter(help="Surrogate instead of the suite's; `recorded` replays the data set's.")
    ] = None,
    seeds: Annotated[str | None, Parameter(help="Seeds of theft and training, such as 0,1,2.")] = None,
    out: Annotated[Path, Parameter(help="Where the store, the results and the pages go.")] = Path("out"),
    jobs: Annotated[
        int | None, Parameter(help="Worker processes of one thread; default: one per GPU, otherwise one per core.")
    ] = None,
    data: Annotated[Path | None, Parameter(help="Folder with the data sets, where missing ones are downloaded to.")] = None,
    executor: Annotated[
        Literal["processes", "ray", "here"],
        Parameter(help="Where the work is done: on this machine, on a Ray cluster, or in this process, for a debugger."),
    ] = "processes",
    ray_address: Annotated[str | None, Parameter(help="Of a Ray cluster, such as auto; default: Ray on this machine.")] = None,
    mirror: Annotated[
        str | None,
        Parameter(help="URL that a cluster whose machines share no folder copies artifacts to, such as s3://bucket/x."),
    ] = None,
    scale: Annotated[
        Literal["full", "smoke"], Parameter(help="smoke: the same code and prompts, small models, a minute.")
    ] = "full",
    budget_queries: Annotated[int | None, Parameter(help="Most queries that victims behind an API answer or bill.")] = None,
    budget_usd: Annotated[float | None, Parameter(help="Most dollars to spend on them, in all.")] = None,
    cell_timeout: Annotated[float | None, Parameter(help="Minutes that one cell may take.")] = None,
    max_hours: Annotated[float | None, Parameter(help="Hours after which the run ends; the same command continues it.")] = None,
    worker_memory: Annotated[float | None, Parameter(help="GiB of memory that one worker may hold.")] = None,
    fail_fast: Annotated[bool, Parameter(negative="", help="End the run with the first cell that fails.")] = False,
    wall: Annotated[
        Literal["bubblewrap", "landlock", "process"] | None,
        Parameter(help="What attacks run behind; default: the first of these that this system has."),
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Say what would run and what it would cost, and stop.")] = False,
    plugin: Plugins = None,
    debug: Debug = False,
) -> None:
    """Run a suite: steal, train, examine, rank. The same command continues what was stopped, and tries again what failed.

    A cell that fails fails alone; exit code 3 where some have no result.

    Examples
    --------
    heist run
    heist run pocket-full --jobs 2
    heist run --attack rep --defense 'redact_summary(level=all)+noise_answers(rate=0.3)' --seeds 0,1,2
    """
    from heistbench.bench.runs.schedule import Limits
    from heistbench.bench.stages.budget import Budget
    from heistbench.bench.verbs.run import Options, run_suite

    _check_budget(budget_queries, budget_usd)
    for option, value in (("cell-timeout", cell_timeout), ("max-hours", max_hours), ("worker-memory", worker_memory)):
        _check_limit(option, value)
    _check_executor(executor, ray=(ray_address, mirror), limits=(cell_timeout, worker_memory))
    imported = _load(plugin, debug, packages=True)
    options = Options(
        attack=attack,
        defense=defense,
        task=task,
        victim=victim,
        surrogate=surrogate,
        seeds=seeds,
        scale=scale,
        out=out,
        jobs=jobs,
        executor=executor,
        ray_address=ray_address,
        mirror=mirror,
        data=data,
        budget=Budget(budget_queries, budget_usd),
        limits=Limits(fail_fast, cell_timeout and cell_timeout * 60, max_hours and max_hours * 3600),
        memory=worker_memory,
        wall=wall,
        dry_run=dry_run,
        plugins=imported,
    )
    if not run_suite(suite, options):
        sys.exit(3)


@app.command(name="list")
def list_plugins(*, json: Json = False, plugin: Plugins = None, debug: Debug = False) -> None:
    """List every attack, control, defense and task with version, parameters, paper, threat model and origin."""
    from rich.console import Console

    from heistbench.bench.verbs.plugins import describe_plugins, plugin_text

    _load(plugin, debug, packages=True)
    _print(describe_plugins() if json else plugin_text(Console().width))


@app.command
def overlap(
    pairs: Path,
    *,
    signature: Annotated[str, Parameter(help="words, whitespace, tia (arXiv:2603.07267) or rep (arXiv:2606.00642).")] = "words",
    json: Json = False,
) -> None:
    """Score the overlap of two texts per line: {"reference": ..., "candidate": ...}."""
    from heistbench.bench.verbs.overlap import overlap_json, overlap_table

    if json:
        overlap_json(pairs, signature, sys.stdout)
    else:
        _print(overlap_table(pairs, signature))


@app.command
def grade(
    task: str,
    replies: Path,
    *,
    data: Annotated[Path | None, Parameter(help="Folder with the data sets, where missing ones are downloaded to.")] = None,
    json: Json = False,
    plugin: Plugins = None,
    debug: Debug = False,
) -> None:
    """Grade replies from anywhere, one per line: {"id": ..., "reply": ...} or {"gold": ..., "reply": ...}."""
    from heistbench.bench.verbs.grade import grade_replies, grade_table

    _load(plugin, debug)
    report = grade_replies(task, replies, data)
    _print(report if json else grade_table(report))


@app.command
def compare(
    base: Annotated[str | None, Parameter(help="A source.")] = None,
    new: Annotated[str | None, Parameter(help="The source it is compared with.")] = None,
    /,
    *,
    results: Annotated[Path | None, Parameter(help="Where releases and revisions are looked for; default: published.")] = None,
    attack: Annotated[Two, Parameter(negative="", help="Two attacks of one source: the second minus the first.")] = None,
    defense: Annotated[Two, Parameter(negative="", help="Two defenses of one source: the second minus the first.")] = None,
    threshold: Annotated[float, Parameter(help="Differences in accuracy up to this one are no regression.")] = 0.0,
    users_threshold: Annotated[float, Parameter(help="What honest users may lose of their right answers.")] = 0.0,
    allow_unjudged: Annotated[bool, Parameter(negative="", help="Let pass what has too few seeds to be judged.")] = False,
    changed: Annotated[
        list[str] | None, Parameter(help="An attack or defense that is compared in two versions; may be repeated.")
    ] = None,
    json: Json = False,
    junit: Annotated[Path | None, Parameter(help="Write a JUnit report there too.")] = None,
) -> None:
    """Compare two sources of results, paired by question.

    Exit code 1 where students get significantly more than before, or honest users less; 4 where attacks cannot be judged.
    A source is a folder of result files or of a run, a release of a victim (1, pocket-victim-1), or a git revision of the
    results. With --attack or --defense there is one source only; without it, the published results.

    Examples
    --------
    heist compare 1 2
    heist compare HEAD~1 out/pocket-full --threshold 0.05 --junit compare.xml
    heist compare out/pocket-full --attack trace_inversion 'rep(shots=2)'
    heist compare out/before out/after --changed my_gate
    """
    from heistbench.leaderboard.compare.junit import Gate
    from heistbench.leaderboard.compare.verb import CompareRequest, compare_sources

    gate = Gate(threshold, users_threshold, allow_unjudged)
    if code := compare_sources(CompareRequest(base, new, results, attack, defense, tuple(changed or ()), gate, json, junit)):
        sys.exit(code)


@app.command
def status(
    *, out: Annotated[Path, Parameter(help="The folder that was given to `heist run`.")] = Path("out"), json: Json = False
) -> None:
    """Say what the runs on a folder are doing, on this machine or on a cluster; on a terminal, until they are over."""
    from heistbench.bench.verbs.status import show_status

    show_status(out, json)


@app.command
def doctor(
    *, ray_address: Annotated[str | None, Parameter(help="A Ray cluster to look at, too.")] = None, json: Json = False
) -> None:
    """Say what is installed, which engines, accelerators and walls are usable, and how to get the rest."""
    from heistbench.bench.verbs.doctor import examine_cluster, examine_machine, report_table

    checks = [*examine_machine(), *(examine_cluster(ray_address) if ray_address else [])]
    _print([check.as_dict() for check in checks] if json else report_table(checks))
    if not all(check.ok for check in checks):
        sys.exit(1)


@pocket_app.command
def build(
    *names: str,
    out: Annotated[Path | None, Parameter(help="Where to; default: the shipped models themselves.")] = None,
    scale: Annotated[float, Parameter(help="Share of the lessons to train on, to try the command.")] = 1.0,
) -> None:
    """Train the shipped pocket models again from recipe and seed, and print each one's accuracy."""
    from heistbench.bench.verbs.pocket import build_pocket

    build_pocket(names, out, scale)


def main() -> None:
    """Entry point: one line for a user's mistake and exit code 2; 130 when stopped by hand, 143 by SIGTERM."""
    one_thread()
    warnings.formatwarning = lambda message, *rest, **more: f"heist: warning: {one_line(message)}\n"
    try:
        with terminable():
            app(exit_on_error=False, print_error=False)
    except (HeistError, PluginFailure, CycloptsError) as error:
        _fail(error, error)
    except BrokenPipeError:  # whoever read our output has had enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:  # a disk that is full, a name that no file can have
        _fail(error, f"{error.filename}: {error.strerror}" if error.filename and error.strerror else error)
    except KeyboardInterrupt as stop:
        print("heist: stopped; the same command continues from here", file=sys.stderr)
        sys.exit(143 if isinstance(stop, Terminated) else 130)


def _fail(error: Exception, reason: object) -> NoReturn:
    if wants_tracebacks():
        print(traceback_text(error), end="", file=sys.stderr)
    print(f"heist: error: {one_line(reason)}", file=sys.stderr)
    sys.exit(2)


def _check_budget(queries: int | None, dollars: float | None) -> None:
    if queries is not None and queries < 0:
        raise HeistError(f"--budget-queries {queries}: expected 0 or more")
    if dollars is not None and not 0 <= dollars < float("inf"):
        raise HeistError(f"--budget-usd {dollars}: expected an amount of dollars, 0 or more")


def _check_limit(option: str, value: float | None) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise HeistError(f"--{option} {value}: expected a number above 0")


def _check_executor(executor: str, ray: tuple[object, ...], limits: tuple[object, ...]) -> None:
    """Refuse what an executor cannot do, rather than ignore it."""
    if executor != "ray" and any(option is not None for option in ray):
        raise HeistError("--ray-address and --mirror are for --executor ray")
    if executor == "here" and any(option is not None for option in limits):
        raise HeistError("--cell-timeout and --worker-memory need worker processes: --executor here has none")


def _load(plugins: list[Path] | None, debug: bool, packages: bool = False) -> tuple[Path, ...]:
    """Load plugin files and, on request, the attacks of installed packages; returns the files that were imported.

    `debug` asks for tracebacks here and, as they inherit the environment, in worker processes.
    """
    from heistbench.bench.walls.foreign import find_packages, load_plugins

    if debug:
        os.environ[DEBUG] = "1"
    imported = load_plugins(plugins or ())
    if packages:
        find_packages()
    return imported


def _print(what: Any) -> None:
    """A rich renderable to the terminal, anything else as JSON."""
    from rich.console import Console

    if isinstance(what, (list, dict)):
        import json

        print(printable_json(json.dumps(what, indent=1, ensure_ascii=False)))
    else:
        Console().print(what, soft_wrap=True)
