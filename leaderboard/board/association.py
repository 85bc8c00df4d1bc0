"""Association: whether two 0/1 outcomes of the same questions go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heistbench.leaderboard.board.statistics import Matrix


@dataclass(frozen=True, slots=True)
class Association:
    """Whether two 0/1 outcomes of the same questions go together: chi-square with one degree of freedom, and its p-value."""

    chi2: float
    p: float


def association(first: Matrix, second: Matrix) -> Association | None:
    """Test of independence of two outcomes, each (seeds, questions); None where one of them never varies.

    Questions are exchanged, a question's seeds staying together, and the sum of products is compared with its mean and
    variance over all exchanges (Hoeffding 1951, A combinatorial central limit theorem). With one seed this is Pearson's
    chi-square of the 2x2 table times (n - 1) / n.
    """
    from scipy.special import chdtrc

    n = first.shape[1]
    centred = [outcome - outcome.mean(axis=1, keepdims=True) for outcome in (first, second)]
    variance = ((centred[0] @ centred[0].T) * (centred[1] @ centred[1].T)).sum() / max(1, n - 1)
    if variance <= 0:
        return None
    statistic = float((centred[0] * centred[1]).sum() ** 2 / variance)
    return Association(statistic, float(chdtrc(1, statistic)))
