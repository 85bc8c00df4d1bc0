"""The ways in which a server fails, drawn from a seed: the same prompt asked as often before always meets the same fault."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

KINDS = ("429", "500", "hang", "cut", "truncated", "empty", "refusal")
"""A rate limit with retry-after, an error, silence for longer than a client waits, a connection cut within the body, JSON that
ends too early, a whole reply that holds nothing, a refusal."""


@dataclass(frozen=True)
class Faults:
    """`rate` of all requests fail, each in one of `kinds`. `hang` and `retry_after` are in seconds."""

    rate: float = 0.0
    kinds: tuple[str, ...] = KINDS
    seed: int = 0
    hang: float = 5.0
    retry_after: float = 0.05

    def draw(self, prompt: str, before: int) -> str:
        """The fault that a request meets, or none."""
        rng = Random(f"{self.seed} {before} {prompt}")
        return rng.choice(self.kinds) if rng.random() < self.rate else ""
