"""Fine-tuned models as artifacts: what a taught surrogate, an inverter and a student share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.fine_tuning import TrainingRow, fine_tune
from heistbench.bench.models.held_out import held_out_loss
from heistbench.bench.models.loading import release_engines
from heistbench.bench.models.process import gpus
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.stage import DryRun, Need, Stage, Work
from heistbench.bench.storage.store import identify, read_json, write_json


class TunedModel(NamedTuple):
    """A fine-tuned model, the tokens it was trained on, and the seconds that took.

    `held_out` is its loss on rows that were kept from it, in nats per token; None where none were.
    """

    checkpoint: Checkpoint
    tokens: int = 0
    seconds: float = 0.0
    held_out: float | None = None


class Tuning(Stage[TunedModel]):
    """A model fine-tuned on rows: what all that train share. Subclasses say what it is, of which base and on what."""

    label: ClassVar[str]
    """What the model's identity starts with, and what progress is shown as."""
    work_name: ClassVar[str]
    context: CellContext

    @property
    @abstractmethod
    def base(self) -> str:
        """The reference of the model that is trained."""

    @property
    @abstractmethod
    def recipe(self) -> Recipe:
        """How."""

    @property
    @abstractmethod
    def seed(self) -> int:
        """Of the order of batches."""

    @abstractmethod
    def rows(self) -> Sequence[TrainingRow]:
        """On what."""

    def kept_back(self) -> Sequence[TrainingRow]:
        """Rows that it is not trained on, to tell one training from another. Default: none."""
        return ()

    @property
    def needs(self) -> Need:
        return "gpu"

    def build(self, folder: Path) -> None:
        if gpus():
            release_engines()
        base, told = self.context.resolve(self.base), partial(self.context.progress, self.label)
        report = asdict(fine_tune(base, self.rows(), self.recipe, self.seed, folder / "model", told))
        if kept_back := self.kept_back():
            tuned = base.tuned(self.label, folder / "model")
            report["held_out"] = held_out_loss(tuned, kept_back, self.recipe.max_length)
        write_json(folder / "tuned.json", report)

    def read(self, folder: Path) -> TunedModel:
        seconds = self.context.store.seconds(folder)
        model = self.context.made(self.label, folder, self.context.resolve(self.base))
        report = read_json(folder / "tuned.json")
        return TunedModel(model, report["tokens"], seconds, report.get("held_out"))

    def work(self, dry: DryRun) -> Iterable[Work]:
        rows, lengths, recipe = self.rows(), list(self.row_lengths(dry)), self.recipe
        times = dry.times([row.prompt.text for row in rows])
        tokens = times * sum(min(length, recipe.max_length) for length in lengths)
        yield Work(self.work_name, self.base, in_words(recipe), rows=times * len(lengths), trained=tokens * recipe.epochs)

    def row_lengths(self, dry: DryRun) -> Iterable[float]:
        """Tokens of each row."""
        return (dry.tokens(row.prompt.text) + dry.tokens(row.completion) for row in self.rows())

    def imagined(self, dry: DryRun) -> TunedModel:
        return TunedModel(Checkpoint(f"{self.label}:{identify(self.spec())}", self.base))


def in_words(recipe: Recipe) -> str:
    """A recipe in words."""
    parameters = f"LoRA of rank {recipe.lora_rank}" if recipe.lora_rank else "all weights"
    return (
        f"{recipe.epochs} epochs of batches of {recipe.batch_size}, rate {recipe.learning_rate:g} {recipe.schedule},"
        f" warmup {recipe.warmup:g}, rows up to {recipe.max_length} tokens, {parameters}"
    )
