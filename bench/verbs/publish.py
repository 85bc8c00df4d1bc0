"""Publishing: the records of a run join those that lie in its folder, and the site is built of all of them.

Nothing is deleted: results of other attacks, defenses or seeds stay beside this run's, and those that were made in another way,
and so cannot stand on one board with it, are set aside.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from heistbench.bench.contracts.errors import printable
from heistbench.bench.storage.digests import digest
from heistbench.bench.storage.failures import Failure, write_failures
from heistbench.bench.storage.regular_files import Unreadable, read_regular
from heistbench.bench.storage.result_files import (
    KEPT,
    RecordReader,
    kept_files,
    move_record,
    read_record,
    results_below,
)
from heistbench.bench.storage.store import hash_of, write_bytes
from heistbench.leaderboard.board.build import Beside, Board, build
from heistbench.leaderboard.pages.current import is_current
from heistbench.leaderboard.pages.sharing import Sharing
from heistbench.leaderboard.pages.site import build_site
from heistbench.leaderboard.terminal.show import failed_cells, tables

if TYPE_CHECKING:
    from rich.console import Console


def publish(console: Console, records: Sequence[Path], failed: Sequence[Failure], folder: Path) -> int:
    """Copy records, write failures and site under a suite's folder, and show the board of all that lies there.

    `records` are the folders of the run's records in its store; returns how many they are.
    """
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".publishing.lock"):
        copies = {results / place: file for record in records for place, file in kept_files(record)}
        there = {place for place, file in copies.items() if _same(place, file)}
        aside = _set_aside(results, there, records, folder)
        for place in copies.keys() - there:
            write_bytes(place, copies[place].read_bytes())
        paths = results_below(results)
        failures = write_failures(folder, failed, [path.relative_to(results) for path in paths])
        board = _board(results, folder / "site", failures) if paths else None
    for table in [*(tables(board) if board else []), *failed_cells(failures)]:
        console.print(table)
    if aside:
        _say(console, f"results made in another way were set aside: {aside}")
    if board:
        _say(console, f"results  {results}")
        _say(console, f"pages    {folder / 'site' / 'index.html'}")
    return len(records)


def _say(console: Console, line: str) -> None:
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def _board(results: Path, site: Path, failures: Sequence[Failure]) -> Board:
    """The board of some results, whose site is built unless it stands."""
    if not is_current(results, site, failures):
        return build_site(results, site, failures=failures)
    reader, sharing = RecordReader(), Sharing()
    return build([sharing.lean(reader.read(path)) for path in results_below(results)])


def _same(place: Path, file: Path) -> bool:
    """Whether what lies at a place, if anything does, is a copy of a file already."""
    content = file.read_bytes()
    try:
        return read_regular(place, len(content)) == content
    except Unreadable:
        return False


def _set_aside(results: Path, kept: Container[Path], records: Sequence[Path], folder: Path) -> Path | None:
    """Move results that cannot be compared with these records out of the way; returns where to. `kept` are copies of them."""
    known, reader = [path for path in results_below(results) if path not in kept], RecordReader()
    if not known:
        return None
    beside = Beside(read_record(record / KEPT) for record in records)
    misfits = [path for path in known if not beside.fits(reader.read(path))]
    if not misfits:
        return None
    aside = folder / "set-aside" / hash_of([digest(path) for path in misfits])[:8]
    for path in misfits:
        move_record(path, aside)
    return aside
