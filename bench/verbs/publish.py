"""Publishing: the records of a run join those that lie in its folder, and the site is built of all of them.

Nothing is deleted: results of other attacks, defenses or seeds stay beside this run's, and those that were made in another way,
and so cannot stand on one board with it, are set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from heistbench.bench.contracts.errors import printable
from heistbench.bench.storage.failures import Failure, write_failures
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import RecordReader, results_below, write_record
from heistbench.bench.storage.store import hash_of
from heistbench.leaderboard.board.build import fits
from heistbench.leaderboard.pages.site import build_site
from heistbench.leaderboard.terminal.show import failed_cells, tables

if TYPE_CHECKING:
    from rich.console import Console


def publish(console: Console, records: Sequence[Record], failed: Sequence[Failure], folder: Path) -> None:
    """Write records, failures and site under a suite's folder, and show the board of all that lies there."""
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".publishing.lock"):
        reader = RecordReader()
        known = {path: reader.read(path) for path in results_below(results)}
        aside = _set_aside({path: record for path, record in known.items() if not fits(record, records)}, folder)
        kept = {path: record for path, record in known.items() if path.is_file()}
        known_now = kept | {write_record(results, record): record for record in records}
        failures = write_failures(folder, failed, [record.path() for record in known_now.values()])
        board = build_site(results, folder / "site", records=known_now, failures=failures) if known_now else None
    for table in [*(tables(board) if board else []), *failed_cells(failures)]:
        console.print(table)
    if aside:
        _say(console, f"results made in another way were set aside: {aside}")
    if board:
        _say(console, f"results  {results}")
        _say(console, f"pages    {folder / 'site' / 'index.html'}")


def _say(console: Console, line: str) -> None:
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def _set_aside(misfits: dict[Path, Record], folder: Path) -> Path | None:
    """Move results that cannot be compared with this run's out of the way; returns where to."""
    if not misfits:
        return None
    aside = folder / "set-aside" / hash_of([record.model_dump(mode="json") for record in misfits.values()])[:8]
    for path, record in misfits.items():
        write_record(aside, record)
        path.unlink()
    return aside
