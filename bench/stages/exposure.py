"""Exposure: what the victim showed to an attack that asks in its own words, in the terms of arXiv:2606.00642.

`struct` is the share of replies that are thinking and then an answer; r01, r02 and r12 are ROUGE-L between the benign hidden
trace (0), the hidden trace under attack (1) and the exposed text (2), over all questions and over those replies alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench.scoring.overlap import SIGNATURES
from heistbench.bench.scoring.paper_overlap import drift
from heistbench.bench.stages.collect import Collect
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.plain import PlainAsking
from heistbench.bench.stages.stage import Stage
from heistbench.bench.storage.blocks import ExposureScores
from heistbench.bench.storage.store import read_json, write_json
from heistbench.bench.suites.questions import asked

REP = "rep"
"""The signature of arXiv:2606.00642."""
Drift = dict[str, float]


@dataclass(frozen=True)
class Exposed(Stage[ExposureScores]):
    """The exposure of a theft."""

    kind: ClassVar[str] = "exposure"
    context: CellContext

    def spec(self) -> Mapping[str, Any]:
        theft = self.context.result(Collect(self.context)).name
        return {"theft": theft, "victim": self.context.victim.identity, "questions": self.context.digest("query", asked)}

    def after(self) -> Sequence[Stage[Any]]:
        return [Collect(self.context), PlainAsking(self.context)]

    def build(self, folder: Path) -> None:
        rows, whole = self._drifts()
        exposure = ExposureScores(
            signature=str(SIGNATURES[REP]),
            n=len(rows),
            struct=len(whole) / max(1, len(rows)),
            all=_means(rows),
            struct_only=_means(whole),
        )
        write_json(folder / "exposure.json", exposure.model_dump())

    def read(self, folder: Path) -> ExposureScores:
        return ExposureScores(**read_json(folder / "exposure.json"))

    def _drifts(self) -> tuple[list[Drift], list[Drift]]:
        """The drift of each question asked in the attack's words, and of those whose reply is thinking and then an answer."""
        context = self.context
        queries = context.result(Collect(context)).queries_about(context.questions)
        rows, whole = list[Drift](), list[Drift]()
        for question, hidden, query in zip(context.questions, context.result(PlainAsking(context)).first, queries, strict=True):
            if query is None or query.lost or query.last_message == question.text:
                continue  # lost, or asked as it is
            trace, exposed = query.reply.trace or "", query.reading
            rows.append(drift(hidden, trace, exposed))
            if trace and exposed and query.reply.stop == "stop":
                whole.append(rows[-1])
        return rows, whole


def exposure_stages(context: CellContext) -> list[Stage[Any]]:
    """What measures a cell's exposure: nothing for attacks that do not prompt and in suites without that paper's signature."""
    info = context.cell.build_attack().info
    prompts = info.asks == "prompts" and not info.control
    return [Exposed(context)] if prompts and REP in context.suite.signatures and context.sees_traces else []


def _means(rows: Sequence[Drift]) -> Drift:
    return {name: round(sum(row[name] for row in rows) / len(rows), 6) for name in rows[0]} if rows else {}
