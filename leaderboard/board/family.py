"""Families of comparisons: a claim against several rivals at once, and many claims on one board.

To steal is to beat *every* rival: the largest p-value counts (intersection-union, Berger 1982), so that no rival is chosen by its
results. Over the claims of a family, p-values are adjusted step by step by the distribution of their largest statistic (Westfall
and Young 1993), which knows how much the claims have in common: questions, seeds, and rivals.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heistbench.leaderboard.board.statistics import TAIL, Difference, Interval, Results, luck, paired_difference

if TYPE_CHECKING:
    from heistbench.leaderboard.board.statistics import Vector

DRAWS = 20_000
"""Draws of all statistics of a family: a p-value of .05 is off by .0015."""
NEARLY_ALIKE = 1e-8
"""What keeps the correlations of differences that have all in common from being singular."""


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """An arm against its rivals: `over` names the best of them, `rival` is the one that decides.

    The interval holds the least of the true differences with 95%, whichever rival is the best. p is two-sided: below .05 with a
    positive mean, the arm is above every rival; with a negative one it is below the best.
    """

    over: str
    mean: float
    interval: Interval
    p: float
    detectable: float
    new: Results
    rival: Results


def claim(new: Results, rivals: Mapping[str, Results]) -> Claim:
    """What an arm can claim against these rivals, at least one."""
    differences = {name: paired_difference(new, rivals[name]) for name in sorted(rivals)}
    over = min(differences, key=lambda name: differences[name].mean)
    above, below = max(d.above() for d in differences.values()), min(d.below() for d in differences.values())
    decides = max(differences, key=lambda name: differences[name].above())
    return Claim(
        over=over,
        mean=differences[over].mean,
        interval=_least([*differences.values()]),
        p=min(1.0, 2 * min(above, below * len(rivals))),
        detectable=differences[decides].detectable,
        new=new,
        rival=rivals[decides],
    )


def _least(differences: Sequence[Difference]) -> Interval:
    """Of the least true difference: the low end of any one would do; high ends have to hold all at once."""
    tail = TAIL / len(differences)
    return Interval(min(d.interval().low for d in differences), min(d.interval(tail).high for d in differences))


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two arms of a family and the p-value of their difference."""

    new: Results
    base: Results
    p: float


def step_down(pairs: Sequence[Pair]) -> list[float]:
    """Adjusted p-values, in the order given: the chance that any claim of the family which still stands looks so good.

    Statistics are taken to be as normal scores that correlate as the differences do, over questions and seeds.
    """
    import numpy as np
    from scipy.special import ndtri

    if not pairs:
        return []
    p = np.array([min(max(pair.p, 1e-300), 1.0) for pair in pairs])
    scores = -ndtri(p / 2)
    drawn = np.abs(_draws(pairs))
    adjusted, least, order = np.zeros(len(pairs)), 0.0, sorted(range(len(pairs)), key=lambda at: p[at])
    for rank, at in enumerate(order):
        beaten = int((drawn[:, order[rank:]].max(1) >= scores[at]).sum())
        least = max(least, float(p[at]), (beaten + 1) / (DRAWS + 1) if rank + 1 < len(order) else 0.0)
        adjusted[at] = min(1.0, least)
    return [float(value) for value in adjusted]


def _draws(pairs: Sequence[Pair]) -> Vector:
    """Normal scores of all pairs, (draws, pairs), always the same for the same family."""
    import numpy as np

    parts = [_parts(pair.new, pair.base) for pair in pairs]
    columns = {key: at for at, key in enumerate(dict.fromkeys(key for _, seeds in parts for key in seeds))}
    rows = np.zeros((len(pairs), len(parts[0][0]) + len(columns)))
    for row, (questions, seeds) in zip(rows, parts, strict=True):
        row[: len(questions)] = questions
        for key, value in seeds.items():
            row[len(questions) + columns[key]] = value
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, sizes, out=np.zeros_like(rows), where=sizes > 0)
    correlation = rows @ rows.T
    np.fill_diagonal(correlation, 1 + NEARLY_ALIKE)
    scores: Vector = np.random.default_rng(0).standard_normal((DRAWS, len(pairs))) @ np.linalg.cholesky(correlation).T
    return scores


def _parts(new: Results, base: Results) -> tuple[Vector, dict[Hashable, float]]:
    """What a mean difference owes to each question and to each seed, so scaled that squares add up to its variance."""
    questions = new.right.mean(0) - base.right.mean(0)
    n, seeds = len(questions), dict[Hashable, float]()
    names = [new.seeds] if new.seeds == base.seeds else [new.seeds, [(id(base.right), seed) for seed in base.seeds]]
    for sign, keys, by_seed in zip((1, -1), names, luck(new, base), strict=False):
        if len(by_seed) > 1:
            scaled = sign * (by_seed - by_seed.mean()) / (len(by_seed) * (len(by_seed) - 1)) ** 0.5
            seeds |= dict(zip(keys, scaled.tolist(), strict=True))
    return (questions - questions.mean()) / (n * max(1, n - 1)) ** 0.5, seeds
