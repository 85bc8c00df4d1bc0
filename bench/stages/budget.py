"""What asking a provider may cost: prices, what has been spent, and the limits of `--budget-queries` and `--budget-usd`.

The budget is that of a store (`--out`), all runs on it together: what a killed run spent stays spent. A budget of queries counts
those that were answered or billed; as many again may be sent without a reply, so that nobody asks a dead provider for ever.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Prompt, Usage
from heistbench.bench.storage.ledger import spent_on_all
from heistbench.bench.storage.owner import Accounts, Query
from heistbench.bench.storage.store import Store, canonical

if TYPE_CHECKING:
    from heistbench.bench.suites.settings import Prices, Victim

PART = 500
"""Queries sent before what is left of a budget is looked at again."""
AROUND = 500
"""Tokens that a provider may put around a prompt: its template, and what it says about tools where one is offered."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend on victims behind an API, and when it began; None is no limit."""

    queries: int | None = None
    dollars: float | None = None
    began: float = field(default_factory=time.time, compare=False)


NO_LIMIT = Budget()


def price(usage: Usage, prices: Prices | None) -> float:
    """Dollars of one reply; 0 where no prices are known."""
    return (usage.prompt * prices.input + usage.completion * prices.output) / 1e6 if prices else 0.0


def parts(queries: Sequence[Query], victim: Victim, budget: Budget, store: Store) -> Iterator[Sequence[Query]]:
    """Cut queries into parts that the budget covers however long the replies are.

    What replies that came empty, and were asked for again, have cost is known only afterwards. Raises HeistError when the budget
    does not cover the next query.
    """
    at = 0
    while at < len(queries):
        fits = _affordable(queries[at : at + PART], victim, budget, spent_on_all(store))
        if not fits:
            raise HeistError(_over(budget, spent_on_all(store), len(queries) - at))
        yield queries[at : at + fits]
        at += fits


def dearest(prompt: Prompt, victim: Victim) -> float:
    """Dollars of a query at most: no token is shorter than a byte, and no reply longer than its limit."""
    return price(Usage(len(canonical(prompt).encode()) + AROUND, victim.decoding.max_new_tokens), victim.api.prices)


def _affordable(queries: Sequence[Query], victim: Victim, budget: Budget, so_far: Accounts) -> int:
    fits = len(queries)
    if budget.queries is not None:
        fits = min(fits, max(0, budget.queries - max(so_far.queries, so_far.unanswered)))
    if budget.dollars is not None:
        left = budget.dollars - so_far.dollars
        for at, (prompt, _) in enumerate(queries[:fits]):
            left -= dearest(prompt, victim)
            if left < 0:
                return at
    return fits


def _over(budget: Budget, so_far: Accounts, missing: int) -> str:
    limits = [f"{budget.queries} queries"] if budget.queries is not None else []
    limits += [f"${budget.dollars:.2f}"] if budget.dollars is not None else []
    in_vain = f" sent without a reply: {so_far.unanswered}," if so_far.unanswered else ""
    return (
        f"the budget of {' and '.join(limits)} is used up: {so_far.queries} queries and ${so_far.dollars:.2f} spent,{in_vain}"
        f" {missing} more to ask of this victim; the same command with a larger budget continues from here"
    )
