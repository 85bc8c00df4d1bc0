"""Suites: a YAML file, checked by a typed schema, that names many cells."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.plugins import Attack, Defense, Task
from heistbench.bench.contracts.registry import registry, spec_of, suggest
from heistbench.bench.scoring.overlap import SIGNATURES
from heistbench.bench.suites.settings import Sizes, Student, Suite, Victim

SUITES = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Cell:
    """One (victim, defense, attack, budget, task, exam, student, seed), with the settings of its suite.

    `budget` is the number of questions attacked, with a query for each.
    """

    suite: Suite
    victim: Victim
    defense: str
    attack: str
    task: str
    exam: str
    student: Student
    budget: int
    seed: int

    @property
    def sizes(self) -> Sizes:
        """Questions attacked and the attacker's own, as the suite says for the task; examined, as it says for the exam."""
        task, exam = (self.suite.sizes_of.get(spec, self.suite.sizes) for spec in (self.task, self.exam))
        return task.model_copy(update={"test": exam.test})

    def build_attack(self) -> Attack:
        """The attack or control of this cell."""
        return cast(Attack, registry.build("attack", self.attack))

    def build_defenses(self) -> list[Defense]:
        """The defenses of this cell, in the order a reply passes them."""
        return defenses_of(self.defense)

    def build_task(self) -> Task:
        """The task whose questions are attacked."""
        return cast(Task, registry.build("task", self.task))

    def build_exam(self) -> Task:
        """The task whose test split the student is examined on."""
        return cast(Task, registry.build("task", self.exam))


def defenses_of(spec: str) -> list[Defense]:
    """Read `a+b(x=1)`: defenses compose left to right."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(spec):
        depth += (char == "(") - (char == ")")
        if char == "+" and not depth:
            parts.append(spec[start:at])
            start = at + 1
    return [cast(Defense, registry.build("defense", part)) for part in [*parts, spec[start:]]]


def cells(suite: Suite) -> list[Cell]:
    """Every cell of a suite. Controls meet no defense: they stand once, under `none`."""
    arms = [(control, "none") for control in suite.controls]
    arms += [(attack, defense) for attack in suite.attacks for defense in suite.defenses]
    exams = [(task, exam) for task in suite.tasks for exam in suite.exams or [task]]
    return [
        Cell(suite, victim, defense, attack, task, exam, student, budget, seed)
        for (task, exam), victim, student, seed in product(exams, suite.victims, suite.students, suite.seeds)
        for budget in suite.budgets or [suite.sizes_of.get(task, suite.sizes).query]
        for attack, defense in arms
    ]


def load_suite(reference: str) -> Suite:
    """Load a shipped suite by name or a YAML file by path.

    Raises HeistError that names the file, the line and the field.
    """
    path = SUITES / f"{reference}.yaml" if not reference.endswith((".yaml", ".yml")) else Path(reference)
    if not path.is_file():
        raise HeistError(f"no suite {reference!r}{suggest(reference, [p.stem for p in SUITES.glob('*.yaml')])}")
    try:
        text = path.read_text(encoding="utf-8")
        raw = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise HeistError(f"suite {path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise HeistError(f"suite {path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        suite = Suite.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise HeistError(f"suite {path}, line {_line_of(text, first['loc'])}: {_what(first)}") from None
    return check(suite)


def changed(suite: Suite, changes: dict[str, Any]) -> Suite:
    """The suite with some fields replaced, checked like a file. Raises HeistError that names the field."""
    try:
        return check(Suite.model_validate({**suite.model_dump(), **changes}))
    except ValidationError as error:
        raise HeistError(_what(error.errors()[0])) from None


def smoke(suite: Suite) -> Suite:
    """The suite at smoke scale. Raises HeistError where it has none."""
    if not suite.smoke:
        raise HeistError(f"suite {suite.name} has no smoke scale: add the changes it takes under `smoke`")
    return changed(suite, {**suite.smoke, "name": f"{suite.name}-smoke", "smoke": {}})


def _what(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc'])) or 'the whole file'}: {error['msg']}"


def check(suite: Suite) -> Suite:
    """Build every plugin the suite names once, so that a wrong name costs no work. Returns it unchanged."""
    named = {
        "victim": [victim.label for victim in suite.victims],
        "student": [student.model for student in suite.students],
        "defense": [_spelt(spec) for spec in suite.defenses],
        "seed": list(map(str, suite.seeds)),
        "budget": list(map(str, suite.budgets)),
        "signature": suite.signatures,
    }
    for spec, control in [*((spec, False) for spec in suite.attacks), *((spec, True) for spec in suite.controls)]:
        plugin = registry.build("attack", spec)
        if plugin.info.control != control:
            raise HeistError(f"suite {suite.name}: {spec} belongs under {'attacks' if control else 'controls'}")
        named.setdefault("attack", []).append(spec_of(plugin))
    for what, specs in (("task", suite.tasks), ("exam", suite.exams)):
        named[what] = [spec_of(registry.build("task", spec)) for spec in specs]
    _check_fields(suite)
    for kind, names in named.items():
        if twice := [name for name in names if names.count(name) > 1]:
            raise HeistError(f"suite {suite.name} names {kind} {twice[0]} twice")
    return suite


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


def _line_of(text: str, location: tuple[int | str, ...]) -> int:
    """The line of the deepest part of a field's path that the YAML holds."""
    node: Any = yaml.compose(text)
    line = 1
    for step in location:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value}
            if step not in pairs:
                break
            key, node = pairs[str(step)]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line
