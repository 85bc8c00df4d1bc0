"""What a panel has measured: which cells have what, by which signatures and metrics."""

from __future__ import annotations

from collections.abc import Mapping

from heistbench.bench.scoring import overlap as _overlap
from heistbench.leaderboard.board.cells import PooledCell, PooledExposure, means
from heistbench.leaderboard.board.panel import Panel, present
from heistbench.leaderboard.board.traces import Traces

MetricValues = Mapping[str, float]
"""Values by the names of their metrics."""
HOUSE = "words"
"""The signature of the house: where a suite has it, it stands first."""

DRIFT = ("r02", "r01", "r12")
"""The overlaps of exposure: the benign hidden trace (0), the hidden trace under attack (1), the visible text (2)."""


def all_cells(panel: Panel) -> list[PooledCell]:
    """Every cell of attacks, then of controls, in the order of the panel."""
    return list(present((*panel.attacks, *panel.controls)))


def looted(panel: Panel) -> list[PooledCell]:
    """The cells with anything to train a student on."""
    return [cell for cell in all_cells(panel) if cell.loot["rows"]]


def traced(panel: Panel) -> list[tuple[PooledCell, Traces]]:
    """The cells whose students wrote traces that could be checked."""
    return [(cell, cell.traces) for cell in all_cells(panel) if cell.traces]


def prompted(panel: Panel) -> list[tuple[PooledCell, PooledExposure]]:
    """The cells of attacks by prompting whose exposure was measured."""
    return [(cell, cell.exposed) for cell in all_cells(panel) if cell.exposed]


def lost(panel: Panel) -> bool:
    """True where an outage swallowed a query, an attacker's or an honest user's."""
    return any(cell.lost for cell in all_cells(panel)) or any(column.utility["lost"] for column in panel.defenses)


def paid(panel: Panel) -> bool:
    """True where a theft cost money."""
    return any(cell.bill["dollars"] for cell in all_cells(panel))


def signatures(panel: Panel) -> list[str]:
    """Names of the signatures that overlap was measured by, the house's first."""
    return sorted(panel.signatures, key=lambda name: (name != HOUSE, name))


def overlapped(panel: Panel, signature: str) -> list[PooledCell]:
    """The cells with an overlap by this signature."""
    return [cell for cell in all_cells(panel) if signature in cell.overlap]


def metrics(panel: Panel, signature: str) -> list[str]:
    """The metrics of a signature that the panel has, in the order of their names."""
    return sorted({metric for cell in overlapped(panel, signature) for metric in cell.overlap[signature].stolen})


def headline(panel: Panel, signature: str) -> str:
    """The metric that stands for a signature."""
    return _overlap.headline(metrics(panel, signature))


def bounds(panel: Panel, signature: str) -> list[tuple[str, MetricValues]]:
    """Floors and ceiling of a signature's metrics: the same for all cells, but for the luck of computing them again."""
    overlaps = [cell.overlap[signature] for cell in overlapped(panel, signature)]
    return [
        ("floor: other question", means(overlap.floor_other_question for overlap in overlaps)),
        ("floor: surrogate", means(overlap.floor_surrogate for overlap in overlaps)),
        ("ceiling: victim again", means(overlap.ceiling_victim_again for overlap in overlaps)),
    ]
