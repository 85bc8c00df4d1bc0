"""The ledger: every reply of a victim, kept as it arrives, so that no query is sent, or paid for, twice.

There is one SQLite file per victim and one row per query, under `victims/<identity>/` of the store. A row is written whole or not
at all, even after a SIGKILL. A process that queries a victim holds its lock.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Prompt, Reply, Usage
from heistbench.bench.storage.store import VICTIMS, Store, canonical, hash_of, identify, lock, write_json

Query = tuple[Prompt, int]
"""A prompt, and how often it was sent before."""
_UNANSWERED = "unanswered"
_CHUNK = 500
"""Keys per look-up; SQLite limits the variables of a statement."""
_DELETE = "delete it to query this victim again"


class Ledger:
    """The replies of one victim."""

    def __init__(self, store: Store, spec: dict[str, Any]) -> None:
        self._folder = store.root / VICTIMS / identify(spec)
        self._folder.mkdir(parents=True, exist_ok=True)
        if not (self._folder / "spec.json").exists():
            write_json(self._folder / "spec.json", spec)
        self._path = self._folder / "replies.sqlite"

    def find(self, queries: Sequence[Query]) -> dict[int, Reply]:
        """The stored replies, by position in `queries`."""
        keys, rows = [_key(query) for query in queries], dict[str, str]()
        with _open(self._path) as base:
            for at in range(0, len(keys), _CHUNK):
                part = keys[at : at + _CHUNK]
                marks = ",".join("?" * len(part))
                rows.update(base.execute(f"SELECT key, reply FROM replies WHERE key IN ({marks})", part))
        try:
            return {at: reply_from(json.loads(rows[key])) for at, key in enumerate(keys) if key in rows}
        except (ValueError, KeyError, TypeError):
            raise HeistError(f"ledger {self._path}: contains a row that is not a reply; {_DELETE}") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that queries this victim. Raises Busy while another one does."""
        with lock(self._folder / "asking"):
            yield

    @contextmanager
    def writing(self) -> Iterator[Callable[[Query, Reply, float], None]]:
        """A function that stores one reply and its cost in dollars."""
        with _open(self._path) as base:

            def keep(query: Query, reply: Reply, dollars: float) -> None:
                row = (_key(query), canonical(query[0]), query[1], canonical(reply), reply.stop, dollars)
                base.execute("INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?)", row)
                base.commit()

            yield keep

    def charge(self, dollars: float) -> None:
        """Record a query that was sent without an outcome: it will be sent again, but its cost, if any, is already spent."""
        with _open(self._path) as base:
            base.execute("INSERT INTO replies VALUES (?, '', 0, '', ?, ?)", (f"sent {uuid4().hex}", _UNANSWERED, dollars))
            base.commit()

    def outcomes(self) -> tuple[int, int]:
        """The number of queries with an outcome so far, and how many of them were lost to an outage."""
        with _open(self._path) as base:
            total = "SELECT TOTAL(stop != ?), TOTAL(stop = 'error') FROM replies"
            queries, lost = base.execute(total, (_UNANSWERED,)).fetchone()
        return int(queries), int(lost)

    def spent(self) -> tuple[int, float]:
        """The number of queries that got a reply or were billed, and the dollars spent so far."""
        with _open(self._path) as base:
            total = "SELECT TOTAL(stop NOT IN (?, 'error') OR dollars > 0), TOTAL(dollars) FROM replies"
            queries, dollars = base.execute(total, (_UNANSWERED,)).fetchone()
        return int(queries), float(dollars)

    def unanswered(self) -> int:
        """The number of queries that were sent and neither got a reply nor were billed, those asked again later included."""
        with _open(self._path) as base:
            total = "SELECT COUNT(*) FROM replies WHERE stop IN (?, 'error') AND dollars = 0"
            return int(base.execute(total, (_UNANSWERED,)).fetchone()[0])


def reply_from(row: dict[str, Any]) -> Reply:
    """A reply from its JSON."""
    return Reply(**{**row, "usage": Usage(**row["usage"])})


def ledgers(store: Store) -> Iterable[Path]:
    """The folders of all victims that were ever queried."""
    return sorted(path.parent for path in store.root.glob(f"{VICTIMS}/*/replies.sqlite"))


def _key(query: Query) -> str:
    return hash_of(query)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        base = sqlite3.connect(path, timeout=60)
        try:
            # A write-ahead log survives the death of the process without waiting for the disk after each row.
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("PRAGMA synchronous=NORMAL")
            base.execute(
                "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, prompt TEXT, before INTEGER, reply TEXT, stop TEXT,"
                " dollars REAL) WITHOUT ROWID"
            )
            yield base
        finally:
            base.close()
    except sqlite3.OperationalError as error:  # a full disk, missing permissions, another process in the way
        raise HeistError(f"ledger {path}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise HeistError(f"ledger {path}: {error}; {_DELETE}") from None
