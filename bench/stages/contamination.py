"""Contamination: the share of questions that have many words in a row in common with another split's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import Stage
from heistbench.bench.storage.provenance import NGRAM, contamination
from heistbench.bench.storage.store import hash_of, read_json, write_json

Shares = dict[str, float]


@dataclass(frozen=True)
class Contamination(Stage[Shares]):
    """The share of questions that share an n-gram with another split's, by which two splits they are."""

    kind: ClassVar[str] = "contamination"
    context: CellContext

    def spec(self) -> Mapping[str, Any]:
        return {"n": NGRAM, "texts": [hash_of(texts) for texts in self._texts()]}

    def build(self, folder: Path) -> None:
        attacked, own, tests = self._texts()
        shares = {
            f"test questions sharing a {NGRAM}-gram with attack queries": contamination(attacked, tests),
            f"test questions sharing a {NGRAM}-gram with the attacker's own questions": contamination(own, tests),
            f"attack queries sharing a {NGRAM}-gram with the attacker's own questions": contamination(own, attacked),
        }
        write_json(folder / "contamination.json", shares)

    def read(self, folder: Path) -> Shares:
        shares: Shares = read_json(folder / "contamination.json")
        return shares

    def _texts(self) -> tuple[list[str], list[str], list[str]]:
        """The questions that are attacked, those of the attacker's own, and those of the exam."""
        splits = (self.context.attacked, self.context.problems("surrogate"), self.context.problems("test"))
        attacked, own, tests = ([problem.question.text for problem in split] for split in splits)
        return attacked, own, tests
