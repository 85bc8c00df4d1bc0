"""The contract of a stage: one artifact of the store, what it hangs on, how it is made, read back and estimated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeVar

from heistbench.bench.contracts.nouns import Prompt, Reply

T = TypeVar("T")
Need = Literal["cpu", "gpu", "network"]
"""What a stage occupies while it runs; where there is no GPU, cores stand in for it."""
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done and how much there is."""
WAITING = "(waiting: "
"""In what is being done, where nothing can be done but wait; then follows for what."""


class Stage(ABC, Generic[T]):
    """One artifact. A subclass is a frozen dataclass whose first field is the cell's `context`, which runs it.

    A new stage is one file with such a class; a stage that becomes a block of the record is named in `stages/record.py` and
    `storage/blocks.py` too.
    """

    kind: ClassVar[str]
    """The folder of the store that its artifacts lie in."""

    @property
    def needs(self) -> Need:
        """What it occupies. Default: a core."""
        return "cpu"

    @abstractmethod
    def spec(self) -> Mapping[str, Any]:
        """All that can change what is built, and nothing that cannot: its identity. See `storage.store.identify`."""

    def after(self) -> Sequence[Stage[Any]]:
        """The stages whose artifacts it reads, apart from what the attack itself asks for. Default: none."""
        return ()

    @abstractmethod
    def build(self, folder: Path) -> None:
        """Compute the artifact into an empty folder."""

    @abstractmethod
    def read(self, folder: Path) -> T:
        """What the artifact says."""

    def work(self, dry: DryRun) -> Iterable[Work]:
        """What building it asks of models, under what a dry run assumes. Default: nothing."""
        return ()

    def imagined(self, dry: DryRun) -> T | None:
        """What a dry run takes for its result; None where no other stage reads it."""
        return None


@dataclass(frozen=True, slots=True)
class Work:
    """Work of one kind on one model with the same settings: rows, and tokens trained on, read and written.

    `name` is one of `WORK`, `settings` says in words how the model is trained or drawn from.
    """

    name: str
    model: str
    settings: str
    rows: int = 0
    trained: float = 0
    read: float = 0
    written: float = 0
    queries: int = 0
    dollars: float = 0

    @property
    def tokens(self) -> float:
        """Of all kinds."""
        return self.trained + self.read + self.written


WORK = (
    "victim replies",
    "victim summaries",
    "surrogate training",
    "surrogate replies",
    "summaries",
    "inverter training",
    "inversion",
    "student training",
    "examination",
)
"""The kinds of work, as the data flows."""


class Lengths(NamedTuple):
    """Tokens of the texts of a task."""

    question: float
    trace: float
    summary: float
    answer: float


class DryRun(Protocol):
    """What a dry run assumes: how long texts are, how many questions one stands for, and what models would write."""

    @property
    def lengths(self) -> Lengths:
        """Of the attacked task."""

    def tokens(self, text: str | None) -> float:
        """Of a made-up text."""

    def times(self, texts: Sequence[str]) -> int:
        """How many texts each of these stands for."""

    def times_asked(self, texts: Sequence[str]) -> int:
        """The same for what the attacker's own models are asked: a pool of demonstrations does not grow with a split."""

    def reply(self, prompt: Prompt, author: str, repetition: int = 0) -> Reply:
        """What an obliging model would reply; texts of different authors differ."""


def quietly(what: str, done: int, total: int) -> None:
    """Show no progress."""


def counter(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    """Turn "so many more are done" into "so many of `total` are done"."""
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        progress(what, done, total)

    return advance


def waiting(progress: Progress, what: str) -> Callable[[str, int, int], None]:
    """Turn "waits for this, so much is done" into progress of `what`."""
    return lambda why, done, total: progress(f"{what} {WAITING}{why})", done, total)
