"""Gains: what an attack's student has over the best control that never queried the victim, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.cells import RANKED_SEEDS, Gain, GainOutcome, PooledCell, matrix, pool
from heistbench.leaderboard.board.statistics import Difference, holm, paired_difference

NONE = "none"
"""The defense that is none, and the threat of an attack that never asks."""
ALPHA = 0.05

Place = tuple[str, str]
"""A cell's place in its panel: attack spec, defense spec."""
RecordsByPlace = Mapping[Place, Sequence[Record]]


def idle(controls: RecordsByPlace) -> RecordsByPlace:
    """The controls that never query the victim: they declare no threat, and a record of theirs has no query on its bill.

    A bill alone would not do: with a budget of no queries nobody has one.
    """
    return {place: arm for place, arm in controls.items() if all(record.arm.threat == NONE for record in arm)}


def with_gains(attacks: RecordsByPlace, controls: RecordsByPlace) -> tuple[dict[Place, PooledCell], str | None]:
    """Attack cells with their gain over the best of these controls, and that control's name."""
    cells = {place: pool(arm) for place, arm in attacks.items()}
    if not controls:
        return cells, None
    base = min(sorted(controls), key=lambda place: -matrix(controls[place]).mean())
    name, results = named(*base), matrix(controls[base])
    differences = {place: paired_difference(matrix(arm), results) for place, arm in attacks.items()}
    adjusted = dict(zip(differences, holm([d.p for d in differences.values()]), strict=True))
    judged = len(controls[base]) >= RANKED_SEEDS
    outcomes: dict[Place, GainOutcome] = {
        place: _outcome(d, adjusted[place]) if judged and cells[place].ranked else "unranked" for place, d in differences.items()
    }
    for place, d in differences.items():
        verdict = _credited(place, outcomes)
        gain = Gain(name, mean=d.mean, interval=d.interval, p=d.p, p_holm=adjusted[place], verdict=verdict)
        cells[place] = replace(cells[place], gain=gain)
    return cells, name


def named(attack: str, defense: str) -> str:
    """The name of a cell in a sentence."""
    return attack if defense == NONE else f"{attack} behind {defense}"


def _outcome(difference: Difference, p: float) -> GainOutcome:
    if p < ALPHA and difference.interval.low > 0:
        return "steals"
    if p < ALPHA and difference.interval.high < 0:
        return "below control"
    return "tie"


def _credited(place: Place, outcomes: Mapping[Place, GainOutcome]) -> GainOutcome:
    """A defense gets credit only for stopping what steals without it; what steals through it is said in any case."""
    attack, defense = place
    if defense == NONE or outcomes[place] in ("steals", "unranked") or outcomes.get((attack, NONE)) == "steals":
        return outcomes[place]
    return "does not discriminate"
