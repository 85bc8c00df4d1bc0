"""The ledger: every reply of a victim, kept as it arrives, so that no query is sent, or paid for, twice.

There is one table per victim and one row per query, under `victims/<identity>/` of the store. A row is written whole or not at
all, even after a SIGKILL. A process that queries a victim holds its lock, and looks at every row before it asks anything: a reply
that is damaged or missing is never taken for one that was not asked for. Damaged replies that were paid for are an error until a
person accepts the loss; those of local models are set aside, as artifacts are, and asked again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Reply, Usage
from heistbench.bench.storage.digests import Stamp
from heistbench.bench.storage.locks import lock
from heistbench.bench.storage.owner import Accounts, Keep, Query, VictimLedger
from heistbench.bench.storage.replies import Broken, Replies, Row
from heistbench.bench.storage.salvage import condition, damaged, lost_words, repair, unanswered
from heistbench.bench.storage.store import VICTIMS, Store, canonical, hash_of, identify, read_json, write_json

_checked: dict[Path, Stamp | None] = {}
"""The tables of which this process has looked at every row, as they were when it last let go of them."""


class Ledger:
    """The replies of one victim."""

    def __init__(self, store: Store, spec: dict[str, Any]) -> None:
        folder = store.root / VICTIMS / identify(spec)
        if spec_of(folder) is None:
            write_json(folder / "spec.json", spec)
        self._store, self._paid, self._replies = store, spec["api"] is not None, Replies(folder)

    def find(self, queries: Sequence[Query]) -> dict[int, Reply]:
        """The stored replies, by position in `queries`.

        Raises HeistError where paid replies are damaged, Busy where others are and another process queries this victim.
        """
        keys = [_key(query) for query in queries]
        try:
            rows = self._replies.find(keys)
        except Broken:
            _checked.pop(self._replies.path, None)
            with self.lock(), _intact(self._replies):
                rows = self._replies.find(keys)
        try:
            return {at: reply_from(json.loads(rows[key].reply)) for at, key in enumerate(keys) if key in rows}
        except (ValueError, KeyError, TypeError):
            raise HeistError(f"ledger {self._replies.path}: contains a row that is not a reply of this version") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that queries this victim, whose replies are all as they were written.

        Raises Busy while another one does, HeistError where paid replies are damaged.
        """
        path = self._replies.path
        with lock(self._replies.folder / "asking"):
            if path not in _checked or _checked[path] != self._replies.stamp:
                self._mend()
            yield
            _checked[path] = self._replies.stamp

    @contextmanager
    def writing(self) -> Iterator[Keep]:
        """A function that stores one reply and its cost in dollars."""
        with _intact(self._replies), self._replies.writing() as base:

            def keep(query: Query, reply: Reply, dollars: float) -> None:
                row = Row(_key(query), query[1], reply.stop, float(dollars), canonical(query[0]), canonical(reply))
                self._replies.add(base, [row])

            yield keep

    def charge(self, dollars: float) -> None:
        """Record a query that was sent without an outcome: it will be sent again, but its cost, if any, is already spent."""
        with _intact(self._replies), self._replies.writing() as base:
            self._replies.add(base, [unanswered(dollars)])

    def outcomes(self) -> tuple[int, int]:
        """The number of queries with an outcome so far, and how many of them were lost to an outage."""
        with _intact(self._replies):
            return self._replies.outcomes()

    def spent(self) -> tuple[int, float]:
        """The number of queries that got a reply or were billed, and the dollars spent so far."""
        queries, dollars, _ = spent_in(self._replies.folder)
        return queries, dollars

    def _mend(self) -> None:
        """Set damaged replies aside that cost nothing, or of which nothing is lost."""
        found = condition(self._replies)
        if found.whole:
            return
        if self._paid and (found.lost or not found.certain):
            raise damaged(self._replies, found)
        place = repair(self._replies, self._store.root)
        line = f"ledger {self._replies.path} was damaged; {lost_words(found)}; what was there is kept in {place}"
        again = "; what is lost is asked again: replies may differ from those that results in the store rest on"
        self._store.notice(line + again * bool(found.lost))

    def unanswered(self) -> int:
        """The number of queries that were sent and neither got a reply nor were billed, those asked again later included."""
        return spent_in(self._replies.folder)[2]


def reply_from(row: dict[str, Any]) -> Reply:
    """A reply from its JSON."""
    return Reply(**{**row, "usage": Usage(**row["usage"])})


def ledgers(store: Store) -> Iterable[Path]:
    """The folders of all victims that were ever queried."""
    return sorted(path for path in store.root.glob(f"{VICTIMS}/*") if Replies(path).begun)


def spec_of(folder: Path) -> dict[str, Any] | None:
    """What the victim of a ledger is; None where that is not known any more."""
    try:
        spec: dict[str, Any] = read_json(folder / "spec.json")
        return spec if identify(spec) == folder.name else None
    except (OSError, ValueError, TypeError):
        return None


def is_paid(folder: Path) -> bool:
    """Whether the replies of a ledger may have cost money: those of a victim that is not known any more may have."""
    spec = spec_of(folder)
    return spec is None or bool(spec["api"])


def open_ledger(store: Store, spec: dict[str, Any]) -> VictimLedger:
    """The ledger of a victim: that of the store's owner, where it has one."""
    return store.owner.ledger(spec) if store.owner else Ledger(store, spec)


def spent_on_all(store: Store) -> Accounts:
    """What all victims behind an API have cost in a store. Raises HeistError where paid replies are damaged."""
    if store.owner:
        return store.owner.spent()
    paid = [spent_in(folder) for folder in ledgers(store) if is_paid(folder)]
    return Accounts(*(sum(column) for column in zip(*paid, strict=True))) if paid else Accounts()


def spent_in(folder: Path) -> Accounts:
    """What one ledger speaks of. Raises HeistError where it is damaged."""
    with _intact(replies := Replies(folder)):
        return Accounts(*replies.spent())


def _key(query: Query) -> str:
    return hash_of(query)


@contextmanager
def _intact(replies: Replies) -> Iterator[None]:
    """Say in one line what is lost where a table turns out to be damaged."""
    try:
        yield
    except Broken:
        raise damaged(replies, condition(replies)) from None
