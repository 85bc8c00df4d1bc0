"""The cells that a suite names: everything that meets everything else."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import product
from typing import cast

from heistbench.bench.contracts.plugins import Attack, Defense, Task
from heistbench.bench.contracts.registry import registry
from heistbench.bench.suites.settings import Sizes, Student, Suite, Victim


@dataclass(frozen=True, slots=True)
class Cell:
    """One (victim, defense, attack, budget, task, exam, student, seed), with the settings of its suite.

    `budget` is the number of questions attacked, with one query per question.
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
    def arm(self) -> Hashable:
        """All of it but its seed, as a key among cells that are alive."""
        return id(self.suite), self.victim, self.defense, self.attack, self.task, self.exam, self.student, self.budget

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
    arms = [(control, "none", _seeds_of(control, suite)) for control in suite.controls]
    arms += [(attack, defense, {*suite.seeds}) for attack in suite.attacks for defense in suite.defenses]
    seeds = sorted(set[int]().union(*(of_arm for _, _, of_arm in arms)))
    exams = [(task, exam) for task in suite.tasks for exam in suite.exams or [task]]
    return [
        Cell(suite, victim, defense, attack, task, exam, student, budget, seed)
        for (task, exam), victim, student, seed in product(exams, suite.victims, suite.students, seeds)
        for budget in suite.budgets or [suite.sizes_of.get(task, suite.sizes).query]
        for attack, defense, of_arm in arms
        if seed in of_arm
    ]


def _seeds_of(control: str, suite: Suite) -> set[int]:
    """The seeds of a control: one that never asks the victim costs one training for all cells, and may have more of them."""
    idle = cast(Attack, registry.build("attack", control)).info.threat == "none"
    return {*suite.seeds, *(range(suite.yardstick_seeds) if idle else ())}
