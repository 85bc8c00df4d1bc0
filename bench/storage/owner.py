"""Who owns a store's locks and ledgers. On one machine the system's file locks do, so that every process is its own owner.

Where many machines share a store, file locks cannot be relied on: then one process owns all locks and ledgers, and the workers
ask it. This is what they ask; `runs/ray_keeper.py` answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from heistbench.bench.contracts.nouns import Prompt, Reply

Query = tuple[Prompt, int]
"""A prompt, and how often it was sent before."""
Keep = Callable[[Query, Reply, float], None]
"""Stores one reply and its cost in dollars."""


class Accounts(NamedTuple):
    """What ledgers speak of: queries answered or billed, dollars, and queries that were neither."""

    queries: int = 0
    dollars: float = 0.0
    unanswered: int = 0


class VictimLedger(Protocol):
    """The replies of one victim; see `storage/ledger.py`."""

    def find(self, queries: Sequence[Query]) -> dict[int, Reply]:
        """The stored replies, by position."""

    def lock(self) -> AbstractContextManager[None]:
        """Be the only process that queries this victim."""

    def writing(self) -> AbstractContextManager[Keep]:
        """A function that stores one reply."""

    def charge(self, dollars: float) -> None:
        """Record a query that was sent without an outcome."""

    def outcomes(self) -> tuple[int, int]:
        """The number of queries with an outcome, and how many of them were lost."""


class Owner(Protocol):
    """The owner of a store that many machines share."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold what has this name in the store. Raises Busy while somebody else does."""

    def ledger(self, spec: Mapping[str, Any]) -> VictimLedger:
        """The ledger of a victim."""

    def spent(self) -> Accounts:
        """What all victims behind an API have cost."""
