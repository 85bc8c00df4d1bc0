"""Loot: how much was carried off, and how much of it is true by the task's checker and grader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.contracts.sources import keyed
from heistbench.bench.stages.collect import Collect, Theft
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import Stage
from heistbench.bench.storage.blocks import LootFacts
from heistbench.bench.storage.store import read_json, write_json
from heistbench.bench.suites.questions import whole


@dataclass(frozen=True)
class Loot(Stage[LootFacts]):
    """The facts of a theft's loot."""

    kind: ClassVar[str] = "loot"
    context: CellContext

    @property
    def theft(self) -> Theft:
        """What is looked at."""
        return self.context.result(Collect(self.context))

    def spec(self) -> Mapping[str, Any]:
        return {
            "loot": self.theft.extent.loot,
            "lost": self.theft.extent.lost,
            "task": keyed(self.context.task),
            "problems": self.context.digest("query", whole),
        }

    def after(self) -> Sequence[Stage[Any]]:
        return [Collect(self.context)]

    def read(self, folder: Path) -> LootFacts:
        return LootFacts(**read_json(folder / "facts.json"))

    def build(self, folder: Path) -> None:
        theft, task, problems = self.theft, self.context.task, self.context.attacked
        known = {p.question.id: p for p in problems}
        stolen = [row for row in theft.rows if row.id in known]
        grades = task.grade_all([known[row.id] for row in stolen], [row.answer for row in stolen])
        checks = [task.check(known[row.id], row.trace) for row in stolen if row.trace is not None]
        # An outage moves no share: what it swallowed is in neither part of the fraction.
        n = max(1, len(problems) - theft.extent.lost)
        checkable = bool(problems) and task.check(problems[0], "") is not None
        facts = LootFacts(
            questions=len(problems),
            lost=theft.extent.lost,
            rows=theft.extent.rows,
            traces=sum(row.trace is not None for row in theft.rows),
            whole_traces=min(1.0, sum(check is not None and check.whole for check in checks) / n) if checkable else None,
            right_answers=min(1.0, sum(grade.verdict is Verdict.RIGHT for grade in grades) / n),
            sha256=theft.extent.lessons,
        )
        write_json(folder / "facts.json", facts.model_dump())
