from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import HeistError, Prompt, render_reply
from heistbench.bench.contracts.recipes import Recipe, Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.contracts.replies import encode, render_prompt
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.fine_tuning import (
    GPU_TOKENS,
    TrainingReport,
    TrainingRow,
    _lora,
    _rows_at_once,
    _trainer_class,
    fine_tune,
    merged,
    require,
)
from heistbench.bench.models.transformers_engine import TransformersEngine
from heistbench.bench.storage.digests import digest
from heistbench.bench.suites.files import load_suite

PROBLEMS = registry.build("task", "pocket").problems("surrogate", 24)
ROWS = [TrainingRow(Prompt.of(p.question.text), render_reply(p.trace, p.gold)) for p in PROBLEMS]
SHORT = Recipe(epochs=6, batch_size=8, learning_rate=1e-2, max_length=256)


def loss(checkpoint: Checkpoint, rows: list[TrainingRow]) -> float:
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
def first(base: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingReport, Checkpoint]:
    """All rows, the short recipe, seed 0."""
    folder = tmp_path_factory.mktemp("first")
    return fine_tune(base, ROWS, SHORT, 0, folder), Checkpoint("first", str(folder))


@pytest.fixture
def tune(base: Checkpoint, tmp_path: Path) -> Callable[..., tuple[TrainingReport, Checkpoint]]:
    def tune(recipe: Recipe = SHORT, seed: int = 0, rows: list[TrainingRow] = ROWS, name: str = "tuned", **more: object):
        folder = tmp_path / name
        return fine_tune(base, rows, recipe, seed, folder, **more), base.tuned(name, folder)

    return tune


def weights(checkpoint: Checkpoint) -> str:
    return digest(Path(checkpoint.source) / "model.safetensors")


def test_training_lowers_the_loss_on_its_rows(base: Checkpoint, first: tuple[TrainingReport, Checkpoint]) -> None:
    tuned, after = first
    assert weights(after) != weights(base)
    assert loss(after, ROWS) < loss(base, ROWS) - 0.8
    assert (tuned.rows, tuned.too_long, tuned.steps) == (24, 0, 18)


def test_only_the_completion_is_learnt(base: Checkpoint, tune: Callable) -> None:
    """With every completion the same, prompts could be learnt only if they were not masked."""
    rows = [TrainingRow(row.prompt, "7") for row in ROWS]
    _, after = tune(Recipe(epochs=30, batch_size=8, learning_rate=1e-2, max_length=256), rows=rows)
    prompts_as_targets = [TrainingRow(Prompt.of(""), row.prompt.text) for row in rows]
    assert loss(after, rows) < 0.1
    assert loss(after, prompts_as_targets) > 0.8 * loss(base, prompts_as_targets)


def test_tokens_are_those_of_the_rows_times_epochs(base: Checkpoint, first: tuple[TrainingReport, Checkpoint]) -> None:
    _, tokenizer = base.load()
    lengths = [len(encode(tokenizer, render_prompt(tokenizer, r.prompt), r.completion)[0]) for r in ROWS]
    assert first[0].tokens == 6 * sum(lengths)


def test_a_seed_determines_every_byte(tune: Callable, first: tuple[TrainingReport, Checkpoint]) -> None:
    assert weights(tune()[1]) == weights(first[1])
    assert weights(tune(seed=1)[1]) != weights(first[1])


def test_the_global_generators_do_not_matter(tune: Callable, first: tuple[TrainingReport, Checkpoint]) -> None:
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
def test_every_hyperparameter_counts(tune: Callable, first: tuple[TrainingReport, Checkpoint], change: dict[str, float]) -> None:
    assert weights(tune(replace(SHORT, **change))[1]) != weights(first[1])


def test_rows_that_are_too_long_are_left_out_and_counted(tune: Callable, first: tuple[TrainingReport, Checkpoint]) -> None:
    long = [TrainingRow(row.prompt, row.completion + " ; s9 1 plus 1 is 2" * 40) for row in ROWS[:5]]
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
    assert tuned == TrainingReport(0, 0, 0, 0)
    assert loss(after, ROWS[:4]) == loss(base, ROWS[:4])


def test_lora_saves_an_adapter_that_is_loaded_as_a_plain_model(base: Checkpoint, tune: Callable) -> None:
    recipe = replace(SHORT, lora_rank=4, lora_alpha=16, learning_rate=3e-2)
    _, after = tune(recipe)
    files = {path.name for path in after.adapter.iterdir()}
    assert "adapter_model.safetensors" in files
    assert "model.safetensors" not in files
    assert (after.source, after.identity) == (base.source, "tuned")
    assert state(after).keys() == state(base).keys()
    assert loss(after, ROWS) < loss(base, ROWS) - 0.3
    assert digest(after.adapter / "adapter_model.safetensors") == digest(
        tune(recipe, name="again")[1].adapter / "adapter_model.safetensors"
    )


def test_lora_trains_linear_layers_and_no_others(base: Checkpoint, tune: Callable) -> None:
    import torch

    _, after = tune(Recipe(epochs=1, batch_size=8, learning_rate=3e-2, lora_rank=2))
    old, new = state(base), state(after)
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert any("q_proj" in name for name in changed)
    assert any("down_proj" in name for name in changed)
    assert not [name for name in changed if "norm" in name or "embed" in name]


def test_a_trained_model_is_loaded_and_run_by_the_engine(tune: Callable) -> None:
    rows = [TrainingRow(row.prompt, "<think> </think> 7") for row in ROWS]
    _, after = tune(Recipe(epochs=20, batch_size=8, learning_rate=1e-2, max_length=256), rows=rows)
    completions = TransformersEngine(after).generate([row.prompt for row in rows[:3]], Sampling(max_new_tokens=12))
    assert [(c.text, c.stop) for c in completions] == [("<think> </think> 7", "stop")] * 3


# batches in parts


def state(checkpoint: Checkpoint) -> dict:
    return checkpoint.load()[0].state_dict()


UNEVEN = [TrainingRow(row.prompt, row.completion + " ; s9 1 plus 1 is 2" * (i % 4)) for i, row in enumerate([*ROWS, *ROWS[:3]])]
"""27 rows: batches of 8 leave one of 3, and hold completions of very different lengths."""


@pytest.mark.parametrize("lora_rank", [0, 4])
@pytest.mark.parametrize("tokens", [200, 400, 800])
def test_a_batch_in_parts_trains_what_it_trains_in_one(
    furthest: Callable, tune: Callable, monkeypatch: pytest.MonkeyPatch, lora_rank: int, tokens: int
) -> None:
    """Each token of a batch counts the same, in whichever part it is."""
    recipe = Recipe(epochs=2, batch_size=8, learning_rate=3e-3, max_length=200, lora_rank=lora_rank)
    whole, at_once = tune(recipe, rows=UNEVEN, name="whole")
    monkeypatch.setattr("heistbench.bench.models.fine_tuning._tokens_at_once", lambda: tokens)
    told: list[tuple[int, int]] = []
    parts, in_parts = tune(recipe, rows=UNEVEN, name="parts", progress=lambda *so_far: told.append(so_far))
    assert parts == whole == TrainingReport(27, 0, whole.tokens, 8)
    assert told == [(step, 8) for step in range(1, 9)]
    assert furthest(at_once, in_parts) < 1e-5


@given(st.integers(1, 200), st.integers(1, 40_000))
def test_a_part_divides_its_batch_and_fits_unless_a_row_does_not(batch_size: int, max_length: int) -> None:
    with mock.patch("heistbench.bench.models.fine_tuning._tokens_at_once", return_value=GPU_TOKENS):
        rows = _rows_at_once(Recipe(batch_size=batch_size, max_length=max_length))
    assert batch_size % rows == 0
    assert rows == 1 or rows * max_length <= GPU_TOKENS
    larger = [n for n in range(rows + 1, batch_size + 1) if batch_size % n == 0]
    assert all(n * max_length > GPU_TOKENS for n in larger)


def test_a_gpus_loss_is_a_cpus(
    furthest: Callable, tune: Callable, first: tuple[TrainingReport, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL's own loss, which spares memory, against the library's plain one."""
    monkeypatch.setattr("heistbench.bench.models.fine_tuning._tokens_at_once", lambda: 4 * SHORT.max_length)
    ours = _trainer_class
    monkeypatch.setattr("heistbench.bench.models.fine_tuning._trainer_class", lambda large: ours(True))
    assert furthest(tune()[1], first[1]) < 1e-5


def test_progress_is_told_step_by_step(tune: Callable) -> None:
    told: list[tuple[int, int]] = []
    tuned, _ = tune(progress=lambda *so_far: told.append(so_far))
    assert told == [(step, tuned.steps) for step in range(1, tuned.steps + 1)]


@given(st.integers(1, 50), st.integers(1, 64), st.integers(0, 500))
def test_steps_are_batches_times_epochs(epochs: int, batch_size: int, rows: int) -> None:
    batches = len(range(0, rows, batch_size))
    assert Recipe(epochs=epochs, batch_size=batch_size).steps(rows) == epochs * batches


# recipes for a GPU


def test_a_recipe_is_told_apart_by_every_field() -> None:
    plain = Recipe()
    assert replace(plain, packing=True).identity.keys() == {field.name for field in fields(Recipe)}
    assert "packing" not in plain.identity  # records from before it stay comparable
    for name in replace(plain, packing=True).identity.keys() - {"load_in_4bit"}:
        assert replace(plain, **{name: "other"}).identity != plain.identity  # type: ignore[arg-type]


def test_four_bits_need_an_adapter_to_train(suite_file: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="load_in_4bit needs a lora_rank"):
        Recipe(load_in_4bit=True)
    students = [{"model": "pocket/base", "recipe": {"load_in_4bit": True}}]
    with pytest.raises(HeistError, match=r"students\.0\.recipe: .*load_in_4bit needs a lora_rank"):
        load_suite(str(suite_file(students=students)))


@pytest.mark.parametrize(
    ("recipe", "what"),
    [(Recipe(load_in_4bit=True, lora_rank=4), "load_in_4bit"), (Recipe(optimizer="adamw_8bit"), "optimizer adamw_8bit")],
)
def test_what_a_machine_lacks_is_said_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe, what: str
) -> None:
    nowhere = Checkpoint("nowhere", "/nowhere")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(HeistError, match=f"recipe: {what} needs a GPU and bitsandbytes, and there is no GPU"):
        fine_tune(nowhere, ROWS, recipe, 0, Path("/nowhere"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("heistbench.bench.models.fine_tuning.find_spec", lambda name: None)
    with pytest.raises(HeistError, match=rf"recipe: {what} needs bitsandbytes, .*: pip install 'heistbench\[gpu\]'$"):
        fine_tune(nowhere, ROWS, recipe, 0, Path("/nowhere"))
    require(Recipe())


@pytest.mark.parametrize("stage", ["checkpoints.Checkpoint.load", "fine_tuning.train"])
def test_too_little_gpu_memory_is_one_line(tune: Callable, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    import torch

    def full(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.28 GiB.\nGPU 0 has")

    monkeypatch.setattr(f"heistbench.bench.models.{stage}", full)
    with pytest.raises(HeistError, match=r"^out of GPU memory on rows of up to 256 tokens: lower [^\n]*$"):
        tune()


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_what_is_trained_is_float32(tune: Callable, monkeypatch: pytest.MonkeyPatch, lora_rank: int) -> None:
    """On any machine; what lies beside it, and what is saved, is bfloat16 on a GPU."""
    import torch
    from safetensors.torch import load_file

    seen: dict[bool, set[torch.dtype]] = {}
    ours = _trainer_class

    def spy(large: bool) -> type:
        class Spy(ours(large)):  # type: ignore[misc]
            def train(self) -> None:
                for trained in (True, False):
                    seen[trained] = {p.dtype for p in self.model.parameters() if p.requires_grad == trained}
                super().train()

        return Spy

    monkeypatch.setattr("heistbench.bench.models.fine_tuning._trainer_class", spy)
    _, after = tune(replace(SHORT, epochs=1, lora_rank=lora_rank))
    resting = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    assert seen == {True: {torch.float32}, False: {resting} if lora_rank else set()}
    saved = after.adapter / "adapter_model.safetensors" if lora_rank else Path(after.source) / "model.safetensors"
    assert {weight.dtype for weight in load_file(saved).values()} == {torch.float32 if lora_rank else resting}


def test_an_adapter_beside_four_bits_is_not_rounded_away(base: Checkpoint) -> None:
    """What is saved is the 4-bit weights and the adapter, exactly."""
    torch, nf4 = pytest.importorskip("torch"), pytest.importorskip("bitsandbytes").functional.dequantize_4bit
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    packing = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    packed = AutoModelForCausalLM.from_pretrained(base.source, dtype=torch.float32, quantization_config=packing)
    model = get_peft_model(packed, _lora(Recipe(lora_rank=2)))
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    torch.nn.init.normal_(layer.lora_B["default"].weight, std=1e-3)
    weight = nf4(layer.base_layer.weight.data, layer.base_layer.weight.quant_state) + layer.get_delta_weight("default")
    plain = merged(model)
    assert torch.allclose(plain.model.layers[0].mlp.up_proj.weight, weight, atol=1e-6)
    assert not plain.is_quantized
