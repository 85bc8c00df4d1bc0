"""A victim's API as it is served: the defenses in front of the victim, and the sealed record of every query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from heistbench.bench.contracts.checked import Undeclared, check_admitted, check_exposure
from heistbench.bench.contracts.failures import plugin_code
from heistbench.bench.contracts.nouns import Exposure, Message, Prompt, Refusal, Reply, Tool, Usage
from heistbench.bench.contracts.plugins import Defense
from heistbench.bench.contracts.registry import identity
from heistbench.bench.models.engine import Arrived, unheard
from heistbench.bench.stages.context import PlainVictim
from heistbench.bench.storage.ledger import reply_from
from heistbench.bench.storage.store import canonical

REFUSED = Reply(None, None, "", Usage(), "refused")
UNDECLARED = Undeclared(0)


@dataclass(frozen=True, slots=True)
class Sealed:
    """One query as the harness saw it: the prompt as it was sent, the whole reply, what left the API.

    `reading` is what the attack takes for the trace in it.
    """

    prompt: Prompt
    reply: Reply
    exposure: Exposure
    reading: str = ""

    @classmethod
    def of(cls, row: dict[str, Any]) -> Sealed:
        """From its JSON."""
        messages = tuple(Message(**message) for message in row["prompt"]["messages"])
        offered = row["prompt"]["tool"]
        tool = offered and Tool(offered["name"], offered["description"], tuple(map(tuple, offered["arguments"])))
        prompt = Prompt(messages, tool, row["prompt"]["think"])
        return cls(prompt, reply_from(row["reply"]), exposure_from(row["exposure"]), row["reading"])

    @property
    def lost(self) -> bool:
        """Whether an outage swallowed it."""
        return self.reply.stop == "error"

    @property
    def last_message(self) -> str:
        """What the prompt ends with: the question, and what the attack put around it."""
        return self.prompt.messages[-1].content


class DefendedApi:
    """A victim behind a chain of defenses. What these draw is the luck of a seed, which no attacker knows."""

    def __init__(self, victim: PlainVictim, defenses: Sequence[Defense], seed: int) -> None:
        self._victim, self._defenses, self._secret = victim, defenses, f"the victim's {seed}"
        self._repetitions: Counter[Prompt] = Counter()
        self.sealed: list[Sealed] = []

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived = unheard) -> list[Exposure]:
        """Pass prompts in through the defenses' gates, and replies out through their filters."""
        queries = [(prompt, self._count(prompt)) for prompt in prompts]
        admitted = [(admit(self._defenses, prompt), repetition) for prompt, repetition in queries]
        let_in = [(prompt, repetition) for prompt, repetition in admitted if isinstance(prompt, Prompt)]
        replies = iter(self._victim.reply(let_in, arrived) if let_in else [])
        exposures = []
        for (prompt, repetition), (inner, _) in zip(queries, admitted, strict=True):
            if isinstance(inner, Refusal):
                reply, exposure = REFUSED, Exposure(inner.reason, refused=True, stop="refused")
            else:
                reply = next(replies)
                exposure = release(self._defenses, prompt, reply, repetition, self._secret)
            self.sealed.append(Sealed(prompt, reply, exposure))
            exposures.append(exposure)
        return exposures

    def _count(self, prompt: Prompt) -> int:
        self._repetitions[prompt] += 1
        return self._repetitions[prompt] - 1


def exposure_from(row: Mapping[str, Any]) -> Exposure:
    """An exposure from its JSON."""
    return Exposure(**{**row, "usage": Usage(**row["usage"])})


def admit(defenses: Sequence[Defense], prompt: Prompt) -> Prompt | Refusal:
    """The prompt the victim sees, or the first refusal."""
    for defense in defenses:
        with plugin_code(defense):
            admitted = check_admitted(defense, defense.admit(prompt))
        if isinstance(admitted, Refusal):
            return admitted
        prompt = admitted
    return prompt


def release(defenses: Sequence[Defense], prompt: Prompt, reply: Reply, repetition: int, secret: str) -> Exposure:
    """What leaves the API: each defense sees what the one before it let through, and the hidden trace.

    `secret` seeds what the defenses draw: who knows how a defense works does not know what it drew for the victim. What an
    outage swallowed meets no defense.
    """
    exposure = reply.exposed()
    for defense in defenses:
        if exposure.refused or reply.stop == "error":
            break
        again = 0 if defense.sticky else repetition
        rng = Random(canonical([secret, identity(defense), prompt, again])) if defense.info.random else UNDECLARED
        visible = replace(reply, text=exposure.text, summary=exposure.summary, arguments=exposure.arguments)
        with plugin_code(defense):
            exposure = check_exposure(defense, defense.release(prompt, visible, rng))
    return exposure
