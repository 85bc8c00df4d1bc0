"""Statistics of 0/1 results, several seeds per arm: intervals, paired differences, Holm.

An arm is a matrix of shape (seeds, questions), 1.0 where the student was right. Two arms are compared on the same
questions, in the same order; their seeds are not paired. numpy and scipy are imported where they are needed:
`heist --help` must not wait for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]

NORMAL = 1.959963984540054
"""The normal quantile of a 95% interval."""
POWER = 0.8
"""The chance of finding a difference that `detectable` names."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean difference of two arms in accuracy, its interval, and a two-sided p-value for "no difference".

    `detectable` is the smallest true difference that questions and seeds at hand would show at the 5% level four times in five.
    """

    mean: float
    interval: Interval
    p: float
    detectable: float


def wilson(right: float, n: float, quantile: float = NORMAL) -> Interval:
    """Wilson's score interval for a share of `right` in `n`; of nothing, all of [0, 1].

    `quantile` is that of the confidence wanted. Source: Wilson 1927, Journal of the American Statistical Association.
    """
    if n == 0:
        return Interval(0.0, 1.0)
    share, weight = right / n, quantile**2 / n
    centre = (share + weight / 2) / (1 + weight)
    half = quantile * (share * (1 - share) / n + weight / (4 * n)) ** 0.5 / (1 + weight)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def arm_interval(matrix: Matrix) -> Interval:
    """95% interval of one arm's accuracy, pooled over seeds; `matrix` is (seeds, questions).

    Wilson's, of as many questions as would alone give the standard error that questions and seeds give together (Korn and
    Graubard 1998, Survey Methodology). With one seed, or where all results are equal, that is Wilson's of the questions.
    """
    n, share = matrix.shape[1], float(matrix.mean())
    if len(matrix) == 1 or not 0 < share < 1:
        return wilson(share * n, n)
    error = _error(matrix.mean(0), [matrix], pseudo=0.0)
    effective = share * (1 - share) / error.variance
    return wilson(share * effective, effective, error.quantile(0.975))


def paired_difference(new: Matrix, base: Matrix) -> Difference:
    """`new` minus `base`, of shapes (seeds, questions) and (seeds', questions), the same questions in the same order.

    The variance of the mean difference is that of its questions, which pair the arms, plus that of each arm's seeds, which do not
    pair: a little more than the truth, as the noise of single replies is in each part. Seeds are few, so quantiles are Student's
    at Satterthwaite's degrees of freedom. One discordant pair more than there are keeps an interval from vanishing (Agresti and
    Min 2005). One seed in both arms shows no spread over seeds: the interval covers questions alone there. A bootstrap over
    questions and seeds instead covers 88% where three seeds differ much (`tests/leaderboard/bench_statistics.py`).
    p: the larger of this t-test's and the exact `sign_flip_p`. Far out in the tails, where a correction for many pairs looks, the
    freedom of questions would promise too much: there it counts only seeds. Raises ValueError for different questions or none.
    """
    from scipy.special import stdtr

    if new.shape[1] != base.shape[1] or not new.size or not base.size:
        raise ValueError(f"arms of shapes {new.shape} and {base.shape} cannot be paired")
    mean, error = float(new.mean() - base.mean()), _error(new.mean(0) - base.mean(0), [new, base], pseudo=1.0)
    size, high = error.variance**0.5, error.quantile(0.975)
    freedom = min(error.freedom, sum(len(arm) - 1 for arm in (new, base)) or error.freedom)
    return Difference(
        mean=mean,
        interval=Interval(max(-1.0, mean - high * size), min(1.0, mean + high * size)),
        p=max(2 * float(stdtr(freedom, -abs(mean) / size)), sign_flip_p(new, base)),
        detectable=min(1.0, (high + error.quantile(POWER)) * size),
    )


@dataclass(frozen=True, slots=True)
class _Error:
    """The variance of a mean, and the degrees of freedom that its estimate is worth."""

    variance: float
    freedom: float

    def quantile(self, share: float) -> float:
        """Student's quantile."""
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, share))


def _error(questions: Vector, arms: Sequence[Matrix], pseudo: float) -> _Error:
    """Of a mean over questions and over the seeds of some arms; `pseudo` is added to the questions' sum of squares."""
    n = len(questions)
    parts = [((float(((questions - questions.mean()) ** 2).sum()) + pseudo) / (n * max(1, n - 1)), max(1, n - 1))]
    parts += [(float(arm.mean(1).var(ddof=1)) / len(arm), len(arm) - 1) for arm in arms if len(arm) > 1]
    variance = sum(part for part, _ in parts)
    return _Error(variance, variance**2 / sum(part**2 / freedom for part, freedom in parts))


def sign_flip_p(new: Matrix, base: Matrix) -> float:
    """Two-sided p-value of the sign-flip permutation test on the differences per question, each averaged over seeds.

    Exact, not sampled: differences are whole multiples of a unit, so the sum under random signs has a distribution that
    is a convolution of one binomial for each size of difference. With one seed in both arms this is McNemar's exact
    test. Seeds are taken as given: their spread is not in here.
    """
    import numpy as np

    differences = np.rint(new.sum(0) * len(base) - base.sum(0) * len(new)).astype(np.int64)
    counts = np.bincount(np.abs(differences))
    sizes = np.flatnonzero(counts[1:]) + 1
    if not sizes.size:
        return 1.0
    unit = int(np.gcd.reduce(sizes))
    masses = []
    for size, count in zip((sizes // unit).tolist(), counts[sizes].tolist(), strict=True):
        mass = np.zeros(size * count + 1)
        mass[::size] = _coins(count)
        masses.append(mass)
    mass = reduce(np.convolve, masses)
    sums = 2 * np.arange(len(mass)) - (len(mass) - 1)
    return min(1.0, float(mass[np.abs(sums) >= abs(int(differences.sum())) // unit].sum()))


@cache
def _coins(count: int) -> Vector:
    """The chances of 0, 1, ... heads in `count` fair throws."""
    import numpy as np

    ways, outcomes = [1], 2**count
    for heads in range(count):
        ways.append(ways[-1] * (count - heads) // (heads + 1))
    return np.array([n / outcomes for n in ways])  # whole numbers, divided once: scipy.stats is slow to import


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given. Source: Holm 1979."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = least
    return adjusted


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
