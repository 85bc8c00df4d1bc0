"""Loading suites: a YAML file, checked by the typed schema; with changes, and at smoke scale."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from heistbench.bench.contracts.errors import HeistError, one_line
from heistbench.bench.contracts.registry import registry, spec_of, suggest
from heistbench.bench.scoring.overlap import SIGNATURES
from heistbench.bench.storage.records import slug
from heistbench.bench.suites.bounded_yaml import read_yaml
from heistbench.bench.suites.cells import defenses_of
from heistbench.bench.suites.settings import Suite, fields_at

SUITES = Path(__file__).parent
CELLS = 100_000
"""The most cells a suite may name."""
LONGEST = 200
"""Characters of a name in the path of a result: file systems end at 255, and submissions at this."""
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""Pydantic's types of errors for a field that a model, or a dataclass, does not have."""


def shipped_suites() -> list[str]:
    """The names of the suites that ship."""
    return sorted(path.stem for path in SUITES.glob("*.yaml"))


def load_suite(reference: str) -> Suite:
    """Load a shipped suite by name or a YAML file by path.

    Raises HeistError that names the file, the line and the field.
    """
    path = SUITES / f"{reference}.yaml" if not reference.endswith((".yaml", ".yml")) else Path(reference)
    if not path.is_file():
        raise HeistError(f"no suite {reference!r}{suggest(reference, shipped_suites())}")
    try:
        document = read_yaml(path)
    except HeistError as error:
        raise HeistError(f"suite {error}") from None
    try:
        suite = Suite.model_validate(document.value)
    except ValidationError as error:
        fault = _first(error)
        raise HeistError(f"suite {path}, line {document.line(fault['loc'])}: {_what(fault)}") from None
    for name in suite.smoke.keys() - Suite.model_fields.keys():
        raise HeistError(f"suite {path}, line {document.line(('smoke', name))}: smoke.{_unknown((name,))}")
    return check(suite)


def changed(suite: Suite, changes: dict[str, Any]) -> Suite:
    """The suite with some fields replaced, checked like a file. Raises HeistError that names the field."""
    try:
        return check(Suite.model_validate({**suite.model_dump(), **changes}))
    except ValidationError as error:
        raise HeistError(_what(_first(error))) from None


def smoke(suite: Suite) -> Suite:
    """The suite at smoke scale. Raises HeistError where it has none."""
    if not suite.smoke:
        raise HeistError(f"suite {suite.name} has no smoke scale: add the changes it takes under `smoke`")
    return changed(suite, {**suite.smoke, "name": f"{suite.name}-smoke", "smoke": {}})


def _first(error: ValidationError) -> Any:
    """The error to name: a field that does not exist, as its right name is then missing; otherwise the first."""
    faults = error.errors(include_url=False)
    return next((fault for fault in faults if fault["type"] in UNKNOWN), faults[0])


def _what(fault: Any) -> str:
    where = tuple(fault["loc"])
    if fault["type"] in UNKNOWN:
        return _unknown(where)
    return one_line(f"{'.'.join(map(str, where)) or 'the whole file'}: {fault['msg']}")


def _unknown(where: tuple[int | str, ...]) -> str:
    return one_line(f"{'.'.join(map(str, where))}: unknown field{suggest(str(where[-1]), fields_at(where[:-1]))}")


def check(suite: Suite) -> Suite:
    """Build every plugin the suite names once, so that a wrong name costs no work. Returns it unchanged."""
    _check_extent(suite)
    names = {
        "victim": [victim.label for victim in suite.victims],
        "student": [student.model for student in suite.students],
        "defense": [_spelt(spec) for spec in suite.defenses],
        "seed": list(map(str, suite.seeds)),
        "budget": list(map(str, suite.budgets)),
        "signature": suite.signatures,
        "attack": [*_attacks(suite, suite.attacks, control=False), *_attacks(suite, suite.controls, control=True)],
    }
    for what, specs in (("task", suite.tasks), ("exam", suite.exams)):
        names[what] = [spec_of(registry.build("task", spec)) for spec in specs]
    _check_fields(suite)
    for kind, specs in names.items():
        if long := [name for name in specs if len(slug(name)) > LONGEST]:
            raise HeistError(f"suite {suite.name}: {kind} {long[0][:40]}... names a folder, in more than {LONGEST} characters")
        if twice := [name for name, times in Counter(specs).items() if times > 1]:
            raise HeistError(f"suite {suite.name} names {kind} {twice[0]} twice")
    return suite


def _attacks(suite: Suite, specs: list[str], *, control: bool) -> list[str]:
    plugins = [(spec, registry.build("attack", spec)) for spec in specs]
    for spec, plugin in plugins:
        if plugin.info.control != control:
            raise HeistError(f"suite {suite.name}: {spec} belongs under {'attacks' if control else 'controls'}")
    return [spec_of(plugin) for _, plugin in plugins]


def _check_extent(suite: Suite) -> None:
    """Refuse more cells than any machine computes, before they are made."""
    arms = len(suite.controls) + len(suite.attacks) * len(suite.defenses)
    others = (suite.victims, suite.students, [*range(max(len(suite.seeds), suite.yardstick_seeds))])
    exams, budgets = max(1, len(suite.exams)), max(1, len(suite.budgets))
    if (cells := arms * len(suite.tasks) * exams * budgets * prod(len(axis) for axis in others)) > CELLS:
        raise HeistError(f"suite {suite.name} names {cells:,} cells, and at most {CELLS:,} are allowed")


def _check_fields(suite: Suite) -> None:
    if other := suite.sizes_of.keys() - {*suite.tasks, *suite.exams}:
        raise HeistError(f"suite {suite.name}: sizes_of names {min(other)}, which is none of its tasks and exams")
    for signature in suite.signatures:
        if signature not in SIGNATURES:
            raise HeistError(f"suite {suite.name}: unknown signature {signature!r}{suggest(signature, SIGNATURES)}")
    for task in suite.tasks:
        if over := [budget for budget in suite.budgets if budget > suite.sizes_of.get(task, suite.sizes).query]:
            raise HeistError(f"suite {suite.name}: budget {over[0]} is more than the questions of {task}; raise sizes.query")


def _spelt(defense: str) -> str:
    return "+".join(map(spec_of, defenses_of(defense)))
