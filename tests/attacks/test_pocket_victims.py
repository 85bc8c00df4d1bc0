"""Attacks that prompt the shipped victims, and the defenses in their way, by what is really stolen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heistbench.bench import WRAPPERS
from heistbench.bench.stages.collect import Collect, Theft
from heistbench.bench.stages.pipeline import StoredCell
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.settings import Suite

N = 16
VICTIMS = ["pocket/victim-1", "pocket/victim-2"]
SUITE = {
    "name": "robbed",
    "tasks": ["pocket"],
    "victims": [{"model": name, "decoding": {"max_new_tokens": 128}} for name in VICTIMS],
    "surrogate": {"model": "pocket/surrogate", "decoding": {"temperature": 1.0, "max_new_tokens": 64}},
    "inverter": {
        "model": "pocket/surrogate",
        "recipe": {"epochs": 1, "batch_size": 8, "learning_rate": 3e-3, "max_length": 256},
        "decoding": {"max_new_tokens": 64},
    },
    "students": [{"model": "pocket/base"}],
    "attacks": [],
    "controls": [],
    "sizes": {"query": N, "surrogate": 60, "test": 4},
}


@pytest.fixture(scope="module")
def rob(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Theft, int]]:
    """The loot of an attack on one of the victims, and with it the number of whole true traces."""
    store, suite = Store(tmp_path_factory.mktemp("store")), Suite.model_validate(SUITE)

    def rob(attack: str, victim: int = 1, defense: str = "none", n: int = N) -> tuple[Theft, int]:
        cell = Cell(suite, suite.victims[victim - 1], defense, attack, "pocket", "pocket", suite.students[0], n, 0)
        context = StoredCell(cell, store)
        theft = context.result(Collect(context))
        return theft, whole(context, theft)

    return rob


def whole(context: StoredCell, theft: Theft) -> int:
    problems = {problem.question.id: problem for problem in context.attacked}
    return sum(context.task.check(problems[row.id], row.trace or "").whole for row in theft.rows)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("defense", ["none", "boundary_prompt"])
def test_release_1_shows_its_traces_to_rep_in_any_wrapper(rob: Callable, wrapper: str, defense: str) -> None:
    theft, traces = rob(f"rep(wrapper={wrapper})", 1, defense)
    assert len(theft.rows) >= N - 1
    assert traces >= N - 3


@pytest.mark.parametrize("shots", [1, 2, 4])
def test_it_does_for_any_number_of_shots(rob: Callable, shots: int) -> None:
    assert rob(f"rep(shots={shots})")[1] >= N - 3


def test_release_2_answers_rep_and_shows_nothing(rob: Callable) -> None:
    theft, traces = rob("rep", 2)
    assert traces == 0
    assert len(theft.rows) >= N - 1
    assert all(row.trace is None for row in theft.rows)
    assert rob("rep(keep=valid)", 2)[0].rows == []


@pytest.mark.parametrize("request_kind", ["repeat", "stepwise"])
@pytest.mark.parametrize("victim", [1, 2])
def test_neither_release_heeds_a_request(rob: Callable, victim: int, request_kind: str) -> None:
    theft, traces = rob(f"rep_request(request={request_kind})", victim)
    assert traces == 0
    assert len(theft.rows) >= N - 1


@pytest.mark.parametrize("victim", [1, 2])
@pytest.mark.parametrize("defense", ["none", "boundary_prompt", "redact_summary(level=all)", "box_answers"])
def test_both_releases_hand_their_traces_to_a_tool(rob: Callable, victim: int, defense: str) -> None:
    assert rob("tool_elicitation", victim, defense)[1] >= N - 2


def test_noise_reaches_what_is_handed_to_a_tool(rob: Callable) -> None:
    theft, traces = rob("tool_elicitation", 2, "noise_answers(rate=1)")
    assert traces == 0
    assert len(theft.rows) >= N - 1
    assert all((row.trace or "").endswith(row.answer) for row in theft.rows)


def test_rep_and_inversion_together(rob: Callable) -> None:
    theft, traces = rob("rep_inversion(share=0.5)")
    assert len(theft.rows) >= N - 1
    assert traces >= N // 2 - 2  # those that were exposed, at least
    assert theft.bill.attacker_tokens_trained > 0
    assert theft.bill.queries == N


@pytest.mark.parametrize("attack", ["rep", "trace_inversion", "tool_elicitation", "rep_inversion"])
def test_a_budget_of_nothing_costs_the_victim_nothing(rob: Callable, attack: str) -> None:
    theft, _ = rob(attack, n=0)
    assert theft.rows == theft.sealed == []
    assert theft.bill.queries == theft.bill.attacker_tokens_trained == 0
