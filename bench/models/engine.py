"""The engine contract: the same prompts in, the same replies out, whatever runs underneath.

Engines that continue text in this process share `LocalEngine`; Inspect's providers speak the contract themselves.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from heistbench.bench.contracts.nouns import Prompt, Reply, Stop, Usage
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.replies import Family, read_call, split_reply
from heistbench.bench.models.chat_templates import render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Completion:
    """One generated text, after the prompt and before the end token."""

    text: str
    stop: Stop
    prompt_tokens: int
    tokens: int


Arrived = Callable[[int, Reply], None]
"""Told of each reply, with its place among the prompts, as soon as it is there."""
Completed = Callable[[int, Completion], None]
"""As `Arrived`, for completions."""


def unheard(at: int, what: Completion | Reply) -> None:
    """Wait for all of them."""


class Engine(Protocol):
    """What a victim, a surrogate or a compressor is asked through."""

    def reply(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repetitions: Sequence[int] | None = None,
        arrived: Arrived = unheard,
    ) -> list[Reply]:
        """One reply per prompt, in order; `repetitions[i]` counts how often prompt i was asked before.

        A query that an outage swallowed, after all retries, is a reply that stopped with "error". Where a HeistError ends all,
        what was sent by then has arrived, or arrives so.
        """
        ...


class LocalEngine(ABC):
    """A model in this process, built from a checkpoint and a family of replies; named in `contracts/engines.py`.

    Each row draws from a seed of its own, so no sample depends on its neighbours.
    """

    tokenizer: PreTrainedTokenizerBase
    family: Family

    @classmethod  # noqa: B027
    def unload(cls) -> None:
        """Give back what the engine holds beyond its instances. Default: nothing."""

    @abstractmethod
    def complete(
        self, texts: Sequence[str], sampling: Sampling, repetitions: Sequence[int], completed: Completed = unheard
    ) -> list[Completion]:
        """Continue rendered texts, in order."""

    def render(self, prompt: Prompt) -> str:
        """The text the model is given."""
        return render(self.tokenizer, prompt)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repetitions: Sequence[int] | None = None
    ) -> list[Completion]:
        """One completion per prompt, as the model wrote it; see `Engine.reply`."""
        return self.complete([self.render(prompt) for prompt in prompts], sampling, repetitions or [0] * len(prompts))

    def reply(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repetitions: Sequence[int] | None = None,
        arrived: Arrived = unheard,
    ) -> list[Reply]:
        """See `Engine.reply`."""
        texts, replies = [self.render(prompt) for prompt in prompts], dict[int, Reply]()

        def read(at: int, completion: Completion) -> None:
            replies[at] = read_reply(completion, texts[at], self.family, prompts[at])
            arrived(at, replies[at])

        self.complete(texts, sampling, repetitions or [0] * len(texts), read)
        return [replies[at] for at in range(len(texts))]


def read_reply(completion: Completion, prompt_text: str, family: Family, prompt: Prompt) -> Reply:
    """Split a completion into thinking, answer and tool call. Unclosed thinking gives no visible text."""
    trace, answer = split_reply(completion.text, prompt_text, family)
    text, arguments = read_call(answer or "", prompt.tool)
    reasoning = round(completion.tokens * len(trace or "") / max(1, len(completion.text)))
    usage = Usage(completion.prompt_tokens, completion.tokens, reasoning)
    return Reply(trace or None, None, text, usage, completion.stop, arguments)


def row_seed(seed: int, text: str, repetition: int) -> int:
    """The seed of one row's sample: 56 bits that hang on the sampling seed, the rendered prompt and its repetition."""
    digest = hashlib.sha256(f"{seed}\0{repetition}\0{text}".encode()).digest()
    return int.from_bytes(digest[:7], "big")
