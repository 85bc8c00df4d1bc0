"""Supervised fine-tuning with TRL, full or LoRA (PEFT): students, inverters and the shipped models are all made here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from heistbench.bench._models import Checkpoint
from heistbench.bench._nouns import Prompt
from heistbench.bench._text import encode, render_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback


Count = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every hyperparameter of a fine-tuning. `warmup` is a share of the steps; `lora_rank` 0 trains all weights.

    `load_in_4bit` with a `lora_rank` is QLoRA (arXiv:2305.14314); it and `adamw_8bit` need a GPU and bitsandbytes.
    """

    version: Literal["1-A"] = "1-A"
    epochs: Count = 3
    batch_size: Count = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length: Count = 1024
    lora_rank: Annotated[int, Field(ge=0)] = 0
    lora_alpha: Count = 32
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    load_in_4bit: bool = False

    @property
    def identity(self) -> dict[str, Any]:
        """What tells recipes apart: every field; of those that came later, the ones that are not at their default."""
        later = {"optimizer": "adamw", "load_in_4bit": False}
        return {name: value for name, value in asdict(self).items() if name not in later or value != later[name]}

    def steps(self, rows: int) -> int:
        """Optimizer steps for a number of rows."""
        return self.epochs * -(-rows // self.batch_size)


@dataclass(frozen=True, slots=True)
class Example:
    """One row of training text: only `completion` carries loss."""

    prompt: Prompt
    completion: str


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a fine-tuning did."""

    rows: int
    too_long: int
    tokens: int
    steps: int


def fine_tune(
    source: Checkpoint,
    examples: Sequence[Example],
    recipe: Recipe,
    seed: int,
    folder: Path,
    advance: Callable[[int], None] = lambda n: None,
) -> Tuned:
    """Train `source` on examples and save model and tokenizer to `folder`. Rows over `max_length` are dropped and counted."""
    model, tokenizer = source.load(recipe.load_in_4bit)
    return train(model, tokenizer, examples, recipe, seed, folder, advance)


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    recipe: Recipe,
    seed: int,
    folder: Path,
    advance: Callable[[int], None] = lambda n: None,
) -> Tuned:
    """As `fine_tune`, for a model already in memory."""
    from datasets import Dataset

    encoded = [encode(tokenizer, render_prompt(tokenizer, e.prompt), e.completion) for e in examples]
    kept = [{"input_ids": ids, "labels": labels} for ids, labels in encoded if len(ids) <= recipe.max_length]
    if kept:
        trainer = _trainer(model, tokenizer, Dataset.from_list(kept), recipe, seed, folder, _ticker(advance))
        trainer.train()
        model = trainer.model.merge_and_unload() if recipe.lora_rank else trainer.model
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tokens = sum(len(row["input_ids"]) for row in kept) * recipe.epochs
    return Tuned(len(kept), len(encoded) - len(kept), tokens, recipe.steps(len(kept)))


def _trainer(model: Any, tokenizer: Any, rows: Any, recipe: Recipe, seed: int, folder: Path, callback: TrainerCallback) -> Any:
    import torch
    from transformers import PrinterCallback, Trainer
    from trl import SFTConfig, SFTTrainer

    class Lean(SFTTrainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            # TRL's own adds entropy and accuracy logging to the same loss, a tenth of the time of a small model's step.
            return Trainer.compute_loss(self, *args, **kwargs)

    cuda = torch.cuda.is_available()
    config = SFTConfig(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim={"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit"}[recipe.optimizer],
        max_length=recipe.max_length,
        train_sampling_strategy="group_by_length",
        dataset_kwargs={"skip_prepare_dataset": True},
        seed=seed,
        data_seed=seed,
        bf16=cuda,
        use_cpu=not cuda,
        gradient_checkpointing=cuda,
        packing=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    trainer = Lean(
        model=model, args=config, train_dataset=rows, processing_class=tokenizer, peft_config=_lora(recipe), callbacks=[callback]
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _lora(recipe: Recipe) -> Any:
    if not recipe.lora_rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM"
    )


def _ticker(advance: Callable[[int], None]) -> TrainerCallback:
    from transformers import TrainerCallback

    class Ticker(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            advance(1)

    return Ticker()
