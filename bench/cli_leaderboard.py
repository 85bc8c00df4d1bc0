"""The command line of `heist leaderboard`: each verb is a thin function, as in `cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from heistbench.bench.contracts.errors import printable

if TYPE_CHECKING:
    from heistbench.leaderboard.submit.verify import Rerun

board_app = App(name="leaderboard", help="Boards from result files.")

Results = Annotated[Path | None, Parameter(help="Folder of published results; default: leaderboard/results of the checkout.")]
Again = Annotated[
    bool,
    Parameter(
        name="--rerun",
        help="Run again, in minutes, what takes no training: untrained students, honest use, loot of shipped victims.",
    ),
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


@board_app.command
def show(folder: Path | None = None, *, json: Json = False) -> None:
    """Show the board of a folder of result files; without one, the published results."""
    from heistbench.bench.verbs.board import show_board

    show_board(folder, json)


@board_app.command
def build(
    results: Path | None = None, *, out: Annotated[Path | None, Parameter(help="Where to; default: site, beside them.")] = None
) -> None:
    """Build the site of a folder of result files: an index, a page per contest and per cell. Without one, of those published."""
    from heistbench.leaderboard.pages.verbs import build as build_pages
    from heistbench.leaderboard.published import published

    folder = results or published()
    build_pages(folder, out or folder.absolute().parent / "site")


@board_app.command
def serve(site: Path | None = None, *, port: Annotated[int, Parameter(help="Port; 0 takes a free one.")] = 8000) -> None:
    """Serve a site that `build` made to this machine alone, until Ctrl-C; without one, that of the published results."""
    from heistbench.leaderboard.pages.verbs import serve as serve_pages
    from heistbench.leaderboard.published import published

    serve_pages(site or published().parent / "site", port)


@board_app.command
def verify(folder: Path, *, results: Results = None, rerun: Again = True, json: Json = False) -> None:
    """Check a submission, a folder of result files: its numbers, hashes, completeness, and fit with the published results.

    What students wrote is graded again, and what takes no training is run again.

    Exit code 1 where it is refused.
    """
    from heistbench.bench.walls.foreign import find_packages
    from heistbench.leaderboard.published import published
    from heistbench.leaderboard.submit.submission import report
    from heistbench.leaderboard.submit.verify import verify as check

    find_packages()
    verdict = check(folder, results or published(), _rerun() if rerun else None)
    report(verdict, json)
    if not verdict.sound:
        sys.exit(1)


@board_app.command
def audit(
    folder: Path,
    *,
    cells: Annotated[int, Parameter(help="Cells to draw; 12 catch a forged sixth with a chance of 89%.")] = 12,
    minutes: Annotated[float | None, Parameter(help="Minutes after which no further cell is begun.")] = None,
    seed: Annotated[int | None, Parameter(help="Of the draw, chosen after submission; default: drawn now, and printed.")] = None,
    out: Annotated[Path | None, Parameter(help="An empty folder that keeps what is run; default: nothing is kept.")] = None,
    jobs: Annotated[
        int | None, Parameter(help="Worker processes of one thread; default: one per GPU, otherwise one per core.")
    ] = None,
    json: Json = False,
) -> None:
    """Draw cells of a submission, run them afresh, and compare loot, student, verdicts and bill with what it states.

    Bit by bit where the same packages on the same kind of machine made both, otherwise by a paired test. Says what a forger would
    have risked. Exit code 1 where a cell is contradicted, 3 where none is and one could not be run again.
    """
    from rich.console import Console

    from heistbench.bench.verbs.audit import AuditOptions
    from heistbench.bench.verbs.audit import audit as run_audit
    from heistbench.bench.walls.foreign import find_packages
    from heistbench.leaderboard.submit.audit_report import report

    find_packages()
    done = run_audit(folder, AuditOptions(cells, minutes, seed, out, jobs), Console(stderr=json))
    report(Console(), done, json)
    if done.exit_code:
        sys.exit(done.exit_code)


@board_app.command
def add(folder: Path, *, results: Results = None, rerun: Again = True) -> None:
    """Add a submission to the published results, if `verify` finds it sound.

    Exit code 1 where it is refused.
    """
    from heistbench.bench.walls.foreign import find_packages
    from heistbench.leaderboard.published import published
    from heistbench.leaderboard.submit.submission import add as put
    from heistbench.leaderboard.submit.submission import report

    find_packages()
    verdict, target = put(folder, results or published(), _rerun() if rerun else None)
    report(verdict)
    if target is None:
        sys.exit(1)
    print(f"added as {printable(str(target))}\nnext: heist leaderboard build, commit the new folder, open a pull request")


def _rerun() -> Rerun:
    from heistbench.bench.verbs.rerun import rerun

    return rerun
