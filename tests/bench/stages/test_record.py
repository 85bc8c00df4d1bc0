"""What makes a cell another cell, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from heistbench.bench.stages.record import cell_spec
from heistbench.bench.storage.store import identify
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite

ONE = {"attacks": ["rep"], "controls": [], "defenses": ["none"]}


@pytest.fixture
def identity_of(suite_file: Callable, tmp_path: Path) -> Callable[..., str]:
    """The identity of the first cell of the tiny suite with one attack, some fields changed by path."""

    def identity(**changes: Any) -> str:
        raw = deepcopy(yaml.safe_load(suite_file(**ONE).read_text()))
        for path, value in changes.items():
            at: Any = raw
            *parents, last = path.split("__")
            for parent in parents:
                at = at[int(parent)] if isinstance(at, list) else at.setdefault(parent, {})
            at[last] = value
        file = tmp_path / "changed.yaml"
        file.write_text(yaml.safe_dump(raw))
        return identify(cell_spec(cells(load_suite(str(file)))[0]))

    return identity


@pytest.mark.parametrize(
    "change",
    [
        {"attacks": ["rep(shots=2)"]},
        {"attacks": ["answer_only"]},
        {"defenses": ["noise_answers"]},
        {"defenses": ["none+none"]},
        {"victims__0__model": "pocket/victim-2"},
        {"victims__0__name": "other"},
        {"victims__0__release": "9"},
        {"victims__0__decoding__temperature": 0.1},
        {"victims__0__decoding__top_p": 0.9},
        {"victims__0__decoding__max_new_tokens": 111},
        {"surrogate__model": "pocket/base"},
        {"surrogate__decoding__temperature": 0.9},
        {"surrogate__lessons": 3},
        {"surrogate__recipe": {"epochs": 9}},
        {"inverter__model": "pocket/base"},
        {"inverter__recipe__epochs": 2},
        {"inverter__decoding__max_new_tokens": 63},
        {"students__0__model": "pocket/surrogate"},
        {"students__0__recipe__epochs": 2},
        {"students__0__recipe__learning_rate": 1e-3},
        {"students__0__recipe__lora_rank": 2},
        {"students__0__decoding__max_new_tokens": 63},
        {"victims__0__decoding__repetition_penalty": 1.1},
        {"victims__0__family": "harmony"},
        {"victims__0__compressor": {"model": "pocket/base"}},
        {"compressor": {"model": "pocket/base"}},
        {"budgets": [3]},
        {"engine": "vllm"},
        {"signatures": ["words"]},
        {"sizes__query": 23},
        {"sizes__surrogate": 39},
        {"sizes__test": 15},
        {"seeds": [1]},
        {"name": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_can_change_a_number_makes_another_cell(identity_of: Callable[..., str], change: dict[str, Any]) -> None:
    assert identity_of(**change) != identity_of()


@pytest.mark.parametrize(
    "change",
    [
        {"description": "other words"},
        {"attacks": ["rep(shots=3)"]},
        {"attacks": ["rep", "answer_only"]},
        {"defenses": ["none", "noise_answers"]},
        {"seeds": [0, 1]},
        {"victims__0__release": "1"},
        {"victims__0__api": {"connections": 7, "retries": 2, "timeout": 3, "prices": {"input": 1, "output": 2}}},
        {"budgets": [24]},
        {"smoke": {"seeds": [0]}},
        {"students__0__recipe__lora_rank": 0},
    ],
    ids=str,
)
def test_what_cannot_change_a_number_leaves_the_cell(identity_of: Callable[..., str], change: dict[str, Any]) -> None:
    assert identity_of(**change) == identity_of()


def test_other_data_make_another_cell(identity_of: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "babi" / "en-10k"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HEIST_DATA", str(tmp_path))
    found = set()
    for place in ("office", "garden"):
        for part in ("train", "test"):
            text = f"1 Mary went to the {place}.\n2 Where is Mary? \t{place}\t1\n"
            (folder / f"qa1_single-supporting-fact_{part}.txt").write_text(text)
        found.add(identity_of(tasks=["babi(types=1)"]))
    assert len(found) == 2
