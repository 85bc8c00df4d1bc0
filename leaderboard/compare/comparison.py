"""Comparisons: what students of the same attacks, and honest users, got before and after.

Two sources are compared (runs, releases of a victim, revisions of the results), or two attacks, or two defenses, within one.
Students are paired question by question and, where they have the same seeds, seed by seed. `better` and `worse` are from the
defender's point of view: `worse` means that students get more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.registry import suggest
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.build import build
from heistbench.leaderboard.board.cells import PooledCell, results_of, students_of
from heistbench.leaderboard.board.family import Pair as Tested
from heistbench.leaderboard.board.family import step_down
from heistbench.leaderboard.board.gains import ALPHA, NONE, NOTHING
from heistbench.leaderboard.board.measured import all_cells
from heistbench.leaderboard.board.panel import Panel, victim_label
from heistbench.leaderboard.board.statistics import Difference, Interval, paired_difference
from heistbench.leaderboard.compare.pairing import RecordsByArm, Twice, arms_of, pair
from heistbench.leaderboard.compare.users import UserChange, user_changes
from heistbench.leaderboard.words import clean

Change = Literal["worse", "better", "tie", "same", "does not discriminate", "unranked"]
CHANGES: tuple[Change, ...] = ("worse", "better", "tie", "same", "does not discriminate", "unranked")
"""In the order of a table: what matters most stands first."""
Cells = Mapping[tuple[Any, ...], PooledCell]
"""Cells with their gains, by task, exam, victim, student, budget, attack and defense."""


@dataclass(frozen=True, slots=True)
class Side:
    """One arm of a pair, pooled over seeds."""

    victim: str
    defense: str
    attack: str
    accuracy: float
    interval: Interval
    n: int
    seeds: tuple[int, ...]
    ranked: bool

    @classmethod
    def of(cls, record: Record, cell: PooledCell) -> Side:
        """The side that a cell is, by any of its records."""
        about = victim_label(record), cell.defense, cell.attack
        return cls(*about, cell.accuracy, cell.interval, cell.n, cell.seeds, cell.ranked)


@dataclass(frozen=True, slots=True)
class Compared:
    """New minus base in student accuracy.

    p and p_adjusted, over all different pairs, are None where nothing is tested: the students are the same, or unranked.
    `detectable` is the smallest true difference that these questions and seeds would show four times in five; None where the
    students are the same.
    """

    mean: float
    interval: Interval
    p: float | None
    p_adjusted: float | None
    detectable: float | None
    verdict: Change


@dataclass(frozen=True, slots=True)
class Pair:
    """Two arms that share all but what is compared; `idle` are controls that never query the victim."""

    task: str
    exam: str
    student: str
    budget: int
    control: bool
    idle: bool
    base: Side
    new: Side
    compared: Compared


@dataclass(frozen=True, slots=True)
class Comparison:
    """Pairs of attacks and of controls, worst first, and honest users behind each defense.

    `sides` names the two, `only` lists the arms that the other one lacks.
    """

    sides: tuple[str, str]
    pairs: tuple[Pair, ...]
    users: tuple[UserChange, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]

    def attacks(self) -> list[Pair]:
        """The pairs among which regressions are looked for."""
        return [pair for pair in self.pairs if not pair.control]

    def moved(self) -> list[Pair]:
        """Controls that differ though they never query the victim: attacks differ for other reasons too then."""
        return [pair for pair in self.pairs if pair.idle and pair.compared.verdict in ("worse", "better")]

    def regressions(self, threshold: float = 0.0) -> list[Pair]:
        """The attacks whose students get significantly more than before, by more than `threshold` in accuracy."""
        return [pair for pair in self.attacks() if pair.compared.verdict == "worse" and pair.compared.mean > threshold]

    def losses(self, threshold: float = 0.0) -> list[UserChange]:
        """The defenses behind which honest users get significantly less than before, by more than `threshold`."""
        return [users for users in self.users if users.verdict == "users get less" and -users.mean > threshold]

    def unjudged(self) -> list[Pair]:
        """The attacks of which nothing can be said: whether they are regressions is not known."""
        return [pair for pair in self.attacks() if pair.compared.verdict == "unranked"]


def compare(
    base: Sequence[Record],
    new: Sequence[Record],
    cells: tuple[Cells, Cells] | None = None,
    changed: Collection[str] = (),
) -> Comparison:
    """Pair the arms of two sources and compare them, new minus base; `cells` are those of both, if they are made already.

    Releases are paired with each other where each source has one release of each victim; else arms of the same release are.
    `changed` names plugins whose versions and parameters may differ, as it is they that are compared. Raises HeistError when
    nothing pairs or records were not made in the same way, naming the field and both files.
    """
    apart = "release" if _one_release(base) and _one_release(new) else ""
    return _compare(("base", "new"), (base, new), apart, lambda: cells or (_cells(base), _cells(new)), changed)


def compare_within(records: Sequence[Record], kind: Literal["attack", "defense"], a: str, b: str) -> Comparison:
    """Compare two attacks, or two defenses, of one source: `b` minus `a`, for each of what they share.

    Defenses are compared by attacks alone: controls are run undefended. Raises HeistError when one of the two is not there, and
    as `compare` does.
    """
    field = {"attack": "attack.spec", "defense": "defense"}[kind]
    value = attrgetter(f"arm.{field}")
    eligible = [record for record in records if kind == "attack" or not record.arm.control]
    there = {value(record) for record in eligible}
    if missing := {a, b} - there:
        name = min(missing)
        raise HeistError(clean(f"no results of {kind} {name!r}{suggest(name, there)}"))
    first, second = ([record for record in eligible if value(record) == name] for name in (a, b))
    return _compare(("A", "B"), (first, second), field, lambda: (_cells(records),) * 2)


def cells_of(panels: Iterable[Panel]) -> Cells:
    """The cells of some panels."""
    return {
        (panel.task, panel.exam, panel.victim, panel.student, panel.budget, cell.attack, cell.defense): cell
        for panel in panels
        for cell in all_cells(panel)
    }


def cell_of(cells: Cells, record: Record) -> PooledCell:
    """The cell that a record is part of."""
    arm = record.arm
    about = arm.task.spec, arm.exam.spec, victim_label(record), arm.student, arm.budget
    return cells[*about, arm.attack.spec, arm.defense]


def _cells(records: Sequence[Record]) -> Cells:
    return cells_of(build(records).panels)


def _one_release(records: Iterable[Record]) -> bool:
    releases = {(record.arm.victim, record.arm.release) for record in records}
    return len(releases) == len({victim for victim, _ in releases})


def _compare(
    sides: tuple[str, str],
    chosen: Twice,
    apart: str,
    cells: Callable[[], tuple[Cells, Cells]],
    changed: Collection[str] = (),
) -> Comparison:
    """Pair and judge; cells are made last, as errors of pairing say more."""
    base, new = (arms_of(records, {apart}) for records in chosen)
    paired = pair(sides, base, new, changed)
    before, after = cells()
    arms = [(old, cell_of(before, old[0]), late, cell_of(after, late[0])) for old, late in paired]
    # Attacks and controls are two families of tests: one finds regressions, the other whether the ground moved.
    families = ([arm for arm in arms if _is_control(arm) is control] for control in (False, True))
    pairs = sorted((judged for family in families for judged in _judged(family)), key=_worst_first)
    users = [] if apart == "attack.spec" else user_changes(paired)
    return Comparison(sides, tuple(pairs), tuple(users), (_without(base, new), _without(new, base)))


def _without(mine: RecordsByArm, other: RecordsByArm) -> tuple[str, ...]:
    """The arms that the other source lacks, as sentences: the path of their records."""
    return tuple(sorted(records[0].path().parent.as_posix() for key, records in mine.items() if key not in other))


_Arms = tuple[Sequence[Record], PooledCell, Sequence[Record], PooledCell]
"""Base and new, each with the cell it makes."""


def _is_control(arms: _Arms) -> bool:
    base, _, new, _ = arms
    return base[0].arm.control and new[0].arm.control


def _judged(family: Sequence[_Arms]) -> list[Pair]:
    """The pairs of one family. Those that are ranked and different are tested, each pair of students once."""
    differences = [paired_difference(results_of(new), results_of(base)) for base, _, new, _ in family]
    tests: dict[str, Tested] = {}
    for (base, before, new, after), difference in zip(family, differences, strict=True):
        if before.ranked and after.ranked and not _same(base, new):
            tests[_students(base, new)] = Tested(results_of(new), results_of(base), difference.p)
    adjusted = dict(zip(tests, step_down([*tests.values()]), strict=True))
    return [_pair(arms, d, adjusted.get(_students(arms[0], arms[2]))) for arms, d in zip(family, differences, strict=True)]


def _students(base: Sequence[Record], new: Sequence[Record]) -> str:
    return repr([students_of(base), students_of(new)])


def _same(base: Sequence[Record], new: Sequence[Record]) -> bool:
    """Whether both sides examined the same students."""
    return students_of(base) == students_of(new)


def _pair(arms: _Arms, difference: Difference, p: float | None) -> Pair:
    base, before, new, after = arms
    arm = new[0].arm
    return Pair(
        task=arm.task.spec,
        exam=arm.exam.spec,
        student=arm.student,
        budget=arm.budget,
        control=_is_control(arms),
        idle=_is_control(arms) and {base[0].arm.threat, arm.threat} == {NONE},
        base=Side.of(base[0], before),
        new=Side.of(new[0], after),
        compared=_compared(arms, difference, p),
    )


def _compared(arms: _Arms, difference: Difference, p: float | None) -> Compared:
    base, before, new, after = arms
    if _same(base, new):
        return Compared(0.0, NOTHING, None, None, None, "same")
    verdict = _verdict(difference, p, _discriminates(before) or _discriminates(after))
    tested = None if p is None else difference.p
    return Compared(difference.mean, difference.interval(), tested, p, difference.detectable, verdict)


def _verdict(difference: Difference, p: float | None, discriminates: bool) -> Change:
    if p is None:
        return "unranked"
    if p < ALPHA and difference.interval().low > 0:
        return "worse"
    if p < ALPHA and difference.interval().high < 0:
        return "better"
    return "tie" if discriminates else "does not discriminate"


def _discriminates(cell: PooledCell) -> bool:
    """False where an attack gains nothing over the controls, here or undefended: then a tie says nothing.

    True where that is not known: for controls themselves, and without a control that never queried the victim.
    """
    if cell.gain is None or cell.gain.verdict in ("steals", "unranked"):
        return True
    return cell.defense != NONE and cell.gain.verdict != "does not discriminate"


def _worst_first(pair: Pair) -> tuple[Any, ...]:
    change = pair.compared
    about = pair.task, pair.exam, pair.new.victim, pair.student, pair.budget, pair.control
    return (*about, CHANGES.index(change.verdict), -abs(change.mean), pair.new.attack, pair.new.defense, pair.base.attack)
