"""Record: a cell's stages, and the one result that they add up to."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench.contracts.plugins import Defense, Plugin
from heistbench.bench.contracts.registry import spec_of
from heistbench.bench.contracts.sources import keyed
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.scratch import is_scratch
from heistbench.bench.stages.collect import Collect, Theft
from heistbench.bench.stages.contamination import Contamination
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.examine import Examine
from heistbench.bench.stages.examples import Examples
from heistbench.bench.stages.exposure import Exposed, exposure_stages
from heistbench.bench.stages.loot import Loot
from heistbench.bench.stages.overlap import overlap_scores, overlap_stages
from heistbench.bench.stages.provenance import provenance
from heistbench.bench.stages.stage import Stage
from heistbench.bench.stages.train import Train
from heistbench.bench.stages.utility import HonestUse
from heistbench.bench.storage.blocks import Arm, DefenseId, PluginId, TheftBill, Volatile
from heistbench.bench.storage.provenance import hardware
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import KEPT, read_record, write_record
from heistbench.bench.storage.student_replies import write_replies
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.reply_sources import Weights, reply_source

NO_NUMBERS = {"name": True, "release": True, "api": {"prices", "connections", "retries", "timeout"}}
"""What a victim's settings hold that changes no number but the bill's dollars; its name stands beside them."""


@dataclass(frozen=True)
class RecordStage(Stage[Record]):
    """A cell's record, as the result file that is published."""

    kind: ClassVar[str] = "record"
    context: CellContext

    def spec(self) -> Mapping[str, Any]:
        return cell_spec(self.context.cell)

    def after(self) -> Sequence[Stage[Any]]:
        context = self.context
        overlap = [*overlap_stages(context), *exposure_stages(context)]
        measures = [Loot(context), *overlap, Examples(context), HonestUse(context), Contamination(context)]
        return [*main_stages(context), *measures]

    def build(self, folder: Path) -> None:
        context = self.context
        theft, exam = context.result(Collect(context)), context.result(Examine(context))
        record = Record(
            arm=arm_of(context.cell),
            exam=exam.model_copy(update={"replies": write_replies(folder, Examine(context).replies())}),
            loot=context.result(Loot(context)),
            overlap=overlap_scores(context),
            exposure=context.result(Exposed(context)) if exposure_stages(context) else None,
            examples=context.result(Examples(context)),
            utility=context.result(HonestUse(context)),
            bill=TheftBill(**{name: value for name, value in asdict(theft.bill).items() if name != "attacker_seconds"}),
            provenance=provenance(context),
            volatile=_volatile(context, theft),
        )
        write_record(folder, record, KEPT)

    def read(self, folder: Path) -> Record:
        return read_record(folder / KEPT)


def main_stages(context: CellContext) -> list[Stage[Any]]:
    """The stages that a cell's record waits for, in the order of the data. The student of no loot is not trained."""
    stolen = context.result(Collect(context)).extent.rows
    return [Collect(context), *([Train(context)] if stolen else []), Examine(context)]


def cell_spec(cell: Cell) -> dict[str, Any]:
    """All that can change a cell's record, and nothing that cannot: its identity."""

    def model(settings: Any) -> Any:
        """A role's settings, with its weights in place of their name."""
        if settings is None or not isinstance(reply_source(settings.model), Weights) or is_scratch(settings.model):
            return settings and settings.model_dump(exclude=NO_NUMBERS)
        return {**settings.model_dump(exclude=NO_NUMBERS), "model": checkpoint(settings.model).identity}

    suite = cell.suite
    return {
        "attack": keyed(cell.build_attack()),
        "defenses": [keyed(d) for d in cell.build_defenses()],
        "task": keyed(cell.build_task()),
        "data": cell.build_task().data_digest(),
        "exam": [keyed(cell.build_exam()), cell.build_exam().data_digest()],
        "victim": [cell.victim.called, model(cell.victim), model(cell.victim.compressor)],
        "surrogate": [model(suite.surrogate), model(suite.compressor)],
        "inverter": model(suite.inverter),
        "student": model(cell.student),
        "engine": suite.engine,
        "signatures": suite.signatures,
        "sizes": cell.sizes.model_dump(),
        "budget": cell.budget,
        "seed": cell.seed,
        "suite": suite.name,
        "schema": [Record.model_fields["schema_version"].default, "result file with replies"],
    }


def cell_specs(cells: Iterable[Cell]) -> Iterator[dict[str, Any]]:
    """The spec of each cell; what the cells of an arm share is worked out once."""
    arms: dict[Hashable, dict[str, Any]] = {}
    for cell in cells:
        if (arm := cell.arm) not in arms:
            arms[arm] = cell_spec(cell)
        yield {**arms[arm], "seed": cell.seed}


def arm_of(cell: Cell) -> Arm:
    """Which cell it is, as its record says."""
    attack, (name, release) = cell.build_attack(), cell.victim.called
    return Arm(
        suite=cell.suite.name,
        task=_plugin(cell.build_task()),
        exam=_plugin(cell.build_exam()),
        victim=name,
        release=release,
        victim_model=cell.victim.model,
        defense="+".join(spec_of(d) for d in cell.build_defenses()),
        defenses=[_defense(d) for d in cell.build_defenses()],
        attack=_plugin(attack),
        control=attack.info.control,
        privileged=attack.info.privileged,
        threat=attack.info.threat,
        student=cell.student.model,
        recipe=cell.student.recipe.identity,
        budget=cell.budget,
        seed=cell.seed,
    )


def _plugin(plugin: Plugin) -> PluginId:
    return PluginId(spec=spec_of(plugin), paper=plugin.info.paper, **keyed(plugin))


def _defense(defense: Defense) -> DefenseId:
    info = defense.info
    return DefenseId(**_plugin(defense).model_dump(), touches=list(info.touches), random=info.random)


def _volatile(context: CellContext, theft: Theft) -> Volatile:
    """When, where and for how long: the seconds of a cell are those of its stages, shared work included."""
    folders = [context.store.path(stage.kind, stage.spec()) for stage in main_stages(context)]
    return Volatile(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(sum(map(context.store.seconds, folders)), 2),
        attacker_seconds=round(theft.bill.attacker_seconds, 2),
        hardware=hardware(),
        wall=theft.wall,
    )
