"""The questions attacked and examined, looked up again where the task makes them or its data is in the data folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Problem, Split
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import construct, registry
from heistbench.bench.storage.blocks import PluginId
from heistbench.bench.storage.invariants import Rule
from heistbench.bench.storage.provenance import CONTAMINATION, contamination
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import canonical, hash_of
from heistbench.bench.suites.questions import asked, graded
from heistbench.leaderboard.board.comparable import generation
from heistbench.leaderboard.submit.findings import Fault, Finding, Unchecked, broken
from heistbench.leaderboard.words import clean

MOST = 20_000
"""Questions of a split that are looked up."""


@dataclass(frozen=True, eq=False)
class SplitQuestions:
    """The questions of a split, as records speak of them: ids, and the hashes without and with gold answers."""

    task: Task
    problems: tuple[Problem, ...]
    ids: frozenset[str]
    questions: str
    graded: str
    checkable: bool


@contextmanager
def offline() -> Iterator[None]:
    """Look data up in the data folder alone: nobody's submission makes this machine download anything."""
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        os.environ.pop("HF_HUB_OFFLINE")
        if before is not None:
            os.environ["HF_HUB_OFFLINE"] = before


def check_questions(record: Record) -> Iterator[Finding]:
    """What was attacked or examined and is not what the task asks; nothing is downloaded inside `offline`."""
    arm, data = record.arm, record.provenance.data
    tests = exam_questions(record)
    attacked = _look_up(arm.task, "query", arm.budget, data.get("task", ""), "provenance.data.task")
    yield from broken(_examined(record, tests)) if isinstance(tests, SplitQuestions) else [tests]
    yield from broken(_attacked(record, attacked)) if isinstance(attacked, SplitQuestions) else [attacked]
    own = _look_up(arm.task, "surrogate", _own_size(record), data.get("task", ""), "provenance.data.task")
    yield from broken(_contamination(record, {"test": tests, "query": attacked, "surrogate": own}))


def exam_questions(record: Record) -> SplitQuestions | Finding:
    """The questions of a record's exam, or why they are not known here; nothing is downloaded inside `offline`."""
    return _look_up(record.arm.exam, "test", record.exam.n, record.provenance.data.get("exam", ""), "provenance.data.exam")


def _own_size(record: Record) -> int:
    """How many questions of its own the attacker had; more than are looked up where the settings do not say."""
    sizes = record.provenance.settings.get("sizes")
    size = sizes.get("surrogate") if isinstance(sizes, dict) else None
    return size if isinstance(size, int) and size >= 0 else MOST + 1


def _contamination(record: Record, splits: Mapping[Split, SplitQuestions | Finding]) -> Iterator[Rule]:
    """The shares that can be worked out again, of those that every record states."""
    stated, field = record.provenance.contamination, "provenance.contamination"
    # Results of an earlier schema state the first share alone.
    complete = {next(iter(CONTAMINATION))} <= stated.keys() <= CONTAMINATION.keys()
    yield complete, field, f"expected {', '.join(CONTAMINATION)}"
    for name, (source, target) in CONTAMINATION.items():
        one, other = splits[source], splits[target]
        if isinstance(one, SplitQuestions) and isinstance(other, SplitQuestions) and name in stated:
            share = _shared(one, other)
            yield abs(stated[name] - share) <= 1e-9, field, f"is not what the questions share: {share:.6g} of {name}"


def _examined(record: Record, tests: SplitQuestions) -> Iterator[Rule]:
    verdicts, traces = record.exam.verdicts, record.exam.traces
    own = verdicts.keys() == tests.ids
    yield own, "exam.verdicts", f"are not of the first {len(tests.ids)} questions of the test split"
    same = record.provenance.data.get("questions examined") == tests.graded
    yield same, "provenance.data.questions examined", f"is not the hash of the exam's questions: {tests.graded}"
    yield (traces is not None) == tests.checkable, "exam.traces", "are there if the exam can check traces, and only then"


def _attacked(record: Record, attacked: SplitQuestions) -> Iterator[Rule]:
    same = record.provenance.data.get("questions attacked") == attacked.questions
    yield same, "provenance.data.questions attacked", f"is not the hash of the task's questions: {attacked.questions}"
    checked = (record.loot.whole_traces is not None) == attacked.checkable
    yield checked, "loot.whole_traces", "is there if the task can check traces, and only then"
    yield {e.id for e in record.examples} <= attacked.ids, "examples", "shows a question that was not attacked"


def _look_up(stated: PluginId, split: Split, n: int, digests: str, field: str) -> SplitQuestions | Finding:
    """The first `n` questions of a split, or why there are none to compare with."""
    cls = registry.all("task").get(stated.name)
    if cls is None or generation(cls.info.version) != generation(stated.version) or n > MOST:
        return Unchecked(f"the questions of {clean(stated.spec)}: not known here, or more than {MOST:,}")
    try:
        task = cast(Task, construct(cls, stated.parameters, "task"))
        here = task.data_digest()
    except HeistError:
        return Unchecked(f"the questions of {clean(stated.spec)}: its data is not in the data folder")
    if here != digests:
        return Fault(field, "is not the hash of the task's data as it is here")
    try:
        return _asked(stated.name, canonical(stated.parameters), split, n)
    except HeistError as error:
        return Fault(field, str(error))


@lru_cache(maxsize=32)
def _asked(name: str, parameters: str, split: Split, n: int) -> SplitQuestions:
    task = cast(Task, construct(registry.get("task", name), json.loads(parameters), name))
    problems = task.problems(split, n)
    return SplitQuestions(
        task=task,
        problems=tuple(problems),
        ids=frozenset(p.question.id for p in problems),
        questions=hash_of(list(map(asked, problems))),
        graded=hash_of(list(map(graded, problems))),
        checkable=bool(problems) and task.check(problems[0], "") is not None,
    )


@lru_cache(maxsize=32)
def _shared(source: SplitQuestions, target: SplitQuestions) -> float:
    training, tests = ([problem.question.text for problem in split.problems] for split in (source, target))
    return contamination(training, tests)
