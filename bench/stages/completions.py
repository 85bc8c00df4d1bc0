"""Texts that a model wrote, as artifacts: what inversions and summaries share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from heistbench.bench.contracts.nouns import Prompt, Reply
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.loading import engine
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import DryRun, Need, Stage, Work
from heistbench.bench.storage.store import hash_of, read_lines, write_lines
from heistbench.bench.suites.settings import Decoding


class Texts(NamedTuple):
    """What was written, the tokens of it, and the seconds it took."""

    texts: list[str]
    tokens: int = 0
    seconds: float = 0.0


class Draw(NamedTuple):
    """What a model is asked: prompts, how often each was asked before, how its texts are drawn, and by which seed."""

    prompts: tuple[Prompt, ...]
    repetitions: tuple[int, ...]
    decoding: Decoding
    seed: int = 0

    @classmethod
    def first(cls, prompts: Sequence[Prompt], decoding: Decoding) -> Draw:
        """Each prompt once, alike for all seeds."""
        return cls(tuple(prompts), (0,) * len(prompts), decoding)

    @property
    def sampling(self) -> Sampling:
        """As engines take it; greedy texts are the same for all seeds."""
        return self.decoding.sampling(self.seed)

    @property
    def spec(self) -> dict[str, Any]:
        """What tells it apart."""
        return {"sampling": self.sampling, "prompts": hash_of([self.prompts, self.repetitions])}

    @property
    def texts(self) -> list[str]:
        """Of the prompts."""
        return [prompt.text for prompt in self.prompts]

    def imagined(self, dry: DryRun, author: str) -> list[Reply]:
        """What a dry run takes for the replies."""
        return [dry.reply(prompt, author, n) for prompt, n in zip(self.prompts, self.repetitions, strict=True)]


class Completions(Stage[Texts]):
    """One completion per prompt. Subclasses are frozen dataclasses that say which model writes."""

    context: CellContext
    source: Checkpoint
    draw: Draw

    @property
    @abstractmethod
    def model(self) -> str:
        """The reference of the model, as the suite names it."""

    @property
    def needs(self) -> Need:
        return "gpu"

    def spec(self) -> Mapping[str, Any]:
        return {"model": self.source.identity, **self.draw.spec}

    def build(self, folder: Path) -> None:
        completions = engine(self.source).generate(self.draw.prompts, self.draw.sampling, self.draw.repetitions)
        write_lines(folder / "completions.jsonl", list(completions))

    def read(self, folder: Path) -> Texts:
        rows = read_lines(folder / "completions.jsonl")
        tokens = sum(row["tokens"] for row in rows)
        return Texts([row["text"] for row in rows], tokens, self.context.store.seconds(folder))


def written(name: str, model: str, decoding: Decoding, texts: Sequence[str], each: float, dry: DryRun, times: int) -> Work:
    """The work of a model that writes `each` tokens, or as many as it may, to each text; a text stands for `times` as many."""
    n = times * len(texts)
    read = times * sum(map(dry.tokens, texts))
    return Work(name, model, in_words(decoding), rows=n, read=read, written=n * min(each, decoding.max_new_tokens))


def in_words(decoding: Decoding) -> str:
    """Decoding in words."""
    others = {"top_p": decoding.top_p, "repetition_penalty": decoding.repetition_penalty}
    drawn = f"temperature {decoding.temperature:g}" if decoding.temperature else "greedy"
    changed = [f"{name} {n:g}" for name, n in others.items() if n != 1]
    return ", ".join([drawn, *changed, f"up to {decoding.max_new_tokens} tokens"])
