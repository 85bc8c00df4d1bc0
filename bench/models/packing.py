"""Packing: rows share sequences of equal length by best fit (arXiv:2404.10830), and each row sees only itself.

What has no padding wastes no work: it pays where rows are much shorter than the longest one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.recipes import Recipe

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

Collator = Callable[[Sequence[dict[str, Any]]], "dict[str, torch.Tensor]"]


def packed_attention(recipe: Recipe) -> str | None:
    """Kernels for rows of any length one after the other, where they are installed; None for what transformers takes itself."""
    import torch

    return "flash_attention_2" if recipe.packing and torch.cuda.is_available() and find_spec("flash_attn") else None


def pack(rows: Dataset, recipe: Recipe) -> Dataset:
    """The rows in as few sequences as best fit finds; `seq_lengths` says how long the rows in each are."""
    from trl import pack_dataset

    packed: Dataset = pack_dataset(rows, recipe.max_length, "bfd")
    return packed


def packed_collator(padding: int, in_a_row: bool) -> Collator:
    """Makes a batch of packed sequences, each in a line of its own or all `in_a_row`, which the kernels for any length expect.

    Positions start again at 0 with each row: that tells rows apart. There is no attention mask, which would hide that.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def collate(sequences: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        columns = {
            "input_ids": ([torch.tensor(s["input_ids"]) for s in sequences], padding),
            "labels": ([torch.tensor(s["labels"]) for s in sequences], -100),
            "position_ids": ([torch.cat([*map(torch.arange, s["seq_lengths"])]) for s in sequences], 0),
        }
        if in_a_row:
            return {name: torch.cat(parts)[None] for name, (parts, _) in columns.items()}
        return {name: pad_sequence(parts, batch_first=True, padding_value=fill) for name, (parts, fill) in columns.items()}

    return collate
