"""The questions of tasks, drawn once per process however many cells ask for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from heistbench.bench.contracts.checked import check_problems
from heistbench.bench.contracts.failures import plugin_code
from heistbench.bench.contracts.nouns import Problem, Question, Split
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import registry, spec_of
from heistbench.bench.contracts.sources import keyed
from heistbench.bench.storage.store import canonical, hash_of

See = Callable[[Problem], Any]
"""What of a problem matters to something: `asked`, `graded` or `whole`."""


def asked(problem: Problem) -> Question:
    """What an attacker sees."""
    return problem.question


def graded(problem: Problem) -> tuple[Question, str]:
    """What a reply is graded by."""
    return problem.question, problem.gold


def whole(problem: Problem) -> Problem:
    """All of it."""
    return problem


def problems_of(task: Task, split: Split, n: int | None) -> tuple[Problem, ...]:
    """The first `n` problems of a split. Raises HeistError when it holds fewer, or its data is not to be had."""
    return _drawn(*_key(task), split, n)


def digest_of(task: Task, split: Split, n: int | None, first: int | None, see: See) -> str:
    """sha256 of what something sees of the first of these problems."""
    return _digest(*_key(task), split, n, first, see)


def _key(task: Task) -> tuple[str, str]:
    """The spec of a task, and what tells apart what it may stand for: another version of the task, other files."""
    return spec_of(task), f"{canonical(keyed(task))} {task.data_digest()}"


@lru_cache(maxsize=32)
def _drawn(spec: str, key: str, split: Split, n: int | None) -> tuple[Problem, ...]:
    task = cast(Task, registry.build("task", spec))
    with plugin_code(task):
        return tuple(check_problems(task, task.problems(split, n)))


@lru_cache(maxsize=256)
def _digest(spec: str, key: str, split: Split, n: int | None, first: int | None, see: See) -> str:
    return hash_of([see(problem) for problem in _drawn(spec, key, split, n)[:first]])
