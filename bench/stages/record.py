"""One cell from end to end: the stages in order, and the record they add up to."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heistbench.bench.contracts.plugins import Defense, Plugin
from heistbench.bench.contracts.registry import identity, spec_of
from heistbench.bench.models.checkpoints import Checkpoint, checkpoint
from heistbench.bench.models.scratch import is_scratch
from heistbench.bench.stages.budget import NO_LIMIT, Budget
from heistbench.bench.stages.collect import Theft, collect, loot_facts, measure_utility, take_exam, train
from heistbench.bench.stages.context import World
from heistbench.bench.stages.desk import Progress, quietly
from heistbench.bench.stages.examples import pick_examples
from heistbench.bench.stages.overlap import measure_exposure, measure_overlap
from heistbench.bench.storage.data_files import as_pinned
from heistbench.bench.storage.exams import Exam
from heistbench.bench.storage.provenance import code_state, contamination, hardware, harness_version, packages
from heistbench.bench.storage.records import (
    Arm,
    DefenseId,
    ExposureScores,
    LootFacts,
    OverlapScores,
    PluginId,
    Provenance,
    Record,
    TheftBill,
    TheftExample,
    Utility,
    Volatile,
    dump,
    load,
)
from heistbench.bench.storage.store import Store, hash_of
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.settings import RECORDED

NO_NUMBERS = {"name": True, "release": True, "api": {"prices", "connections", "retries", "timeout"}}
"""What a victim's settings hold that changes no number but the bill's dollars; its name stands beside them."""


def cell_spec(cell: Cell) -> dict[str, Any]:
    """All that can change a cell's record, and nothing that cannot: its identity."""

    def model(settings: Any) -> Any:
        """A role's settings, with its weights in place of their name."""
        if settings is None or settings.model == RECORDED or is_scratch(settings.model) or getattr(settings, "remote", ""):
            return settings and settings.model_dump(exclude=NO_NUMBERS)
        return {**settings.model_dump(exclude=NO_NUMBERS), "model": checkpoint(settings.model).identity}

    suite = cell.suite
    return {
        "attack": identity(cell.build_attack()),
        "defenses": [identity(d) for d in cell.build_defenses()],
        "task": identity(cell.build_task()),
        "data": cell.build_task().data_digest(),
        "exam": [identity(cell.build_exam()), cell.build_exam().data_digest()],
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
        "schema": Record.model_fields["schema_version"].default,
    }


def run_cell(cell: Cell, store: Store, progress: Progress = quietly, budget: Budget = NO_LIMIT) -> Record:
    """The record of a cell, computed from whatever the store does not hold yet. Raises Busy, see `Store.once`."""

    def build(path: Path) -> None:
        dump(path / "record.json", _compute(World(cell, store, budget), progress))

    return load(store.once("record", cell_spec(cell), build) / "record.json")


def _compute(world: World, progress: Progress) -> Record:
    started, cell = time.monotonic(), world.cell
    theft = collect(world, progress)
    student = train(world, theft, progress)
    examined = take_exam(world, student, progress)
    return Record(
        arm=_arm(cell),
        exam=Exam.of(examined),
        loot=LootFacts(**loot_facts(world, theft)),
        overlap={name: OverlapScores(**scores) for name, scores in (measure_overlap(world, theft) or {}).items()},
        exposure=ExposureScores(**exposed) if (exposed := measure_exposure(world, theft)) else None,
        examples=[TheftExample(**example) for example in pick_examples(world, theft)],
        utility=Utility(**measure_utility(world)),
        bill=TheftBill(**{name: value for name, value in asdict(theft.bill).items() if name != "attacker_seconds"}),
        provenance=_provenance(world, theft, student),
        volatile=Volatile(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - started, 2),
            attacker_seconds=round(theft.bill.attacker_seconds, 2),
            hardware=hardware(),
        ),
    )


def _arm(cell: Cell) -> Arm:
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
    return PluginId(spec=spec_of(plugin), paper=plugin.info.paper, **identity(plugin))


def _defense(defense: Defense) -> DefenseId:
    info = defense.info
    return DefenseId(**_plugin(defense).model_dump(), touches=list(info.touches), random=info.random)


def _provenance(world: World, theft: Theft, student: Checkpoint) -> Provenance:
    import torch

    commit, dirty = code_state()
    suite, cuda = world.suite, torch.cuda.is_available()
    queries, tests = world.attacked, world.problems("test")
    return Provenance(
        harness=harness_version(),
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        packages=packages(),
        engine=suite.engine,
        dtype="bfloat16" if cuda else "float32",
        device="cuda" if cuda else "cpu",
        models={
            "victim": world.victim.identity["model"],
            "surrogate": world.surrogate_model if suite.surrogate else "none",
            "inverter": world.resolve(suite.inverter.model).identity if suite.inverter else "none",
            "student before": world.resolve(world.cell.student.model).identity,
            "student after": student.identity,
        },
        data={
            "task": world.task.data_digest(),
            "exam": world.exam.data_digest(),
            "questions attacked": hash_of([p.question for p in queries]),
            "questions examined": hash_of([(p.question, p.gold) for p in tests]),
            "prompts sent": hash_of([sealed["prompt"] for sealed in theft.sealed]),
            "theft": theft.folder.name,
            **_files(world),
        },
        contamination={
            "test questions sharing a 13-gram with attack queries": contamination(
                (p.question.text for p in queries), (p.question.text for p in tests)
            ),
        },
        settings={
            "victim": world.cell.victim.model_dump(mode="json"),
            "surrogate": suite.surrogate and suite.surrogate.model_dump(mode="json"),
            "compressor": suite.compressor and suite.compressor.model_dump(mode="json"),
            "inverter": suite.inverter and suite.inverter.model_dump(mode="json"),
            "student": world.cell.student.model_dump(mode="json"),
            "sizes": world.cell.sizes.model_dump(),
        },
    )


def _files(world: World) -> dict[str, str]:
    """Whether the data files are the pinned ones, for tasks that have files."""
    digests = {"task files": world.task.data_digest(), "exam files": world.exam.data_digest()}
    return {name: "as pinned" if as_pinned(digest) else "not as pinned" for name, digest in digests.items() if digest}
