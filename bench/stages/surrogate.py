"""The attacker's own reasoning model: taught first where the suite says so, and asked with its traces in sight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Prompt, Reply
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.contracts.registry import identity
from heistbench.bench.contracts.replies import render_reply
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import Engine
from heistbench.bench.models.fine_tuning import TrainingRow
from heistbench.bench.models.loading import engine
from heistbench.bench.models.recorded import RecordedEngine
from heistbench.bench.stages.completions import Draw, written
from heistbench.bench.stages.context import CellContext, plain_prompts
from heistbench.bench.stages.stage import DryRun, Need, Stage, Work
from heistbench.bench.stages.summaries import summaries_identity, summarize, with_summaries
from heistbench.bench.stages.tuning import Tuning
from heistbench.bench.storage.ledger import reply_from
from heistbench.bench.storage.store import hash_of, read_lines, write_lines
from heistbench.bench.suites.reply_sources import Recorded, recorded_identity

Replies = tuple[list[Reply], float]
"""Replies, and the seconds they took."""


@dataclass(frozen=True)
class TaughtSurrogate(Tuning):
    """The surrogate after its lessons: problems of the surrogate split with their reference traces."""

    kind: ClassVar[str] = "taught"
    label: ClassVar[str] = "taught"
    work_name: ClassVar[str] = "surrogate training"
    seed: ClassVar[int] = 0  # one surrogate for all seeds
    context: CellContext

    @property
    def base(self) -> str:
        return self.context.surrogate.model

    @property
    def recipe(self) -> Recipe:
        return self.context.surrogate.recipe

    def spec(self) -> Mapping[str, Any]:
        base = self.context.resolve(self.base).identity
        return {"base": base, "recipe": self.recipe.identity, "lessons": hash_of(self.rows()), "seed": self.seed}

    def rows(self) -> Sequence[TrainingRow]:
        problems = self.context.problems("surrogate")[: self.context.surrogate.lessons]
        replies = (render_reply(p.trace, p.shown) for p in problems)
        return [TrainingRow(prompt, reply) for prompt, reply in zip(plain_prompts(problems), replies, strict=True)]

    def row_lengths(self, dry: DryRun) -> Iterable[float]:
        return [sum(dry.lengths) - dry.lengths.summary] * len(self.rows())


@dataclass(frozen=True)
class SurrogateReplies(Stage[Replies]):
    """The surrogate's replies to some prompts, without summaries."""

    kind: ClassVar[str] = "surrogate"
    context: CellContext
    draw: Draw

    @property
    def needs(self) -> Need:
        return "gpu"

    def spec(self) -> Mapping[str, Any]:
        return {
            "model": surrogate_model(self.context),
            "family": self.context.surrogate.family,
            **self.draw.spec,
        }

    def build(self, folder: Path) -> None:
        write_lines(folder / "replies.jsonl", self._engine().reply(self.draw.prompts, self.draw.sampling, self.draw.repetitions))

    def _engine(self) -> Engine:
        settings, context = self.context.surrogate, self.context
        if isinstance(settings.source, Recorded):
            if any(self.draw.repetitions):
                raise HeistError(f"the recorded surrogate has one reply to each question; {context.cell.attack} asks for more")
            return RecordedEngine([*context.problems("surrogate"), *context.problems("query")])
        return engine(surrogate_checkpoint(context), settings.family)

    def read(self, folder: Path) -> Replies:
        replies = [reply_from(row) for row in read_lines(folder / "replies.jsonl")]
        return replies, self.context.store.seconds(folder)

    def work(self, dry: DryRun) -> Iterable[Work]:
        settings, length = self.context.surrogate, dry.lengths.trace + dry.lengths.answer
        texts = self.draw.texts
        if isinstance(settings.source, Recorded):
            return [Work("surrogate replies", settings.model, "replayed", rows=dry.times_asked(texts) * len(texts))]
        return [written("surrogate replies", settings.model, self.draw.decoding, texts, length, dry, dry.times_asked(texts))]

    def imagined(self, dry: DryRun) -> Replies:
        return self.draw.imagined(dry, f"s{self.draw.sampling.seed}."), 0.0


def surrogate_checkpoint(context: CellContext) -> Checkpoint:
    """The attacker's model, taught on the surrogate split first where the suite says so."""
    if context.surrogate.lessons:
        return context.result(TaughtSurrogate(context)).checkpoint
    return context.resolve(context.surrogate.model)


def surrogate_model(context: CellContext) -> str:
    """The identity of the attacker's own model."""
    if isinstance(context.surrogate.source, Recorded):
        return recorded_identity(identity(context.task), context.data_digest)
    return surrogate_checkpoint(context).identity


def surrogate_spec(context: CellContext) -> list[Any] | None:
    """What determines the surrogate's replies, None in a suite without one."""
    settings = context.suite.surrogate
    if settings is None:
        return None
    summaries = summaries_identity(context, context.suite.compressor)
    return [surrogate_model(context), settings.family, settings.decoding.model_dump(), summaries]


def surrogate_replies(context: CellContext, draw: Draw, summaries: bool) -> Replies:
    """The surrogate's replies, with summaries in the provider's style where these are wanted."""
    replies, seconds = context.result(SurrogateReplies(context, draw))
    unsummarized = [replace(reply, summary=None) for reply in replies]  # what its file may hold was written by another summarizer
    if not summaries:
        return unsummarized, seconds
    return with_summaries(unsummarized, lambda traces: summarize(context, traces, context.suite.compressor, "summaries")), seconds


def surrogate_traces(context: CellContext, prompts: Sequence[Prompt]) -> list[str]:
    """The traces of the surrogate's greedy replies, empty where it had none."""
    replies, _ = context.result(SurrogateReplies(context, Draw.first(prompts, context.surrogate.decoding.at(0.0))))
    return [reply.trace or "" for reply in replies]
