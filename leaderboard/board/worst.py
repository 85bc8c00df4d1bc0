"""Worst cases: the attack that teaches a student most, of how many that were tried."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from heistbench.bench.contracts.registry import registry, spec_of
from heistbench.bench.storage.records import Record
from heistbench.bench.suites.files import load_suite, shipped_suites
from heistbench.leaderboard.board.cells import RANKED_SEEDS, results_of, students_of
from heistbench.leaderboard.board.statistics import Interval, highest


@dataclass(frozen=True, slots=True)
class Worst:
    """The attack whose student came out best, of those `tried` on a defense, which made so many different `students`.

    The interval is that of the strongest attack in truth, whichever it is; `missing` names those that were not run.
    """

    attack: str
    accuracy: float
    interval: Interval
    ranked: bool
    tried: int
    students: int
    missing: tuple[str, ...]


def worst_of(arms: Mapping[str, Sequence[Record]], known: Collection[str]) -> Worst | None:
    """The worst case over some attacks on one defense, by spec; `known` are those that might have been run."""
    if not arms:
        return None
    different = {tuple(students_of(arm).items()): results_of(arm) for _, arm in sorted(arms.items())}
    results = {attack: results_of(arm) for attack, arm in arms.items()}
    attack = min(results, key=lambda attack: (-results[attack].mean, attack))
    return Worst(
        attack=attack,
        accuracy=results[attack].mean,
        interval=highest([arm.right for arm in different.values()]),
        ranked=len(arms[attack]) >= RANKED_SEEDS,
        tried=len(arms),
        students=len(different),
        missing=tuple(sorted({*known} - {*arms})),
    )


def ensemble_of(records: Sequence[Record]) -> set[str]:
    """The attacks that the records' suites ship with today; none where they are nobody's but their author's."""
    return {attack for suite in {record.arm.suite for record in records} for attack in _attacks(suite)}


@cache
def _attacks(suite: str) -> tuple[str, ...]:
    if suite not in shipped_suites():
        return ()
    return tuple(spec_of(registry.build("attack", spec)) for spec in load_suite(suite).attacks)
