from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, kstest

from heistbench.bench import Verdict
from heistbench.leaderboard.board.association import association
from heistbench.leaderboard.board.build import build
from heistbench.leaderboard.board.traces import traces
from heistbench.leaderboard.tables.lists import lists

QWEN_COTEMPQA = {("right", "right"): 261, ("right", "wrong"): 248, ("wrong", "right"): 195, ("wrong", "wrong"): 245}
"""Answers against traces of Qwen3-1.7B after SFT on correct traces of CoTempQA, as arXiv:2505.13792 published them."""


def verdicts_and_traces(counts: dict[tuple[str, str], int]) -> tuple[dict[str, Verdict], dict[str, str]]:
    """Questions with these counts of answers and traces, in mixed order."""
    pairs = [pair for pair, n in counts.items() for _ in range(n)]
    Random(0).shuffle(pairs)
    answers = {f"q{i:04}": Verdict(answer) for i, (answer, _) in enumerate(pairs)}
    return answers, {f"q{i:04}": "right 20" if trace == "right" else "class 10" for i, (_, trace) in enumerate(pairs)}


def record_of(make, counts: dict[tuple[str, str], int], seed: int = 0):
    answers, seen = verdicts_and_traces(counts)
    n, right = len(answers), sum(v is Verdict.RIGHT for v in answers.values())
    exam = {
        "accuracy": right / n, "score": right / n, "n": n, "counts": {"right": right, "wrong": n - right},
        "verdicts": answers, "traces": seen,
    }  # fmt: skip
    return make("true_trace", "none", 0.5, seed, exam=exam)


def test_the_papers_table_gives_the_papers_figures(make) -> None:
    result = traces([record_of(make, QWEN_COTEMPQA)])
    assert result is not None
    assert result.table == {"right": {"right": 261, "wrong": 248}, "wrong": {"right": 195, "wrong": 245}}
    assert result.wrong_given_right_trace == pytest.approx(0.4276, abs=5e-5)
    assert result.right_trace_given_wrong == pytest.approx(195 / 440)
    assert result.classified == 1.0
    assert result.retrieved == pytest.approx(456 / 949)
    assert result.words == pytest.approx((456 * 20 + 493 * 10) / 949)


def test_one_seeds_independence_is_pearsons_chi_square(make) -> None:
    result = traces([record_of(make, QWEN_COTEMPQA)])
    expected = chi2_contingency([[261, 248], [195, 245]], correction=False).statistic * 948 / 949
    assert result is not None
    assert result.independence is not None
    assert result.independence.chi2 == pytest.approx(expected)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_independence_agrees_with_scipy_on_any_table(a: int, b: int, c: int, d: int) -> None:
    first = np.array([[1.0] * (a + b) + [0.0] * (c + d)])
    second = np.array([[1.0] * a + [0.0] * b + [1.0] * c + [0.0] * d])
    if 0 in (a + b, c + d, a + c, b + d):
        assert association(first, second) is None if a + b + c + d else True
        return
    n, result = a + b + c + d, association(first, second)
    assert result is not None
    referee = chi2_contingency([[a, b], [c, d]], correction=False)
    assert result.chi2 == pytest.approx(referee.statistic * (n - 1) / n, abs=1e-9)


def test_on_independent_outcomes_of_several_seeds_p_is_uniform() -> None:
    """Seeds of a question hang together: a test that took them for more questions would find too much."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(400):
        hard, tricky = rng.random(150), rng.random(150)
        answers, whole = ((rng.random((3, 150)) < chance).astype(float) for chance in (hard, tricky))
        result = association(answers, whole)
        assert result is not None
        p_values.append(result.p)
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_outcomes_that_go_together_are_found() -> None:
    rng = np.random.default_rng(1)
    answers = (rng.random((3, 200)) < 0.5).astype(float)
    whole = np.where(rng.random((3, 200)) < 0.3, answers, (rng.random((3, 200)) < 0.5).astype(float))
    result = association(answers, whole)
    assert result is not None
    assert result.p < 1e-4


def test_seeds_are_summed(make) -> None:
    result = traces([record_of(make, QWEN_COTEMPQA, seed) for seed in range(2)])
    assert result is not None
    assert result.table["wrong"] == {"right": 390, "wrong": 490}


def test_there_is_no_table_without_checks(make) -> None:
    assert traces([make("rep", "none", 0.5)]) is None


def test_the_table_is_on_the_board_and_in_its_json(make) -> None:
    board = build([record_of(make, QWEN_COTEMPQA)])
    cell = json.loads(board.to_json())["panels"][0]["attacks"][0]["cells"][0]
    assert cell["traces"]["table"]["right"]["wrong"] == 248
    assert cell["traces"]["independence"]["p"] == pytest.approx(0.031, abs=0.01)
    (table,) = (table for table in lists(board.panels[0]) if table.title == "Answers against traces")
    texts = [line[0].text for entry in table.bodies[0].rows[0] for line in entry.lines]
    assert texts[2:8] == ["261", "248", "195", "245", "0.43", "0.44"]
