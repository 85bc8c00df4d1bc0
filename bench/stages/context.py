"""One cell's surroundings, as its stages see them: task, splits, settings, models, victim, and the results of other stages.

Two kinds of context exist: one on a store (`pipeline.py`), and that of a dry run (`runs/dry.py`), where results are imagined.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar, cast

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Problem, Prompt, Question, Reply, Split
from heistbench.bench.contracts.plugins import Attack, Task
from heistbench.bench.contracts.registry import identity, registry
from heistbench.bench.contracts.wall import Desk
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import Arrived, unheard
from heistbench.bench.stages.budget import NO_LIMIT, Budget
from heistbench.bench.stages.stage import Progress, Stage, quietly
from heistbench.bench.storage.owner import Query
from heistbench.bench.storage.store import Store, hash_of
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.questions import See, problems_of
from heistbench.bench.suites.settings import Inverter, Surrogate
from heistbench.bench.walls.confinement import strongest
from heistbench.bench.walls.line import Haul, Order

T = TypeVar("T")


class PlainVictim(Protocol):
    """A victim without any defense."""

    @property
    def identity(self) -> dict[str, Any]:
        """All that determines its replies."""

    def reply(self, queries: Sequence[Query], arrived: Arrived = unheard, summaries: bool = True) -> list[Reply]:
        """One reply per query, in order; with the summary its provider shows of it, unless nobody reads that."""


class CellContext(ABC):
    """What the stages of one cell share."""

    def __init__(
        self, cell: Cell, store: Store, budget: Budget = NO_LIMIT, progress: Progress = quietly, wall: str | None = None
    ) -> None:
        """`wall` is that around thefts, the strongest there is if none is named."""
        self.cell, self.suite, self.store, self.budget, self.progress = cell, cell.suite, store, budget, progress
        self.wall = wall or strongest()
        self.task, self.exam = cell.build_task(), cell.build_exam()
        self._problems: dict[Split, list[Problem]] = {}
        self._results: dict[Stage[Any], Any] = {}

    def result(self, stage: Stage[T]) -> T:
        """What a stage says. Raises Busy while another process computes it."""
        if stage not in self._results:
            self._results[stage] = self._compute(stage)
        return cast(T, self._results[stage])

    @abstractmethod
    def _compute(self, stage: Stage[T]) -> T:
        """As `result`, when this context asks for it the first time."""

    @abstractmethod
    def resolve(self, reference: str) -> Checkpoint:
        """A model reference as a checkpoint on the suite's engine."""

    @abstractmethod
    def made(self, label: str, folder: Path, base: Checkpoint | None = None) -> Checkpoint:
        """The model that an artifact of the store holds: all its weights, or an adapter on those of `base`."""

    def own_summary(self, trace: str) -> str | None:
        """The summary of a trace by the task's own rule; None where there is none."""
        return self.task.summarize(trace)

    @abstractmethod
    def carry_out(self, attack: Attack, order: Order, desk: Desk) -> Haul:
        """Have a theft carried out behind the wall, its calls answered by `desk`."""

    @property
    @abstractmethod
    def victim(self) -> PlainVictim:
        """The victim of this cell."""

    def problems(self, split: Split) -> list[Problem]:
        """The problems of a split, as many as the suite asks for: the exam's for the test, else the task's."""
        if split not in self._problems:
            self._problems[split] = self._draw(split)
        return self._problems[split]

    def _draw(self, split: Split) -> list[Problem]:
        return list(problems_of(self.exam if split == "test" else self.task, split, self.size_of(split)))

    def digest(self, split: Split, see: See) -> str:
        """sha256 of what something sees of a split; of the attacked one, of what is attacked."""
        return hash_of([see(problem) for problem in (self.attacked if split == "query" else self.problems(split))])

    def size_of(self, split: Split) -> int:
        """How many questions of a split the suite asks for."""
        sizes = self.cell.sizes
        return {"query": sizes.query, "surrogate": sizes.surrogate, "dev": sizes.test, "test": sizes.test}[split]

    @property
    def attacked(self) -> list[Problem]:
        """The problems this cell attacks: as many as its budget has queries."""
        return self.problems("query")[: self.cell.budget]

    @property
    def questions(self) -> list[Question]:
        """The attacked problems as the attacker sees them."""
        return [problem.question for problem in self.attacked]

    @property
    def honest(self) -> list[Problem]:
        """What an honest user asks: questions of the attacked task that no attack and no surrogate has seen."""
        return self.problems(self.honest_split)

    @property
    def honest_split(self) -> Split:
        """The split that honest users ask."""
        return "test" if identity(self.exam) == identity(self.task) else "dev"

    def questions_of(self, task: str, n: int) -> list[Question]:
        """Questions of another task's surrogate split."""
        return [p.question for p in problems_of(cast(Task, registry.build("task", task)), "surrogate", n)]

    def wrong_trace(self, problem: Problem) -> str:
        """A wrong trace of an attacked problem, with randomness of its own."""
        return self.task.wrong_trace(problem, Random(f"wrong trace {problem.question.id}"))

    @property
    def log(self) -> Path | None:
        """Where tracebacks of plugins go; None for a temporary file."""
        return None

    @property
    def data_digest(self) -> str:
        """sha256 of the files that the attacked task's questions come from."""
        return self.task.data_digest()

    @property
    def sees_traces(self) -> bool:
        """Whether the harness sees the victim's traces."""
        return self.cell.victim.shows == "trace"

    @property
    def surrogate(self) -> Surrogate:
        """What the suite says of the surrogate. Raises HeistError when it names none."""
        return _named(self.suite.surrogate, "surrogate", self.cell)

    @property
    def inverter(self) -> Inverter:
        """What the suite says of the inverter. Raises HeistError when it names none."""
        return _named(self.suite.inverter, "inverter", self.cell)


def plain_prompts(problems: Sequence[Problem]) -> list[Prompt]:
    """The questions as they are, each as a prompt."""
    return [Prompt.of(problem.question.text) for problem in problems]


def _named(settings: T | None, role: str, cell: Cell) -> T:
    if settings is None:
        raise HeistError(f"suite {cell.suite.name} names no {role}, and {cell.attack} needs one")
    return settings
