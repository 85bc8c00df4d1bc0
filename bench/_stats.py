"""Statistics of 0/1 results, several seeds an arm: intervals, paired differences, Holm.

An arm is a matrix of shape (seeds, questions), 1.0 where the student was right. Two arms are compared on the same
questions, in the same order; their seeds are not paired. numpy and scipy are imported where they are needed:
`heist --help` must not wait for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

CONFIDENCE = 0.95
REPLICATES = 2000
SEED = 20260307


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean difference of two arms in accuracy, its interval, and a two-sided p-value for "no difference"."""

    mean: float
    interval: Interval
    p: float


def wilson(right: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval for a share of `right` in `n`; of nothing, all of [0, 1].

    Source: Wilson 1927, as in scipy.stats.
    """
    from scipy.stats import binomtest

    if n == 0:
        return Interval(0.0, 1.0)
    found = binomtest(right, n).proportion_ci(confidence, method="wilson")
    return Interval(float(found.low), float(found.high))


def arm_interval(matrix: Matrix, confidence: float = CONFIDENCE) -> Interval:
    """Interval of one arm's accuracy, pooled over seeds; `matrix` is (seeds, questions).

    Wilson for one seed, the two-way bootstrap for several. Where all results are equal a bootstrap sees no spread and
    would claim certainty: Wilson over the questions then, as more seeds are not more questions.
    """
    import numpy as np

    seeds, n = matrix.shape
    if seeds == 1 or matrix.min() == matrix.max():
        return wilson(int(matrix[0].sum()), n, confidence)
    found = _percentiles(_replicates(matrix, np.random.default_rng(SEED)), confidence)
    return Interval(max(0.0, found.low), min(1.0, found.high))


def paired_difference(new: Matrix, base: Matrix, confidence: float = CONFIDENCE) -> Difference:
    """`new` minus `base`, of shapes (seeds, questions) and (seeds', questions), the same questions in the same order.

    Interval: percentiles of a two-way bootstrap; each replicate draws questions once for both arms and seeds
    within each arm (Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics; for few seeds see `_replicates`).
    One seed in an arm shows no spread over seeds: the interval covers questions alone there. p: see `sign_flip_p`.
    Raises ValueError for different questions or none.
    """
    import numpy as np

    if new.shape[1] != base.shape[1] or not new.size or not base.size:
        raise ValueError(f"arms of shapes {new.shape} and {base.shape} cannot be paired")
    rng = np.random.default_rng(SEED)
    spread = _replicates(new, rng) - _replicates(base, rng)
    return Difference(float(new.mean() - base.mean()), _percentiles(spread, confidence), sign_flip_p(new, base))


def sign_flip_p(new: Matrix, base: Matrix) -> float:
    """Two-sided p-value of the sign-flip permutation test on the differences a question, each averaged over seeds.

    Exact, not sampled: differences are whole multiples of a unit, so the sum under random signs has a distribution that
    is a convolution of one binomial for each size of difference. With one seed in both arms this is McNemar's exact
    test. Seeds are taken as given: their spread is in the interval, not here.
    """
    import numpy as np
    from scipy.stats import binom

    differences = np.rint(new.sum(0) * len(base) - base.sum(0) * len(new)).astype(np.int64)
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    if not sizes.size:
        return 1.0
    unit = int(np.gcd.reduce(sizes))
    masses = []
    for size, count in zip((sizes // unit).tolist(), counts.tolist(), strict=True):
        mass = np.zeros(size * count + 1)
        mass[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        masses.append(mass)
    mass = reduce(np.convolve, masses)
    sums = 2 * np.arange(len(mass)) - (len(mass) - 1)
    return min(1.0, float(mass[np.abs(sums) >= abs(int(differences.sum())) // unit].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given. Source: Holm 1979."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = least
    return adjusted


def _weights(n: int, rng: np.random.Generator) -> Matrix:
    """Bootstrap weights, (replicates, n): how often each of `n` was drawn in `n` draws, over `n`."""
    import numpy as np

    rows = np.arange(REPLICATES)[:, None] * n
    drawn = np.bincount((rng.integers(0, n, (REPLICATES, n)) + rows).ravel(), minlength=REPLICATES * n)
    return drawn.reshape(REPLICATES, n) / n


@lru_cache(maxsize=2)
def _question_weights(n: int) -> Matrix:
    """The same draws for every arm with `n` questions: this is what pairs two arms."""
    import numpy as np

    return _weights(n, np.random.default_rng([SEED, n]))


def _replicates(matrix: Matrix, rng: np.random.Generator) -> Matrix:
    """Bootstrapped accuracies of an arm, (replicates,); seeds are drawn from `rng`.

    Drawing three of three shows two thirds of their variance: weights are stretched by what is missing (the rescaled
    bootstrap, Rao and Wu 1988).
    """
    import numpy as np

    seeds, n = matrix.shape
    stretched = 1 / seeds + (_weights(seeds, rng) - 1 / seeds) * np.sqrt(seeds / max(1, seeds - 1))
    found: Matrix = np.einsum("bs,bs->b", _question_weights(n) @ matrix.T, stretched)
    return found


def _percentiles(values: Matrix, confidence: float) -> Interval:
    import numpy as np

    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


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
    from scipy.stats import chi2

    n = first.shape[1]
    centred = [outcome - outcome.mean(axis=1, keepdims=True) for outcome in (first, second)]
    variance = ((centred[0] @ centred[0].T) * (centred[1] @ centred[1].T)).sum() / max(1, n - 1)
    if variance <= 0:
        return None
    statistic = float((centred[0] * centred[1]).sum() ** 2 / variance)
    return Association(statistic, float(chi2.sf(statistic, 1)))
