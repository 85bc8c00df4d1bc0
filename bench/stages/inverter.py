"""The attacker's inverter: fine-tuned on rows of its own, then used to rebuild traces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from heistbench.bench.contracts.nouns import Prompt
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.fine_tuning import TrainingRow
from heistbench.bench.stages.completions import Completions, Draw, Texts, written
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import DryRun, Work
from heistbench.bench.stages.tuning import Tuning
from heistbench.bench.storage.store import hash_of

InverterRows = tuple[tuple[Prompt, str], ...]
"""Prompts and the completions to learn."""


@dataclass(frozen=True)
class InverterTraining(Tuning):
    """The suite's inverter model, trained on an attacker's rows; the same rows are trained once."""

    kind: ClassVar[str] = "inverter"
    label: ClassVar[str] = "inverter"
    work_name: ClassVar[str] = "inverter training"
    context: CellContext
    examples: InverterRows

    @property
    def base(self) -> str:
        return self.context.inverter.model

    @property
    def recipe(self) -> Recipe:
        return self.context.inverter.recipe

    @property
    def seed(self) -> int:
        return self.context.cell.seed

    def spec(self) -> Mapping[str, Any]:
        base = self.context.resolve(self.base).identity
        return {"base": base, "recipe": self.recipe.identity, "examples": hash_of(self.examples), "seed": self.seed}

    def rows(self) -> Sequence[TrainingRow]:
        return [TrainingRow(prompt, completion) for prompt, completion in self.examples]


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
