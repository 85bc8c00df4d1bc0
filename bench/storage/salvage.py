"""What is left of damaged replies: how many are sound, what the others cost, and a new table of the sound ones."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.damage import free_place
from heistbench.bench.storage.replies import TABLE, TALLY, UNANSWERED, Broken, Kept, Replies, Row, Tally, every, holds

MENDED = "mended.part"
"""The folder in which a new table is written before it takes the place of the old one."""


class Condition(NamedTuple):
    """How much of a ledger is as it was written: so many rows are sound, so many are lost, and what the lost ones cost.

    `whole` says that nothing is damaged, `certain` that no more can be lost than is known.
    """

    sound: int
    lost: int
    dollars: float
    whole: bool
    certain: bool


def condition(replies: Replies) -> Condition:
    """Look at every row. Raises HeistError where the file cannot be used."""
    tally = replies.tally()
    largest, total = (tally.rows, tally.dollars) if tally else (0, 0.0)
    sound, dollars, certain = 0, 0.0, tally is not None
    for kept in sound_rows(replies):
        certain &= not (tally and kept.number == tally.rows and kept.digest != tally.last)
        sound, dollars = sound + 1, dollars + kept.row.dollars
        largest, total = max((largest, total), (kept.number, kept.total))
    lost = largest - sound
    whole = tally is not None and not lost and _is_consistent(replies, tally)
    return Condition(sound, lost, max(0.0, total - dollars) if lost else 0.0, whole, certain)


def sound_rows(replies: Replies) -> Iterator[Kept]:
    """All rows that can be read and are as they were written, from both ends of a file that is broken in the middle."""
    seen = set[int]()
    for order in ("ASC", "DESC"):
        with suppress(Broken), replies.connected() as base:
            for kept in every(base, order):
                if kept.sound and kept.number not in seen:
                    seen.add(kept.number)
                    yield kept
            return


def repair(replies: Replies, root: Path) -> Path:
    """Copy damaged replies to `damaged/` of the store at `root`, and keep the sound ones; says where the copy lies.

    What was lost stays paid for: for each lost reply, a query without an outcome is kept. Must be called by who holds the lock.
    """
    found = condition(replies)
    try:
        aside = _copied(replies, free_place(root, replies.folder))
        _replace(replies, found)
    except OSError as error:
        raise HeistError(f"ledger {replies.path}: cannot be repaired ({error.strerror}: {error.filename})") from None
    return aside


def unanswered(dollars: float) -> Row:
    """A query that was sent without an outcome: it will be sent again, but its cost is already spent."""
    return Row(f"sent {uuid4().hex}", 0, UNANSWERED, dollars, "", "")


def damaged(replies: Replies, found: Condition) -> HeistError:
    """What there is to say of a ledger that is not whole."""
    out = shlex.quote(str(replies.folder.parents[2]))
    return HeistError(
        f"ledger {replies.path}: damaged; {lost_words(found)}; nothing was asked again; `heist store verify --out {out} --repair`"
        " sets it aside, keeps the other replies, and lets what is lost be asked, and paid for, again"
    )


def lost_words(found: Condition) -> str:
    """How much is lost, in words."""
    if found.certain and not found.lost:
        return "no reply is lost"
    known = "" if found.certain else ", as far as can be known: its tally is damaged, or that of another table"
    replies = f"{found.lost:,} of {found.sound + found.lost:,} replies are damaged or missing"
    return f"{replies}, which cost ${found.dollars:.2f}{known}"


def _replace(replies: Replies, found: Condition) -> None:
    """Put a table of what is sound in the place of a damaged one."""
    fresh = Replies(replies.folder / MENDED)
    shutil.rmtree(fresh.folder, ignore_errors=True)
    with fresh.writing() as base:
        fresh.add(base, (kept.row for kept in sound_rows(replies)))
        fresh.add(base, (unanswered(found.dollars / found.lost) for _ in range(found.lost)))
    for log in ("-wal", "-shm"):  # of the old table: the new one must not be taken for what they go on from
        Path(f"{replies.path}{log}").unlink(missing_ok=True)
    for name in (TABLE, TALLY):
        (fresh.folder / name).replace(replies.folder / name)
    shutil.rmtree(fresh.folder)


def _is_consistent(replies: Replies, tally: Tally) -> bool:
    """Whether a table whose rows are sound is one: nothing missing, and every row found by its key."""
    if replies.empty:
        return True
    try:
        with replies.connected() as base:
            return holds(base, tally) and base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    except Broken:
        return False


def _copied(replies: Replies, place: Path) -> Path:
    place.mkdir()
    for path in replies.folder.iterdir():
        if path.name.startswith((TABLE, TALLY, "spec")) and path.is_file():
            shutil.copy2(path, place)
    return place
