"""Simulation: how often a comparison finds what is not there, and how often its intervals hold what is.

`python tests/leaderboard/bench_statistics.py [REPETITIONS]` simulates pairs of arms whose training seeds differ by `spread`, on
questions from hard to easy, and prints for each design the share of null pairs called different and the share of intervals that
hold a true difference of 0.1; beside it, what a bootstrap over questions and seeds would give (Owen 2007, seeds stretched as by
Rao and Wu 1988).

Then whole boards, judged as the leaderboard judges them: 27 students, of which many stand in two cells, against controls that all
share, one steady and one not, whose spreads and skews are those of the published pocket board. Printed are how often any student
who has no more than the best control is said to steal, how often one who has more by `gain` is found, how often the interval of
that gain holds it, and how often the interval of the worst case holds the highest true accuracy.
"""

from __future__ import annotations

import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from heistbench.leaderboard.board.family import Pair, claim, step_down
from heistbench.leaderboard.board.statistics import Interval, Results, highest, paired_difference, sign_flip_p

ALPHA, DELTA = 0.05, 0.1
QUESTIONS, CONTROL, STEADY, LOOSE = 500, 0.637, 0.006, 0.095
"""Of the published pocket board: questions, the controls' accuracy, and their spreads over seeds."""
DESIGNS = [(n, seeds, spread) for n in (100, 500) for seeds in (3, 5) for spread in (0.0, 0.02, 0.05, 0.15)]


def simulated(rng: np.random.Generator, seeds: int, levels: np.ndarray, spread: float) -> np.ndarray:
    """An arm's results, (seeds, questions)."""
    return (rng.random((seeds, levels.size)) < levels + spread * rng.standard_normal((seeds, 1))).astype(float)


def arm(right: np.ndarray, first: int = 0) -> Results:
    """An arm; those that begin with the same seed share it."""
    return Results(right, tuple(range(first, first + len(right))))


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
        null, apart = (paired_difference(arm(new), arm(base, first=100)) for new in (same, other))
        resampled = bootstrap(rng, other, base)
        sums += [
            different(null.p, null.interval()),
            different(sign_flip_p(same, base), bootstrap(rng, same, base)),
            different(apart.p, apart.interval()),
            apart.interval().low <= DELTA <= apart.interval().high,
            resampled.low <= DELTA <= resampled.high,
        ]
    false, by_bootstrap, power, covered, covered_by_bootstrap = (f"{share:.3f}" for share in sums / repetitions)
    return [str(n), str(seeds), f"{spread:.2f}", false, by_bootstrap, covered, covered_by_bootstrap, power]


BOARDS = [
    (seeds, controls, gain, skewed)
    for seeds, controls in ((3, 3), (5, 5), (5, 20))
    for gain, skewed in ((0.0, False), (0.0, True), (0.1, False), (0.2, False))
]
"""Boards: seeds of attacks and of controls, the true gain, whether seeds fail on one side only."""


def student(rng: np.random.Generator, level: float, spread: float, seeds: int, skewed: bool = False) -> np.ndarray:
    """A student's results, (seeds, questions); a skewed one is mostly a little better and now and then much worse."""
    luck = 1 - rng.exponential(1, (seeds, 1)) if skewed else rng.standard_normal((seeds, 1))
    hard = np.linspace(-0.2, 0.2, QUESTIONS)
    return (rng.random((seeds, QUESTIONS)) < np.clip(level + spread * luck + hard, 0, 1)).astype(float)


def one_board(rng: np.random.Generator, seeds: int, controls: int, gain: float, skewed: bool) -> tuple[float, ...]:
    """Whether a theft is false; shares of steady thieves found, of their intervals that hold; whether the worst case's does."""
    rivals = {
        "steady": arm(student(rng, CONTROL, STEADY, controls, skewed)),
        "loose": arm(student(rng, CONTROL, LOOSE, controls, skewed)),
        "untrained": arm(np.zeros((controls, QUESTIONS))),
    }
    levels = [(CONTROL + (gain if at < 10 else 0), (LOOSE, STEADY)[at % 2]) for at in range(20)] + [(0.2, 0.01)] * 7
    students = [arm(student(rng, level, spread, seeds, skewed)) for level, spread in levels]
    claims = [claim(each, rivals) for each in students]
    adjusted = step_down([Pair(each.new, each.rival, each.p) for each in claims])
    steals = [p < ALPHA and each.interval.low > 0 for p, each in zip(adjusted, claims, strict=True)]
    false, found = steals[:20] if not gain else steals[10:20], steals[1:10:2]
    covered = [each.interval.low <= gain <= each.interval.high for each in claims[1:10:2]]
    worst = highest([each.right for each in students])
    return any(false), float(np.mean(found)), float(np.mean(covered)), worst.low <= CONTROL + gain <= worst.high


def boards(repetitions: int) -> Table:
    """The table of boards."""
    headings = ["seeds", "of controls", "skewed", "gain", "any false theft", "found", "covered", "worst case covered"]
    table = Table(*headings, title=f"{repetitions} boards a design: 27 students, three controls; alpha {ALPHA}")
    for at, (seeds, controls, gain, skewed) in enumerate(BOARDS):
        rng = np.random.default_rng([1, at])
        rows = np.mean([one_board(rng, seeds, controls, gain, skewed) for _ in range(repetitions)], axis=0)
        design = [str(seeds), str(controls), "yes" if skewed else "", f"{gain:.1f}"]
        table.add_row(*design, f"{rows[0]:.3f}", f"{rows[1]:.3f}" if gain else "", *(f"{share:.3f}" for share in rows[2:]))
    return table


def main(repetitions: int) -> None:
    """Print the figures."""
    headings = ["questions", "seeds", "spread", "false", "by bootstrap", "covered", "by bootstrap", "power"]
    table = Table(*headings, title=f"{repetitions} pairs a design; alpha {ALPHA}, intervals of 95%, true difference {DELTA}")
    for design in DESIGNS:
        table.add_row(*one_design(*design, repetitions))
    console = Console(width=100)
    console.print(table)
    console.print(boards(max(20, repetitions // 4)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
