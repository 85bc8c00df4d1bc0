"""Splits by hash: which questions are attacked, which are the surrogate's, and in what order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Problem, Split


def hundredth(text: str) -> int:
    """A text's place in [0, 100), by its sha256: the splits of a data set hang on content and not on the order of its rows.

    >>> hundredth("start 3 ; s1 plus 4")
    88
    """
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 100


def examination_only(task: str, split: Split) -> None:
    """For a data set that is one test split. Raises HeistError, which says how to use it, for any other split."""
    if split != "test":
        raise HeistError(f"{task} is for examination only: name a task to attack under `tasks` and {task} under `exams`")


def first(problems: Iterable[Problem], n: int | None, of: str) -> list[Problem]:
    """The first `n` different problems by id (None: all), so that a shorter list is the beginning of a longer one.

    Raises HeistError that says how many `of` (a split in words) has when that is fewer.
    """
    by_id = {problem.question.id: problem for problem in problems}
    if n is not None and len(by_id) < n:
        raise HeistError(f"{of} has {len(by_id)} questions, {n} were asked for")
    return [by_id[i] for i in sorted(by_id)[:n]]
