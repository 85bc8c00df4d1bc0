"""The line through the wall: frames of a word and JSON. Nothing that comes through it is code.

The harness sends an order: to steal, to describe the attacks of a home, or to build one of them. While an attack steals, it
calls; what a verb takes and answers is said once, by the types of `Desk`: both ends read and write messages by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar, get_type_hints

from pydantic import TypeAdapter

from heistbench.bench.contracts.described import Built, Description
from heistbench.bench.contracts.errors import BudgetExceeded
from heistbench.bench.contracts.nouns import Exposure, Question, Stolen
from heistbench.bench.contracts.wall import Desk

T = TypeVar("T")
LONGEST = 2**30
"""Bytes of a frame: ten thousand replies with long traces are a quarter of it."""
STEAL, DESCRIBE, BUILD = "steal", "describe", "build"
"""The words of the harness's orders."""
READY, ANSWER, REFUSAL, RESULT, FAILURE = "ready", "answer", "refusal", "result", "failure"
"""The words of other frames: that a process has begun, what the harness says to a call, what an order ends with."""
REFUSALS: Mapping[str, type[Exception]] = {e.__name__: e for e in (BudgetExceeded, PermissionError, LookupError, TypeError)}
"""What a call may be refused with, and is raised in the attack. Whatever else goes wrong ends the theft."""


class Frame(NamedTuple):
    """One message."""

    word: str
    body: bytes


class Message(Generic[T]):
    """Values of one type as JSON. `read` raises ValidationError for any other JSON."""

    def __init__(self, type_: Any) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(type_)

    def write(self, value: T) -> bytes:
        """As JSON."""
        return self._adapter.dump_json(value)

    def read(self, body: bytes) -> T:
        """From JSON."""
        return self._adapter.validate_json(body, strict=True)


@dataclass(frozen=True, slots=True)
class Home:
    """Where an attack's class stands: a module that can be imported, found in `folder`; or a file, given by `--plugin`."""

    module: str
    file: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A theft: which attack, and the digest of its file, on which questions. `luck` seeds the attack's random generator."""

    attack: str
    home: Home
    code: str
    questions: list[Question]
    luck: str
    privileged: bool


@dataclass(frozen=True, slots=True)
class Haul:
    """What a theft ends with: its rows, and what the attack takes for the trace in each exposure that it was shown."""

    rows: list[Stolen]
    readings: list[str]


@dataclass(frozen=True, slots=True)
class Holdings:
    """The attacks that a home holds; `others` are the defenses and tasks in it, in words."""

    attacks: list[Description]
    others: list[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """An attack to build from `arguments`, a JSON object; messages about it begin with `where`."""

    home: Home
    name: str
    arguments: str
    where: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a call was refused, or an order failed: in a line, and as a traceback where there is one."""

    kind: str
    reason: str
    traceback: str = ""


class Verb(NamedTuple):
    """What one call of the desk takes and answers."""

    arguments: Message[tuple[Any, ...]]
    answer: Message[Any]


ORDER: Message[Order] = Message(Order)
HAUL: Message[Haul] = Message(Haul)
HOME: Message[Home] = Message(Home)
HOLDINGS: Message[Holdings] = Message(Holdings)
PLAN: Message[Plan] = Message(Plan)
BUILT: Message[Built] = Message(Built)
TROUBLE: Message[Trouble] = Message(Trouble)


@cache
def verbs() -> dict[str, Verb]:
    """The verbs of the desk by name."""
    return {name: _verb(function) for name, function in vars(Desk).items() if not name.startswith("_")}


def _verb(function: Any) -> Verb:
    hints = get_type_hints(function)
    answer = hints.pop("return")
    return Verb(Message(tuple[tuple(hints.values())]), Message(answer))  # type: ignore[misc]


def send(connection: Connection, word: str, body: bytes) -> None:
    """Send a frame."""
    connection.send_bytes(word.encode() + b"\n" + body)


def receive(connection: Connection, longest: int | None = None) -> Frame:
    """The next frame. Raises EOFError or OSError at the end of the line and for a frame that is too long."""
    word, _, body = connection.recv_bytes(longest or LONGEST).partition(b"\n")
    return Frame(word.decode("utf-8", "replace"), body)


class JsonLine:
    """The attacker's end (`Line`): one call at a time, from whatever thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._turn = connection, Lock()
        self.shown: list[Exposure] = []

    def call(self, verb: str, *arguments: Any) -> Any:
        """See `Line.call`."""
        with self._turn:
            send(self._connection, verb, verbs()[verb].arguments.write(arguments))
            word, body = receive(self._connection)
            if word == REFUSAL:
                trouble = TROUBLE.read(body)
                raise REFUSALS[trouble.kind](trouble.reason)
            answer = verbs()[verb].answer.read(body)
            if verb == "ask":
                self.shown += answer
        return answer
