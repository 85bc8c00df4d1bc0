"""The board: a pure function of records. One panel for each setting, budget and protocol; sweeps over budgets beside them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.comparable import ATTACKED, check, generation
from heistbench.leaderboard.board.panel import Panel, panel_of, victim_label
from heistbench.leaderboard.board.sweep import Sweep, sweep_of


@dataclass(frozen=True, slots=True)
class Board:
    """Every panel, in the order of task, victim, student and budget; a sweep for each setting with several budgets."""

    panels: tuple[Panel, ...]
    sweeps: tuple[Sweep, ...] = ()

    def to_json(self) -> str:
        """The board as JSON, one line per panel or sweep: the same text whatever the order of records; numbers to nine digits."""
        panels, sweeps = (",\n".join(map(_line, part)) for part in (self.panels, self.sweeps))
        return f'{{"panels": [\n{panels}\n], "sweeps": [\n{sweeps}\n]}}\n'


def build(records: Sequence[Record]) -> Board:
    """The board of these records, whatever their order.

    Raises HeistError when records of one panel, or of one sweep, were not made in the same way, or when a cell has one seed
    twice.
    """
    settings: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: (str(r.path()), r.arm.seed)):
        settings[_setting(record)].append(record)
    by_budget = [_panels(settings[key]) for key in sorted(settings)]
    return Board(
        panels=tuple(panel for panels in by_budget for panel in panels),
        sweeps=tuple(sweep_of(panels) for panels in by_budget if len(panels) > 1),
    )


class Beside:
    """What records must fit beside. One of each kind tells whether the protocol and what names mean are the same."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._first: dict[Hashable, Record] = {}
        for record in records:
            for kind in _kinds(record):
                self._first.setdefault(kind, record)

    def fits(self, record: Record) -> bool:
        """Whether a record may stand on one board with these."""
        try:
            for other in filter(None, map(self._first.get, _kinds(record))):
                check([other, record], may_differ=ATTACKED if other.arm.budget != record.arm.budget else frozenset())
        except HeistError:
            return False
        return True


def _kinds(record: Record) -> Iterator[Hashable]:
    arm, setting = record.arm, _setting(record)
    yield setting
    yield from ((setting, name) for name in (arm.budget, ("attack", arm.attack.spec), ("defense", arm.defense)))


def _setting(record: Record) -> tuple[str, ...]:
    arm = record.arm
    versions = generation(arm.task.version), generation(arm.exam.version)
    return arm.task.spec, arm.exam.spec, *versions, victim_label(record), arm.student


def _panels(records: Sequence[Record]) -> list[Panel]:
    """The panels of one setting, in the order of budgets: results of different budgets are never pooled or compared."""
    check(records, may_differ=ATTACKED)
    budgets: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        budgets[record.arm.budget].append(record)
    return [panel_of(budgets[budget]) for budget in sorted(budgets)]


def _line(part: Panel | Sweep) -> str:
    return json.dumps(_rounded(asdict(part)), sort_keys=True, ensure_ascii=False, allow_nan=False)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, (list, tuple)) else value
