"""The attacker's inverter: fine-tuned on rows of its own, then used to rebuild traces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

from heistbench.bench.contracts.nouns import Prompt
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.fine_tuning import TrainingRow
from heistbench.bench.stages.completions import Completions, Draw, Texts, written
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import DryRun, Work
from heistbench.bench.stages.tuning import TunedModel, Tuning
from heistbench.bench.storage.store import hash_of

InverterRows = tuple[tuple[Prompt, str], ...]
"""Prompts and the completions to learn."""
KEPT_BACK = 20
"""One row in so many is kept back where the best of several trainings is wanted."""
APART = 1_000_003
"""How far apart the seeds of a cell's trainings are: no other cell has one of them."""


@dataclass(frozen=True)
class InverterTraining(Tuning):
    """The suite's inverter model, trained on an attacker's rows; the same rows are trained once, or once for each restart."""

    kind: ClassVar[str] = "inverter"
    label: ClassVar[str] = "inverter"
    work_name: ClassVar[str] = "inverter training"
    context: CellContext
    examples: InverterRows
    restart: int = 0

    @property
    def base(self) -> str:
        return self.context.inverter.model

    @property
    def recipe(self) -> Recipe:
        return self.context.inverter.recipe

    @property
    def seed(self) -> int:
        return (self.context.cell.seed + APART * self.restart) % 2**32

    @property
    def _first(self) -> int:
        """The row that training begins with: those before it are kept back. An attacker's own rows stand before stolen ones."""
        several = self.context.inverter.restarts > 1 and len(self.examples) > 1
        return max(1, len(self.examples) // KEPT_BACK) if several else 0

    def spec(self) -> Mapping[str, Any]:
        base, examples = self.context.resolve(self.base).identity, hash_of(self.examples)
        return {"base": base, "recipe": self.recipe.identity, "examples": [examples, self._first], "seed": self.seed}

    def rows(self) -> Sequence[TrainingRow]:
        return [TrainingRow(prompt, completion) for prompt, completion in self.examples[self._first :]]

    def kept_back(self) -> Sequence[TrainingRow]:
        return [TrainingRow(prompt, completion) for prompt, completion in self.examples[: self._first]]


def trained(context: CellContext, examples: InverterRows) -> TunedModel:
    """The inverter of these rows: of the suite's restarts the one with the least loss on rows kept back; all of them are paid."""
    runs = [context.result(InverterTraining(context, examples, at)) for at in range(context.inverter.restarts)]
    best = min(runs, key=lambda run: inf if run.held_out is None else run.held_out)
    return best._replace(tokens=sum(run.tokens for run in runs), seconds=sum(run.seconds for run in runs))


@dataclass(frozen=True)
class Inversion(Completions):
    """What an inverter writes."""

    kind: ClassVar[str] = "inverted"
    context: CellContext
    source: Checkpoint
    draw: Draw

    @property
    def model(self) -> str:
        return self.context.inverter.model

    def work(self, dry: DryRun) -> Iterable[Work]:
        texts = self.draw.texts
        yield written("inversion", self.model, self.draw.decoding, texts, dry.lengths.trace, dry, dry.times(texts))

    def imagined(self, dry: DryRun) -> Texts:
        return Texts([reply.trace or "" for reply in self.draw.imagined(dry, f"{self.source.identity}{self.draw.seed}.")])


def inverter_spec(context: CellContext) -> list[Any] | None:
    """What determines an inverter, but for its rows and seed; None in a suite without one."""
    inverter = context.suite.inverter
    return [context.resolve(inverter.model).identity, inverter.model_dump(exclude={"model"})] if inverter else None
