"""Splits, proven before any work: complete, without doubles, and disjoint, for everybody's tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Problem, Split, question_id
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import identity, spec_of
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.questions import problems_of

PURPOSE: dict[Split, str] = {
    "query": "attacked",
    "surrogate": "the attacker's own",
    "dev": "asked by honest users",
    "test": "examined",
}


def check_splits(cells: Sequence[Cell]) -> None:
    """Raise HeistError for the first task whose splits hold too few questions, one twice, or one that another split holds."""
    for cell in {(id(c.suite), c.task, c.exam): c for c in cells}.values():  # which say the sizes, too
        splits = {split: (task, _questions(task, split, n)) for split, task, n in _splits(cell)}
        for one, other in combinations(splits, 2):
            _disjoint((one, *splits[one]), (other, *splits[other]))


def _splits(cell: Cell) -> Iterator[tuple[Split, Task, int]]:
    """The splits that a cell uses, of which task, and how many questions of each."""
    task, exam, sizes = cell.build_task(), cell.build_exam(), cell.sizes
    yield "query", task, sizes.query
    yield "surrogate", task, sizes.surrogate
    if identity(task) != identity(exam):
        yield "dev", task, sizes.test
    yield "test", exam, sizes.test


def _questions(task: Task, split: Split, n: int) -> dict[str, str]:
    """The questions of a split by the hash of their text, whatever ids their task gives them."""
    problems: Sequence[Problem] = problems_of(task, split, n)
    name = spec_of(task)
    if len(problems) != n:
        raise HeistError(f"task {name}: split {split} gave {len(problems)} questions, {n} were asked for")
    questions = {question_id(problem.question.text): problem.question.id for problem in problems}
    for what, distinct in (("question", len(questions)), ("id", len(set(questions.values())))):
        if distinct < n:
            raise HeistError(f"task {name}: split {split} holds {n - distinct} of its {n} {what}s twice")
    return questions


def _disjoint(one: tuple[Split, Task, dict[str, str]], other: tuple[Split, Task, dict[str, str]]) -> None:
    (split, task, questions), (second, exam, others) = one, other
    shared = questions.keys() & others.keys()
    if shared:
        example = questions[min(shared)]
        names = spec_of(task) if spec_of(task) == spec_of(exam) else f"{spec_of(task)} and {spec_of(exam)}"
        raise HeistError(
            f"task {names}: splits {split} and {second} share {len(shared)} questions, such as {example!r}:"
            f" no question may be both {PURPOSE[split]} and {PURPOSE[second]}"
        )
