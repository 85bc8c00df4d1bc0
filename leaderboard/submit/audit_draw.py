"""The draw of an audit: the records of a submission, which of them are run again, and the risk that a forger took.

The seed must be chosen after submission. Whoever knows it before forges what it does not draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from pathlib import Path

from heistbench.bench.contracts.errors import HeistError, one_line
from heistbench.bench.storage.packed_results import Refused
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.submit.intake import Intake, list_files

SHARES = (Fraction(1, 100), Fraction(1, 20), Fraction(1, 6), Fraction(1, 3), Fraction(1, 2))
"""Shares of forged cells whose risk a report states."""


@dataclass(frozen=True, slots=True)
class Risk:
    """What a forger of a share of the cells, so many of them, risked: the chance that one of these was audited."""

    share: Fraction
    forged: int
    caught: float


def submitted(folder: Path) -> dict[str, Record]:
    """The records of a submission, which may hold anything, by their paths.

    Raises HeistError for the first thing that does not belong there or cannot be read: `verify` names them all.
    """
    if not folder.is_dir():
        raise HeistError(f"{folder}: no such folder")
    listing, records = list_files(folder), dict[str, Record]()
    intake = Intake(listing.replies)
    for problem in listing.problems:
        raise _unreadable(folder, problem.path, problem.reason)
    for path in [*listing.questions, *listing.files]:
        try:
            if path in listing.questions:
                intake.read_questions(folder / path)
                continue
            record = records[path.as_posix()] = intake.read(folder / path)
        except Refused as refused:
            raise _unreadable(folder, path.as_posix(), str(refused)) from None
        if record.path() != path:
            raise _unreadable(folder, path.as_posix(), f"is that of {record.path().as_posix()}")
    return records


def draw(names: Iterable[str], k: int, seed: int) -> list[str]:
    """So many names without replacement, all of them if there are fewer, in the order of their hashes with the seed.

    Neither their order nor the version of Python changes the draw, and its first names are a draw of fewer.
    """
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}\n{name}".encode()).digest())[:k]


def caught(cells: int, forged: int, audited: int) -> float:
    """The chance that a draw of some cells holds a forged one: one minus the hypergeometric chance of none, exact."""
    return 1 - comb(cells - forged, audited) / comb(cells, audited)


def risks(cells: int, audited: int) -> list[Risk]:
    """The risk of a forger of each of some shares of the cells; of one cell at least."""
    forged = {share: max(1, int(share * cells)) for share in SHARES} if cells else {}
    return [Risk(share, n, caught(cells, n, audited)) for share, n in forged.items()]


def _unreadable(folder: Path, path: str, reason: str) -> HeistError:
    where = f"{folder}, {path}" if path else str(folder)
    return HeistError(one_line(f"{where}: {reason}; `heist leaderboard verify` names all that is wrong"))
