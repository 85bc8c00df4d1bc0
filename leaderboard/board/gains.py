"""Gains: what an attack's student has over every control that anyone could run, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.cells import (
    RANKED_SEEDS,
    Distance,
    Gain,
    GainOutcome,
    PooledCell,
    pool,
    results_of,
    students_of,
)
from heistbench.leaderboard.board.family import Claim, Pair, claim, step_down
from heistbench.leaderboard.board.statistics import Interval, Results, highest

NONE = "none"
"""The defense that is none, and the threat of an attack that never asks."""
ALPHA = 0.05
NOTHING = Interval(0.0, 0.0)
"""The interval of the difference between a student and itself."""

Place = tuple[str, str]
"""A cell's place in its panel: attack spec, defense spec."""
RecordsByPlace = Mapping[Place, Sequence[Record]]
Students = tuple[tuple[int, str], ...]
"""Seeds and the students that they made."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """The controls of one kind that never ask the victim, and the best of them with its accuracy and seeds.

    The interval is that of whichever is truly the best.
    """

    name: str
    accuracy: float
    interval: Interval
    seeds: int
    controls: tuple[str, ...]


class Controls:
    """Controls of one kind, against which students are held."""

    def __init__(self, arms: RecordsByPlace) -> None:
        self.arms = {named(*place): arms[place] for place in sorted(arms)}
        self.results = {name: results_of(arm) for name, arm in self.arms.items()}
        self.ranked = bool(arms) and all(len(arm) >= RANKED_SEEDS for arm in arms.values())
        self._students = {name: students_of(arm) for name, arm in self.arms.items()}

    @property
    def yardstick(self) -> Yardstick | None:
        """The best of them."""
        if not self.results:
            return None
        name = min(self.results, key=lambda name: -self.results[name].mean)
        best, interval = self.results[name], highest([arm.right for arm in self.results.values()])
        return Yardstick(name, best.mean, interval, len(best.seeds), tuple(self.results))

    def twin(self, students: Mapping[int, str]) -> str | None:
        """The control whose students these are, seed by seed."""
        return next((name for name, of_name in self._students.items() if students.items() <= of_name.items()), None)

    def distance(self, results: Results, students: Mapping[int, str]) -> Distance | None:
        """How far an arm is from the best of them."""
        if not self.results:
            return None
        if twin := self.twin(students):
            return Distance(twin, 0.0, NOTHING)
        claimed = claim(results, self.results)
        return Distance(claimed.over, claimed.mean, claimed.interval)


def yardsticks(controls: RecordsByPlace) -> tuple[Controls, Controls]:
    """The controls that never query the victim: those that anyone could run, and those that know the gold answers.

    They declare no threat. A bill without queries alone would not do: with a budget of no queries nobody has another.
    """
    idle = {place: arm for place, arm in controls.items() if all(record.arm.threat == NONE for record in arm)}
    feasible, gold = ({p: arm for p, arm in idle.items() if arm[0].arm.privileged is knows} for knows in (False, True))
    return Controls(feasible), Controls(gold)


def with_gains(attacks: RecordsByPlace, feasible: Controls, gold: Controls) -> dict[Place, PooledCell]:
    """Attack cells with their gain over the feasible controls and their distance from those that know the gold answers."""
    results = {place: results_of(attacks[place]) for place in sorted(attacks)}
    students = {place: students_of(attacks[place]) for place in results}
    cells = {
        place: replace(pool(attacks[place]), beyond_gold=gold.distance(results[place], students[place])) for place in results
    }
    if not feasible.results:
        return cells
    twins = {place: feasible.twin(students[place]) for place in results}
    claims = {place: claim(results[place], feasible.results) for place in results if not twins[place]}
    judged = {place: claims[place] for place in claims if feasible.ranked and cells[place].ranked}
    adjusted = _adjusted(judged, {place: tuple(students[place].items()) for place in judged})
    outcomes: dict[Place, GainOutcome] = dict.fromkeys(results, "unranked")
    outcomes |= {place: "same" for place, twin in twins.items() if twin}
    outcomes |= {place: _outcome(each, adjusted[place]) for place, each in judged.items()}
    for place, twin in twins.items():
        verdict = _credited(place, outcomes)
        gain = _same(twin, verdict) if twin else _gain(claims[place], adjusted.get(place), verdict)
        cells[place] = replace(cells[place], gain=gain)
    return cells


def named(attack: str, defense: str) -> str:
    """The name of a cell in a sentence."""
    return attack if defense == NONE else f"{attack} behind {defense}"


def _adjusted(claims: Mapping[Place, Claim], students: Mapping[Place, Students]) -> dict[Place, float]:
    """Adjusted p-values; cells that have the same students are one test."""
    tests = {students[place]: Pair(claims[place].new, claims[place].rival, claims[place].p) for place in sorted(claims)}
    p_values = dict(zip(tests, step_down([*tests.values()]), strict=True))
    return {place: p_values[students[place]] for place in claims}


def _gain(claimed: Claim, p: float | None, verdict: GainOutcome) -> Gain:
    tested = None if p is None else claimed.p
    return Gain(claimed.over, claimed.mean, claimed.interval, tested, p, claimed.detectable, verdict)


def _same(twin: str, verdict: GainOutcome) -> Gain:
    """The gain of a control's own students: none, and nothing to test."""
    return Gain(twin, 0.0, NOTHING, None, None, None, verdict)


def _outcome(claimed: Claim, p: float) -> GainOutcome:
    if p < ALPHA and claimed.interval.low > 0:
        return "steals"
    if p < ALPHA and claimed.interval.high < 0:
        return "below control"
    return "tie"


def _credited(place: Place, outcomes: Mapping[Place, GainOutcome]) -> GainOutcome:
    """A defense gets credit only for stopping what steals without it; what steals through it is said in any case."""
    attack, defense = place
    if defense == NONE or outcomes[place] in ("steals", "unranked") or outcomes.get((attack, NONE)) == "steals":
        return outcomes[place]
    return "does not discriminate"
