"""A contest in one line: what those who defend, those who attack and those who ship releases look for first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.gains import NONE
from heistbench.leaderboard.board.panel import Column, Panel, present
from heistbench.leaderboard.compare.releases import History
from heistbench.leaderboard.pages.contest import Contest, ContestName


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """Attacks whose students get significantly less, or more, than from the release before; `broken` where none compares."""

    better: int
    worse: int
    broken: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """The newest release at the largest budget.

    `strongest` is the undefended attack that teaches most. `robust` is the defense of the lowest worst case, which is `worst`,
    among those that every attack was run against; None where no undefended attack is known to steal.
    """

    name: ContestName
    folder: str
    task_name: str
    releases: tuple[str, ...]
    n: int
    budget: int
    strongest: PooledCell | None
    robust: Column | None
    worst: PooledCell | None
    changes: ChangeCounts | None


def summary_of(contest: Contest) -> Summary:
    """The line of a contest."""
    panel = max(contest.releases[0].board.panels, key=lambda panel: panel.budget)
    attacks = [*present(panel.attacks)]
    strongest = _most(cell for cell in attacks if cell.defense == NONE)
    robust = _robust(panel) if strongest and strongest.gain and strongest.gain.verdict in ("steals", "unranked") else None
    return Summary(
        name=contest.name,
        folder=contest.name.folder,
        task_name=panel.task_name,
        releases=tuple(release.name for release in contest.releases),
        n=panel.n,
        budget=panel.budget,
        strongest=strongest,
        robust=robust,
        worst=_most(cell for cell in attacks if robust and cell.defense == robust.defense),
        changes=_changes(contest.history),
    )


def _most(cells: Iterable[PooledCell]) -> PooledCell | None:
    return min(cells, key=lambda cell: (-cell.accuracy, cell.attack), default=None)


def _robust(panel: Panel) -> Column | None:
    """Columns stand in the order of their worst case."""
    return next((c for c in panel.defenses if c.defense != NONE and c.worst and not c.worst.missing), None)


def _changes(history: History | None) -> ChangeCounts | None:
    if history is None:
        return None
    counts = Counter(line.steps[-1].verdict for line in history.lines if line.steps[-1] and not line.control)
    return ChangeCounts(counts["better"], counts["worse"], history.breaks[-1] is not None)
