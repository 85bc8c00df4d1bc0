"""The questions of tasks, drawn once per process however many cells ask for them."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from heistbench.bench.contracts.checked import check_problems
from heistbench.bench.contracts.failures import plugin_code
from heistbench.bench.contracts.nouns import Problem, Split
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import registry, spec_of
from heistbench.bench.contracts.sources import keyed
from heistbench.bench.storage.store import canonical


def problems_of(task: Task, split: Split, n: int | None) -> tuple[Problem, ...]:
    """The first `n` problems of a split. Raises HeistError when it holds fewer, or its data is not to be had."""
    return _drawn(spec_of(task), f"{canonical(keyed(task))} {task.data_digest()}", split, n)


@lru_cache(maxsize=32)
def _drawn(spec: str, key: str, split: Split, n: int | None) -> tuple[Problem, ...]:
    """`key` tells apart what one spec may stand for: another version of the task, other files."""
    task = cast(Task, registry.build("task", spec))
    with plugin_code(task):
        return tuple(check_problems(task, task.problems(split, n)))
