"""History: every attack and defense over the releases of one victim, and what changed from each release to the next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.build import build
from heistbench.leaderboard.board.gains import NONE
from heistbench.leaderboard.board.panel import Panel
from heistbench.leaderboard.compare.comparison import Cells, Compared, Comparison, Side, cell_of, cells_of, compare

HistoryPlace = tuple[bool, int, str, str]
"""A line of a history: control, budget, attack, defense."""


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One attack or control behind one defense: a point for each release, None where it was not run.

    `steps` says what changed since the release before; None for the first release, and where there is nothing to compare.
    """

    attack: str
    defense: str
    control: bool
    budget: int
    points: tuple[Side | None, ...]
    steps: tuple[Compared | None, ...]


@dataclass(frozen=True, slots=True)
class History:
    """One contest over the releases of its victim; attacks first, then controls.

    `breaks` says for each release why it cannot be compared with the one before, None where it can.
    """

    task: str
    exam: str
    student: str
    victim: str
    releases: tuple[str, ...]
    lines: tuple[HistoryLine, ...]
    breaks: tuple[str | None, ...]


def history_of(records: Sequence[Record], panels: Iterable[Panel] | None = None) -> History | None:
    """The history of a contest, that is of records of one task, exam, student and victim; None with fewer than two releases.

    `panels` are those of these records, if they are built already.
    """
    releases = sorted({record.arm.release for record in records}, key=natural)
    if len(releases) < 2:
        return None
    by_release = [[record for record in records if record.arm.release == release] for release in releases]
    cells = cells_of(build(records).panels if panels is None else panels)
    points = [_points(of_release, cells) for of_release in by_release]
    steps: list[tuple[dict[HistoryPlace, Compared], str | None]] = [({}, None)]
    steps += [_step(before, after, cells) for before, after in pairwise(by_release)]
    arm = records[0].arm
    return History(
        task=arm.task.spec,
        exam=arm.exam.spec,
        student=arm.student,
        victim=arm.victim,
        releases=tuple(releases),
        lines=tuple(
            _line(place, [sides.get(place) for sides in points], [changes.get(place) for changes, _ in steps])
            for place in sorted({place for sides in points for place in sides}, key=_undefended_first)
        ),
        breaks=tuple(why for _, why in steps),
    )


def natural(release: str) -> tuple[list[tuple[int, str]], str]:
    """A sort key in which numbers count as numbers: 2 before 10, v1.9 before v1.10."""
    parts = [part.lstrip("0") if at % 2 else part for at, part in enumerate(re.split("([0-9]+)", release))]
    return [(len(part) if at % 2 else 0, part) for at, part in enumerate(parts)], release


def _points(records: Sequence[Record], cells: Cells) -> dict[HistoryPlace, Side]:
    return {
        (arm.control, arm.budget, arm.attack.spec, arm.defense): Side.of(record, cell_of(cells, record))
        for record in records
        for arm in [record.arm]
    }


def _step(before: Sequence[Record], after: Sequence[Record], cells: Cells) -> tuple[dict[HistoryPlace, Compared], str | None]:
    try:
        comparison: Comparison = compare(before, after, (cells, cells))
    except HeistError as error:
        return {}, str(error)
    return {(pair.control, pair.budget, pair.new.attack, pair.new.defense): pair.compared for pair in comparison.pairs}, None


def _line(place: HistoryPlace, points: Sequence[Side | None], steps: Sequence[Compared | None]) -> HistoryLine:
    control, budget, attack, defense = place
    return HistoryLine(attack, defense, control, budget, tuple(points), tuple(steps))


def _undefended_first(place: HistoryPlace) -> tuple[bool, int, str, bool, str]:
    control, budget, attack, defense = place
    return control, budget, attack, defense != NONE, defense
