"""The site: a pure function of result files. An index, a page a contest, a page a cell; all of the data as JSON and Parquet.

Contests are built one after the other, on several cores where there are many files, and never all held at once.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import gettempdir
from urllib.parse import quote

from filelock import FileLock

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.failures import Failure
from heistbench.bench.storage.result_files import RecordReader
from heistbench.bench.storage.store import hash_of
from heistbench.leaderboard.board.build import Board
from heistbench.leaderboard.board.comparable import generation
from heistbench.leaderboard.board.panel import Setting
from heistbench.leaderboard.pages import render
from heistbench.leaderboard.pages.cellpage import CellPage
from heistbench.leaderboard.pages.contest import ContestName, by_contest, cells, contest_of, read
from heistbench.leaderboard.pages.current import MADE_OF, ingredients
from heistbench.leaderboard.pages.parquet import join, write_part
from heistbench.leaderboard.pages.sharing import Sharing
from heistbench.leaderboard.pages.summary import Summary, summary_of

ASSETS = Path(__file__).parent / "assets"
FEW = 1000
"""Up to so many files are built in this process: to start others takes longer."""
MARK = "assets/heist.css"
"""What tells a site from any other folder."""
Progress = Callable[[int, int], None]
"""Is told how many result files are in pages, and how many there are."""


def quietly(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One contest to build: its files, the folder of the results, where the site is made and where it will stand."""

    files: list[Path]
    results: Path
    aside: Path
    site: Path
    failures: Sequence[Failure]


@dataclass(frozen=True, slots=True)
class _Built:
    """What the site's own files say of a contest; `line` is its board as JSON."""

    summary: Summary
    board: Board
    line: str


def build_site(results: Path, out: Path, built: Progress = quietly, failures: Sequence[Failure] = ()) -> Board:
    """Build the site of all result files under a folder, and of the cells that failed, and return their board.

    The site is made aside and renamed: a build that is killed leaves the old one whole. Raises HeistError when there are no
    result files, when one is none or cannot be compared with those beside it, and when `out` is a folder that is no site.
    """
    results, out = results.absolute(), out.absolute()
    aside = out.with_name(f".{out.name}.part")
    try:
        # Two runs of one suite end at one site: one after the other.
        with FileLock(Path(gettempdir(), f"heist-site-{hash_of(str(out))[:16]}.lock")):
            _check(out)
            return _build_aside(results, out, aside, built, failures)
    except OSError as error:
        raise HeistError(f"{out}: cannot build there ({error})") from None


def _build_aside(results: Path, out: Path, aside: Path, built: Progress, failures: Sequence[Failure]) -> Board:
    shutil.rmtree(aside, ignore_errors=True)
    made_of = ingredients(results, out, failures)
    try:
        found = _built([_Job(files, results, aside, out, failures) for files in by_contest(results)], built)
        _write_all(aside, found, failures)
        _write(aside / MADE_OF, made_of)
        _replace(out, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return _whole([each.board for each in found])


def _whole(boards: Sequence[Board]) -> Board:
    """All contests on one board, in the order in which a board has its panels."""
    panels = sorted((panel for board in boards for panel in board.panels), key=lambda panel: (*_order(panel), panel.budget))
    return Board(tuple(panels), tuple(sorted((sweep for board in boards for sweep in board.sweeps), key=_order)))


def _order(part: Setting) -> tuple[str, ...]:
    return part.task, part.exam, generation(part.task_version), part.victim, part.student


def _check(out: Path) -> None:
    if out.exists() and not (out / MARK).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise HeistError(f"{out}: is there and is no site; expected a new or empty folder, or a site to build again")


def _built(jobs: Sequence[_Job], built: Progress) -> list[_Built]:
    """What every job gave, in the order of contests; the largest are done first."""
    largest = sorted(jobs, key=lambda job: -len(job.files))
    total, done, found = sum(len(job.files) for job in jobs), 0, []
    for job, result in zip(largest, _results(largest, total), strict=True):
        found.append(result)
        built(done := done + len(job.files), total)
    return sorted(found, key=lambda each: each.summary.name)


def _results(jobs: Sequence[_Job], files: int) -> Iterator[_Built]:
    if files <= FEW:
        yield from map(_build, jobs)
        return
    workers = min(os.cpu_count() or 1, len(jobs))
    with ProcessPoolExecutor(workers, get_context("spawn"), _alone) as pool:
        yield from pool.map(_build, jobs)


def _alone() -> None:
    """Settings of a worker. Records hold no cycles, and looking for some among them all the time takes a fifth of it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    gc.set_threshold(100_000)


def _build(job: _Job) -> _Built:
    """Write the pages of one contest and its part of the table."""
    reader, sharing = RecordReader(), Sharing()
    by_path = {path: sharing.lean(read(path, reader)) for path in job.files}
    contest = contest_of([*by_path.values()])
    files = {id(record): path.relative_to(job.results).as_posix() for path, record in by_path.items()}
    home = Path(os.path.relpath(job.results, job.site)).as_posix()
    failures = [failure for failure in job.failures if ContestName.of(failure) == contest.name]
    _write(job.aside / contest.name.folder / "index.html", render.contest_page(contest, failures))
    for panel, cell in cells(contest):
        page, records = contest.page(panel, cell), contest.records(panel, cell)
        root = "../" * page.count("/")
        links = [f"{root}{quote(f'{home}/{files[id(record)]}')}" for record in records]
        _write(job.aside / page, render.cell_page(CellPage.of(panel, cell, records, links), contest, root))
    write_part(_part(job.aside, contest.name.folder), [*by_path.values()], [*files.values()])
    return _Built(summary_of(contest), contest.board, contest.board.to_json())


def _part(site: Path, folder: str) -> Path:
    return site / ".parts" / f"{folder}.parquet"


def _write_all(site: Path, found: Sequence[_Built], failures: Sequence[Failure]) -> None:
    """Write what is made of all contests."""
    rows = [each.summary for each in found]
    _write(site / "index.html", render.index_page(rows, failures))
    boards = ",\n".join(f"{json.dumps(each.summary.folder)}: {each.line}" for each in found)
    _write(site / "board.json", f"{{\n{boards}}}\n")
    join(site / "results.parquet", [_part(site, row.folder) for row in rows])
    shutil.rmtree(site / ".parts")
    for name in ("heist.css", "heist.js"):
        _write(site / "assets" / name, (ASSETS / name).read_text(encoding="utf-8"))
    _write(site / "assets" / "vega.js", _vega())


def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as `window.vegaEmbed`; what else they declare stays out of the pages' way."""
    from vl_convert import javascript_bundle

    return f"(() => {{\n{javascript_bundle('window.vegaEmbed = vegaEmbed;')}\n}})();\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise HeistError(f"two pages of one name: {path.name} in {path.parent.name}") from None


def _replace(site: Path, aside: Path) -> None:
    old = site.with_name(f".{site.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if site.exists():
        site.rename(old)
    aside.rename(site)
    shutil.rmtree(old, ignore_errors=True)
