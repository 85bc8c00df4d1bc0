"""The walls that may stand around a theft's process, the strongest first, and which of them does on this system.

| wall | files | network | other processes | how |
|---|---|---|---|---|
| `bubblewrap` | only those of Python and of the attack, to read; a small `/tmp` | none | unseen | namespaces, by bwrap |
| `landlock` | only these, to read; nothing can be written | no sockets | no signals, no tracing | Landlock and seccomp |
| `process` | all that this user may read and write | open | as for any program | a process of its own |

bubblewrap comes first because what is not there needs no rule; Landlock needs no program and no right but a kernel that has it.
Under each, the process has its own memory, an empty environment, and bounds on memory, on the size of a file and on time.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

MEMORY = 4 * 2**30
"""Bytes of address space that a theft may take."""
WRITTEN = 64 * 2**20
"""Bytes that it may print, or write to its `/tmp`."""
WALLS = ("bubblewrap", "landlock", "process")


class Wall(Protocol):
    """A module of this folder."""

    def obstacle(self) -> str:
        """Why it cannot stand here, in a line; empty where it can."""

    def command(self, command: Sequence[str], readable: Sequence[Path], hidden: Sequence[Path]) -> list[str]:
        """The command that runs another one behind the wall."""

    def enter(self, readable: Sequence[Path], hidden: Sequence[Path]) -> None:
        """Put the wall around this process, where it is put up from inside."""


def wall(name: str) -> Wall:
    """The wall of that name."""
    return cast(Wall, import_module(f"heistbench.bench.walls.{name}"))


@cache
def strongest() -> str:
    """The first of `WALLS` that can stand here."""
    return next(name for name in WALLS if not wall(name).obstacle())


def instructions(name: str, readable: Sequence[Path], hidden: Sequence[Path]) -> str:
    """What `confine` is to be told."""
    return json.dumps([name, [str(path) for path in readable], [str(path) for path in hidden]])


def confine(told: str) -> None:
    """Bound this process and put up its wall, before any code of an attack is imported."""
    name, readable, hidden = json.loads(told)
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, WRITTEN), (resource.RLIMIT_CORE, 0)):
        _bound(what, most)
    wall(name).enter([Path(path) for path in readable], [Path(path) for path in hidden])


def _bound(what: int, most: int) -> None:
    """Lower a limit for good, where the system knows it."""
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(what, (most, most))
