"""Summaries of traces: what a provider shows of them, and what an attacker's compressor makes of its own model's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from heistbench.bench.contracts.nouns import Reply
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.replies import split_reply
from heistbench.bench.contracts.sources import keyed
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.prompting.compression import compression_prompt
from heistbench.bench.stages.completions import Completions, Draw, Texts, written
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import DryRun, Work
from heistbench.bench.suites.settings import Compressor

Summarize = Callable[[Sequence[str]], list[str | None]]
"""From traces to summaries of them; None where there is none."""


@dataclass(frozen=True)
class Summaries(Completions):
    """Summaries by an instructed model (arXiv:2603.07267)."""

    kind: ClassVar[str] = "summaries"
    context: CellContext
    compressor: Compressor
    source: Checkpoint
    draw: Draw
    work_name: str

    @property
    def model(self) -> str:
        return self.compressor.model

    def work(self, dry: DryRun) -> Iterable[Work]:
        texts = self.draw.texts
        yield written(self.work_name, self.model, self.draw.decoding, texts, dry.lengths.summary, dry, dry.times_asked(texts))

    def imagined(self, dry: DryRun) -> Texts:
        return Texts([reply.summary or "" for reply in self.draw.imagined(dry, "c.")])


def with_summaries(replies: Sequence[Reply], summarize: Summarize) -> list[Reply]:
    """The replies, each that thought and has no summary yet with one."""
    summarized = list(replies)
    bare = [at for at, reply in enumerate(replies) if reply.trace and reply.summary is None]
    for at, summary in zip(bare, summarize([replies[at].trace or "" for at in bare]), strict=True):
        summarized[at] = replace(replies[at], summary=summary)
    return summarized


def summarize(context: CellContext, traces: Sequence[str], compressor: Compressor | None, work_name: str) -> list[str | None]:
    """One summary per trace: the compressor's, else the task's; None where there is none."""
    if compressor is None:
        return [context.own_summary(trace) for trace in traces]
    if not traces:
        return []
    draw = Draw.first([compression_prompt(trace, compressor.style) for trace in traces], compressor.decoding)
    stage = Summaries(context, compressor, context.resolve(compressor.model), draw, work_name)
    return [split_reply(text).answer or None for text in context.result(stage).texts]


def summarizes(task: Task) -> bool:
    """Whether a task has a rule of its own for summaries."""
    return type(task).summarize is not Task.summarize


def summaries_identity(context: CellContext, compressor: Compressor | None) -> Any:
    """What determines summaries; None when there are none."""
    if compressor:
        return [context.resolve(compressor.model).identity, compressor.model_dump()]
    return keyed(context.task) if summarizes(context.task) else None
