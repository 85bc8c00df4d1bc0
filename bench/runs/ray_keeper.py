"""One owner of locks and ledgers for the workers of a Ray cluster: an actor on the driver's machine, and its voice in workers.

The actor holds ordinary locks and ledgers of the driver's store, so that a run on one machine that uses the store as well keeps
out of its way, and all of them end with the actor. It is also where workers leave their progress for the driver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from heistbench.bench.contracts.errors import Busy, HeistError
from heistbench.bench.contracts.nouns import Reply
from heistbench.bench.storage.ledger import Ledger, spent_on_all
from heistbench.bench.storage.locks import lock
from heistbench.bench.storage.owner import Accounts, Keep, Query
from heistbench.bench.storage.store import Store, identify

Spec = dict[str, Any]
Note = tuple[int, str, int, int]
"""Which cell does what, how much of it is done, and how much there is."""


class Keeper:
    """The actor. What may be refused comes back as False: Busy is no Exception, and would end it."""

    def __init__(self, root: Path) -> None:
        self._notices = list[str]()
        self._notes = dict[int, Note]()
        self._store = Store(root, self._notices.append)
        self._held = dict[tuple[str, str], ExitStack]()
        self._farewells = dict[str, str]()

    def hold(self, holder: str, name: str, ledger: Spec | None = None) -> bool:
        """Let a worker hold a lock, or be the only one that asks the victim of a ledger."""
        stack = ExitStack()
        try:
            stack.enter_context(lock(self._store.root / name) if ledger is None else Ledger(self._store, ledger).lock())
        except Busy:
            return False
        self._held[holder, name] = stack
        return True

    def let_go(self, holder: str, name: str) -> None:
        """Take a lock back."""
        self._held.pop((holder, name)).close()

    def bury(self, holder: str) -> None:
        """Take back all that a worker held that is gone."""
        for who, name in [key for key in self._held if key[0] == holder]:
            self.let_go(who, name)

    def leave(self, holder: str, reason: str) -> None:
        """Take down why a worker ends itself."""
        self._farewells[holder] = reason

    def farewell(self, holder: str) -> str:
        """Why a worker ended itself; empty where it did not."""
        return self._farewells.pop(holder, "")

    def find(self, spec: Spec, queries: Sequence[Query]) -> dict[int, Reply]:
        """See `VictimLedger.find`."""
        return Ledger(self._store, spec).find(queries)

    def keep(self, spec: Spec, query: Query, reply: Reply, dollars: float) -> None:
        """See `VictimLedger.writing`."""
        with Ledger(self._store, spec).writing() as keep:
            keep(query, reply, dollars)

    def charge(self, spec: Spec, dollars: float) -> None:
        """See `VictimLedger.charge`."""
        Ledger(self._store, spec).charge(dollars)

    def outcomes(self, spec: Spec) -> tuple[int, int]:
        """See `VictimLedger.outcomes`."""
        return Ledger(self._store, spec).outcomes()

    def spent(self) -> Accounts:
        """See `Owner.spent`."""
        return spent_on_all(self._store)

    def note(self, at: int, what: str, done: int, total: int) -> None:
        """Take down a worker's progress."""
        self._notes[at] = at, what, done, total

    def news(self) -> tuple[list[Note], list[str]]:
        """The progress and the notices since the driver last asked."""
        notes, notices = [*self._notes.values()], [*self._notices]
        self._notes.clear()
        self._notices.clear()
        return notes, notices


class FarOwner:
    """What a worker has of the keeper; implements `Owner`."""

    def __init__(self, keeper: Any, holder: str, root: Path) -> None:
        """`root` is the store as the driver knows it."""
        self._keeper, self._holder, self._root = keeper, holder, root

    def call(self, method: str, *arguments: Any) -> Any:
        """Ask the keeper. Raises what it raises, as if it were here."""
        import ray

        try:
            return ray.get(getattr(self._keeper, method).remote(*arguments))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayActorError as error:
            raise HeistError(f"the run's keeper is gone: {error}") from None

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """See `Owner.lock`."""
        with self.held(name):
            yield

    def ledger(self, spec: Mapping[str, Any]) -> FarLedger:
        """See `Owner.ledger`."""
        return FarLedger(self, dict(spec))

    def spent(self) -> Accounts:
        """See `Owner.spent`."""
        return Accounts(*self.call("spent"))

    @contextmanager
    def held(self, name: str, ledger: Spec | None = None) -> Iterator[None]:
        """Hold a lock or a ledger. Raises Busy while somebody else does."""
        if not self.call("hold", self._holder, name, ledger):
            raise Busy(str(self._root / name))
        try:
            yield
        finally:
            self.call("let_go", self._holder, name)


class FarLedger:
    """Implements `VictimLedger` in a worker."""

    def __init__(self, owner: FarOwner, spec: Spec) -> None:
        self._owner, self._spec = owner, spec

    def find(self, queries: Sequence[Query]) -> dict[int, Reply]:
        """See `VictimLedger.find`."""
        replies: dict[int, Reply] = self._owner.call("find", self._spec, list(queries))
        return replies

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See `VictimLedger.lock`."""
        with self._owner.held(f"victims/{identify(self._spec)}/asking", self._spec):
            yield

    @contextmanager
    def writing(self) -> Iterator[Keep]:
        """See `VictimLedger.writing`."""
        yield lambda query, reply, dollars: self._owner.call("keep", self._spec, query, reply, dollars)

    def charge(self, dollars: float) -> None:
        """See `VictimLedger.charge`."""
        self._owner.call("charge", self._spec, dollars)

    def outcomes(self) -> tuple[int, int]:
        """See `VictimLedger.outcomes`."""
        queries, lost = self._owner.call("outcomes", self._spec)
        return queries, lost
