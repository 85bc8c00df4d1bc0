"""Supervised fine-tuning with TRL, full or LoRA (PEFT): students, inverters and the shipped models are all made here."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Prompt
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.contracts.replies import encode
from heistbench.bench.models.chat_templates import render
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.lean_training import lean_trainer
from heistbench.bench.models.packing import pack, packed_attention, packed_collator

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
    from trl import SFTTrainer

GPU_TOKENS = 16_384
"""Tokens, padding included, that a GPU trains on at once; the rest of a batch is accumulated. No result depends on it."""

Steps = Callable[[int, int], None]
"""Told how many steps are done, and how many there are."""


def unseen(done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of training text: only `completion` carries loss."""

    prompt: Prompt
    completion: str


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a fine-tuning did."""

    rows: int
    too_long: int
    tokens: int
    steps: int


def require(recipe: Recipe) -> None:
    """Raise HeistError where this machine lacks what the recipe needs; cheaper to hear before anything is computed."""
    needs = {"load_in_4bit": recipe.load_in_4bit, "optimizer adamw_8bit": recipe.optimizer == "adamw_8bit"}
    for name in (name for name, needed in needs.items() if needed):
        import torch  # which takes seconds, and most recipes need no GPU

        if not torch.cuda.is_available():
            raise HeistError(f"recipe: {name} needs a GPU and bitsandbytes, and there is no GPU")
        if find_spec("bitsandbytes") is None:
            raise HeistError(f"recipe: {name} needs bitsandbytes, which is not installed: pip install 'heistbench[gpu]'")


def fine_tune(
    source: Checkpoint,
    examples: Sequence[TrainingRow],
    recipe: Recipe,
    seed: int,
    folder: Path,
    progress: Steps = unseen,
) -> TrainingReport:
    """Train `source` on examples and save model and tokenizer to `folder`. Rows over `max_length` are dropped and counted.

    On a CPU all is float32. A GPU computes in bfloat16 but keeps in float32 what it trains, be it all weights or an adapter
    beside bfloat16 weights: the small updates of a low learning rate are lost in bfloat16. Adapters beside 4-bit weights are
    bfloat16, TRL's choice after arXiv:2305.14314. All weights that a GPU trained are saved in bfloat16, which is how engines load
    them. An adapter is saved as it is (see `Checkpoint.tuned`), except beside 4-bit weights, which it is merged into.

    Raises HeistError where a GPU, its memory or bitsandbytes are wanting.
    """
    require(recipe)
    with _gpu_memory(recipe):
        model, tokenizer = source.load(recipe.load_in_4bit, not recipe.lora_rank, packed_attention(recipe))
        return train(model, tokenizer, examples, recipe, seed, folder, progress)


@contextmanager
def _gpu_memory(recipe: Recipe) -> Iterator[None]:
    """Says what to lower where there is too little of it, and leaves none of it taken."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise HeistError(
            f"out of GPU memory on rows of up to {recipe.max_length} tokens: lower the recipe's max_length, or set optimizer"
            " adamw_8bit, a lora_rank, or load_in_4bit"
        ) from None
    finally:
        if torch.cuda.is_available():
            gc.collect()
            torch.cuda.empty_cache()


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[TrainingRow],
    recipe: Recipe,
    seed: int,
    folder: Path,
    progress: Steps = unseen,
) -> TrainingReport:
    """As `fine_tune`, for a model already in memory."""
    import torch
    from datasets import Dataset

    encoded = [encode(tokenizer, render(tokenizer, e.prompt), e.completion) for e in examples]
    kept = [{"input_ids": ids, "labels": labels} for ids, labels in encoded if len(ids) <= recipe.max_length]
    steps = 0
    if kept:
        trainer = _trainer(model, tokenizer, Dataset.from_list(kept), recipe, seed, folder, _ticker(progress))
        trainer.train()
        steps, model = trainer.state.global_step, merged(trainer.model) if recipe.load_in_4bit else trainer.model
    if torch.cuda.is_available() and not recipe.lora_rank:
        model.to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tokens = sum(len(row["input_ids"]) for row in kept) * recipe.epochs
    return TrainingReport(len(kept), len(encoded) - len(kept), tokens, steps)


def _trainer(model: Any, tokenizer: Any, rows: Any, recipe: Recipe, seed: int, folder: Path, callback: TrainerCallback) -> Any:
    import torch
    from transformers import PrinterCallback
    from trl import SFTConfig

    cuda, at_once = torch.cuda.is_available(), _rows_at_once(recipe)
    config = SFTConfig(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=recipe.batch_size // at_once,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim={"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit"}[recipe.optimizer],
        max_length=recipe.max_length,
        train_sampling_strategy="random" if recipe.packing else "group_by_length",
        dataset_kwargs={"skip_prepare_dataset": True},
        seed=seed,
        data_seed=seed,
        bf16=cuda,
        use_cpu=not cuda,
        gradient_checkpointing=cuda,
        packing=False,  # done by then
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    config._n_gpu = 1  # a process trains on one GPU; TRL refuses to be one process on several
    trainer = _trainer_class(cuda or recipe.packing)(
        model=model,
        args=config,
        train_dataset=pack(rows, recipe) if recipe.packing else rows,
        data_collator=packed_collator(tokenizer.pad_token_id, bool(packed_attention(recipe))) if recipe.packing else None,
        processing_class=tokenizer,
        peft_config=_lora(recipe),
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _rows_at_once(recipe: Recipe) -> int:
    """The largest part of a batch that divides it and fits a GPU, by the length that rows may have; on a CPU all of it."""
    parts = [rows for rows in range(1, recipe.batch_size + 1) if recipe.batch_size % rows == 0]
    return max((rows for rows in parts if rows * recipe.max_length <= _tokens_at_once()), default=1)


def _tokens_at_once() -> int:
    import torch

    return GPU_TOKENS if torch.cuda.is_available() else sys.maxsize


def _trainer_class(large: bool) -> type[SFTTrainer]:
    """Two ways to the same loss. TRL's own never holds the logits of all tokens, tens of gigabytes for long rows."""
    from trl import SFTTrainer

    return SFTTrainer if large else lean_trainer()


def merged(model: Any) -> Any:
    """A plain model of 4-bit weights and an adapter. They are unpacked first: packed again they would round the adapter away."""
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    adapter, config = get_peft_model_state_dict(model), model.active_peft_config
    model = get_peft_model(model.unload().dequantize(), config)
    set_peft_model_state_dict(model, adapter)
    return model.merge_and_unload()


def _lora(recipe: Recipe) -> Any:
    if not recipe.lora_rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM"
    )


def _ticker(progress: Steps) -> TrainerCallback:
    from transformers import TrainerCallback

    class Ticker(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            progress(state.global_step, state.max_steps)

    return Ticker()
