"""The ledger: what a victim once replied to a query, kept as it arrives, so that nothing is asked, or paid for, twice.

One SQLite file a victim, one row a query, under `victims/<identity>/` of the store. A row is there whole or not at all, also
after a SIGKILL; who asks holds the victim's lock.
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
from heistbench.bench.storage.store import Store, canonical, hash_of, identify, lock, write_json

Query = tuple[Prompt, int]
"""A prompt and how often it was asked before."""
_UNANSWERED = "unanswered"
_CHUNK = 500
"""Keys in one look-up; SQLite bounds the variables of a statement."""
_DELETE = "delete it to ask this victim again"


class Ledger:
    """The replies of one victim."""

    def __init__(self, store: Store, spec: dict[str, Any]) -> None:
        self._folder = store.root / "victims" / identify(spec)
        self._folder.mkdir(parents=True, exist_ok=True)
        if not (self._folder / "spec.json").exists():
            write_json(self._folder / "spec.json", spec)
        self._path = self._folder / "replies.sqlite"

    def find(self, queries: Sequence[Query]) -> dict[int, Reply]:
        """The replies that are here, by place."""
        keys, rows = [_key(query) for query in queries], dict[str, str]()
        with _open(self._path) as base:
            for at in range(0, len(keys), _CHUNK):
                part = keys[at : at + _CHUNK]
                marks = ",".join("?" * len(part))
                rows.update(base.execute(f"SELECT key, reply FROM replies WHERE key IN ({marks})", part))
        try:
            return {at: reply_from(json.loads(rows[key])) for at, key in enumerate(keys) if key in rows}
        except (ValueError, KeyError, TypeError):
            raise HeistError(f"ledger {self._path}: holds a row that is no reply; {_DELETE}") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only one who asks this victim. Raises Busy while another process is."""
        with lock(self._folder / "asking"):
            yield

    @contextmanager
    def writing(self) -> Iterator[Callable[[Query, Reply, float], None]]:
        """A function that writes down one reply and the dollars it cost."""
        with _open(self._path) as base:

            def keep(query: Query, reply: Reply, dollars: float) -> None:
                row = (_key(query), canonical(query[0]), query[1], canonical(reply), reply.stop, dollars)
                base.execute("INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?)", row)
                base.commit()

            yield keep

    def charge(self, dollars: float) -> None:
        """Write down a query that was sent and has no outcome: it will be asked again, but what it cost is spent."""
        with _open(self._path) as base:
            base.execute("INSERT INTO replies VALUES (?, '', 0, '', ?, ?)", (f"sent {uuid4().hex}", _UNANSWERED, dollars))
            base.commit()

    def outcomes(self) -> tuple[int, int]:
        """Queries that have one so far, and those of them that an outage swallowed."""
        with _open(self._path) as base:
            total = "SELECT TOTAL(stop != ?), TOTAL(stop = 'error') FROM replies"
            queries, lost = base.execute(total, (_UNANSWERED,)).fetchone()
        return int(queries), int(lost)

    def spent(self) -> tuple[int, float]:
        """Queries sent and dollars spent so far."""
        with _open(self._path) as base:
            queries, dollars = base.execute("SELECT COUNT(*), TOTAL(dollars) FROM replies").fetchone()
        return int(queries), float(dollars)


def reply_from(row: dict[str, Any]) -> Reply:
    """A reply from its JSON."""
    return Reply(**{**row, "usage": Usage(**row["usage"])})


def ledgers(store: Store) -> Iterable[Path]:
    """The folders of all victims that were ever asked."""
    return sorted(path.parent for path in store.root.glob("victims/*/replies.sqlite"))


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
    except sqlite3.OperationalError as error:  # a full disk, no right to write, another process in the way
        raise HeistError(f"ledger {path}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise HeistError(f"ledger {path}: {error}; {_DELETE}") from None
