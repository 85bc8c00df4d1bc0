"""Contamination: the share of questions that have many words in a row in common with another split's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench.contracts.nouns import Split
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import Stage
from heistbench.bench.storage.provenance import CONTAMINATION, NGRAM, contamination
from heistbench.bench.storage.store import read_json, write_json
from heistbench.bench.suites.questions import asked

Shares = dict[str, float]
SPLITS: tuple[Split, ...] = ("query", "surrogate", "test")


@dataclass(frozen=True)
class Contamination(Stage[Shares]):
    """The share of questions that share an n-gram with another split's, by which two splits they are."""

    kind: ClassVar[str] = "contamination"
    context: CellContext

    def spec(self) -> Mapping[str, Any]:
        return {"n": NGRAM, "questions": {split: self.context.digest(split, asked) for split in SPLITS}}

    def build(self, folder: Path) -> None:
        texts = self._texts()
        shares = {name: contamination(texts[source], texts[target]) for name, (source, target) in CONTAMINATION.items()}
        write_json(folder / "contamination.json", shares)

    def read(self, folder: Path) -> Shares:
        shares: Shares = read_json(folder / "contamination.json")
        return shares

    def _texts(self) -> dict[Split, list[str]]:
        """The questions of each split: of the attacked one, those that are attacked."""
        context = self.context
        problems = {split: context.attacked if split == "query" else context.problems(split) for split in SPLITS}
        return {split: [problem.question.text for problem in problems] for split, problems in problems.items()}
