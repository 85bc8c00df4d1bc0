"""How replies are drawn and how models are trained, as pure data: what suites state, engines take and records keep."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

MOST = 1_000_000
"""Of anything that is counted in a recipe: steps, rows, tokens."""
Count = Annotated[int, Field(gt=0, le=MOST)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn; temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 512
    seed: int = 0
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every hyperparameter of a fine-tuning; each changes the numbers, and so is part of a student's identity.

    | field | meaning |
    |---|---|
    | `version` | of the training code: records of different versions are not compared |
    | `epochs` | passes over the rows |
    | `batch_size` | rows, or packed sequences, per optimizer step, however many of them are computed at once |
    | `learning_rate` | at its peak |
    | `schedule` | how the learning rate falls after the warmup |
    | `warmup` | share of the steps in which the learning rate rises from zero |
    | `weight_decay` | AdamW's, decoupled from the gradient |
    | `max_grad_norm` | gradients are clipped to this norm |
    | `max_length` | tokens per row, prompt and completion; longer rows are dropped and counted |
    | `packing` | rows share sequences of `max_length` tokens, by best fit, and see only themselves (arXiv:2404.10830) |
    | `lora_rank` | rank of the adapters on all linear layers; 0 trains every parameter |
    | `lora_alpha` | adapters are scaled by alpha / rank |
    | `optimizer` | AdamW, or AdamW with 8-bit states (needs a GPU and bitsandbytes) |
    | `load_in_4bit` | frozen parameters in 4 bits beside an adapter: QLoRA, arXiv:2305.14314 (needs a GPU and bitsandbytes) |
    """

    version: Literal["1-A"] = "1-A"
    epochs: Count = 3
    batch_size: Count = 16
    learning_rate: Positive = 1e-5
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    weight_decay: NotNegative = 0.0
    max_grad_norm: Positive = 1.0
    max_length: Count = 1024
    packing: bool = False
    lora_rank: Annotated[int, Field(ge=0, le=MOST)] = 0
    lora_alpha: Count = 32
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    load_in_4bit: bool = False

    def __post_init__(self) -> None:
        if self.load_in_4bit and not self.lora_rank:
            raise ValueError("load_in_4bit needs a lora_rank: parameters of 4 bits are not trained themselves")

    @property
    def identity(self) -> dict[str, Any]:
        """What tells recipes apart. Records from before `packing` was there are of recipes without it."""
        return {name: value for name, value in asdict(self).items() if name != "packing" or value}

    def steps(self, rows: int) -> int:
        """Optimizer steps for a number of rows, or at most so many where these are packed."""
        return self.epochs * -(-rows // self.batch_size)
