"""Models made from nothing: `scratch/<hidden>x<layers>` with the words of a task's own questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench.contracts.sources import keyed
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.scratch import make_scratch
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import Stage
from heistbench.bench.suites.questions import whole


@dataclass(frozen=True)
class Scratch(Stage[Checkpoint]):
    """An untrained model and its tokenizer."""

    kind: ClassVar[str] = "scratch"
    context: CellContext
    reference: str

    def spec(self) -> Mapping[str, Any]:
        words = self.context.digest("surrogate", whole)
        return {"reference": self.reference, "task": keyed(self.context.task), "text": words}

    def build(self, folder: Path) -> None:
        make_scratch(self.reference, self.context.problems("surrogate"), folder / "model")

    def read(self, folder: Path) -> Checkpoint:
        return self.context.made("scratch", folder)
