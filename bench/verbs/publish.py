"""Publishing: the records of a run join those that lie in its folder, and the site is built of all of them.

Nothing is deleted: results of other attacks, defenses or seeds stay beside this run's, and those that were made in another way,
and so cannot stand on one board with it, are set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from heistbench.bench.storage.records import Record, read_record, write_record
from heistbench.bench.storage.store import hash_of
from heistbench.leaderboard.board.build import build, fits
from heistbench.leaderboard.pages.site import build_site
from heistbench.leaderboard.terminal.show import tables

if TYPE_CHECKING:
    from rich.console import Console


def publish(console: Console, records: Sequence[Record], folder: Path) -> None:
    """Write records and site under a suite's folder, and show the board of this run."""
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".publishing.lock"):
        aside = _set_aside(records, folder)
        for record in records:
            write_record(results, record)
        build_site(results, folder / "site")
    for table in tables(build(records)):
        console.print(table)
    if aside:
        console.print(f"set aside  {aside}: results made in another way", highlight=False, soft_wrap=True)
    console.print(f"results  {results}\npages    {folder / 'site' / 'index.html'}", highlight=False, soft_wrap=True)


def _set_aside(records: Sequence[Record], folder: Path) -> Path | None:
    """Move earlier results that cannot be compared with this run's out of the way; returns where to.

    Those of the same cells, made in another way, lie where this run's go: they move before any is written.
    """
    results = folder / "results"
    misfits = [path for path in sorted(results.rglob("seed-*.json")) if not fits(read_record(path), records)]
    if not misfits:
        return None
    aside = folder / "set-aside" / hash_of([path.read_text(encoding="utf-8") for path in misfits])[:8]
    for path in misfits:
        target = aside / path.relative_to(results)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    return aside
