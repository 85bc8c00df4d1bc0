"""Examine: the student answers the exam's test split, one verdict per question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter

from heistbench.bench.bridges.lm_eval import examine
from heistbench.bench.contracts.sources import keyed
from heistbench.bench.models.loading import engine
from heistbench.bench.scoring.verdicts import Examined
from heistbench.bench.stages.collect import Collect
from heistbench.bench.stages.completions import written
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import DryRun, Need, Stage, Work, counter
from heistbench.bench.stages.train import Train, student_of
from heistbench.bench.storage.store import hash_of, read_lines, write_lines

_EXAMINED = TypeAdapter(list[Examined])


@dataclass(frozen=True)
class Examine(Stage[list[Examined]]):
    """The examination of a cell's student, through lm-eval."""

    kind: ClassVar[str] = "examine"
    context: CellContext

    @property
    def needs(self) -> Need:
        return "gpu"

    def spec(self) -> Mapping[str, Any]:
        return {
            "student": student_of(self.context).identity,
            "exam": keyed(self.context.exam),
            "problems": hash_of([(p.question, p.gold) for p in self.context.problems("test")]),
            "sampling": self.context.cell.student.decoding.sampling(),
        }

    def after(self) -> Sequence[Stage[Any]]:
        stolen = self.context.result(Collect(self.context)).rows
        return [Train(self.context)] if stolen else [Collect(self.context)]

    def build(self, folder: Path) -> None:
        context, problems = self.context, self.context.problems("test")
        advance = counter(context.progress, "exam", len(problems))
        sampling = context.cell.student.decoding.sampling()
        examined = examine(engine(student_of(context)), context.exam, problems, sampling, advance)
        write_lines(folder / "examined.jsonl", examined)

    def read(self, folder: Path) -> list[Examined]:
        return _EXAMINED.validate_python(read_lines(folder / "examined.jsonl"))

    def work(self, dry: DryRun) -> Iterable[Work]:
        student, texts = self.context.cell.student, [p.question.text for p in self.context.problems("test")]
        each = dry.lengths.trace + dry.lengths.answer
        yield written("examination", student.model, student.decoding, texts, each, dry, dry.times(texts))
