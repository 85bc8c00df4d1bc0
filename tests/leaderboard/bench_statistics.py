"""Simulation: how often a comparison finds what is not there, and how often its intervals hold what is.

`python tests/leaderboard/bench_statistics.py [REPETITIONS]` simulates pairs of arms whose training seeds differ by `spread`, on
questions from hard to easy, and prints for each design the share of null pairs called different and the share of intervals that
hold a true difference of 0.1; beside it, what a bootstrap over questions and seeds would give (Owen 2007, seeds stretched as by
Rao and Wu 1988). Then a whole matrix of null pairs under Holm: how often any of them is called different.
"""

from __future__ import annotations

import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from heistbench.leaderboard.board.statistics import Interval, holm, paired_difference, sign_flip_p

ALPHA, DELTA, PAIRS = 0.05, 0.1, 54
DESIGNS = [(n, seeds, spread) for n in (100, 500) for seeds in (3, 5) for spread in (0.0, 0.02, 0.05, 0.15)]


def simulated(rng: np.random.Generator, seeds: int, levels: np.ndarray, spread: float) -> np.ndarray:
    """An arm's results, (seeds, questions)."""
    return (rng.random((seeds, levels.size)) < levels + spread * rng.standard_normal((seeds, 1))).astype(float)


def bootstrap(rng: np.random.Generator, new: np.ndarray, base: np.ndarray, replicates: int = 1000) -> Interval:
    """Percentiles of replicates that draw questions once for both arms and seeds within each."""
    n = new.shape[1]
    questions = rng.multinomial(n, np.full(n, 1 / n), replicates) / n
    sides = []
    for arm in (new, base):
        seeds = len(arm)
        drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), replicates) / seeds
        stretched = 1 / seeds + (drawn - 1 / seeds) * np.sqrt(seeds / (seeds - 1))
        sides.append(((questions @ arm.T) * stretched).sum(1))
    low, high = np.quantile(sides[0] - sides[1], [0.025, 0.975])
    return Interval(float(low), float(high))


def different(p: float, interval: Interval) -> bool:
    """What a comparison of one pair calls a difference."""
    return p < ALPHA and not interval.low <= 0 <= interval.high


def one_design(n: int, seeds: int, spread: float, repetitions: int) -> list[str]:
    """The row of one design."""
    rng, levels = np.random.default_rng([n, seeds, round(100 * spread)]), np.linspace(0.3, 0.7, n)
    sums = np.zeros(5)
    for _ in range(repetitions):
        base, same, other = (simulated(rng, seeds, levels - delta, spread) for delta in (DELTA, DELTA, 0.0))
        null, apart, resampled = paired_difference(same, base), paired_difference(other, base), bootstrap(rng, other, base)
        sums += [
            different(null.p, null.interval),
            different(sign_flip_p(same, base), bootstrap(rng, same, base)),
            different(apart.p, apart.interval),
            apart.interval.low <= DELTA <= apart.interval.high,
            resampled.low <= DELTA <= resampled.high,
        ]
    false, by_bootstrap, power, covered, covered_by_bootstrap = (f"{share:.3f}" for share in sums / repetitions)
    return [str(n), str(seeds), f"{spread:.2f}", false, by_bootstrap, covered, covered_by_bootstrap, power]


def any_of_a_matrix(seeds: int, spread: float, repetitions: int) -> float:
    """How often a matrix of null pairs, `seeds` seeds and 200 questions each, has a pair that is called different under Holm."""
    rng, levels = np.random.default_rng(1), np.linspace(0.1, 0.9, 200)
    hits = 0
    for _ in range(repetitions):
        pairs = [[simulated(rng, seeds, levels, spread) for _ in "ab"] for _ in range(PAIRS)]
        differences = [paired_difference(*pair) for pair in pairs]
        adjusted = holm([d.p for d in differences])
        hits += any(different(p, d.interval) for p, d in zip(adjusted, differences, strict=True))
    return hits / repetitions


def main(repetitions: int) -> None:
    """Print the figures."""
    headings = ["questions", "seeds", "spread", "false", "by bootstrap", "covered", "by bootstrap", "power"]
    table = Table(*headings, title=f"{repetitions} pairs a design; alpha {ALPHA}, intervals of 95%, true difference {DELTA}")
    for design in DESIGNS:
        table.add_row(*one_design(*design, repetitions))
    console = Console(width=100)
    console.print(table)
    matrices = max(20, repetitions // 10)
    for seeds, spread in ((3, 0.03), (3, 0.1), (5, 0.1)):
        hits = any_of_a_matrix(seeds, spread, matrices)
        console.print(f"{matrices} matrices of {PAIRS} null pairs, {seeds} seeds, spread {spread}: a difference in {hits:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
