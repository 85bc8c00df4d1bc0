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
