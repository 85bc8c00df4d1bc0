"""The replies of one victim on disk: a table in SQLite whose rows carry digests, and a tally that says how many there are.

The tally lies beside the table and is written after each row is committed. Whoever dies, and whenever, it says at most what the
table holds: a table that holds less, or something else, is damaged. Each row also says how many rows there were with it and what
they cost together, so that nothing has to be added up.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.digests import Stamp, stamp
from heistbench.bench.storage.store import canonical, hash_of, read_json, write_bytes

TABLE, TALLY = "replies.sqlite", "tally.json"
UNANSWERED = "unanswered"
"""How a query stopped that was sent without an outcome."""
_CHUNK = 500
"""Keys per look-up; SQLite limits the variables of a statement."""
_CREATE = (
    "CREATE TABLE replies (number INTEGER PRIMARY KEY, total REAL, digest TEXT, key TEXT UNIQUE, before INTEGER,"
    " stop TEXT, dollars REAL, prompt TEXT, reply TEXT)"
)
_COLUMNS = "number, total, digest, key, before, stop, dollars, prompt, reply"
"""Those of a `Kept`; the long ones last, so that adding up the others reads little."""


class Row(NamedTuple):
    """One query and what came of it."""

    key: str
    before: int
    stop: str
    dollars: float
    prompt: str
    reply: str


class Kept(NamedTuple):
    """A row as it is kept: how many there were with it, what they cost together, and a digest of all of it."""

    number: int
    total: float
    digest: str
    row: Row

    @classmethod
    def of(cls, columns: Sequence[Any]) -> Kept:
        """From the columns of the table, which may hold anything."""
        number, total, digest, *row = columns
        return cls(number, total, digest, Row(*row))

    @property
    def sound(self) -> bool:
        """Whether it is as it was written."""
        return self.digest == digest_of(self.number, self.total, self.row)


class Tally(NamedTuple):
    """What a table holds at least: so many rows, what they cost, and the digest of the last."""

    rows: int = 0
    dollars: float = 0.0
    last: str = ""


class Broken(Exception):
    """A table does not hold what was written; raised within this room only."""


def digest_of(number: int, total: float, row: Row) -> str:
    """sha256 of a row with its number and total; `ascii` writes all that damage can make of a column, whatever Python."""
    return hashlib.sha256(ascii((number, total, *row)).encode()).hexdigest()


class Replies:
    """The table and the tally of one folder. What reads or writes raises Broken for a damaged table, as far as it looks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / TABLE

    @property
    def begun(self) -> bool:
        """Whether anything was ever written."""
        return self.path.exists() or (self.folder / TALLY).exists()

    @property
    def empty(self) -> bool:
        """Whether there is no table, and none is missing."""
        return not self.path.exists() and self.tally() == Tally()

    @property
    def stamp(self) -> Stamp | None:
        """What differs when the table was written again; None where there is none."""
        return stamp(self.path) if self.path.is_file() else None

    def find(self, keys: Sequence[str]) -> dict[str, Row]:
        """The rows of some keys, by key."""
        rows = dict[str, Row]()
        if self.empty:
            return rows
        with self.opened() as base:
            for at in range(0, len(keys), _CHUNK):
                part = keys[at : at + _CHUNK]
                marks = ",".join("?" * len(part))
                rows.update((row.key, row) for row in _read(base, f"WHERE key IN ({marks})", part))
        return rows

    def spent(self) -> tuple[int, float, int]:
        """The number of queries answered or billed and the dollars, by the last row, and that of queries which were neither."""
        if self.empty:
            return 0, 0.0, 0
        with self.opened() as base:
            last, vain = _last(base), "SELECT TOTAL(stop IN (?, 'error') AND dollars = 0) FROM replies"
            unanswered = int(base.execute(vain, (UNANSWERED,)).fetchone()[0])
        return last.rows - unanswered, last.dollars, unanswered

    def outcomes(self) -> tuple[int, int]:
        """The number of queries with an outcome, and how many of them were lost to an outage."""
        if self.empty:
            return 0, 0
        with self.opened() as base:
            total = "SELECT TOTAL(stop != ?), TOTAL(stop = 'error') FROM replies"
            queries, lost = base.execute(total, (UNANSWERED,)).fetchone()
        return int(queries), int(lost)

    def add(self, base: sqlite3.Connection, rows: Iterable[Row]) -> None:
        """Write rows to a table opened for writing, all or none."""
        base.execute("BEGIN IMMEDIATE")
        with base:  # commits, or rolls back
            tally = _last(base)
            for row in rows:
                number, total = tally.rows + 1, tally.dollars + row.dollars
                tally = Tally(number, total, digest_of(number, total, row))
                base.execute(f"INSERT INTO replies ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*tally, *row))
        self._write(tally)

    def tally(self) -> Tally | None:
        """What the tally says; None where it is damaged, or missing though there is a table."""
        if not self.begun:
            return Tally()
        try:
            *said, check = read_json(self.folder / TALLY)
            return Tally(*said) if check == hash_of(said) else None
        except (OSError, ValueError, TypeError):
            return None

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The table, after a look at whether it holds what the tally says."""
        tally = self.tally()  # before the table: what another process writes meanwhile is more than it says
        with self.connected() as base:
            if tally is None or not holds(base, tally):
                raise Broken
            yield base

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """As `opened`, for one process at a time, which makes the table if need be."""
        if self.empty:
            self._write(Tally())
            self._create()
        with self.opened() as base:
            yield base

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """The database, whatever it holds. Raises Broken for none, or for what is none, HeistError where it cannot be used."""
        if not self.path.exists():
            raise Broken
        try:
            base = sqlite3.connect(self._uri(), uri=True, timeout=60, isolation_level=None)
            try:
                # Damaged text is read as it is; its digest is off.
                base.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
                base.execute("PRAGMA synchronous=NORMAL")
                yield base
            finally:
                base.close()
        except sqlite3.DatabaseError as error:
            # Anything operational but plain errors: a full disk, missing permissions, another process in the way.
            plain = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR
            if isinstance(error, sqlite3.OperationalError) and not plain:
                raise HeistError(f"ledger {self.path}: {error}") from None
            raise Broken from error

    def _uri(self) -> str:
        """Where the database is; on a disk that cannot be written, SQLite reads only what it is told that nobody writes."""
        uri, log = self.path.absolute().as_uri(), Path(f"{self.path}-wal")
        return uri if os.access(self.folder, os.W_OK) or log.exists() else f"{uri}?immutable=1"

    def _create(self) -> None:
        """Make an empty table, aside: where there is a file, there is a table in it."""
        aside = Replies(self.folder)
        aside.path = self.folder / f"{TABLE}.part"
        for path in self.folder.glob(f"{TABLE}.part*"):  # of one that was killed here
            path.unlink()
        aside.path.touch()
        with aside.connected() as base:
            # A write-ahead log survives the death of the process without waiting for the disk after each row.
            base.execute("PRAGMA journal_mode=WAL")
            base.execute(_CREATE)
        aside.path.replace(self.path)

    def _write(self, tally: Tally) -> None:
        # Not flushed to disk: after a power failure the table may have lost its last rows, too, and neither goes unnoticed.
        try:
            write_bytes(self.folder / TALLY, canonical([*tally, hash_of(tally)]).encode(), durable=False)
        except OSError as error:
            raise HeistError(f"ledger {self.folder / TALLY}: cannot be written ({error.strerror})") from None


def holds(base: sqlite3.Connection, tally: Tally) -> bool:
    """Whether a table has no gap and all that a tally speaks of."""
    facts = "(SELECT COUNT(*) FROM replies), (SELECT MAX(number) FROM replies), (SELECT digest FROM replies WHERE number = ?)"
    count, largest, last = base.execute(f"SELECT {facts}", (tally.rows,)).fetchone()
    return bool(count == (largest or 0) >= tally.rows and (last or "") == tally.last)


def every(base: sqlite3.Connection, order: str) -> Iterator[Kept]:
    """All rows by number, ASC or DESC."""
    yield from map(Kept.of, base.execute(f"SELECT {_COLUMNS} FROM replies ORDER BY number {order}"))


def _last(base: sqlite3.Connection) -> Tally:
    """What the last row says of all rows."""
    for kept in map(Kept.of, base.execute(f"SELECT {_COLUMNS} FROM replies ORDER BY number DESC LIMIT 1")):
        if not kept.sound:
            raise Broken
        return Tally(kept.number, kept.total, kept.digest)
    return Tally()


def _read(base: sqlite3.Connection, where: str, values: Sequence[str]) -> Iterator[Row]:
    for kept in map(Kept.of, base.execute(f"SELECT {_COLUMNS} FROM replies {where}", values)):
        if not kept.sound:
            raise Broken
        yield kept.row
