"""Overlap: stolen traces against the victim's plain ones, between floors and a ceiling.

A question without a stolen trace scores 0: what was not obtained stays in the denominator. Where the harness cannot see a
victim's traces, nothing is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from heistbench.bench.contracts.sources import keyed
from heistbench.bench.scoring.overlap import SIGNATURES, Signature, headline, mean, score
from heistbench.bench.stages.collect import Collect
from heistbench.bench.stages.context import CellContext, plain_prompts
from heistbench.bench.stages.plain import PlainAsking
from heistbench.bench.stages.stage import DryRun, Stage
from heistbench.bench.stages.surrogate import surrogate_spec, surrogate_traces
from heistbench.bench.storage.blocks import OverlapScores
from heistbench.bench.storage.store import read_json, write_json
from heistbench.bench.suites.questions import asked

Metrics = dict[str, float]


class StolenOverlap(NamedTuple):
    """The mean of each metric over all attacked questions, and the headline metric of each question."""

    mean: Metrics
    each: Metrics


class Bounds(NamedTuple):
    """What overlap is read between: another question's trace, the surrogate's own, and the victim asked again."""

    floor_other_question: Metrics
    floor_surrogate: Metrics
    ceiling_victim_again: Metrics


@dataclass(frozen=True)
class Overlap(Stage[StolenOverlap]):
    """Overlap of a theft's traces by one signature."""

    kind: ClassVar[str] = "overlap"
    context: CellContext
    signature: str

    def spec(self) -> Mapping[str, Any]:
        return {**_spec(self.context, self.signature), "stolen": self.context.result(Collect(self.context)).extent.traces}

    def after(self) -> Sequence[Stage[Any]]:
        return [Collect(self.context), PlainAsking(self.context)]

    def build(self, folder: Path) -> None:
        means, each = _compare(self.context, self.signature, self.context.result(PlainAsking(self.context)).first, self._stolen())
        ids = [question.id for question in self.context.questions]
        write_json(folder / "overlap.json", {"mean": means, "each": dict(zip(ids, each, strict=True))})

    def read(self, folder: Path) -> StolenOverlap:
        return StolenOverlap(**read_json(folder / "overlap.json"))

    def _stolen(self) -> list[str]:
        traces = {row.id: row.trace or "" for row in self.context.result(Collect(self.context)).rows}
        return [traces.get(question.id, "") for question in self.context.questions]


@dataclass(frozen=True)
class OverlapBounds(Stage[Bounds]):
    """Floors and ceiling of one signature: the same for all thefts of the same questions."""

    kind: ClassVar[str] = "floors"
    context: CellContext
    signature: str

    def spec(self) -> Mapping[str, Any]:
        return {**_spec(self.context, self.signature), "surrogate": surrogate_spec(self.context)}

    def after(self) -> Sequence[Stage[Any]]:
        return [PlainAsking(self.context)]

    def build(self, folder: Path) -> None:
        plain = self.context.result(PlainAsking(self.context))

        def compare(candidates: Sequence[str]) -> Metrics:
            return _compare(self.context, self.signature, plain.first, candidates)[0]

        surrogate = self._surrogate()
        bounds = Bounds(
            floor_other_question=compare(plain.first[1:] + plain.first[:1]),
            floor_surrogate=compare(surrogate) if surrogate else {},
            ceiling_victim_again=compare(plain.again),
        )
        write_json(folder / "floors.json", bounds._asdict())

    def read(self, folder: Path) -> Bounds:
        return Bounds(**read_json(folder / "floors.json"))

    def imagined(self, dry: DryRun) -> None:
        self._surrogate()

    def _surrogate(self) -> list[str]:
        """The surrogate's own greedy traces; none in a suite without one."""
        return surrogate_traces(self.context, plain_prompts(self.context.attacked)) if self.context.suite.surrogate else []


def overlap_stages(context: CellContext) -> list[Stage[Any]]:
    """What measures a cell's overlap; nothing where nothing was stolen or the victim's traces are out of sight."""
    if not context.result(Collect(context)).extent.rows or not context.attacked or not context.sees_traces:
        return []
    names = context.suite.signatures
    return [stage for name in names for stage in (Overlap(context, name), OverlapBounds(context, name))]


def overlap_scores(context: CellContext) -> dict[str, OverlapScores]:
    """The overlap of a cell's loot by each signature of its suite."""
    return {name: _scores(context, name) for name in context.suite.signatures} if overlap_stages(context) else {}


def overlap_of_each(context: CellContext) -> Metrics:
    """The headline metric of the suite's first signature by question; none where no overlap is measured."""
    return context.result(Overlap(context, context.suite.signatures[0])).each if overlap_stages(context) else {}


def _scores(context: CellContext, name: str) -> OverlapScores:
    n, lost = len(context.attacked), context.result(Collect(context)).extent.lost
    # What an outage swallowed has scored 0; it leaves both parts of the mean.
    share = n / max(1, n - lost)
    stolen = {metric: round(value * share, 6) for metric, value in context.result(Overlap(context, name)).mean.items()}
    bounds = context.result(OverlapBounds(context, name))
    return OverlapScores(signature=str(SIGNATURES[name]), n=n, stolen=stolen, **bounds._asdict())


def _spec(context: CellContext, name: str) -> dict[str, Any]:
    return {
        "victim": context.victim.identity,
        "questions": context.digest("query", asked),
        "task": keyed(context.task),
        "signature": str(SIGNATURES[name]),
    }


def _compare(context: CellContext, name: str, reference: Sequence[str], candidates: Sequence[str]) -> tuple[Metrics, list[float]]:
    """The mean of each metric, and the headline metric of each pair."""
    signature: Signature = SIGNATURES[name]
    values, pairs = context.task.values, list(zip(reference, candidates, strict=True))
    scores = [score(r, c, signature, values) for r, c in pairs]
    means = {metric: round(value, 6) for metric, value in mean(scores).items()}
    agree = [bool(values(c)) and values(c)[-1:] == values(r)[-1:] for r, c in pairs]
    top = headline(means)
    return {**means, "answer_agreement": round(sum(agree) / len(agree), 6)}, [round(s[top], 6) for s in scores]
