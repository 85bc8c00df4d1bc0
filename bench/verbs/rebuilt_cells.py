"""The cells of a submission that can be run on this machine: each rebuilt from its record, and nothing in it taken on trust.

A record names plugins, models, data and sizes. What it names must be here, with the same code and the same bytes; nothing is
downloaded for a submission, and no provider is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError

from heistbench.bench.contracts.engines import DEFAULT
from heistbench.bench.contracts.errors import HeistError, PluginFailure, one_line
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.scratch import is_scratch
from heistbench.bench.runs.checks import check_cells, check_machine
from heistbench.bench.runs.splits import check_splits
from heistbench.bench.stages.exposure import REP
from heistbench.bench.stages.record import arm_of
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import canonical
from heistbench.bench.suites.cells import Cell, cells
from heistbench.bench.suites.files import check
from heistbench.bench.suites.reply_sources import Provider, Weights, reply_source
from heistbench.bench.suites.settings import Compressor, Inverter, Student, Suite, Surrogate, Victim
from heistbench.leaderboard.submit.stated import StatedSettings, settings_of

WORDS = "words"
"""The signature that stands for those of a suite where a record has no overlap."""


@dataclass
class Rebuilder:
    """Rebuilds cells from records; a check that many of them share is made once."""

    _outcomes: dict[str, str] = field(default_factory=dict)

    def cell(self, record: Record) -> Cell:
        """The cell of a record. Raises HeistError that says why it cannot be run here."""
        if (settings := settings_of(record)) is None:
            raise HeistError("its settings are not those of a suite")
        models = _models(settings)
        self._once(["models", sorted(models.values())], lambda: _check_models(models.values()))
        _check_identities(record, settings, models)
        cell = rebuilt(record, settings)
        if other := next(_differences("arm", record.arm.model_dump(mode="json"), arm_of(cell).model_dump(mode="json")), None):
            raise HeistError("{} is {!r} in the record and {!r} here".format(*other))
        for name, task in (("task", cell.build_task()), ("exam", cell.build_exam())):
            if task.data_digest() != record.provenance.data.get(name):
                raise HeistError(f"the data of {name} {task.info.name} is not that of the record")
        check_cells([cell])
        self._once(["splits", cell.task, cell.exam, cell.sizes.model_dump()], lambda: check_splits([cell]))
        recipes = [role and role.recipe for role in (settings.inverter, settings.surrogate, settings.student)]
        self._once(["machine", cell.suite.engine, cell.suite.signatures, recipes], lambda: _check_machine(cell))
        return cell

    def _once(self, what: object, check: Callable[[], None]) -> None:
        """Make a check, or say again what it said."""
        if (key := canonical(what)) not in self._outcomes:
            try:
                check()
                self._outcomes[key] = ""
            except (HeistError, PluginFailure) as error:
                self._outcomes[key] = one_line(error)
        if self._outcomes[key]:
            raise HeistError(self._outcomes[key])


def _models(settings: StatedSettings) -> dict[str, str]:
    """The models of a cell, by role; those of provenance by the names they have there."""
    roles: dict[str, Victim | Surrogate | Inverter | Student | Compressor | None] = {
        "victim": settings.victim,
        "surrogate": settings.surrogate,
        "inverter": settings.inverter,
        "student before": settings.student,
        "victim's compressor": settings.victim.compressor,
        "compressor": settings.compressor,
    }
    return {role: model.model for role, model in roles.items() if model}


def _check_models(references: Iterable[str]) -> None:
    for reference in references:
        match reply_source(reference):
            case Provider(name):
                raise HeistError(f"{name} is behind a provider's API: to ask it again costs money and gives other replies")
            case Weights() if not is_scratch(reference):
                checkpoint(reference).folder()


def _check_identities(record: Record, settings: StatedSettings, models: Mapping[str, str]) -> None:
    """Models that were there before the cell are those of its record. What it makes itself is made again."""
    taught = {"surrogate"} if settings.surrogate and settings.surrogate.lessons else set()
    engine = "" if (name := record.provenance.engine) == DEFAULT else f"{name}:"
    for role, reference in models.items():
        if role in taught or not isinstance(reply_source(reference), Weights) or is_scratch(reference):
            continue
        here, stated = engine + checkpoint(reference).identity, record.provenance.models.get(role)
        if here != stated and (stated or here.startswith(f"{engine}local:")):
            raise HeistError(f"{role} {reference!r} is {here} here and {stated or 'not identified'} in the record")


def rebuilt(record: Record, settings: StatedSettings) -> Cell:
    """The one cell of a suite that is made of a record and some settings. Raises HeistError where they make none."""
    arm, rep = record.arm, [REP] if record.exposure else []
    suite = {
        "name": arm.suite,
        "tasks": [arm.task.spec],
        "exams": [arm.exam.spec],
        "victims": [settings.victim],
        "surrogate": settings.surrogate,
        "inverter": settings.inverter,
        "compressor": settings.compressor,
        "students": [settings.student],
        "attacks": [] if arm.control else [arm.attack.spec],
        "controls": [arm.attack.spec] if arm.control else [],
        "defenses": [arm.defense],
        "seeds": [arm.seed],
        "sizes": settings.sizes,
        "budgets": [arm.budget],
        "engine": record.provenance.engine,
        "signatures": [*dict.fromkeys([*record.overlap, *rep])] or [WORDS],
    }
    try:
        (cell,) = cells(check(Suite.model_validate(suite)))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise HeistError(f"its settings make no suite: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    return cell


def _differences(name: str, stated: Any, here: Any) -> Iterator[tuple[str, Any, Any]]:
    """The fields in which two dumps differ, with both values."""
    if isinstance(stated, dict) and isinstance(here, dict):
        for key in sorted(stated.keys() | here.keys()):
            yield from _differences(f"{name}.{key}", stated.get(key), here.get(key))
    elif isinstance(stated, list) and isinstance(here, list) and len(stated) == len(here):
        for at, pair in enumerate(zip(stated, here, strict=True)):
            yield from _differences(f"{name}.{at}", *pair)
    elif stated != here:
        yield name, stated, here


def _check_machine(cell: Cell) -> None:
    if find_spec(cell.suite.engine) is None:  # an engine has the name of its library
        raise HeistError(f"engine {cell.suite.engine} is not installed here")
    check_machine([cell])
