"""Statistics against referees: scipy, numbers worked by hand, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from heistbench.leaderboard.board.statistics import (
    Difference,
    Interval,
    Results,
    arm_interval,
    highest,
    share_difference,
    sign_flip_p,
    wilson,
)
from heistbench.leaderboard.board.statistics import paired_difference as by_seeds

RESULTS = st.tuples(st.integers(1, 4), st.integers(1, 60), st.floats(0, 1), st.integers(0, 2**32))
"""Seeds, questions, accuracy and a seed for chance: an arm's results."""


def paired_difference(new: np.ndarray, base: np.ndarray, *, shared: bool = False) -> Difference:
    """The difference of two arms whose seeds are different ones, unless they are shared."""
    first = 0 if shared else 1000
    return by_seeds(Results(new, (*range(len(new)),)), Results(base, tuple(first + seed for seed in range(len(base)))))


def arm(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=float)


def simulated(rng: np.random.Generator, seeds: int, difficulty: np.ndarray, spread: float = 0.0) -> np.ndarray:
    """An arm on questions of given difficulty; `spread` is how much one training seed differs from the next."""
    level = difficulty[None, :] + spread * rng.standard_normal((seeds, 1))
    return (rng.random((seeds, difficulty.size)) < level).astype(float)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_the_closed_form(share: tuple[int, int]) -> None:
    right, n = share
    z, p = stats.norm.ppf(0.975), right / n
    centre, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    interval = wilson(right, n)
    assert (interval.low, interval.high) == pytest.approx((centre - half, centre + half), abs=1e-9)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy_and_statsmodels(share: tuple[int, int]) -> None:
    from statsmodels.stats.proportion import proportion_confint

    interval, scipys = wilson(*share), stats.binomtest(*share).proportion_ci(method="wilson")
    assert (interval.low, interval.high) == pytest.approx((scipys.low, scipys.high), abs=1e-9)
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(*share, method="wilson"), abs=1e-9)


@given(RESULTS)
def test_an_interval_holds_its_mean_and_stays_within_the_possible(shape: tuple[int, int, float, int]) -> None:
    seeds, n, accuracy, seed = shape
    rng = np.random.default_rng(seed)
    results, others = (rng.random((seeds, n)) < accuracy).astype(float), (rng.random((2, n)) < accuracy).astype(float)
    alone, apart = arm_interval(results), paired_difference(results, others)
    assert 0 <= alone.low <= results.mean() + 1e-9
    assert results.mean() - 1e-9 <= alone.high <= 1
    assert -1 <= apart.interval().low <= apart.mean <= apart.interval().high <= 1
    assert 0 <= apart.p <= 1
    assert 0 < apart.detectable <= 1


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == Interval(0.0, 1.0)


def test_one_seed_is_wilson_and_unanimous_seeds_do_not_claim_certainty() -> None:
    assert arm_interval(arm([1, 1, 0, 1])) == wilson(3, 4)
    assert arm_interval(np.ones((3, 50))) == wilson(50, 50)
    assert arm_interval(np.zeros((3, 50))) == wilson(0, 50)


def test_arm_interval_widens_with_the_spread_over_seeds() -> None:
    steady, jumpy = np.zeros((3, 100)), np.zeros((3, 100))
    steady[:, :50] = 1
    for row, right in zip(jumpy, (20, 50, 80), strict=True):
        row[:right] = 1
    wide, narrow = arm_interval(jumpy), arm_interval(steady)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert wide.low < 0.5 < wide.high


@pytest.mark.parametrize(("gained", "lost", "p"), [(5, 0, 2 / 32), (6, 0, 2 / 64), (3, 1, 10 / 16), (2, 2, 1.0), (0, 0, 1.0)])
def test_exact_mcnemar_worked_by_hand(gained: int, lost: int, p: float) -> None:
    new, base = [1] * gained + [0] * lost + [1, 0], [0] * gained + [1] * lost + [1, 0]
    assert sign_flip_p(arm(new), arm(base)) == pytest.approx(p)


@given(st.integers(0, 60), st.integers(0, 60))
def test_with_one_seed_p_is_scipys_binomial_test(gained: int, lost: int) -> None:
    new, base = arm([1] * gained + [0] * lost + [1]), arm([0] * gained + [1] * lost + [1])
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert sign_flip_p(new, base) == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 60), st.integers(0, 60))
def test_with_one_seed_p_is_statsmodels_exact_mcnemar(gained: int, lost: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    new, base = arm([1] * gained + [0] * lost + [1]), arm([0] * gained + [1] * lost + [1])
    referee = mcnemar([[1, gained], [lost, 0]], exact=True)
    assert sign_flip_p(new, base) == pytest.approx(min(1.0, referee.pvalue), rel=1e-9)


def test_without_spread_over_seeds_the_interval_is_a_paired_t_test_with_one_discordant_pair_more() -> None:
    rng = np.random.default_rng(3)
    new, base = rng.integers(0, 2, (1, 400)).astype(float), rng.integers(0, 2, (1, 400)).astype(float)
    interval = paired_difference(new, base).interval()
    referee = stats.ttest_rel(new[0], base[0]).confidence_interval()
    assert (interval.low, interval.high) == pytest.approx((referee.low, referee.high), abs=3e-4)
    assert interval.low < referee.low
    assert interval.high > referee.high


def test_of_questions_all_alike_the_interval_is_welchs_over_seeds() -> None:
    # Every question is as every other, so that all spread is over seeds; the one pair more tells little in so many questions.
    new, base = (np.repeat(np.array([levels]).T, 10_000, axis=1) for levels in ([0.2, 0.4, 0.9], [0.1, 0.3, 0.2, 0.6]))
    interval = paired_difference(new, base).interval()
    referee = stats.ttest_ind(new[:, 0], base[:, 0], equal_var=False).confidence_interval()
    assert (interval.low, interval.high) == pytest.approx((referee.low, referee.high), abs=1e-5)


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    rng, difficulty = np.random.default_rng(11), np.linspace(0.3, 0.7, 200)
    planned = np.mean([paired_difference(*(simulated(rng, 1, difficulty) for _ in "ab")).detectable for _ in range(20)])
    pairs = [(simulated(rng, 1, difficulty + planned / 2), simulated(rng, 1, difficulty - planned / 2)) for _ in range(300)]
    assert 0.72 < np.mean([paired_difference(*pair).interval().low > 0 for pair in pairs]) < 0.88


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32))
def test_with_several_seeds_p_is_scipys_exact_permutation_test(seeds: int, others: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    new, base = rng.integers(0, 2, (seeds, 9)).astype(float), rng.integers(0, 2, (others, 9)).astype(float)
    differences = new.sum(0) * others - base.sum(0) * seeds
    referee = stats.permutation_test(
        (differences,), lambda x, axis: np.sum(x, axis=axis), permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    assert sign_flip_p(new, base) == pytest.approx(referee.pvalue)


@given(st.integers(1, 4), st.integers(1, 40), st.integers(0, 2**32))
def test_identical_arms_do_not_differ(seeds: int, n: int, seed: int) -> None:
    same = np.random.default_rng(seed).integers(0, 2, (seeds, n)).astype(float)
    difference = paired_difference(same, same)
    assert difference.mean == 0
    assert difference.p == 1
    assert difference.interval().low <= 0 <= difference.interval().high


@given(st.integers(0, 2**32))
def test_swapping_the_arms_negates_mean_and_keeps_p(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 2, (2, 30)).astype(float), rng.integers(0, 2, (3, 30)).astype(float)
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert there.mean == pytest.approx(-back.mean)
    assert there.p == pytest.approx(back.p)


def test_pairing_narrows_the_interval_of_arms_that_agree_on_most_questions() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2, (1, 200)).astype(float)
    new = base.copy()
    new[0, np.flatnonzero(base[0] == 0)[:10]] = 1
    paired, shuffled = paired_difference(new, base).interval(), paired_difference(rng.permuted(new, axis=1), base).interval()
    assert paired.high - paired.low < 0.5 * (shuffled.high - shuffled.low)


@pytest.mark.parametrize("spread", [0.0, 0.03, 0.15])
def test_interval_covers_the_true_difference_about_as_often_as_it_says(spread: float) -> None:
    rng, difficulty = np.random.default_rng(5), np.linspace(0.3, 0.7, 80)
    hits = 0
    for _ in range(200):
        new, base = simulated(rng, 3, difficulty, spread), simulated(rng, 3, difficulty - 0.1, spread)
        interval = paired_difference(new, base).interval()
        hits += interval.low <= 0.1 <= interval.high
    assert hits / 200 >= 0.92


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.15])
def test_other_seeds_of_the_same_arm_differ_no_more_often_than_alpha(spread: float) -> None:
    rng, difficulty = np.random.default_rng(9), np.linspace(0.3, 0.7, 300)
    p = [paired_difference(*(simulated(rng, 3, difficulty, spread) for _ in "ab")).p for _ in range(300)]
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize("seeds", [(1, 1), (3, 3), (3, 1)])
def test_p_is_below_alpha_on_null_data_no_more_often_than_alpha(seeds: tuple[int, int]) -> None:
    rng, difficulty = np.random.default_rng(7), np.linspace(0.1, 0.9, 100)
    p = [sign_flip_p(simulated(rng, seeds[0], difficulty), simulated(rng, seeds[1], difficulty)) for _ in range(500)]
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 500)


def test_the_same_arms_give_the_same_numbers_again() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 2, (3, 60)).astype(float), rng.integers(0, 2, (3, 60)).astype(float)
    assert paired_difference(a, b) == paired_difference(a, b)
    assert arm_interval(a) == arm_interval(a)


@pytest.mark.parametrize("shapes", [((1, 3), (1, 4)), ((0, 3), (1, 3)), ((1, 0), (1, 0))])
def test_arms_that_cannot_be_paired_are_an_error(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference(np.zeros(shapes[0]), np.zeros(shapes[1]))


def test_arms_with_the_same_seeds_are_paired_by_them() -> None:
    # Questions all alike: what is left is the t-test on the differences of seeds, whatever the seeds have in common.
    new, base = (np.repeat(np.array([levels]).T, 10_000, axis=1) for levels in ([0.2, 0.4, 0.9, 0.5], [0.1, 0.3, 0.7, 0.45]))
    interval = paired_difference(new, base, shared=True).interval()
    referee = stats.ttest_rel(new[:, 0], base[:, 0]).confidence_interval()
    assert (interval.low, interval.high) == pytest.approx((referee.low, referee.high), abs=1e-4)
    apart = paired_difference(new, base).interval()
    assert apart.high - apart.low > 4 * (interval.high - interval.low)


@pytest.mark.parametrize("common", [0.0, 0.9])
def test_pairing_by_seed_is_valid_whether_or_not_luck_is_shared(common: float) -> None:
    rng, difficulty, hits = np.random.default_rng(17), np.linspace(0.3, 0.7, 200), 0
    for _ in range(300):
        shared = common * rng.standard_normal((5, 1))
        lucks = [0.1 * (shared + (1 - common**2) ** 0.5 * rng.standard_normal((5, 1))) for _ in "ab"]
        arms = [(rng.random((5, difficulty.size)) < difficulty + luck).astype(float) for luck in lucks]
        hits += paired_difference(*arms, shared=True).p < 0.05
    assert hits / 300 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_one_sided_p_values_are_halves_that_add_up() -> None:
    difference = paired_difference(arm([1] * 9 + [0] * 3), arm([0] * 7 + [1] * 5))
    assert difference.above() == pytest.approx(difference.p / 2)
    assert difference.above() + difference.below() == pytest.approx(1)


@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 60), st.integers(1, 60))
def test_the_difference_of_shares_is_statsmodels_newcombe(a: int, n: int, b: int, m: int) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    a, b = min(a, n), min(b, m)
    interval = share_difference((a / n, n), (b / m, m), 0.025)
    low, high = confint_proportions_2indep(a, n, b, m, method="newcomb")
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)


def test_the_highest_of_one_arm_is_its_own_interval_and_of_many_allows_for_the_choice() -> None:
    rng = np.random.default_rng(2)
    arms = [simulated(rng, 5, np.full(200, 0.5), 0.05) for _ in range(9)]
    assert highest(arms[:1]) == arm_interval(arms[0])
    best = max(arms, key=lambda results: results.mean())
    assert highest(arms).low < arm_interval(best).low
    assert highest(arms).high >= arm_interval(best).high


def test_the_interval_of_the_highest_of_many_covers_where_that_of_the_chosen_one_does_not() -> None:
    rng, difficulty, covered = np.random.default_rng(23), np.full(150, 0.5), np.zeros(2)
    for _ in range(150):
        arms = [simulated(rng, 5, difficulty, 0.08) for _ in range(9)]
        chosen = arm_interval(max(arms, key=lambda results: results.mean()))
        for at, interval in enumerate((highest(arms), chosen)):
            covered[at] += interval.low <= 0.5 <= interval.high
    assert covered[0] / 150 >= 0.92
    assert covered[1] / 150 < 0.9
