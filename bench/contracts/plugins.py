"""The plugin contracts, whole: what an `Attack`, a `Defense` and a `Task` must write, and what the harness gives by default.

A plugin is a class; its annotated fields are its parameters and, with its name and version, its identity. Versions read
"2-A": the number changes when scores stop being comparable, the letter when the interface does.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Literal

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import (
    Exposure,
    Grade,
    Kind,
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
Touch = Literal["prompt", "summary", "answer", "refusal"]
"""A thing that a defense changes: the prompt a victim sees, the summary or the answer it shows, or whether it answers at all."""
Asks = Literal["nothing", "questions", "prompts"]
"""The prompts an attack sends: none; the questions as they are, whose replies then serve all such attacks; or its own prompts."""


@dataclass(frozen=True, slots=True)
class Info:
    """The claims of a decorator about a plugin, for `heist list`, records and the board."""

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
        """The part of a reply that a victim must show for this attack to work at all. Default: answers."""
        return "answer"

    def reads(self, exposure: Exposure) -> str:
        """The part of one exposure that this attack takes for the trace. Default: all that is visible."""
        return exposure.text

    @abstractmethod
    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> Sequence[Stolen]:
        """Return the rows the student is trained on, at most one per question; the harness writes the bill.

        Rows of the attacker's own questions (`kit.questions`) may be among them.
        """


class Defense(Plugin):
    """Stands between the victim and whoever asks. Defenses compose left to right with `+`."""

    def admit(self, prompt: Prompt) -> Prompt | Refusal:
        """Let a prompt through, change it, or refuse it before the victim sees it. Default: through."""
        return prompt

    @property
    def sticky(self) -> bool:
        """True where a prompt that comes back meets the same `rng`, so that asking again reveals nothing. Default: True."""
        return True

    @abstractmethod
    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        """Decide what leaves the API. All chance must come from `rng`: it is seeded with a secret no attacker has.

        Only a defense that declares itself random may draw.
        """


class Task(Plugin):
    """A data set: questions, gold answers, grader; and, where its traces can be checked, how.

    The first half of the contract is every task's. The second half has defaults that say "not here": a task without
    checkable traces has no summaries, no wrong traces, and no check.
    """

    licence: ClassVar[str]
    citation: ClassVar[str] = ""
    between: ClassVar[str] = " ; "
    """The text between the answers of a gold that holds several."""

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
        """Count the right steps of a trace; None where the task cannot."""
        return None
