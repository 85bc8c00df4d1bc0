"""Examine: the student answers the exam's test split, one verdict per question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench.bridges.lm_eval import examine
from heistbench.bench.contracts.replies import Parts
from heistbench.bench.contracts.sources import keyed
from heistbench.bench.models.loading import engine
from heistbench.bench.stages.collect import Collect
from heistbench.bench.stages.completions import written
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import DryRun, Need, Stage, Work, counter
from heistbench.bench.stages.train import Train, student_of
from heistbench.bench.storage.exams import Exam
from heistbench.bench.storage.store import read_lines, write_json, write_lines
from heistbench.bench.suites.questions import graded

WRITTEN = "examined.jsonl"
"""The outcome of each question, with what the student wrote."""


@dataclass(frozen=True)
class Examine(Stage[Exam]):
    """The examination of a cell's student, through lm-eval; what the student wrote is kept beside its outcome."""

    kind: ClassVar[str] = "examine"
    context: CellContext

    @property
    def needs(self) -> Need:
        return "gpu"

    def spec(self) -> Mapping[str, Any]:
        return {
            "student": student_of(self.context).identity,
            "exam": keyed(self.context.exam),
            "questions": self.context.digest("test", graded),
            "sampling": self.context.cell.student.decoding.sampling(),
        }

    def after(self) -> Sequence[Stage[Any]]:
        stolen = self.context.result(Collect(self.context)).extent.rows
        return [Train(self.context)] if stolen else [Collect(self.context)]

    def build(self, folder: Path) -> None:
        context, problems = self.context, self.context.problems("test")
        advance = counter(context.progress, "exam", len(problems))
        sampling = context.cell.student.decoding.sampling()
        examined = examine(engine(student_of(context)), context.exam, problems, sampling, advance)
        write_lines(folder / WRITTEN, examined)
        write_json(folder / "exam.json", Exam.of(examined).model_dump(mode="json"))

    def read(self, folder: Path) -> Exam:
        return Exam.model_validate_json((folder / "exam.json").read_bytes())

    def replies(self) -> list[Parts]:
        """What the student wrote in a finished exam, by question ids in order."""
        rows = read_lines(self.context.store.path(self.kind, self.spec()) / WRITTEN)
        return [Parts(row["trace"], row["answer"]) for row in sorted(rows, key=lambda row: str(row["id"]))]

    def work(self, dry: DryRun) -> Iterable[Work]:
        student, texts = self.context.cell.student, [p.question.text for p in self.context.problems("test")]
        each = dry.lengths.trace + dry.lengths.answer
        yield written("examination", student.model, student.decoding, texts, each, dry, dry.times(texts))
