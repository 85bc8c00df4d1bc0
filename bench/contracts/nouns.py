"""The nouns of the harness: frozen, typed, JSON-serialisable.

The wall between attacker and truth starts here: `Exposure`, all that leaves a victim's API, has no field for a trace,
and `Question`, all that an attack is given of a problem, has none for the gold answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal

Split = Literal["query", "surrogate", "dev", "test"]
"""Disjoint by question hash: attack queries, the attacker's own questions, development, examination."""

Stop = Literal["stop", "length", "refused", "error"]
"""Why a reply ended: by itself, at the token budget, refused by victim or defense, or lost to an outage."""

Kind = Literal["attack", "defense", "task"]
"""The kinds of plugins."""

Sight = Literal["answer", "summary", "trace"]
"""The part of a victim's replies that can be seen, by the harness or by the attacker."""


class Verdict(StrEnum):
    """The outcome of one examined question. Every question has exactly one; none leaves the denominator."""

    RIGHT = "right"
    WRONG = "wrong"
    TRUNCATED = "truncated"
    UNPARSABLE = "unparsable"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Question:
    """The part of a problem that an attacker may see."""

    id: str
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with the harness's side of it: gold answer, reference trace, and what a recorded victim showed for it.

    `trace` is empty where the data set has none; `recorded` is empty where the gold answer is what was shown.
    """

    question: Question
    gold: str
    trace: str
    recorded: str = ""

    @property
    def shown(self) -> str:
        """The right answer as someone who gives it would write it."""
        return self.recorded or self.gold


@dataclass(frozen=True, slots=True)
class Grade:
    """A grader's view of one answer.

    `score` is in [0, 1], with partial credit where the task gives it; `extracted` is the part of the reply that was graded;
    `metrics` are a task's further measures, each in [0, 1].
    """

    verdict: Verdict
    score: float = 0.0
    extracted: str = ""
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, right: bool, extracted: str = "", reason: str = "") -> Grade:
        """A plain right or wrong."""
        return cls(Verdict.RIGHT if right else Verdict.WRONG, float(right), extracted, reason)

    @classmethod
    def unparsable(cls, reason: str) -> Grade:
        """The reply holds no answer that can be read."""
        return cls(Verdict.UNPARSABLE, reason=reason)


@dataclass(frozen=True, slots=True)
class Message:
    """One chat turn."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A function offered to a model, which must call it; `arguments` are pairs of (name, what it is for), all of them texts."""

    name: str
    description: str
    arguments: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Chat messages sent to a model, with a tool where one is offered; `think` False asks it not to think natively."""

    messages: tuple[Message, ...]
    tool: Tool | None = None
    think: bool = True

    @classmethod
    def of(cls, content: str, system: str | None = None) -> Prompt:
        """A one-turn prompt, with a system message where one is given."""
        head = (Message("system", system),) if system else ()
        return cls((*head, Message("user", content)))

    @property
    def text(self) -> str:
        """All turns as one string."""
        return "\n\n".join(message.content for message in self.messages)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply, as billed: `completion` includes the hidden `reasoning`."""

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's output for one prompt. A victim's `trace` stays on the harness's side of the wall.

    `arguments` are those of its call of the offered tool.
    """

    trace: str | None
    summary: str | None
    text: str
    usage: Usage
    stop: Stop
    arguments: Mapping[str, str] = field(default_factory=dict)

    def exposed(self, **changes: Any) -> Exposure:
        """All that a user sees of this reply, with changes: what defenses build exposures with."""
        seen = Exposure(self.text, self.summary, self.stop == "refused", self.arguments, self.usage, self.stop)
        return replace(seen, **changes) if changes else seen


@dataclass(frozen=True, slots=True)
class Refusal:
    """A defense's decision not to let a prompt reach the victim."""

    reason: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """Exactly what left the victim's API for one query, after the defense.

    As providers do, it says what is billed, hidden reasoning included, and why the reply ended.
    """

    text: str
    summary: str | None = None
    refused: bool = False
    arguments: Mapping[str, str] = field(default_factory=dict)
    usage: Usage = Usage()
    stop: Stop = "stop"

    @property
    def answered(self) -> bool:
        """True when there is a visible answer: neither refused nor cut off before one."""
        return bool(self.text) and not self.refused


@dataclass(frozen=True, slots=True)
class Stolen:
    """One row of loot: what the student will be trained on. `trace` is None where the attack has none."""

    id: str
    question: str
    trace: str | None
    answer: str


@dataclass(frozen=True, slots=True)
class Bill:
    """The cost of a theft: the victim's side in queries, tokens and dollars, the attacker's in tokens and seconds of its models.

    `attacker_seconds` are those of a GPU where the models ran on one.
    """

    queries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    attacker_tokens_generated: int = 0
    attacker_tokens_trained: int = 0
    dollars: float = 0.0
    attacker_seconds: float = 0.0

    def __add__(self, other: Bill) -> Bill:
        return Bill(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


TraceKind = Literal["right", "class", "facts", "wrong", "none"]
"""A trace as a whole: right; only its classification right; only its facts right; neither; no trace."""


@dataclass(frozen=True, slots=True)
class TraceCheck:
    """The truth of a trace, by a task's exact checker.

    `right` of the `steps` there should be. Two kinds of steps are counted apart, after arXiv:2505.13792: `classified`, the trace
    says rightly what is to be done, and `retrieved`, it names just the facts that are needed. `words` is its length.
    """

    right: int
    steps: int
    classified: bool
    retrieved: bool
    words: int

    @property
    def whole(self) -> bool:
        """True when every step is there and right."""
        return self.right == self.steps

    @property
    def kind(self) -> TraceKind:
        """The trace in one word."""
        if self.whole:
            return "right"
        if not self.words:
            return "none"
        return "class" if self.classified else "facts" if self.retrieved else "wrong"


def question_id(text: str) -> str:
    """The first 16 hexadecimal digits of the sha256 of a question's text: ids and splits hang on content, not order."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
