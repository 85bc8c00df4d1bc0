"""The board: a pure function of records. Attacks down, defenses across, controls apart, one panel for each protocol."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from heistbench.bench._errors import HeistError
from heistbench.bench._record import Record
from heistbench.bench._stats import Difference, holm, paired_difference
from heistbench.leaderboard.cells import RANKED_SEEDS, Cell, Gain, Outcome, matrix, means, pool
from heistbench.leaderboard.comparable import check, generation

NONE = "none"
"""The defense that is none."""
ALPHA = 0.05

Place = tuple[str, str]
"""A cell's place in its panel: attack spec, defense spec."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attack or control, a cell for each of the panel's defenses; None where the pair was not run."""

    attack: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One defense: what an honest user gets through it, and the strongest attack on it.

    `worst_accuracy`, the highest student accuracy over attacks, is the robust score: a stronger attack can only make it
    worse. `missing` names the attacks that were not run against this defense.
    """

    defense: str
    versions: tuple[str, ...]
    touches: tuple[str, ...]
    random: bool
    stateful: bool
    utility: dict[str, float]
    worst_attack: str | None
    worst_accuracy: float | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """All results that may be compared with each other: one task, one exam, one victim, one student, one protocol.

    `baseline` names the best control that never queried the victim, None where there is none (gains are missing then).
    """

    task: str
    task_name: str
    task_version: str
    exam: str
    victim: str
    student: str
    n: int
    baseline: str | None
    signature: str | None
    defenses: tuple[Column, ...]
    attacks: tuple[Row, ...]
    controls: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """Every panel, in the order of task, victim and student."""

    panels: tuple[Panel, ...]

    def to_json(self) -> str:
        """The board as JSON: the same text for the same records in any order; numbers to nine digits."""
        return json.dumps(_rounded(asdict(self)), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def build(records: Sequence[Record]) -> Board:
    """The board of these records, whatever their order.

    Raises HeistError when records of one panel were not made in the same way, or when a cell has one seed twice.
    """
    groups: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: (str(r.path()), r.arm.seed)):
        arm = record.arm
        versions = generation(arm.task.version), generation(arm.exam.version)
        groups[arm.task.spec, arm.exam.spec, *versions, victim_label(record), arm.student].append(record)
    return Board(tuple(_panel(groups[key]) for key in sorted(groups)))


def victim_label(record: Record) -> str:
    """`victim-release`."""
    return "-".join(filter(None, (record.arm.victim, record.arm.release)))


def _panel(records: Sequence[Record]) -> Panel:
    check(records)
    attacks, controls = (_arms([r for r in records if r.arm.control is control]) for control in (False, True))
    idle = {place: arm for place, arm in controls.items() if not any(r.bill.queries for r in arm)}
    scored, baseline = _with_gains(attacks, idle)
    pooled = {place: pool(arm) for place, arm in controls.items()}
    columns = _columns(records, scored)
    defenses = [column.defense for column in columns]
    arm = records[0].arm
    return Panel(
        task=arm.task.spec,
        task_name=arm.task.name,
        task_version=min(r.arm.task.version for r in records),
        exam=arm.exam.spec,
        victim=victim_label(records[0]),
        student=arm.student,
        n=records[0].exam.n,
        baseline=baseline,
        signature=next((r.overlap.signature for r in records if r.overlap), None),
        defenses=columns,
        attacks=_rows(scored, defenses),
        controls=_rows(pooled, defenses),
    )


def _arms(records: Sequence[Record]) -> dict[Place, list[Record]]:
    """Records by place, in the order of seeds. Raises HeistError for a seed that is there twice."""
    arms: dict[Place, dict[int, Record]] = defaultdict(dict)
    for record in records:
        arm = record.arm
        held = arms[arm.attack.spec, arm.defense].setdefault(arm.seed, record)
        if held is not record:
            raise HeistError(f"one cell is there twice: {record.path()}, of suites {held.arm.suite} and {arm.suite}")
    return {place: [by_seed[seed] for seed in sorted(by_seed)] for place, by_seed in arms.items()}


def _with_gains(
    attacks: Mapping[Place, list[Record]], idle: Mapping[Place, list[Record]]
) -> tuple[dict[Place, Cell], str | None]:
    """Attack cells with their gain over the best control in `idle`, and that control's name."""
    cells = {place: pool(arm) for place, arm in attacks.items()}
    if not idle:
        return cells, None
    base = min(sorted(idle), key=lambda place: -matrix(idle[place]).mean())
    name, results = _named(base), matrix(idle[base])
    found = {place: paired_difference(matrix(arm), results) for place, arm in attacks.items()}
    adjusted = dict(zip(found, holm([d.p for d in found.values()]), strict=True))
    judged = len(idle[base]) >= RANKED_SEEDS
    outcomes: dict[Place, Outcome] = {
        place: _outcome(d, adjusted[place]) if judged and cells[place].ranked else "unranked" for place, d in found.items()
    }
    for place, d in found.items():
        verdict = _credited(place, outcomes)
        gain = Gain(name, mean=d.mean, interval=d.interval, p=d.p, p_holm=adjusted[place], verdict=verdict)
        cells[place] = replace(cells[place], gain=gain)
    return cells, name


def _named(place: Place) -> str:
    attack, defense = place
    return attack if defense == NONE else f"{attack} behind {defense}"


def _outcome(difference: Difference, p: float) -> Outcome:
    if p < ALPHA and difference.interval.low > 0:
        return "steals"
    if p < ALPHA and difference.interval.high < 0:
        return "worse"
    return "tie"


def _credited(place: Place, outcomes: Mapping[Place, Outcome]) -> Outcome:
    """A defense gets credit only for stopping what steals without it; what steals through it is said in any case."""
    attack, defense = place
    if defense == NONE or outcomes[place] in ("steals", "unranked") or outcomes.get((attack, NONE)) == "steals":
        return outcomes[place]
    return "does not discriminate"


def _columns(records: Sequence[Record], cells: Mapping[Place, Cell]) -> tuple[Column, ...]:
    """Undefended first, then ranked defenses by robust score, then the others by name."""
    by_defense: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_defense[record.arm.defense].append(record)
    attacks = {attack for attack, _ in cells}
    worst = {d: _worst([c for (_, defense), c in cells.items() if defense == d]) for d in by_defense}
    columns = [
        Column(
            defense=defense,
            versions=tuple(part.version for part in here[0].arm.defenses),
            touches=tuple(sorted({touch for part in here[0].arm.defenses for touch in part.touches})),
            random=any(part.random for part in here[0].arm.defenses),
            stateful=any(part.stateful for part in here[0].arm.defenses),
            utility=means(r.utility.model_dump() for r in here),
            worst_attack=cell.attack if (cell := worst[defense]) else None,
            worst_accuracy=cell.accuracy if cell else None,
            missing=tuple(sorted(attack for attack in attacks if (attack, defense) not in cells)),
        )
        for defense, here in by_defense.items()
    ]
    return tuple(sorted(columns, key=lambda c: (c.defense != NONE, *_rank(worst[c.defense], 1), c.defense)))


def _worst(cells: Sequence[Cell]) -> Cell | None:
    return min(cells, key=lambda cell: (-cell.accuracy, cell.attack), default=None)


def _rank(cell: Cell | None, sign: int) -> tuple[bool, float]:
    """Sorts ranked cells by accuracy (`sign` 1: low first, -1: high first) and before all unranked ones."""
    return (False, sign * cell.accuracy) if cell and cell.ranked else (True, 0.0)


def _rows(cells: Mapping[Place, Cell], defenses: Sequence[str]) -> tuple[Row, ...]:
    """Ranked attacks by undefended accuracy, then the others by name."""
    attacks = sorted({attack for attack, _ in cells}, key=lambda a: (*_rank(cells.get((a, NONE)), -1), a))
    return tuple(Row(attack, tuple(cells.get((attack, defense)) for defense in defenses)) for attack in attacks)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, (list, tuple)) else value
