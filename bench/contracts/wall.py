"""The wall between attacker and truth: an attack holds one end of a pipe, and asks; the harness answers at the other.

What an attack is given (`Target`, `Kit`) has no reference to the victim, the gold answers or the store. Python cannot
keep hostile code in the same process from looking around; the wall keeps honest code honest, and a spy test walks it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from random import Random
from threading import Lock, Thread
from typing import Any, Protocol

from heistbench.bench.contracts.arguments import examples_for, prompts_for, questions_for, replies_for
from heistbench.bench.contracts.failures import traceback_text
from heistbench.bench.contracts.nouns import Exposure, Prompt, Question, Reply


class Desk(Protocol):
    """The calls that the harness answers. `truth_*` are refused unless the control is privileged."""

    def ask(self, prompts: list[Prompt]) -> list[Exposure]: ...
    def surrogate(self, prompts: list[Prompt], temperature: float | None) -> list[Reply]: ...
    def own_questions(self) -> list[Question]: ...
    def questions_of(self, task: str, n: int) -> list[Question]: ...
    def fine_tune(self, examples: list[tuple[Prompt, str]]) -> str: ...
    def untuned(self) -> str: ...
    def generate(self, model: str, prompts: list[Prompt]) -> list[str]: ...
    def rehearse(self, prompts: list[Prompt], replies: list[Reply]) -> list[Exposure]: ...
    def truth_gold(self, ids: list[str]) -> list[str]: ...
    def truth_replies(self, ids: list[str]) -> list[Reply]: ...
    def truth_wrong_traces(self, ids: list[str]) -> list[str]: ...


class _Line:
    """The attacker's end of the pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._turn = connection, Lock()

    def call(self, verb: str, *arguments: Any) -> Any:
        with self._turn:
            self._connection.send((verb, arguments))
            done, value = self._connection.recv()
        if not done:
            raise value
        return value


class Target:
    """The victim's API as the attacker sees it."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def ask(self, prompts: Sequence[Prompt]) -> list[Exposure]:
        """One exposure per prompt, in order; every query is billed.

        Raises BudgetExceeded, before anything is sent, when the suite's budget does not cover them.
        """
        return list(self._line.call("ask", prompts_for("ask", prompts)))


@dataclass(frozen=True, slots=True)
class Tuned:
    """A model of the attacker's: fine-tuned, or as it was before."""

    _line: _Line
    _model: str

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        """One completion per prompt, under the suite's decoding for inverters."""
        return list(self._line.call("generate", self._model, prompts_for("generate", prompts)))


class Kit:
    """The attacker's own means: a surrogate, questions of its own, training, a random generator."""

    def __init__(self, line: _Line, rng: Random, privileged: bool) -> None:
        self._line, self.rng = line, rng
        self.truth = Truth(line) if privileged else None

    def questions(self) -> list[Question]:
        """The attacker's own questions, disjoint from the ones it attacks with."""
        return list(self._line.call("own_questions"))

    def questions_of(self, task: str, n: int) -> list[Question]:
        """The first `n` questions of another task's surrogate split. Raises HeistError for a task that has none."""
        if not isinstance(task, str) or not isinstance(n, int) or n < 0:
            raise TypeError(f"questions_of() takes a task's name and a number, not {task!r} and {n!r}")
        return list(self._line.call("questions_of", task, n))

    def surrogate(self, prompts: Sequence[Prompt], temperature: float | None = None) -> list[Reply]:
        """Replies of the attacker's own reasoning model, trace visible, with a recap in the provider's style.

        `temperature` None is the suite's setting for the surrogate.
        """
        if temperature is not None and not (isinstance(temperature, (int, float)) and 0 <= temperature < inf):
            raise TypeError(f"surrogate() takes a temperature of 0 or more, or None, not {temperature!r}")
        return list(self._line.call("surrogate", prompts_for("surrogate", prompts), temperature))

    def fine_tune(self, examples: Sequence[tuple[Prompt, str]]) -> Tuned:
        """Fine-tune the suite's inverter model on (prompt, completion) rows; the same rows are trained once."""
        return Tuned(self._line, self._line.call("fine_tune", examples_for("fine_tune", examples)))

    def inverter(self) -> Tuned:
        """The suite's inverter model before any training."""
        return Tuned(self._line, self._line.call("untuned"))

    def rehearse(self, prompts: Sequence[Prompt], replies: Sequence[Reply]) -> list[Exposure]:
        """Pass replies through the standing defense, as if the victim had made them: for adaptive attacks (Kerckhoffs)."""
        sent = prompts_for("rehearse", prompts)
        return list(self._line.call("rehearse", sent, replies_for("rehearse", replies, len(sent))))


class Truth:
    """For privileged controls only: gold answers, the victim's hidden traces, wrong traces."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def gold(self, questions: Sequence[Question]) -> list[str]:
        """The gold answers."""
        return list(self._line.call("truth_gold", _ids("gold", questions)))

    def replies(self, questions: Sequence[Question]) -> list[Reply]:
        """The victim's whole replies when plainly asked, past any defense; billed."""
        return list(self._line.call("truth_replies", _ids("replies", questions)))

    def wrong_traces(self, questions: Sequence[Question]) -> list[str]:
        """Traces of the right form with wrong steps."""
        return list(self._line.call("truth_wrong_traces", _ids("wrong_traces", questions)))


def _ids(verb: str, questions: Sequence[Question]) -> list[str]:
    return [question.id for question in questions_for(verb, questions)]


@contextmanager
def attacker(desk: Desk, rng: Random, privileged: bool) -> Iterator[tuple[Target, Kit]]:
    """Open the pipe, answer it from a thread with `desk`, and yield the attacker's end."""
    ours, theirs = Pipe()
    verbs = {name for name in vars(Desk) if not name.startswith("_") and (privileged or not name.startswith("truth"))}
    thread = Thread(target=_serve, args=(ours, desk, verbs), daemon=True)
    thread.start()
    line = _Line(theirs)
    try:
        yield Target(line), Kit(line, rng, privileged)
    finally:
        theirs.close()
        thread.join()


def _serve(connection: Connection, desk: Desk, verbs: set[str]) -> None:
    while True:
        try:
            verb, arguments = connection.recv()
        except (EOFError, OSError):
            connection.close()
            return
        try:
            if verb not in verbs:
                raise PermissionError(f"{verb} is not for this attack")
            answer = (True, getattr(desk, verb)(*arguments))
        except BaseException as error:  # goes back through the pipe and is raised in the attack
            error.add_note(f"The harness's side of the wall, which answered {verb}:\n{traceback_text(error)}")
            answer = (False, error)
        try:
            connection.send(answer)
        except Exception as error:  # what cannot be sent must not leave the attack waiting
            what = "an answer" if answer[0] else repr(answer[1])
            connection.send((False, RuntimeError(f"{verb}: {what} cannot be sent: {error!r}")))
