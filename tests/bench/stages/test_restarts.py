"""Restarts of an inverter: which training is used, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from heistbench.bench import Prompt
from heistbench.bench.models.held_out import held_out_loss
from heistbench.bench.stages.inverter import InverterTraining, trained
from heistbench.bench.stages.pipeline import StoredCell
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite

ROWS = tuple((Prompt.of(f"start {n % 10} ; s1 star {n % 7}"), f"s1 is {n % 10} star {n % 7}") for n in range(24))
INVERTER = {"model": "pocket/base", "recipe": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-2, "max_length": 64}}


@pytest.fixture
def context_of(suite_file: Callable[..., Path], tmp_path: Path) -> Callable[[int], StoredCell]:
    def context(restarts: int) -> StoredCell:
        suite = load_suite(str(suite_file(inverter={**INVERTER, "restarts": restarts})))
        return StoredCell(cells(suite)[0], Store(tmp_path / "store"))

    return context


def test_the_best_of_several_trainings_is_used_and_all_are_paid(context_of: Callable[[int], StoredCell]) -> None:
    context = context_of(3)
    runs = [context.result(InverterTraining(context, ROWS, restart)) for restart in range(3)]
    losses = [run.held_out for run in runs]
    chosen = trained(context, ROWS)
    assert len(set(losses)) == 3
    assert chosen.held_out == min(loss for loss in losses if loss is not None)
    assert chosen.checkpoint == runs[losses.index(chosen.held_out)].checkpoint
    assert chosen.tokens == sum(run.tokens for run in runs)
    assert [len(InverterTraining(context, ROWS, 1).rows()), len(InverterTraining(context, ROWS, 1).kept_back())] == [23, 1]


def test_one_training_has_all_rows_and_nothing_kept_back(context_of: Callable[[int], StoredCell]) -> None:
    context = context_of(1)
    stage = InverterTraining(context, ROWS)
    assert len(stage.rows()) == len(ROWS)
    assert not stage.kept_back()
    assert trained(context, ROWS).held_out is None


def test_a_row_alone_is_trained_on(context_of: Callable[[int], StoredCell]) -> None:
    stage = InverterTraining(context_of(3), ROWS[:1])
    assert (len(stage.rows()), len(stage.kept_back())) == (1, 0)


def test_the_held_out_loss_is_the_models_own(context_of: Callable[[int], StoredCell]) -> None:
    import torch

    from heistbench.bench.contracts.replies import encode
    from heistbench.bench.models.chat_templates import render

    base, rows = context_of(1).resolve("pocket/base"), InverterTraining(context_of(1), ROWS).rows()
    model, tokenizer = base.load()
    losses, tokens = [], []
    for row in rows:
        ids, labels = encode(tokenizer, render(tokenizer, row.prompt), row.completion)
        with torch.inference_mode():
            losses.append(float(model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss))
        tokens.append(sum(label != -100 for label in labels))
    expected = sum(loss * n for loss, n in zip(losses, tokens, strict=True)) / sum(tokens)
    assert held_out_loss(base, rows, 64) == pytest.approx(expected, rel=1e-5)
    assert held_out_loss(base, rows, 2) is None
