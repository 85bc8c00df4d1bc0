"""A cell on a store: its stages' results are computed once, kept, and shared by all cells that need them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from heistbench.bench.contracts.engines import DEFAULT
from heistbench.bench.contracts.nouns import Split
from heistbench.bench.contracts.plugins import Attack
from heistbench.bench.contracts.wall import Desk
from heistbench.bench.models.checkpoints import Checkpoint, checkpoint
from heistbench.bench.models.scratch import is_scratch
from heistbench.bench.stages.collect import Collect
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.examine import Examine
from heistbench.bench.stages.overlap import overlap_stages
from heistbench.bench.stages.record import RecordStage
from heistbench.bench.stages.scratch import Scratch
from heistbench.bench.stages.stage import Need, Stage
from heistbench.bench.stages.train import student_of
from heistbench.bench.stages.utility import HonestUse
from heistbench.bench.stages.victim import VictimModel, victim_of
from heistbench.bench.storage.data_files import data_folder
from heistbench.bench.storage.digests import Stamp, stamp
from heistbench.bench.storage.store import MANIFEST
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.questions import See, digest_of
from heistbench.bench.walls.line import Haul, Order
from heistbench.bench.walls.thefts import Thief

T = TypeVar("T")
_last_read: dict[str, tuple[tuple[Path, Stamp], Any]] = {}
"""The last artifact of each kind that this process has read, and what it says: the steps of a cell read the same ones."""


class StoredCell(CellContext):
    """The context of a cell that is really run."""

    def ensure(self, stage: Stage[Any]) -> Path:
        """The folder of a stage's artifact, computed if need be and not read."""
        return self.store.once(stage.kind, stage.spec(), stage.build)

    def _compute(self, stage: Stage[T]) -> T:
        folder = self.ensure(stage)
        at = folder, stamp(folder / MANIFEST)
        if stage.kind not in _last_read or _last_read[stage.kind][0] != at:
            _last_read[stage.kind] = at, stage.read(folder)
        return cast(T, _last_read[stage.kind][1])

    def digest(self, split: Split, see: See) -> str:
        """See `CellContext.digest`; worked out once a process."""
        task = self.exam if split == "test" else self.task
        return digest_of(task, split, self.size_of(split), self.cell.budget if split == "query" else None, see)

    def resolve(self, reference: str) -> Checkpoint:
        """A model reference as a checkpoint; `scratch/...` is made from the task's own words."""
        return self.result(Scratch(self, reference)) if is_scratch(reference) else self._on_engine(checkpoint(reference))

    def made(self, label: str, folder: Path, base: Checkpoint | None = None) -> Checkpoint:
        identity, model = f"{label}:{folder.name}", folder / "model"
        return self._on_engine(base.tuned(identity, model) if base else Checkpoint(identity, str(model)))

    def carry_out(self, attack: Attack, order: Order, desk: Desk) -> Haul:
        with Thief(order.home, self.wall, hidden=[self.store.root, data_folder()]) as thief:
            return thief.steal(attack, order, desk, self.log)

    @property
    def log(self) -> Path:
        """The log of this process."""
        return log_of(self.store.root)

    @cached_property
    def victim(self) -> VictimModel:
        """The victim, asked through its ledger."""
        return victim_of(self)

    def _on_engine(self, source: Checkpoint) -> Checkpoint:
        """Another engine computes other numbers: it is part of a model's identity."""
        name = self.suite.engine
        return source if name == DEFAULT else replace(source, engine=name, identity=f"{name}:{source.identity}")


def log_of(root: Path, process: int | None = None) -> Path:
    """Where a process, by default this one, writes what a store's users may want to read: libraries' chatter, and tracebacks."""
    return root / "log" / f"worker-{process or os.getpid()}.log"


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a cell's work that occupies one thing: what a schedule hands out."""

    name: str
    needs: Need
    run: Callable[[StoredCell], object]


def steps(cell: Cell) -> list[Step]:
    """The steps of a cell, in the order of the data; each reads what those before it have left in the store."""
    asking: Need = "network" if cell.victim.remote else "gpu"
    return [
        Step("collect", asking, lambda context: context.result(Collect(context))),
        Step("train", "gpu", student_of),
        Step("examine", "gpu", lambda context: context.result(Examine(context))),
        Step("ask plainly", asking, _ask_plainly),
        Step("record", "cpu", lambda context: context.ensure(RecordStage(context))),
    ]


def _ask_plainly(context: CellContext) -> None:
    """What honest users get, and the traces that overlap is measured against."""
    context.result(HonestUse(context))
    for stage in overlap_stages(context):
        context.result(stage)
