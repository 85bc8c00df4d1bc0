"""The lean trainer against TRL's own: the same batches, losses and gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Prompt, render_reply
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models import lean_training
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.fine_tuning import TrainingRow, fine_tune
from heistbench.bench.models.lean_training import shared_prefix
from heistbench.bench.prompting.inversion import inversion_prompt

TASK = registry.build("task", "pocket")
PROBLEMS = TASK.problems("surrogate", 40)
STUDENTS = [TrainingRow(Prompt.of(p.question.text), render_reply(p.trace, p.gold)) for p in PROBLEMS]
INVERTERS = [TrainingRow(inversion_prompt(p.question.text, p.gold, TASK.summarize(p.trace)), p.trace) for p in PROBLEMS]
RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=1e-2, max_length=256)


@pytest.fixture
def trained(base: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[Any], dict[str, Any]]]:
    """Trains with a class of trainer; returns the batches in their order, and the weights."""

    def train(rows: list[TrainingRow], make: Callable[[], Any]) -> tuple[list[Any], dict[str, Any]]:
        batches = []

        def spy(large: bool) -> Any:
            class Spy(make()):  # type: ignore[misc]
                def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
                    batches.append({name: inputs[name].tolist() for name in ("input_ids", "labels", "attention_mask")})
                    return super().training_step(model, inputs, *args, **kwargs)

            return Spy

        from safetensors.torch import load_file

        monkeypatch.setattr("heistbench.bench.models.fine_tuning._trainer_class", spy)
        fine_tune(base, rows, RECIPE, 3, tmp_path / "tuned")
        return batches, load_file(tmp_path / "tuned" / "model.safetensors")

    return train


def trl() -> Any:
    from trl import SFTTrainer

    return SFTTrainer


@pytest.mark.parametrize("rows", [STUDENTS, INVERTERS], ids=["students", "inverters"])
def test_batches_and_weights_are_those_of_trl(trained: Callable, rows: list[TrainingRow]) -> None:
    import torch

    (batches, weights), (theirs, expected) = trained(rows, lean_training.lean_trainer), trained(rows, trl)
    assert batches == theirs
    assert len(batches) == RECIPE.steps(len(rows))
    assert weights.keys() == expected.keys()
    assert all(torch.allclose(weights[name], expected[name], atol=1e-5) for name in weights)


def test_a_shared_prefix_is_computed_once(trained: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    lengths = []
    ours = lean_training._prefix_cache

    def spy(model: Any, ids: Any, length: int) -> Any:
        lengths.append((length, ids.shape[1]))
        return ours(model, ids, length)

    monkeypatch.setattr(lean_training, "_prefix_cache", spy)
    _, shared = trained(INVERTERS, lean_training.lean_trainer)
    assert len(lengths) == RECIPE.steps(len(INVERTERS))
    assert all(length > whole / 3 for length, whole in lengths)
    monkeypatch.setattr(lean_training, "WORTH_SHARING", 10_000)
    _, apart = trained(INVERTERS, lean_training.lean_trainer)
    assert all(torch.allclose(shared[name], apart[name], atol=1e-5) for name in shared)


def test_a_model_that_keeps_no_keys_shares_nothing(trained: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean_training, "_prefix_cache", lambda model, ids, length: None)
    assert len(trained(INVERTERS, lean_training.lean_trainer)[0]) == RECIPE.steps(len(INVERTERS))


@given(st.lists(st.lists(st.integers(0, 2), min_size=6, max_size=6), min_size=1, max_size=4), st.integers(0, 6))
def test_a_shared_prefix_holds_nothing_that_is_learnt_or_differs(rows: list[list[int]], prompt: int) -> None:
    import torch

    ids = torch.tensor(rows)
    labels = ids.clone()
    labels[:, :prompt] = -100
    shared = shared_prefix(ids, labels)
    assert all(row[: shared + 1] == rows[0][: shared + 1] for row in rows) or shared == 0
    assert shared < max(prompt, 1)
