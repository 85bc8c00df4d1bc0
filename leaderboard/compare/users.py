"""Honest users, before and after: a defense that refuses everyone stops every theft."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal

from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.panel import victim_label
from heistbench.leaderboard.board.statistics import TAIL, Interval, share_difference
from heistbench.leaderboard.compare.pairing import Twice

UserVerdict = Literal["users get less", "users get more", "tie"]


@dataclass(frozen=True, slots=True)
class UserChange:
    """The share of right answers that honest users get, new minus base, of each victim and defense in both.

    The interval holds for all defenses of a comparison at once. It does not pair questions, which records do not name.
    """

    task: str
    victims: tuple[str, str]
    defenses: tuple[str, str]
    base: float
    new: float
    n: int
    mean: float
    interval: Interval
    verdict: UserVerdict


def user_changes(pairs: Sequence[Twice]) -> list[UserChange]:
    """What honest users lost and won between the arms of these pairs, the greatest loss first."""
    groups: dict[tuple[str, tuple[str, str], tuple[str, str]], list[Twice]] = defaultdict(list)
    for base, new in pairs:
        (one, other) = base[0], new[0]
        key = other.arm.task.spec, (victim_label(one), victim_label(other)), (one.arm.defense, other.arm.defense)
        groups[key].append((base, new))
    tail = TAIL / max(1, len(groups))
    changes = []
    for (task, victims, defenses), of_group in sorted(groups.items()):
        (before, _), (after, n) = uses = [_use(arms) for arms in zip(*of_group, strict=True)]
        interval = share_difference(uses[1], uses[0], tail)
        verdict = _verdict(interval)
        changes.append(UserChange(task, victims, defenses, before, after, round(n), after - before, interval, verdict))
    return sorted(changes, key=lambda change: change.mean)


def _use(arms: Sequence[Sequence[Record]]) -> tuple[float, float]:
    """The share of right answers, and of how many: seeds ask the same questions, and a mean over them is of no more."""
    uses = {record.arm.seed: record.utility for arm in arms for record in arm}.values()
    return fsum(use.accuracy for use in uses) / len(uses), min(use.n - use.lost for use in uses)


def _verdict(interval: Interval) -> UserVerdict:
    if interval.high < 0:
        return "users get less"
    return "users get more" if interval.low > 0 else "tie"
