"""A panel: all results that may be compared with each other. Attacks down, defenses across, controls apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.cells import PooledCell, means, pool
from heistbench.leaderboard.board.comparable import check
from heistbench.leaderboard.board.flags import contamination, flags
from heistbench.leaderboard.board.gains import NONE, Place, Yardstick, named, with_gains, yardsticks
from heistbench.leaderboard.board.worst import Worst, ensemble_of, worst_of


@dataclass(frozen=True, slots=True)
class Row:
    """One attack or control, a cell for each of the panel's defenses; None where the pair was not run."""

    attack: str
    cells: tuple[PooledCell | None, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One defense: what an honest user gets through it, and the strongest attack on it.

    `worst`, the highest student accuracy over attacks, is the robust score: a stronger attack can only raise it. `ensemble` is
    the same over the attacks that the suite ships with, which no submission changes. Each is None where nothing of it was run.
    """

    defense: str
    versions: tuple[str, ...]
    touches: tuple[str, ...]
    random: bool
    utility: dict[str, float]
    worst: Worst | None
    ensemble: Worst | None


@dataclass(frozen=True, slots=True)
class Setting:
    """Who robs whom of what: what the panels of one sweep share."""

    task: str
    task_name: str
    task_version: str
    exam: str
    victim: str
    student: str


@dataclass(frozen=True, slots=True)
class Panel(Setting):
    """One setting, one budget of queries, one protocol.

    `feasible` is what anyone could do without the victim, None where no such control was run (gains are missing then); `gold` is
    what a thief could do who knows the gold answers; `signatures` says how each overlap was measured; `contamination` is the
    largest share that any record states, by the two splits it is about; `flags` are what the panel says against itself.
    """

    budget: int
    n: int
    feasible: Yardstick | None
    gold: Yardstick | None
    signatures: dict[str, str]
    defenses: tuple[Column, ...]
    attacks: tuple[Row, ...]
    controls: tuple[Row, ...]
    contamination: dict[str, float]
    flags: tuple[str, ...]

    def control(self, yardstick: Yardstick | None) -> PooledCell | None:
        """The cell of the best control of a kind."""
        name = yardstick and yardstick.name
        return next((cell for cell in present(self.controls) if named(cell.attack, cell.defense) == name), None)


class CellKey(NamedTuple):
    """What tells the cells of one contest apart: victim with release, budget, and place in the panel."""

    victim: str
    budget: int
    attack: str
    defense: str

    @classmethod
    def of(cls, panel: Panel, cell: PooledCell) -> CellKey:
        """The key of a panel's cell."""
        return cls(panel.victim, panel.budget, cell.attack, cell.defense)


def victim_label(record: Record) -> str:
    """`victim-release`."""
    return "-".join(filter(None, (record.arm.victim, record.arm.release)))


def present(rows: Sequence[Row]) -> Iterator[PooledCell]:
    """The cells of some rows, in their order."""
    return (cell for row in rows for cell in row.cells if cell)


def panel_of(records: Sequence[Record]) -> Panel:
    """The panel of these records.

    Raises HeistError when they were not made in the same way, or when a cell has one seed twice.
    """
    check(records)
    attacks, controls = (_arms([r for r in records if r.arm.control is control]) for control in (False, True))
    feasible, gold = yardsticks(controls)
    scored = with_gains(attacks, feasible, gold)
    columns = _columns(records, attacks, scored)
    defenses = [column.defense for column in columns]
    arm = records[0].arm
    return Panel(
        task=arm.task.spec,
        task_name=arm.task.name,
        task_version=min(r.arm.task.version for r in records),
        exam=arm.exam.spec,
        victim=victim_label(records[0]),
        student=arm.student,
        budget=arm.budget,
        n=records[0].exam.n,
        feasible=feasible.yardstick,
        gold=gold.yardstick,
        signatures={name: scores.signature for r in records for name, scores in r.overlap.items()},
        defenses=columns,
        attacks=_rows(scored, defenses),
        controls=_rows({place: pool(arm) for place, arm in controls.items()}, defenses),
        contamination=contamination(records),
        flags=flags(records, (feasible, gold), scored.values()),
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


def _columns(
    records: Sequence[Record], attacks: Mapping[Place, Sequence[Record]], cells: Mapping[Place, PooledCell]
) -> tuple[Column, ...]:
    """Undefended first, then ranked defenses by robust score, then the others by name."""
    by_defense: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_defense[record.arm.defense].append(record)
    known, ensemble = {attack for attack, _ in cells}, ensemble_of(records)
    behind = {d: {attack: attacks[attack, defense] for attack, defense in attacks if defense == d} for d in by_defense}
    worst = {d: worst_of(arms, known) for d, arms in behind.items()}
    columns = [
        Column(
            defense=defense,
            versions=tuple(part.version for part in here[0].arm.defenses),
            touches=tuple(sorted({touch for part in here[0].arm.defenses for touch in part.touches})),
            random=any(part.random for part in here[0].arm.defenses),
            utility=means(r.utility.model_dump() for r in here),
            worst=worst[defense],
            ensemble=worst_of({name: arm for name, arm in behind[defense].items() if name in ensemble}, ensemble),
        )
        for defense, here in by_defense.items()
    ]
    return tuple(sorted(columns, key=lambda c: (c.defense != NONE, *_rank(worst[c.defense], 1), c.defense)))


def _rank(cell: PooledCell | Worst | None, sign: int) -> tuple[bool, float]:
    """Sorts what is ranked by accuracy (`sign` 1: low first, -1: high first) and before all that is unranked."""
    return (False, sign * cell.accuracy) if cell and cell.ranked else (True, 0.0)


def _rows(cells: Mapping[Place, PooledCell], defenses: Sequence[str]) -> tuple[Row, ...]:
    """Ranked attacks by undefended accuracy, then the others by name."""
    attacks = sorted({attack for attack, _ in cells}, key=lambda a: (*_rank(cells.get((a, NONE)), -1), a))
    return tuple(Row(attack, tuple(cells.get((attack, defense)) for defense in defenses)) for attack in attacks)
