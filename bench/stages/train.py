"""Train: the student is fine-tuned on the loot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from heistbench.bench.contracts.nouns import Prompt
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.contracts.replies import render_reply
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.fine_tuning import TrainingRow
from heistbench.bench.stages.collect import Collect, Theft
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import DryRun, Stage
from heistbench.bench.stages.tuning import Tuning


@dataclass(frozen=True)
class Train(Tuning):
    """The student after the theft. Equal loot is trained on once."""

    kind: ClassVar[str] = "train"
    label: ClassVar[str] = "student"
    work_name: ClassVar[str] = "student training"
    context: CellContext

    @property
    def theft(self) -> Theft:
        """What it learns from."""
        return self.context.result(Collect(self.context))

    @property
    def base(self) -> str:
        return self.context.cell.student.model

    @property
    def recipe(self) -> Recipe:
        return self.context.cell.student.recipe

    @property
    def seed(self) -> int:
        return self.context.cell.seed

    def spec(self) -> Mapping[str, Any]:
        student = self.context.resolve(self.base).identity
        return {"student": student, "recipe": self.recipe.identity, "loot": self.theft.extent.lessons, "seed": self.seed}

    def after(self) -> Sequence[Stage[Any]]:
        return [Collect(self.context)]

    def rows(self) -> Sequence[TrainingRow]:
        return [TrainingRow(Prompt.of(r.question), render_reply(r.trace, r.answer)) for r in self.theft.rows]

    def row_lengths(self, dry: DryRun) -> Iterable[float]:
        return (sum(map(dry.tokens, (row.question, row.trace, row.answer))) for row in self.theft.rows)


def student_of(context: CellContext) -> Checkpoint:
    """The student that is examined; without loot it stays as it was."""
    if not context.result(Collect(context)).extent.rows:
        return context.resolve(context.cell.student.model)
    return context.result(Train(context)).checkpoint
