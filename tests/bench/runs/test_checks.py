from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import HeistError
from heistbench.bench.runs.checks import check_apis, check_cells, check_machine, sights
from heistbench.bench.stages.budget import NO_LIMIT, Budget
from heistbench.bench.suites.cells import Cell, cells
from heistbench.bench.suites.files import load_suite

REMOTE: dict[str, Any] = {"model": "inspect:openai-api/nowhere/some-model", "name": "far", "release": "1"}


@pytest.fixture
def cells_of(suite_file: Callable[..., Path]) -> Callable[..., list[Cell]]:
    """The cells of the tiny suite with one attack and some fields changed."""
    plain = {"attacks": ["answer_only"], "controls": ["untrained"], "defenses": ["none"]}
    return lambda **changes: cells(load_suite(str(suite_file(**{**plain, **changes}))))


@pytest.mark.parametrize(
    ("victim", "expected"),
    [
        ({"model": "pocket/victim-1"}, {"answer", "summary", "trace"}),
        ({**REMOTE, "api": {"shows": "answer"}}, {"answer"}),
        ({**REMOTE, "api": {"shows": "summary"}}, {"answer", "summary"}),
        ({**REMOTE, "api": {"shows": "trace"}}, {"answer", "summary", "trace"}),
    ],
    ids=["local", "answers", "summaries", "traces"],
)
def test_what_there_is_to_see(cells_of: Callable, victim: dict[str, Any], expected: set[str]) -> None:
    assert sights(cells_of(victims=[victim])[0]) == expected


def test_a_task_without_summaries_has_none_unless_a_compressor_writes_them(cells_of: Callable) -> None:
    bare = {"tasks": ["gsm8k"], "victims": [{"model": "recorded", "name": "archive"}]}
    assert sights(cells_of(**bare)[0]) == {"answer", "trace"}
    bare["victims"][0]["compressor"] = {"model": "pocket/base"}
    assert sights(cells_of(**bare)[0]) == {"answer", "summary", "trace"}


@pytest.mark.parametrize(
    ("shows", "attack", "needed"),
    [
        ("answer", "summary_answer", "summary"),
        ("answer", "trace_inversion", "summary"),
        ("answer", "zero_shot_inversion", "summary"),
        ("answer", "rep_inversion", "summary"),
    ],
)
def test_an_attack_that_needs_more_than_is_shown_is_refused(cells_of: Callable, shows: str, attack: str, needed: str) -> None:
    victim = {**REMOTE, "api": {"shows": shows}}
    check_cells(cells_of(victims=[victim]))
    with pytest.raises(HeistError, match=rf"^{attack} needs to see the {needed} of victim far-1, which shows on pocket: answer$"):
        check_cells(cells_of(victims=[victim], attacks=[attack]))
    check_cells(cells_of(victims=[victim], attacks=["trace_inversion(use_summary=false)"]))


def test_the_ceiling_needs_traces(cells_of: Callable) -> None:
    with pytest.raises(HeistError, match="true_trace needs to see the trace of victim far-1"):
        check_cells(cells_of(victims=[REMOTE], controls=["untrained", "true_trace"]))


@pytest.mark.parametrize("changes", [{"attacks": ["rep"]}, {"defenses": ["boundary_prompt"]}], ids=["attack", "defense"])
def test_a_recorded_victim_answers_its_own_questions_only(cells_of: Callable, changes: dict[str, Any]) -> None:
    recorded = {"victims": [{"model": "recorded", "name": "archive"}]}
    check_cells(cells_of(**recorded))
    with pytest.raises(HeistError, match=r"victim archive is recorded and answers its own questions only; (rep|boundary_prompt)"):
        check_cells(cells_of(**recorded, **changes))


def test_dollars_cannot_be_limited_where_no_prices_are_known(cells_of: Callable) -> None:
    with pytest.raises(HeistError, match="--budget-usd: victim far-1 has no prices"):
        check_apis(cells_of(victims=[REMOTE]), Budget(dollars=1.0))


def test_a_local_suite_needs_no_key(cells_of: Callable) -> None:
    check_apis(cells_of(), NO_LIMIT)
    check_apis(cells_of(), Budget(queries=0, dollars=0.0))


def test_a_missing_key_is_named_before_any_query(cells_of: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE_API_KEY", raising=False)
    victim = {**REMOTE, "api": {"base_url": "http://127.0.0.1:9/v1"}}
    with pytest.raises(HeistError, match="NOWHERE_API_KEY"):
        check_apis(cells_of(victims=[victim]), NO_LIMIT)


def test_an_unknown_provider_is_named_before_any_query(cells_of: Callable) -> None:
    with pytest.raises(HeistError, match="openia"):
        check_apis(cells_of(victims=[{**REMOTE, "model": "inspect:openia/gpt-5"}]), NO_LIMIT)


def test_a_recipe_for_a_gpu_is_refused_without_one(cells_of: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    recipe = {"lora_rank": 4, "load_in_4bit": True}
    with pytest.raises(HeistError, match="GPU"):
        check_machine(cells_of(students=[{"model": "pocket/base", "recipe": recipe}]))
    check_machine(cells_of())
