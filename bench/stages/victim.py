"""The victim without a defense: where its replies come from, and a ledger so that none is asked, or paid for, twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Reply
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.registry import identity
from heistbench.bench.models.breaker import FILE, Breaker
from heistbench.bench.models.engine import Arrived, Engine, unheard
from heistbench.bench.models.loading import engine
from heistbench.bench.models.recorded import RecordedEngine
from heistbench.bench.stages.budget import NO_LIMIT, Budget, parts, price
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import waiting
from heistbench.bench.stages.summaries import Summarize, summarize, with_summaries
from heistbench.bench.storage.ledger import open_ledger
from heistbench.bench.storage.owner import Query, VictimLedger
from heistbench.bench.storage.store import VICTIMS, Store
from heistbench.bench.suites.reply_sources import Provider, Recorded, Weights, recorded_identity
from heistbench.bench.suites.settings import Victim

OUTAGE = 0.01
"""Share of queries that may end without a reply; beyond it nothing is concluded from those that have one."""
TELLING = 20
"""Replies after which a victim that shows less than its suite says is not believed to show it later."""


class VictimModel:
    """A victim. What it once replied is kept in its ledger, and never asked for again."""

    def __init__(
        self,
        victim: Victim,
        model: str,
        engine: Callable[[Breaker], Engine],
        summarize: Summarize,
        store: Store,
        budget: Budget = NO_LIMIT,
    ) -> None:
        """`model` is the identity of the weights or records; `engine` loads them when there is something to ask.

        Its breaker is that of all processes of the run, which began when its budget was made.
        """
        self._victim, self._engine, self._summarize, self._store, self._budget = victim, engine, summarize, store, budget
        self.identity: dict[str, Any] = {
            "model": model,
            "decoding": victim.decoding.model_dump(),
            "family": victim.family,
            "api": victim.api.identity if victim.remote else None,
        }
        self._breaker = Breaker(victim.label, store.path(VICTIMS, self.identity) / FILE, budget.began)

    def reply(self, queries: Sequence[Query], arrived: Arrived = unheard, summaries: bool = True) -> list[Reply]:
        """One reply per query, in order; with the summary its provider shows of it, unless nobody reads that.

        Raises Busy while another process asks this victim, HeistError when the budget is used up or the victim is out. What was
        replied by then is kept.
        """
        if isinstance(self._victim.source, Recorded):
            replies = self._engine(self._breaker).reply([prompt for prompt, _ in queries], Sampling(), None, arrived)
        else:
            replies = self._replies(queries, arrived)
            self._believe([reply for (prompt, _), reply in zip(queries, replies, strict=True) if prompt.think])
        return with_summaries(replies, self._summarize) if summaries else replies

    def _replies(self, queries: Sequence[Query], arrived: Arrived) -> list[Reply]:
        ledger = open_ledger(self._store, self.identity)
        known = ledger.find(queries)
        if len(known) < len(queries):
            with ledger.lock():
                known = ledger.find(queries)  # another process may have asked meanwhile
                self._ask([query for at, query in enumerate(queries) if at not in known], ledger, arrived)
            known = ledger.find(queries)
        return [known[at] for at in range(len(queries))]

    def _ask(self, queries: Sequence[Query], ledger: VictimLedger, arrived: Arrived) -> None:
        queries = list(dict.fromkeys(queries))
        if not self._victim.remote:
            self._send(queries, ledger, arrived)
            return
        with self._store.lock(self._store.root / VICTIMS / "paid"):  # one process at a time spends from the budget
            for part in parts(queries, self._victim, self._budget, self._store):
                self._breaker.check()
                self._send(part, ledger, arrived)

    def _send(self, queries: Sequence[Query], ledger: VictimLedger, arrived: Arrived) -> None:
        """Keep replies as they arrive. What got none is kept too, as lost, unless it is an outage: then it is only paid for."""
        lost = dict[int, Reply]()
        with ledger.writing() as keep:

            def write(at: int, reply: Reply) -> None:
                if reply.stop == "error":
                    lost[at] = reply
                else:
                    keep(queries[at], reply, self._price(reply))
                    arrived(at, reply)

            prompts, repetitions = [prompt for prompt, _ in queries], [n for _, n in queries]
            try:
                self._engine(self._breaker).reply(prompts, self._victim.decoding.sampling(), repetitions, write)
                self._check_outage(len(lost), len(queries), ledger)
            except BaseException:
                for reply in lost.values():
                    ledger.charge(self._price(reply))
                raise
            for at, reply in lost.items():
                keep(queries[at], reply, self._price(reply))

    def _price(self, reply: Reply) -> float:
        return price(reply.usage, self._victim.api.prices)

    def _check_outage(self, lost: int, sent: int, ledger: VictimLedger) -> None:
        """Raise HeistError where more queries were lost, now and before, than may be."""
        outcomes, lost_before = ledger.outcomes()
        if lost_before + lost > max(1, OUTAGE * (outcomes + lost)):
            reason = self._breaker.trouble or "no reason given"
            raise HeistError(
                f"victim {self._victim.label}: {lost} of {sent} queries got no reply ({reason}); those that did are kept, and the"
                " same command asks for the others again"
            )

    def _believe(self, replies: Sequence[Reply]) -> None:
        """Raise HeistError for a victim behind an API that, where it may think, shows less than its suite says."""
        finished, expected = [reply for reply in replies if reply.stop == "stop"], self._victim.api.shows
        if not self._victim.remote or expected == "answer" or len(finished) < TELLING:
            return
        if not any(reply.trace or (expected == "summary" and reply.summary) for reply in finished):
            raise HeistError(
                f"victim {self._victim.label}: api.shows is {expected}, but none of {len(finished)} replies had one;"
                " say what it shows, and run again: what was replied is kept"
            )


def victim_of(context: CellContext) -> VictimModel:
    """The victim of a cell."""
    victim = context.cell.victim

    def summaries(traces: Sequence[str]) -> list[str | None]:
        return summarize(context, traces, victim.compressor, "victim summaries")

    load = partial(open_engine, context)
    return VictimModel(victim, model_identity(context), load, summaries, context.store, context.budget)


def model_identity(context: CellContext) -> str:
    """What identifies a victim's model in specs: its weights, its name at a provider, or its records."""
    match context.cell.victim.source:
        case Recorded():
            return recorded_identity(identity(context.task), context.data_digest)
        case Provider(name):
            return name
        case Weights(reference):
            return context.resolve(reference).identity


def open_engine(context: CellContext, breaker: Breaker) -> Engine:
    """What a cell's victim is asked through."""
    victim = context.cell.victim
    match victim.source:
        case Recorded():
            return RecordedEngine([*context.problems("query"), *context.honest])
        case Provider(name):
            from heistbench.bench.models.provider_engine import InspectEngine

            return InspectEngine(name, victim.api, breaker, waiting(context.progress, f"victim {victim.label}"))
        case Weights(reference):
            return engine(context.resolve(reference), victim.family)
