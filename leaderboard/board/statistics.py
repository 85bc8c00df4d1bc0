"""Statistics of 0/1 results, several seeds per arm: intervals and paired differences.

Two arms are compared on the same questions, in the same order, and seed by seed where they have the same seeds: whatever is luck
hangs on the seed, the same luck in all arms. numpy and scipy are imported where they are needed: `heist --help` must not wait.
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
TAIL = 0.025
"""The chance that a 95% interval leaves out on each side."""
POWER = 0.8
"""The chance of finding a difference that `detectable` names."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What an arm gave: (seeds, questions), 1.0 where the student was right; `seeds` names the rows, in rising order."""

    right: Matrix
    seeds: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Accuracy over all seeds."""
        return float(self.right.mean())


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean difference of two arms in accuracy, the error of that mean, and a two-sided p-value for "no difference"."""

    mean: float
    error: Error
    p: float

    def interval(self, tail: float = TAIL) -> Interval:
        """A confidence interval that leaves out `tail` on each side."""
        half = self.error.quantile(1 - tail) * self.error.size
        return Interval(max(-1.0, self.mean - half), min(1.0, self.mean + half))

    @property
    def detectable(self) -> float:
        """The smallest true difference that questions and seeds at hand would show at the 5% level four times in five."""
        return min(1.0, (self.error.quantile(1 - TAIL) + self.error.quantile(POWER)) * self.error.size)

    def above(self) -> float:
        """The one-sided p-value for "no more"."""
        return self.p / 2 if self.mean > 0 else 1 - self.p / 2

    def below(self) -> float:
        """The one-sided p-value for "no less"."""
        return self.p / 2 if self.mean < 0 else 1 - self.p / 2


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


def share_difference(new: tuple[float, float], base: tuple[float, float], tail: float) -> Interval:
    """Interval of a difference of two shares, each with what it is of, that leaves out `tail` on each side.

    Newcombe's hybrid of Wilson's intervals (1998, Statistics in Medicine, method 10). It does not pair: where both are of the
    same questions it is wider than it need be.
    """
    from scipy.special import ndtri

    quantile = float(ndtri(1 - tail))
    (a, n), (b, m) = new, base
    one, other = wilson(a * n, n, quantile), wilson(b * m, m, quantile)
    low = a - b - ((a - one.low) ** 2 + (other.high - b) ** 2) ** 0.5
    return Interval(low, a - b + ((one.high - a) ** 2 + (b - other.low) ** 2) ** 0.5)


def arm_interval(matrix: Matrix, at_once: int = 1) -> Interval:
    """95% interval of one arm's accuracy over seeds, or one of so many that hold `at_once`; `matrix` is (seeds, questions).

    Wilson's, of as many questions as would alone give the standard error that questions and seeds give together (Korn and
    Graubard 1998, Survey Methodology). With one seed, or where all results are equal, that is Wilson's of the questions.
    """
    from scipy.special import ndtri

    n, share, tail = matrix.shape[1], float(matrix.mean()), TAIL / at_once
    if len(matrix) == 1 or not 0 < share < 1:
        return wilson(share * n, n, float(ndtri(1 - tail)))
    error = _error(matrix.mean(0), [matrix.mean(1)], pseudo=0.0)
    if at_once > 1:
        error = error.capped(2 * len(matrix) - 2)
    effective = share * (1 - share) / error.variance
    return wilson(share * effective, effective, error.quantile(1 - tail))


def highest(arms: Sequence[Matrix]) -> Interval:
    """95% interval of the highest true accuracy among some arms.

    Its low end is the highest low end of intervals that all hold at once (Bonferroni), as the arm that came out best may owe it
    to luck; its high end is the highest one, as the best arm's own is not above it.
    """
    return Interval(max(arm_interval(arm, len(arms)).low for arm in arms), max(arm_interval(arm).high for arm in arms))


def paired_difference(new: Results, base: Results) -> Difference:
    """`new` minus `base`, the same questions in the same order.

    The variance of the mean difference is that of its questions, which pair the arms, plus that of its seeds: a little more than
    the truth, as the noise of single replies is in both parts. Arms that have the same seeds are paired by them; otherwise each
    arm's seeds count for themselves. Seeds are few, so quantiles are Student's at Satterthwaite's degrees of freedom. One
    discordant pair more than there are keeps an interval from vanishing (Agresti and Min 2005). One seed in both arms shows no
    spread over seeds: the interval covers questions alone there. A bootstrap over questions and seeds instead covers 88% where
    three seeds differ much (`tests/leaderboard/bench_statistics.py`).
    p: the larger of this t-test's and the exact `sign_flip_p`, far out in the tails, where a correction for many pairs looks.
    Seeds count as many as the arm with fewer of them has. Raises ValueError for different questions or none.
    """
    from scipy.special import stdtr

    if new.right.shape[1] != base.right.shape[1] or not new.right.size or not base.right.size:
        raise ValueError(f"arms of shapes {new.right.shape} and {base.right.shape} cannot be paired")
    seeds = [part for part in luck(new, base) if len(part) > 1]
    error = _error(new.right.mean(0) - base.right.mean(0), seeds, pseudo=1.0)
    mean, tails = new.mean - base.mean, error.capped(2 * min(len(new.seeds), len(base.seeds)) - 2)
    p = 2 * float(stdtr(tails.freedom, -abs(mean) / error.size))
    return Difference(mean, error, max(p, sign_flip_p(new.right, base.right)))


def luck(new: Results, base: Results) -> list[Vector]:
    """The means over questions whose spread is that of a difference over seeds: of the differences, or of each arm."""
    by_seed = new.right.mean(1), base.right.mean(1)
    return [by_seed[0] - by_seed[1]] if new.seeds == base.seeds else [*by_seed]


@dataclass(frozen=True, slots=True)
class Error:
    """The variance of a mean, and the degrees of freedom that its estimate is worth."""

    variance: float
    freedom: float

    @property
    def size(self) -> float:
        """The standard error."""
        return float(self.variance**0.5)

    def capped(self, freedom: int) -> Error:
        """The same, far out in the tails, where the freedom of questions would promise too much: there it counts only seeds."""
        return Error(self.variance, min(self.freedom, freedom or self.freedom))

    def quantile(self, share: float) -> float:
        """Student's quantile."""
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, share))


def _error(questions: Vector, seeds: Sequence[Vector], pseudo: float) -> Error:
    """Of a mean over questions and over the seeds of some arms; `pseudo` is added to the questions' sum of squares."""
    n = len(questions)
    parts = [((float(((questions - questions.mean()) ** 2).sum()) + pseudo) / (n * max(1, n - 1)), max(1, n - 1))]
    parts += [(float(by_seed.var(ddof=1)) / len(by_seed), len(by_seed) - 1) for by_seed in seeds]
    variance = sum(part for part, _ in parts)
    return Error(variance, variance**2 / sum(part**2 / freedom for part, freedom in parts))


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
