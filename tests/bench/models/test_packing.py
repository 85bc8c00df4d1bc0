"""Packed rows: neither attention nor loss crosses from one row into the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Prompt, render_reply
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.fine_tuning import TrainingReport, TrainingRow, fine_tune
from heistbench.bench.models.packing import packed_attention, packed_collator

PROBLEMS = registry.build("task", "pocket").problems("surrogate", 24)
ROWS = [TrainingRow(Prompt.of(p.question.text), render_reply(p.trace, p.gold)) for p in PROBLEMS]
PACKED = Recipe(epochs=1, batch_size=64, learning_rate=1e-2, max_length=256, packing=True)
"""All rows in one step."""


@pytest.fixture
def tune(base: Checkpoint, tmp_path: Path) -> Callable[..., tuple[TrainingReport, Checkpoint]]:
    def tune(recipe: Recipe = PACKED, name: str = "tuned", **more: object) -> tuple[TrainingReport, Checkpoint]:
        return fine_tune(base, ROWS, recipe, 0, tmp_path / name, **more), base.tuned(name, tmp_path / name)

    return tune


@pytest.mark.parametrize("tokens", [256, 512, 100_000])
@pytest.mark.parametrize("in_a_row", [False, True])
def test_packed_rows_teach_what_they_teach_apart(
    furthest: Callable, tune: Callable, monkeypatch: pytest.MonkeyPatch, tokens: int, in_a_row: bool
) -> None:
    """One step of all rows is the same step, in however many parts. In a row, by attention that takes any layout."""
    alone, apart = tune(replace(PACKED, packing=False), name="apart")
    monkeypatch.setattr("heistbench.bench.models.fine_tuning._tokens_at_once", lambda: tokens)
    monkeypatch.setattr(
        "heistbench.bench.models.fine_tuning.packed_collator", lambda padding, _: packed_collator(padding, in_a_row)
    )
    packed, together = tune(name="packed")
    assert packed == alone
    assert packed.steps == 1
    assert furthest(together, apart) < 1e-5


def test_rows_are_packed_as_tightly_as_they_fit(tune: Callable) -> None:
    told: list[tuple[int, int]] = []
    recipe = replace(PACKED, batch_size=1, epochs=2)
    tuned, _ = tune(recipe, progress=lambda *so_far: told.append(so_far))
    least = -(-tuned.tokens // recipe.epochs // recipe.max_length)
    assert recipe.epochs * least <= tuned.steps <= recipe.epochs * (least + 1)
    assert tuned.steps < recipe.steps(len(ROWS)) / 2
    assert told[-1] == (tuned.steps, tuned.steps)


def test_an_adapter_learns_from_packed_rows(furthest: Callable, base: Checkpoint, tune: Callable) -> None:
    tuned, after = tune(replace(PACKED, epochs=3, batch_size=2, lora_rank=2))
    assert (tuned.rows, tuned.too_long) == (24, 0)
    assert after.adapter is not None
    assert furthest(base, after) > 1e-4


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=4), st.booleans())
def test_positions_start_again_with_each_row(lengths: list[list[int]], in_a_row: bool) -> None:
    sequences = [{"input_ids": [7] * sum(n), "labels": [7] * sum(n), "seq_lengths": n} for n in lengths]
    batch = packed_collator(0, in_a_row)(sequences)
    assert {part.shape for part in batch.values()} == {batch["input_ids"].shape}
    assert len(batch["input_ids"]) == (1 if in_a_row else len(lengths))
    there = batch["labels"] == 7
    assert there.sum() == sum(map(sum, lengths))
    assert batch["position_ids"][there].tolist() == [at for n in lengths for row in n for at in range(row)]


def test_kernels_for_any_length_are_taken_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels themselves need a GPU: here it is only seen that they would be taken."""
    assert packed_attention(PACKED) is None
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("heistbench.bench.models.packing.find_spec", lambda name: name == "flash_attn")
    assert packed_attention(PACKED) == "flash_attention_2"
    assert packed_attention(replace(PACKED, packing=False)) is None
