"""The wall of systems that have no other: a process of its own, without the harness's memory and environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def obstacle() -> str:
    """See `Wall.obstacle`."""
    return ""


def command(command: Sequence[str], readable: Sequence[Path], hidden: Sequence[Path]) -> list[str]:
    """See `Wall.command`."""
    return list(command)


def enter(readable: Sequence[Path], hidden: Sequence[Path]) -> None:
    """See `Wall.enter`: there is nothing more."""
