"""Both ends of the line in one process, for tests of what attacks do: no wall stands between them."""

from __future__ import annotations

from random import Random
from typing import Any

from heistbench.bench import Kit, Target


class DirectLine:
    """Hands every call to the desk."""

    def __init__(self, desk: Any) -> None:
        self._desk = desk

    def call(self, verb: str, *arguments: Any) -> Any:
        return getattr(self._desk, verb)(*arguments)


def ends(desk: Any, seed: int = 0, privileged: bool = False) -> tuple[Target, Kit]:
    """What an attack is given."""
    line = DirectLine(desk)
    return Target(line), Kit(line, Random(seed), privileged)
