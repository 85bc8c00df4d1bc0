"""Utility: what an honest user, who asks plainly, gets through the defense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench.contracts.nouns import Exposure, Verdict
from heistbench.bench.contracts.sources import keyed
from heistbench.bench.scoring.overlap import SIGNATURES, score
from heistbench.bench.stages.context import CellContext, plain_prompts
from heistbench.bench.stages.defended import DefendedApi
from heistbench.bench.stages.stage import DryRun, Need, Stage
from heistbench.bench.storage.blocks import Utility
from heistbench.bench.storage.store import read_json, write_json
from heistbench.bench.suites.questions import graded


@dataclass(frozen=True)
class HonestUse(Stage[Utility]):
    """The honest user's side of a defense, on questions of the attacked task that no attack has seen."""

    kind: ClassVar[str] = "utility"
    context: CellContext

    @property
    def needs(self) -> Need:
        return "network" if self.context.cell.victim.remote else "gpu"

    def spec(self) -> Mapping[str, Any]:
        return {
            "defenses": [keyed(defense) for defense in self.context.cell.build_defenses()],
            "seed": self._seed,
            "victim": self.context.victim.identity,
            "task": keyed(self.context.task),
            "problems": self.context.digest(self.context.honest_split, graded),
        }

    @property
    def _seed(self) -> int:
        """Of what the defenses draw; one for all where they draw nothing."""
        return self.context.cell.seed if any(d.info.random for d in self.context.cell.build_defenses()) else 0

    def read(self, folder: Path) -> Utility:
        return Utility(**read_json(folder / "utility.json"))

    def build(self, folder: Path) -> None:
        problems, (api, served) = self.context.honest, self._ask()
        lost = sum(query.lost for query in api.sealed)
        n = max(1, len(problems) - lost)
        kept = [_kept(s.reply.summary, s.exposure.summary) for s in api.sealed if s.reply.summary]
        grades = self.context.task.grade_all(problems, [exposure.text for exposure in served])
        right = [not e.refused and grade.verdict is Verdict.RIGHT for e, grade in zip(served, grades, strict=True)]
        utility = Utility(
            n=len(problems),
            lost=lost,
            accuracy=sum(right) / n,
            refused=sum(exposure.refused for exposure in served) / n,
            summary_shown=sum(bool(exposure.summary) for exposure in served) / n,
            summary_values_kept=sum(kept) / len(kept) if kept else 0.0,
        )
        write_json(folder / "utility.json", utility.model_dump())

    def imagined(self, dry: DryRun) -> None:
        self._ask()

    def _ask(self) -> tuple[DefendedApi, list[Exposure]]:
        api = DefendedApi(self.context.victim, self.context.cell.build_defenses(), self._seed)
        return api, api.ask(plain_prompts(self.context.honest))


def _kept(made: str, visible: str | None) -> float:
    """Share of the values of a summary that are still in what was visible of it."""
    return score(made, visible or "", SIGNATURES["words"])["value_recall"]
