"""The victim's side: a model that replies, and the API in front of it that lets out what the defense allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Exposure, Problem, Prompt, Refusal, Reply, Usage
from heistbench.bench.contracts.plugins import Defense
from heistbench.bench.contracts.registry import identity
from heistbench.bench.models.engine import Arrived, Engine, Sampling, unheard
from heistbench.bench.stages.budget import NO_LIMIT, Budget, parts, price
from heistbench.bench.storage.ledger import Ledger, Query
from heistbench.bench.storage.store import Store, canonical, lock
from heistbench.bench.suites.settings import RECORDED, Victim

REFUSED = Reply(None, None, "", Usage(), "refused")
OUTAGE = 0.01
"""Share of queries that may end without a reply; beyond it nothing is concluded from those that have one."""
TELLING = 20
"""Replies after which a victim that shows less than its suite says is not believed to show it later."""
Summarize = Callable[[Sequence[str]], list[str | None]]
"""From traces to the summaries a provider, or an attacker's compressor, makes of them."""


class RecordedEngine:
    """Replays the traces and answers that a data set ships, without a model."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._records = {problem.question.text: problem for problem in problems}

    def reply(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repetitions: Sequence[int] | None = None,
        arrived: Arrived = unheard,
    ) -> list[Reply]:
        """See `Engine.reply`. Raises HeistError for any prompt but a recorded question."""
        replies = [self._recall(prompt) for prompt in prompts]
        for at, reply in enumerate(replies):
            arrived(at, reply)
        return replies

    def _recall(self, prompt: Prompt) -> Reply:
        if prompt.text not in self._records:
            raise HeistError(f"the recorded model answers the task's own questions only, not {prompt.text[:60]!r}")
        problem = self._records[prompt.text]
        words = len(problem.trace.split())
        usage = Usage(len(prompt.text.split()), words + len(problem.shown.split()), words)
        return Reply(problem.trace or None, None, problem.shown, usage, "stop")


class VictimModel:
    """A victim without any defense. What it once replied is kept in its ledger, and never asked for again."""

    def __init__(
        self,
        victim: Victim,
        model: str,
        engine: Callable[[], Engine],
        summarize: Summarize,
        store: Store,
        budget: Budget = NO_LIMIT,
    ) -> None:
        """`model` is the identity of the weights or records; `engine` loads them when there is something to ask."""
        self._victim, self._engine, self._summarize, self._store, self._budget = victim, engine, summarize, store, budget
        self.identity: dict[str, Any] = {
            "model": model,
            "decoding": victim.decoding.model_dump(),
            "family": victim.family,
            "api": victim.api.identity if victim.remote else None,
        }

    def reply(self, asked: Sequence[Query], arrived: Arrived = unheard) -> list[Reply]:
        """One reply a query, in order, with the summary its provider shows of it.

        Raises Busy while another process asks this victim, HeistError when the budget is used up or the victim is out.
        """
        if self._victim.model == RECORDED:
            replies = self._engine().reply([prompt for prompt, _ in asked], Sampling(), None, arrived)
        else:
            replies = self._replies(asked, arrived)
            self._believe([reply for (prompt, _), reply in zip(asked, replies, strict=True) if prompt.think])
        bare = [at for at, reply in enumerate(replies) if reply.trace and reply.summary is None]
        for at, summary in zip(bare, self._summarize([replies[at].trace or "" for at in bare]), strict=True):
            replies[at] = replace(replies[at], summary=summary)
        return replies

    def _replies(self, asked: Sequence[Query], arrived: Arrived) -> list[Reply]:
        ledger = Ledger(self._store, self.identity)
        found = ledger.find(asked)
        if len(found) < len(asked):
            with ledger.lock():
                found = ledger.find(asked)  # another process may have asked meanwhile
                self._ask([query for at, query in enumerate(asked) if at not in found], ledger, arrived)
            found = ledger.find(asked)
        return [found[at] for at in range(len(asked))]

    def _ask(self, asked: Sequence[Query], ledger: Ledger, arrived: Arrived) -> None:
        asked = list(dict.fromkeys(asked))
        if not self._victim.remote:
            self._send(asked, ledger, arrived)
            return
        with lock(self._store.root / "victims" / "paid"):  # one process at a time spends from the budget
            for part in parts(asked, self._victim, self._budget, self._store):
                self._send(part, ledger, arrived)

    def _send(self, asked: Sequence[Query], ledger: Ledger, arrived: Arrived) -> None:
        lost, engine = list[int](), self._engine()
        with ledger.writing() as keep:

            def write(at: int, reply: Reply) -> None:
                if reply.stop == "error":
                    lost.append(at)
                else:
                    keep(asked[at], reply, price(reply.usage, self._victim.api.prices))
                    arrived(at, reply)

            prompts, before = [prompt for prompt, _ in asked], [n for _, n in asked]
            replies = engine.reply(prompts, self._victim.decoding.sampling(), before, write)
            outcomes, before_now = ledger.outcomes()
            costs = {at: price(replies[at].usage, self._victim.api.prices) for at in lost}
            if before_now + len(lost) > max(1, OUTAGE * (outcomes + len(lost))):
                for dollars in costs.values():
                    ledger.charge(dollars)
                raise HeistError(
                    f"victim {self._victim.label}: {len(lost)} of {len(asked)} queries got no reply"
                    f" ({getattr(engine, 'trouble', '') or 'no reason given'}); those that did are kept, and the same command"
                    " asks for the others again"
                )
            for at, dollars in costs.items():
                keep(asked[at], replies[at], dollars)

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


@dataclass(frozen=True, slots=True)
class Sealed:
    """One query as the harness saw it: what was asked, the whole reply, what left the API."""

    prompt: Prompt
    reply: Reply
    exposure: Exposure


class DefendedApi:
    """A victim behind a chain of defenses. Keeps the sealed record of every query."""

    def __init__(self, victim: VictimModel, defenses: Sequence[Defense]) -> None:
        self._victim, self._defenses = victim, defenses
        self._before: Counter[Prompt] = Counter()
        self.sealed: list[Sealed] = []

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived = unheard) -> list[Exposure]:
        """Pass prompts in through the defenses' gates, and replies out through their filters."""
        asked = [(prompt, self._count(prompt)) for prompt in prompts]
        admitted = [(admit(self._defenses, prompt), before) for prompt, before in asked]
        let_in = [(prompt, before) for prompt, before in admitted if isinstance(prompt, Prompt)]
        replies = iter(self._victim.reply(let_in, arrived) if let_in else [])
        exposures = []
        for (prompt, before), (inner, _) in zip(asked, admitted, strict=True):
            if isinstance(inner, Refusal):
                reply, exposure = REFUSED, Exposure(inner.reason, refused=True)
            else:
                reply = next(replies)
                exposure = release(self._defenses, prompt, reply, before, "the victim's")
            self.sealed.append(Sealed(prompt, reply, exposure))
            exposures.append(exposure)
        return exposures

    def _count(self, prompt: Prompt) -> int:
        self._before[prompt] += 1
        return self._before[prompt] - 1


def admit(defenses: Sequence[Defense], prompt: Prompt) -> Prompt | Refusal:
    """The prompt the victim sees, or the first refusal."""
    for defense in defenses:
        admitted = defense.admit(prompt)
        if isinstance(admitted, Refusal):
            return admitted
        prompt = admitted
    return prompt


def release(defenses: Sequence[Defense], prompt: Prompt, reply: Reply, before: int, secret: str) -> Exposure:
    """What leaves the API: each defense sees what the one before it let through, and the hidden trace.

    `secret` seeds what the defenses draw: who knows how a defense works does not know what it drew for the victim. What an
    outage swallowed meets no defense.
    """
    exposure = reply.exposed()
    for defense in defenses:
        if exposure.refused or reply.stop == "error":
            break
        rng = Random(canonical([secret, identity(defense), prompt, 0 if defense.sticky else before]))
        seen = replace(reply, text=exposure.text, summary=exposure.summary, arguments=exposure.arguments)
        exposure = defense.release(prompt, seen, rng)
    return exposure
