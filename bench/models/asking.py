"""One batch of queries to a provider: how many are under way, when each is tried again, when all is given up, and what is told.

All retries are made here. Those of Inspect and of the providers' clients are turned off, as retries of retries multiply.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Reply, Usage
from heistbench.bench.models.breaker import Breaker
from heistbench.bench.models.engine import Arrived
from heistbench.bench.models.provider_errors import Trouble, trouble_of
from heistbench.bench.suites.settings import Api

FIRST_WAIT, LONGEST_WAIT = 2.0, 64.0
"""Seconds before the first retry of a query, doubled before each further one, and the most of them. Six retries outlast two
minutes: a rate limit per minute, or a server that starts again."""
MOST_WAITING = 600.0
"""Seconds that a query waits in all because its provider asks it to (Retry-After)."""
SILENCES = 3
"""Attempts of a query that may end without any answer in `api.timeout` seconds: each takes long, and may be paid for."""
UNREACHED = 5
"""Attempts to connect of a query where nobody has ever replied: half a minute, for an address may be wrong."""
LINE_EVERY = 60.0
"""Seconds between two lines that say what is waited for."""
LONG_PAUSE = 15.0
"""Seconds of a pause that is told of when it begins."""
LONGEST_REASON = 80
"""Characters of the last trouble in such a line."""
_JITTER = Random()
"""Lengthens pauses, so that not all queries come back at once; not the generator that others may have seeded."""

Send = Callable[[int], Awaitable[Reply]]
"""Sends the query at a place once."""
Waiting = Callable[[str, int, int], None]
"""Told what is waited for, how many queries have a reply, and how many there are."""


def unwatched(why: str, answered: int, total: int) -> None:
    """Wait without a word."""


@dataclass
class _Query:
    """A query under way: the tokens that it has cost, and what its attempts have met."""

    usage: Usage = field(default_factory=Usage)
    reached: bool = False
    silences: int = 0
    waited: float = 0.0
    resumes: float | None = None

    @property
    def lost(self) -> Reply:
        """The outcome of a query without a reply."""
        return Reply(None, None, "", self.usage, "error")


class Asking:
    """Asks `total` queries, with at most `api.connections` under way.

    The first goes alone until it has met anything, or nothing for a minute, so that wrong settings cost one query. Until there is
    a reply, no more are under way than may be lost before the breaker opens.
    """

    def __init__(self, model: str, api: Api, total: int, breaker: Breaker, waiting: Waiting) -> None:
        self._model, self._api, self._total, self._breaker, self._waiting = model, api, total, breaker, waiting
        self._width = api.connections if breaker.alive else 1
        self._free = asyncio.Semaphore(self._width)
        self._under_way: dict[int, _Query] = {}
        self._answered = 0
        self._last_reply, self._last_line = time.monotonic(), float("-inf")

    async def run(self, send: Send, keep: Arrived) -> None:
        """Hand `keep` the outcome of every query, in order of completion.

        Raises a group with a HeistError when the provider reports that no query will be answered, or the breaker opens. Whatever
        ends the batch, the queries under way are handed over as lost.
        """
        watch = asyncio.create_task(self._watch())
        try:
            async with asyncio.TaskGroup() as group:
                # Each query is a task: Inspect keeps the conversation in the task's context, which is freed with the task.
                for at in range(self._total):
                    group.create_task(self._ask(at, send, keep))
        finally:
            watch.cancel()
            for at, query in self._under_way.items():
                keep(at, query.lost)

    async def _ask(self, at: int, send: Send, keep: Arrived) -> None:
        await self._free.acquire()
        query = self._under_way[at] = _Query()
        reply = await self._outcome(at, query, send)
        del self._under_way[at]
        keep(at, reply)
        self._free.release()  # not where an error ends the batch: nothing more is to be sent

    async def _outcome(self, at: int, query: _Query, send: Send) -> Reply:
        """Repeat one query until it has a reply or is lost. The tokens of empty replies are added to the usage."""
        for attempt in range(self._api.retries + 1):
            outcome = await self._attempt(at, query, send)
            if isinstance(outcome, Reply):
                return outcome
            self._judge(outcome)
            if outcome.refused:
                return query.lost
            if self._is_lost(query, attempt + 1):
                break
            await self._pause(query, attempt, outcome.retry_after)
        self._breaker.lost(outage=not query.reached)
        return query.lost

    async def _attempt(self, at: int, query: _Query, send: Send) -> Reply | Trouble:
        started = time.monotonic()
        try:
            reply = await send(at)
        except Exception as error:  # a provider's client may raise anything on what a server sends
            trouble = trouble_of(error)
            query.reached |= not trouble.unreachable
            if time.monotonic() - started < self._api.timeout:
                return trouble
            query.silences += 1
            return replace(trouble, line=f"no answer within {self._api.timeout} s")
        query.reached, query.usage = True, _sum(query.usage, reply.usage)
        if _is_empty(reply):
            return Trouble("the reply was empty")
        self._answered, self._last_reply = self._answered + 1, time.monotonic()
        self._breaker.replied()
        self._widen(self._api.connections)
        return replace(reply, usage=query.usage)

    def _is_lost(self, query: _Query, attempts: int) -> bool:
        unreached = attempts == UNREACHED and not (query.reached or self._breaker.alive)
        return attempts > self._api.retries or query.silences == SILENCES or unreached

    def _judge(self, trouble: Trouble) -> None:
        """Raise HeistError where every other query would be lost too."""
        self._breaker.trouble = trouble.line
        if trouble.hopeless or (trouble.refused and not self._breaker.alive):
            raise HeistError(f"{self._model}: {trouble.line}")
        self._widen(self._breaker.left)

    def _widen(self, width: int) -> None:
        """Let as many queries be under way."""
        for _ in range(min(width, self._api.connections) - self._width):
            self._free.release()
            self._width += 1

    async def _pause(self, query: _Query, attempt: int, retry_after: float) -> None:
        """Wait before a retry, no shorter than the provider asks. Raises HeistError where it asks too much."""
        query.waited += retry_after
        if query.waited > MOST_WAITING:
            asks = f"the provider asks to wait {retry_after:,.0f} s, and a query waits {MOST_WAITING:,.0f} s in all"
            self._breaker.trouble = f"{self._breaker.trouble}; {asks}"
            self._breaker.lost(outage=True)
        seconds = max(retry_after, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt) * (1 + _JITTER.random() / 4))
        query.resumes = time.monotonic() + seconds
        if seconds >= LONG_PAUSE:
            self._tell()
        await asyncio.sleep(seconds)
        query.resumes = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LINE_EVERY / 4)
            if time.monotonic() - self._last_reply >= LINE_EVERY:
                self._widen(self._breaker.left)
                self._tell()

    def _tell(self) -> None:
        """Say what is waited for, unless that was said a short while ago."""
        if time.monotonic() - self._last_line >= LINE_EVERY:
            self._last_line = time.monotonic()
            self._waiting(self._state(), self._answered, self._total)

    def _state(self) -> str:
        now, lost, trouble = time.monotonic(), self._breaker.in_a_row, self._breaker.trouble[:LONGEST_REASON]
        resumes = [query.resumes for query in self._under_way.values() if query.resumes is not None]
        parts = [f"no reply for {now - self._last_reply:.0f} s"]
        parts += [f"{lost} in a row without one"] if lost else []
        parts += [f"last trouble: {trouble}"] if trouble else []
        parts += [f"next try in {max(0.0, min(resumes) - now):.0f} s"] if resumes else []
        return ", ".join(parts)


def _is_empty(reply: Reply) -> bool:
    shown = reply.text or reply.trace or reply.summary or reply.arguments
    return reply.stop not in ("length", "refused") and not shown


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(one.prompt + other.prompt, one.completion + other.completion, one.reasoning + other.reasoning)
