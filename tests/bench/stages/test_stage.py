"""The contract that every stage keeps."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import heistbench.bench.stages
from heistbench.bench import Prompt
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.stages.collect import Collect
from heistbench.bench.stages.completions import Draw
from heistbench.bench.stages.context import CellContext, plain_prompts
from heistbench.bench.stages.inverter import Inversion, InverterTraining
from heistbench.bench.stages.overlap import Overlap, OverlapBounds
from heistbench.bench.stages.pipeline import StoredCell, steps
from heistbench.bench.stages.plain import PlainAsking
from heistbench.bench.stages.record import RecordStage
from heistbench.bench.stages.scratch import Scratch
from heistbench.bench.stages.stage import WORK, Need, Stage
from heistbench.bench.stages.summaries import Summaries
from heistbench.bench.stages.surrogate import SurrogateReplies
from heistbench.bench.stages.utility import HonestUse
from heistbench.bench.storage.store import Store, canonical, identify
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite
from heistbench.bench.suites.settings import Compressor, Decoding

for _module in pkgutil.iter_modules(heistbench.bench.stages.__path__):
    importlib.import_module(f"heistbench.bench.stages.{_module.name}")


def subclasses(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


STAGES = sorted(
    {cls for cls in subclasses(Stage) if not inspect.isabstract(cls) and cls.__module__.startswith("heistbench.")},
    key=lambda cls: cls.__name__,
)
PROMPTS = (Prompt.of("start 3 ; s1 plus 4"),)
MODEL = Checkpoint("pocket/base", "pocket/base")
PARAMETERS: dict[type, tuple[Any, ...]] = {
    Inversion: (MODEL, Draw.first(PROMPTS, Decoding())),
    InverterTraining: (((PROMPTS[0], "7"),),),
    Overlap: ("words",),
    OverlapBounds: ("words",),
    Scratch: ("scratch/16x1",),
    Summaries: (Compressor(model="pocket/compressor"), MODEL, Draw.first(PROMPTS, Decoding()), "summaries"),
    SurrogateReplies: (Draw.first(PROMPTS, Decoding()),),
}
"""Of stages that take more than a context."""
REMOTE = {"model": "inspect:openai/some-model", "api": {"shows": "trace"}}


@pytest.fixture
def context(tiny_run: Any) -> StoredCell:
    """A cell that has been run."""
    at = next(c for c in cells(load_suite(str(tiny_run.suite))) if c.attack.startswith("rep") and c.defense == "none")
    return StoredCell(at, Store(tiny_run.out / "store"))


def made(cls: type, context: CellContext) -> Stage[Any]:
    """A stage of a cell."""
    stage: Stage[Any] = cls(context, *PARAMETERS.get(cls, ()))
    return stage


def test_the_stages_are_known() -> None:
    assert {Collect, PlainAsking, RecordStage, HonestUse} <= {*STAGES}
    assert len(STAGES) >= 15


def test_every_stage_has_a_kind_of_its_own() -> None:
    kinds = [cls.kind for cls in STAGES]
    assert len({*kinds}) == len(kinds)
    assert all(kind.isidentifier() for kind in kinds)


@pytest.mark.parametrize("cls", STAGES)
def test_every_stage_is_frozen_and_begins_with_its_context(cls: type) -> None:
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert dataclasses.fields(cls)[0].name == "context"


@pytest.mark.parametrize("cls", STAGES)
def test_every_stage_says_what_it_is(cls: type) -> None:
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{cls.__name__}(")  # a dataclass's own


@pytest.mark.parametrize("cls", STAGES)
def test_what_identifies_a_stage_is_json_and_the_same_each_time(cls: type, context: StoredCell) -> None:
    stage = made(cls, context)
    again = made(cls, StoredCell(context.cell, context.store))
    assert json.loads(canonical(stage.spec())) == json.loads(canonical(again.spec()))
    assert identify(stage.spec()) == identify(again.spec())


@pytest.mark.parametrize("cls", STAGES)
def test_equal_stages_are_equal(cls: type, context: StoredCell) -> None:
    assert made(cls, context) == made(cls, context)
    assert len({made(cls, context), made(cls, context)}) == 1


@pytest.mark.parametrize("cls", STAGES)
def test_a_stage_needs_what_a_slot_may_offer(cls: type, context: StoredCell) -> None:
    assert made(cls, context).needs in get_args(Need)


@pytest.mark.parametrize("cls", [Collect, PlainAsking, HonestUse])
def test_who_asks_a_victim_behind_an_api_needs_the_network(cls: type, suite_file: Callable[..., Path], tmp_path: Path) -> None:
    for victim, need in ((REMOTE, "network"), ({"model": "pocket/victim-1"}, "gpu")):
        cell = cells(load_suite(str(suite_file(victims=[victim]))))[0]
        stage = made(cls, StoredCell(cell, Store(tmp_path)))
        assert stage.needs == need
        assert need in {step.needs for step in steps(cell)}


def test_a_stage_reads_only_what_its_cell_has_stages_for(context: StoredCell) -> None:
    """Whatever a record waits for is a known stage, and none waits for itself."""

    def walk(stage: Stage[Any], above: tuple[Stage[Any], ...] = ()) -> Iterator[Stage[Any]]:
        assert stage not in above
        yield stage
        for earlier in stage.after():
            yield from walk(earlier, (*above, stage))

    met = {type(stage) for stage in walk(RecordStage(context))}
    assert met <= {*STAGES}
    assert {Collect, PlainAsking, HonestUse} <= met


def test_what_a_result_says_is_read_once_per_cell(context: StoredCell, monkeypatch: pytest.MonkeyPatch) -> None:
    first = context.result(Collect(context))
    monkeypatch.setattr(Collect, "read", lambda *_: pytest.fail("read again"))
    assert context.result(Collect(context)) is first


def test_work_is_of_the_kinds_that_the_table_knows() -> None:
    names = {cls.work_name for cls in STAGES if hasattr(cls, "work_name") and isinstance(cls.work_name, str)}
    assert names <= {*WORK}


def test_plain_prompts_are_the_questions_as_they_are(context: StoredCell) -> None:
    assert [prompt.text for prompt in plain_prompts(context.attacked)] == [q.text for q in context.questions]
