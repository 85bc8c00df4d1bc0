"""The victim's plain traces: what it thinks of the attacked questions when nobody attacks, and when it is asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from heistbench.bench.stages.context import CellContext, plain_prompts
from heistbench.bench.stages.stage import DryRun, Need, Stage
from heistbench.bench.storage.store import read_json, write_json
from heistbench.bench.suites.questions import asked


class PlainTraces(NamedTuple):
    """A trace per attacked question, empty where there was none: of the first reply, and of the second."""

    first: list[str]
    again: list[str]


@dataclass(frozen=True)
class PlainAsking(Stage[PlainTraces]):
    """What overlap, exposure and examples are measured against. Its replies come from the victim's ledger."""

    kind: ClassVar[str] = "plain"
    context: CellContext

    @property
    def needs(self) -> Need:
        return "network" if self.context.cell.victim.remote else "gpu"

    def spec(self) -> Mapping[str, Any]:
        return {"victim": self.context.victim.identity, "questions": self.context.digest("query", asked)}

    def build(self, folder: Path) -> None:
        write_json(folder / "traces.json", self._ask()._asdict())

    def read(self, folder: Path) -> PlainTraces:
        return PlainTraces(**read_json(folder / "traces.json"))

    def imagined(self, dry: DryRun) -> PlainTraces:
        return self._ask()

    def _ask(self) -> PlainTraces:
        prompts = plain_prompts(self.context.attacked)
        replies = self.context.victim.reply([(p, 0) for p in prompts], summaries=False)
        again = self.context.victim.reply([(p, 1) for p in prompts], summaries=False)
        return PlainTraces([reply.trace or "" for reply in replies], [reply.trace or "" for reply in again])
