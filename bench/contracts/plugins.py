"""The plugin contracts, whole: `Attack`, `Defense`, `Task` and the decorators that register them.

A plugin is a class; its annotated fields are its parameters and, with its name and version, its identity. Versions read
"2-A": the number changes when scores stop being comparable, the letter when the interface does.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar, dataclass_transform

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import (
    Exposure,
    Grade,
    Problem,
    Prompt,
    Question,
    Refusal,
    Reply,
    Sight,
    Split,
    Stolen,
    TraceCheck,
)

if TYPE_CHECKING:
    from heistbench.bench.contracts.wall import Kit, Target

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
Kind = Literal["attack", "defense", "task"]
Touch = Literal["prompt", "summary", "answer", "refusal"]
Asks = Literal["nothing", "questions", "prompts"]
"""What an attack asks the victim: nothing; the questions as they are, so that its replies serve every attack that does; prompts
of its own making."""


@dataclass(frozen=True, slots=True)
class Info:
    """What a decorator states about a plugin, for `heist list`, records and the board."""

    kind: Kind
    name: str
    version: str
    paper: str = ""
    threat: str = ""
    asks: Asks = "prompts"
    control: bool = False
    privileged: bool = False
    touches: tuple[Touch, ...] = ()
    random: bool = False


class Plugin(ABC):
    """Base of all plugins; `info` is set by the decorator."""

    info: ClassVar[Info]


class Attack(Plugin):
    """Steals what a student can learn from. Controls are attacks that only give the others' numbers meaning."""

    @property
    def needs(self) -> Sight:
        """What the victim has to show for this attack to be itself. Default: answers."""
        return "answer"

    def reads(self, exposure: Exposure) -> str:
        """What of one exposure this attack takes for the trace. Default: all that is visible."""
        return exposure.text

    @abstractmethod
    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> Sequence[Stolen]:
        """Return the rows the student is trained on, at most one a question; the harness writes the bill.

        Rows of the attacker's own questions (`kit.questions`) may be among them.
        """


class Defense(Plugin):
    """Stands between the victim and whoever asks. Defenses compose left to right with `+`."""

    def admit(self, prompt: Prompt) -> Prompt | Refusal:
        """Let a prompt through, change it, or refuse it before the victim sees it. Default: through."""
        return prompt

    @property
    def sticky(self) -> bool:
        """Whether a prompt that comes back meets the same `rng`, so that asking again tells nothing. Default: yes."""
        return True

    @abstractmethod
    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        """Decide what leaves the API. All chance must come from `rng`: it is seeded with a secret no attacker has."""


class Task(Plugin):
    """A data set: questions, gold answers, grader; and, where its traces can be checked, how.

    The first half of the contract is every task's. The second half has defaults that say "not here": a task without
    checkable traces has no summaries, no wrong traces, and no check.
    """

    licence: ClassVar[str]
    citation: ClassVar[str] = ""
    between: ClassVar[str] = " ; "
    """What stands between the answers of a gold that holds several."""

    @abstractmethod
    def problems(self, split: Split, n: int | None) -> list[Problem]:
        """The first `n` problems of a split in a fixed order, None for all. Raises HeistError when it holds fewer."""

    def data_digest(self) -> str:
        """sha256 of the files the questions come from; empty for a task that generates its own."""
        return ""

    @abstractmethod
    def grade(self, problem: Problem, answer: str) -> Grade:
        """Grade a visible answer, whatever it holds, in bounded time and memory."""

    def grade_all(self, problems: Sequence[Problem], answers: Sequence[str]) -> list[Grade]:
        """Grade many answers; a task whose grader is slow does it on all cores."""
        return [self.grade(problem, answer) for problem, answer in zip(problems, answers, strict=True)]

    def summarize(self, trace: str) -> str | None:
        """The recap a provider shows of a trace; attackers compress their own surrogate's traces the same way."""
        return None

    def wrong_trace(self, problem: Problem, rng: Random) -> str:
        """A trace of the right form whose steps are wrong, for the control of wrong traces with right answers."""
        raise HeistError(f"task {self.info.name} has no wrong traces: leave the control wrong_trace out")

    def values(self, trace: str) -> list[str]:
        """The intermediate results a trace names, in order; overlap reports how many a reconstruction recalls."""
        return _NUMBER.findall(trace)

    def check(self, problem: Problem, trace: str) -> TraceCheck | None:
        """Which steps of a trace are right; None where the task cannot tell."""
        return None


_A = TypeVar("_A", bound=type[Attack])
_D = TypeVar("_D", bound=type[Defense])
_T = TypeVar("_T", bound=type[Task])


def _register(cls: type[Plugin], info: Info) -> type[Plugin]:
    from heistbench.bench.contracts.registry import registry

    frozen = dataclass(frozen=True)(cls)
    frozen.info = info
    registry.add(info, frozen)
    return frozen


@dataclass_transform(frozen_default=True)
def attack(
    name: str,
    *,
    version: str,
    paper: str = "",
    threat: str = "black-box",
    asks: Asks = "prompts",
    control: bool = False,
    privileged: bool = False,
) -> Callable[[_A], _A]:
    """Register an attack. `privileged` ones get the truth through the kit; only controls may be."""
    if privileged and not control:
        raise TypeError(f"attack {name}: only a control may be privileged")
    info = Info("attack", name, version, paper, threat, asks, control, privileged)
    return lambda cls: _register(cls, info)  # type: ignore[return-value]


@dataclass_transform(frozen_default=True)
def defense(name: str, *, version: str, touches: tuple[Touch, ...], paper: str = "", random: bool = False) -> Callable[[_D], _D]:
    """Register a defense and declare what it touches and whether it is random."""
    info = Info("defense", name, version, paper, touches=touches, random=random)
    return lambda cls: _register(cls, info)  # type: ignore[return-value]


@dataclass_transform(frozen_default=True)
def task(name: str, *, version: str, paper: str = "") -> Callable[[_T], _T]:
    """Register a task."""
    info = Info("task", name, version, paper)
    return lambda cls: _register(cls, info)  # type: ignore[return-value]
