"""Thefts on the harness's side of the wall: calls are answered, and what is brought home is taken in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from heistbench.bench.contracts.errors import PluginFailure, one_line
from heistbench.bench.contracts.failures import append_to
from heistbench.bench.contracts.nouns import Question
from heistbench.bench.contracts.places import GIVEN, source_file
from heistbench.bench.contracts.plugins import Attack
from heistbench.bench.contracts.sources import code_of
from heistbench.bench.contracts.wall import Desk
from heistbench.bench.walls.confined import Confined, OrderFailed, home_of
from heistbench.bench.walls.confinement import strongest
from heistbench.bench.walls.line import (
    ANSWER,
    HAUL,
    ORDER,
    REFUSAL,
    REFUSALS,
    STEAL,
    TROUBLE,
    Frame,
    Haul,
    Order,
    Trouble,
    verbs,
)

OWN_SECONDS = 600.0
"""The time that an attack may compute between its calls, in all; what it waits for victim, models and training does not count."""
TRUTH = "truth_"
"""How the verbs begin that are for privileged controls alone."""


class Thief(Confined):
    """A process in which one attack runs, or several from one home, one after the other."""

    def steal(self, attack: Attack, order: Order, desk: Desk, log: Path | None, seconds: float = OWN_SECONDS) -> Haul:
        """Have an order carried out, its calls answered by `desk`.

        Raises PluginFailure when the attack fails in whatever way, and what the desk raises and is no refusal.
        """
        allowed = {verb for verb in verbs() if order.privileged or not verb.startswith(TRUTH)}
        try:
            return self.carry_out(Frame(STEAL, ORDER.write(order)), HAUL, partial(_answer, desk, allowed), seconds)
        except OrderFailed as failed:
            reason = failed.reason if failed.kind else one_line(f"{source_file(type(attack))}: {failed.reason}")
            details = failed.details
        raise PluginFailure(reason, append_to(log, details) if details else None, details)


class Thieves:
    """Processes that are kept for further thefts of attacks from the same home: for dry runs, where there is no truth."""

    def __init__(self) -> None:
        self._kept: dict[str, Thief] = {}

    def __enter__(self) -> Thieves:
        return self

    def __exit__(self, *error: object) -> None:
        while self._kept:
            self._kept.popitem()[1].end()

    def steal(self, attack: Attack, order: Order, desk: Desk, log: Path | None, seconds: float) -> Haul:
        """As `Thief.steal`; after a failure the next theft from that home gets a new process."""
        home = order.home.file or order.home.module.partition(".")[0]
        thief = self._kept.pop(home, None) or Thief(order.home, strongest())
        try:
            haul = thief.steal(attack, order, desk, log, seconds)
        except BaseException:
            thief.end()
            raise
        self._kept[home] = thief
        return haul


def order_of(attack: Attack, spec: str, questions: Sequence[Question], luck: str) -> Order:
    """The order that has an attack, written `spec`, carried out."""
    cls = type(attack)
    home = home_of(cls.__module__, source_file(cls) if cls.__module__.startswith(GIVEN) else "")
    return Order(spec, home, code_of(cls), list(questions), luck, attack.info.privileged)


def _answer(desk: Desk, allowed: set[str], verb: str, body: bytes) -> Frame:
    """The frame that answers a call: an answer or a refusal."""
    try:
        if verb not in allowed:
            raise PermissionError(f"{one_line(verb)} is not for this attack")
        arguments = verbs()[verb].arguments.read(body)
        answer = _bound(desk, verb)(*arguments)
    except ValidationError as error:
        return Frame(REFUSAL, TROUBLE.write(Trouble("TypeError", f"{verb}: {error.errors()[0]['msg']}")))
    except tuple(REFUSALS.values()) as error:
        kind = next(name for name, cls in REFUSALS.items() if isinstance(error, cls))
        return Frame(REFUSAL, TROUBLE.write(Trouble(kind, str(error))))
    return Frame(ANSWER, verbs()[verb].answer.write(answer))


def _bound(desk: Desk, verb: str) -> Callable[..., Any]:
    return getattr(desk, verb)  # type: ignore[no-any-return]
