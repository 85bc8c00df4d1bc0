"""What an attack is given, and no more: a `Target` to ask and a `Kit` of its own means, at its end of a line.

The harness answers at the other end, in another process (`bench/walls`): victim, gold answers, graders and store are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Any, Protocol, TypeVar, overload

from heistbench.bench.contracts.arguments import examples_for, prompts_for, questions_for, replies_for
from heistbench.bench.contracts.nouns import Exposure, Prompt, Question, Reply

T = TypeVar("T")


class Desk(Protocol):
    """The calls that the harness answers. `truth_*` are refused unless the control is privileged."""

    def ask(self, prompts: list[Prompt]) -> list[Exposure]: ...
    def surrogate(self, prompts: list[Prompt], temperature: float | None, summaries: bool) -> list[Reply]: ...
    def own_questions(self) -> list[Question]: ...
    def questions_of(self, task: str, n: int) -> list[Question]: ...
    def fine_tune(self, examples: list[tuple[Prompt, str]]) -> str: ...
    def untuned(self) -> str: ...
    def generate(self, model: str, prompts: list[Prompt], temperature: float | None) -> list[str]: ...
    def rehearse(self, prompts: list[Prompt], replies: list[Reply]) -> list[Exposure]: ...
    def truth_gold(self, ids: list[str]) -> list[str]: ...
    def truth_replies(self, ids: list[str]) -> list[Reply]: ...
    def truth_wrong_traces(self, ids: list[str]) -> list[str]: ...


class Line(Protocol):
    """The attacker's end."""

    def call(self, verb: str, *arguments: Any) -> Any:
        """What the desk answers. Raises what it refuses with."""


class Target:
    """The victim's API as the attacker sees it."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def ask(self, prompts: Sequence[Prompt]) -> list[Exposure]:
        """One exposure per prompt, in order; every query is billed.

        Raises BudgetExceeded, before anything is sent, when the suite's budget does not cover them.
        """
        return list(self._line.call("ask", prompts_for("ask", prompts)))


@dataclass(frozen=True, slots=True)
class Tuned:
    """A model of the attacker's: fine-tuned, or as it was before."""

    _line: Line
    _model: str

    @overload
    def generate(self, prompts: Sequence[Prompt], temperature: float | None = None) -> list[str]: ...
    @overload
    def generate(self, prompts: Sequence[Prompt], temperature: float | None = None, *, samples: int) -> list[list[str]]: ...
    def generate(
        self, prompts: Sequence[Prompt], temperature: float | None = None, *, samples: int | None = None
    ) -> list[str] | list[list[str]]:
        """One completion per prompt, or a list of `samples` of them; see `Kit.surrogate`, but for the suite's inverters."""
        asked = _repeated(prompts_for("generate", prompts), _samples("generate", samples))
        return _grouped(self._line.call("generate", self._model, asked, _temperature("generate", temperature)), samples)


class Kit:
    """The attacker's own means: a surrogate, questions of its own, training, a random generator."""

    def __init__(self, line: Line, rng: Random, privileged: bool) -> None:
        self._line, self.rng = line, rng
        self.truth = Truth(line) if privileged else None

    def questions(self) -> list[Question]:
        """The attacker's own questions, disjoint from the ones it attacks with."""
        return list(self._line.call("own_questions"))

    def questions_of(self, task: str, n: int) -> list[Question]:
        """The first `n` questions of another task's surrogate split. A task that has none ends the theft."""
        if not isinstance(task, str) or not isinstance(n, int) or n < 0:
            raise TypeError(f"questions_of() takes a task's name and a number, not {task!r} and {n!r}")
        return list(self._line.call("questions_of", task, n))

    @overload
    def surrogate(
        self, prompts: Sequence[Prompt], temperature: float | None = None, *, summaries: bool = True
    ) -> list[Reply]: ...
    @overload
    def surrogate(
        self, prompts: Sequence[Prompt], temperature: float | None = None, *, samples: int, summaries: bool = True
    ) -> list[list[Reply]]: ...
    def surrogate(
        self,
        prompts: Sequence[Prompt],
        temperature: float | None = None,
        *,
        samples: int | None = None,
        summaries: bool = True,
    ) -> list[Reply] | list[list[Reply]]:
        """Replies of the attacker's own reasoning model, trace visible, with a recap in the provider's style if `summaries`.

        One per prompt, or a list of `samples` of them. `temperature` None is the suite's setting for the surrogate; at 0 all
        samples of a prompt are the same. To ask the same again, in this call or the next, is to draw again: at the same place of
        a theft with the same seed, the same. A recap may take another model's work: who reads none asks for none.
        """
        asked = _repeated(prompts_for("surrogate", prompts), _samples("surrogate", samples))
        return _grouped(self._line.call("surrogate", asked, _temperature("surrogate", temperature), bool(summaries)), samples)

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

    def __init__(self, line: Line) -> None:
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


def truth_of(kit: Kit) -> Truth:
    """The truth that a privileged control is given. Raises TypeError where it is not declared privileged."""
    if kit.truth is None:
        raise TypeError("only a control that is declared privileged is given the truth")
    return kit.truth


def _temperature(verb: str, temperature: float | None) -> float | None:
    if temperature is not None and not (isinstance(temperature, (int, float)) and 0 <= temperature < inf):
        raise TypeError(f"{verb}() takes a temperature of 0 or more, or None, not {temperature!r}")
    return temperature


def _samples(verb: str, samples: int | None) -> int:
    if samples is not None and not (type(samples) is int and samples > 0):
        raise TypeError(f"{verb}() takes samples of 1 or more, not {samples!r}")
    return samples or 1


def _repeated(prompts: Sequence[Prompt], times: int) -> list[Prompt]:
    return [prompt for prompt in prompts for _ in range(times)]


def _grouped(drawn: Sequence[T], samples: int | None) -> list[T] | list[list[T]]:
    """What was drawn, in lists of so many for each prompt where samples were asked for."""
    if samples is None:
        return list(drawn)
    return [list(drawn[at : at + samples]) for at in range(0, len(drawn), samples)]


def _ids(verb: str, questions: Sequence[Question]) -> list[str]:
    return [question.id for question in questions_for(verb, questions)]
