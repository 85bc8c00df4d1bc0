"""Examples: the rows whose stolen traces tell most and least of the hidden ones, for people to read side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench.contracts.nouns import Exposure, Stolen
from heistbench.bench.stages.collect import Collect
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.overlap import overlap_of_each, overlap_stages
from heistbench.bench.stages.plain import PlainAsking
from heistbench.bench.stages.stage import Stage
from heistbench.bench.storage.blocks import EXAMPLE_LENGTH, EXAMPLES_EACH_END, TheftExample
from heistbench.bench.storage.store import read_json, write_json
from heistbench.bench.suites.questions import asked


@dataclass(frozen=True)
class Examples(Stage[list[TheftExample]]):
    """The five rows that overlap most with the victim's hidden traces and the five that do least, best first.

    The overlap is the headline metric of the suite's first signature. Where the harness sees no hidden trace, none has a score,
    and the first and the last rows are shown. Rows of the attacker's own questions are no examples.
    """

    kind: ClassVar[str] = "examples"
    context: CellContext

    def spec(self) -> Mapping[str, Any]:
        return {
            "theft": self.context.result(Collect(self.context)).name,
            "victim": self.context.victim.identity,
            "questions": self.context.digest("query", asked),
            "signature": self.context.suite.signatures[0],
        }

    def after(self) -> Sequence[Stage[Any]]:
        return [Collect(self.context), *overlap_stages(self.context)]

    def build(self, folder: Path) -> None:
        write_json(folder / "examples.json", [example.model_dump() for example in self._examples()])

    def read(self, folder: Path) -> list[TheftExample]:
        return [TheftExample(**row) for row in read_json(folder / "examples.json")]

    def _examples(self) -> list[TheftExample]:
        context, theft = self.context, self.context.result(Collect(self.context))
        at, scores = {question.id: i for i, question in enumerate(context.questions)}, overlap_of_each(context)
        rows = _ends(sorted((row for row in theft.rows if row.id in at), key=lambda row: (-scores.get(row.id, 0.0), row.id)))
        if not rows:
            return []
        queries = theft.queries_about(context.questions)
        hidden = context.result(PlainAsking(context)).first if scores else []
        return [
            TheftExample(
                id=row.id,
                question=_clipped(row.question),
                exposed=_clipped(_visible(query.exposure) if (query := queries[at[row.id]]) else ""),
                stolen=row.trace if row.trace is None else _clipped(row.trace),
                answer=_clipped(row.answer),
                hidden=_clipped(hidden[at[row.id]]) if hidden else None,
                score=scores.get(row.id),
            )
            for row in rows
        ]


def _ends(rows: list[Stolen]) -> list[Stolen]:
    return rows if len(rows) <= 2 * EXAMPLES_EACH_END else rows[:EXAMPLES_EACH_END] + rows[-EXAMPLES_EACH_END:]


def _visible(exposure: Exposure) -> str:
    extras = [f"{name}: {text}" for name, text in [("summary", exposure.summary), *exposure.arguments.items()] if text]
    return "\n".join([*extras, exposure.text])


def _clipped(text: str) -> str:
    return text if len(text) <= EXAMPLE_LENGTH else text[: EXAMPLE_LENGTH - 1] + "…"
