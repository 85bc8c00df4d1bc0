from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import HeistError, Prompt, render_reply
from heistbench.bench._engine import Sampling, TransformersEngine
from heistbench.bench._models import Checkpoint, digest
from heistbench.bench._registry import registry
from heistbench.bench._scratch import make_scratch
from heistbench.bench._sft import Example, Recipe, Tuned, fine_tune
from heistbench.bench._text import encode, render_prompt

PROBLEMS = registry.build("task", "pocket").problems("surrogate", 24)
ROWS = [Example(Prompt.of(p.question.text), render_reply(p.trace, p.gold)) for p in PROBLEMS]
SHORT = Recipe(epochs=6, batch_size=8, learning_rate=1e-2, max_length=256)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("base")
    make_scratch("scratch/16x1", PROBLEMS, folder)
    return Checkpoint("base", str(folder))


def loss(checkpoint: Checkpoint, rows: list[Example]) -> float:
    """Mean loss over the tokens of the completions, row by row, by the library's own loss."""
    import torch

    model, tokenizer = checkpoint.load()
    losses = []
    for row in rows:
        ids, labels = encode(tokenizer, render_prompt(tokenizer, row.prompt), row.completion)
        with torch.inference_mode():
            output = model(input_ids=torch.tensor([ids]).to(model.device), labels=torch.tensor([labels]).to(model.device))
        losses.append(output.loss.item())
    return sum(losses) / len(losses)


@pytest.fixture(scope="module")
def first(base: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuned, Checkpoint]:
    """All rows, the short recipe, seed 0."""
    folder = tmp_path_factory.mktemp("first")
    return fine_tune(base, ROWS, SHORT, 0, folder), Checkpoint("first", str(folder))


@pytest.fixture
def tune(base: Checkpoint, tmp_path: Path) -> Callable[..., tuple[Tuned, Checkpoint]]:
    def tune(recipe: Recipe = SHORT, seed: int = 0, rows: list[Example] = ROWS, name: str = "tuned", **more: object):
        folder = tmp_path / name
        return fine_tune(base, rows, recipe, seed, folder, **more), Checkpoint(name, str(folder))

    return tune


def weights(checkpoint: Checkpoint) -> str:
    return digest(Path(checkpoint.source) / "model.safetensors")


def test_training_lowers_the_loss_on_its_rows(base: Checkpoint, first: tuple[Tuned, Checkpoint]) -> None:
    tuned, after = first
    assert weights(after) != weights(base)
    assert loss(after, ROWS) < loss(base, ROWS) - 0.8
    assert (tuned.rows, tuned.too_long, tuned.steps) == (24, 0, 18)


def test_only_the_completion_is_learnt(base: Checkpoint, tune: Callable) -> None:
    """With every completion the same, prompts could be learnt only if they were not masked."""
    rows = [Example(row.prompt, "7") for row in ROWS]
    _, after = tune(Recipe(epochs=30, batch_size=8, learning_rate=1e-2, max_length=256), rows=rows)
    prompts_as_targets = [Example(Prompt.of(""), row.prompt.text) for row in rows]
    assert loss(after, rows) < 0.1
    assert loss(after, prompts_as_targets) > 0.8 * loss(base, prompts_as_targets)


def test_tokens_are_those_of_the_rows_times_epochs(base: Checkpoint, first: tuple[Tuned, Checkpoint]) -> None:
    _, tokenizer = base.load()
    lengths = [len(encode(tokenizer, render_prompt(tokenizer, r.prompt), r.completion)[0]) for r in ROWS]
    assert first[0].tokens == 6 * sum(lengths)


def test_a_seed_determines_every_byte(tune: Callable, first: tuple[Tuned, Checkpoint]) -> None:
    assert weights(tune()[1]) == weights(first[1])
    assert weights(tune(seed=1)[1]) != weights(first[1])


def test_the_global_generators_do_not_matter(tune: Callable, first: tuple[Tuned, Checkpoint]) -> None:
    import random

    import numpy as np
    import torch

    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    assert weights(tune()[1]) == weights(first[1])


@pytest.mark.parametrize(
    "change", [{"epochs": 5}, {"batch_size": 6}, {"learning_rate": 2e-2}, {"weight_decay": 0.1}, {"warmup": 0.5}]
)
def test_every_hyperparameter_counts(tune: Callable, first: tuple[Tuned, Checkpoint], change: dict[str, float]) -> None:
    assert weights(tune(replace(SHORT, **change))[1]) != weights(first[1])


def test_rows_that_are_too_long_are_left_out_and_counted(tune: Callable, first: tuple[Tuned, Checkpoint]) -> None:
    long = [Example(row.prompt, row.completion + " ; s9 1 plus 1 is 2" * 40) for row in ROWS[:5]]
    mixed, after = tune(rows=[*ROWS, *long])
    assert (mixed.rows, mixed.too_long, mixed.steps) == (24, 5, 18)
    assert weights(after) == weights(first[1])


def test_the_longest_row_that_fits_is_kept(base: Checkpoint, tune: Callable) -> None:
    _, tokenizer = base.load()
    lengths = [len(encode(tokenizer, render_prompt(tokenizer, r.prompt), r.completion)[0]) for r in ROWS]
    kept = tune(Recipe(epochs=1, batch_size=8, max_length=max(lengths)), name="all")[0]
    cut = tune(Recipe(epochs=1, batch_size=8, max_length=max(lengths) - 1), name="cut")[0]
    assert kept.too_long == 0
    assert cut.too_long == lengths.count(max(lengths))


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_without_rows_the_model_stays_as_it_was(base: Checkpoint, tune: Callable, lora_rank: int) -> None:
    tuned, after = tune(Recipe(lora_rank=lora_rank), rows=[])
    assert tuned == Tuned(0, 0, 0, 0)
    assert loss(after, ROWS[:4]) == loss(base, ROWS[:4])


def test_lora_saves_a_plain_model(base: Checkpoint, tune: Callable) -> None:
    from transformers import AutoModelForCausalLM

    recipe = replace(SHORT, lora_rank=4, lora_alpha=16, learning_rate=3e-2)
    _, after = tune(recipe)
    files = {path.name for path in Path(after.source).iterdir()}
    assert "model.safetensors" in files
    assert not [name for name in files if "adapter" in name]
    plain, before = AutoModelForCausalLM.from_pretrained(after.source), AutoModelForCausalLM.from_pretrained(base.source)
    assert plain.state_dict().keys() == before.state_dict().keys()
    assert loss(after, ROWS) < loss(base, ROWS) - 0.3
    assert weights(after) == weights(tune(recipe, name="again")[1])


def test_lora_trains_linear_layers_and_no_others(base: Checkpoint, tune: Callable) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    _, after = tune(Recipe(epochs=1, batch_size=8, learning_rate=3e-2, lora_rank=2))
    old, new = (AutoModelForCausalLM.from_pretrained(c.source).state_dict() for c in (base, after))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert any("q_proj" in name for name in changed)
    assert any("down_proj" in name for name in changed)
    assert not [name for name in changed if "norm" in name or "embed" in name]


def test_a_trained_model_is_loaded_and_run_by_the_engine(tune: Callable) -> None:
    rows = [Example(row.prompt, "<think> </think> 7") for row in ROWS]
    _, after = tune(Recipe(epochs=20, batch_size=8, learning_rate=1e-2, max_length=256), rows=rows)
    completions = TransformersEngine(after).generate([row.prompt for row in rows[:3]], Sampling(max_new_tokens=12))
    assert [(c.text, c.stop) for c in completions] == [("<think> </think> 7", "stop")] * 3


def test_progress_is_told_step_by_step(tune: Callable) -> None:
    told: list[int] = []
    tuned, _ = tune(advance=told.append)
    assert told == [1] * tuned.steps


@given(st.integers(1, 50), st.integers(1, 64), st.integers(0, 500))
def test_steps_are_batches_times_epochs(epochs: int, batch_size: int, rows: int) -> None:
    batches = len(range(0, rows, batch_size))
    assert Recipe(epochs=epochs, batch_size=batch_size).steps(rows) == epochs * batches


# recipes for a GPU


def test_fields_that_came_later_leave_a_recipes_identity_alone() -> None:
    plain = Recipe(epochs=2)
    assert not {"optimizer", "load_in_4bit"} & plain.identity.keys()
    assert plain.identity["epochs"] == 2
    assert Recipe(epochs=2, optimizer="adamw_8bit").identity == {**plain.identity, "optimizer": "adamw_8bit"}
    assert Recipe(epochs=2, load_in_4bit=True).identity != plain.identity


def test_four_bits_need_a_gpu(tune: Callable) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(HeistError, match="load_in_4bit needs a GPU and bitsandbytes"):
        tune(Recipe(load_in_4bit=True))
