"""TRL's trainer for small models on a CPU: the same steps on the same batches, without what costs a small model a fifth of each.

The trainers of TRL and transformers look after large models on many machines: they measure entropy and accuracy of the logits,
count operations, pad token by token, and move and scale what is where it should be. A step is made here of what it needs. And
what all rows of a batch begin with, such as an inverter's instruction, is computed once and not for every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.utils.data import DataLoader
    from transformers import Cache
    from trl import SFTTrainer

WORTH_SHARING = 8
"""Tokens that a prefix has at least; a shorter one is not worth a forward pass of its own."""


def lean_trainer() -> type[SFTTrainer]:
    """The class; a function because TRL takes seconds to import."""
    import torch
    from transformers import Trainer
    from trl import SFTTrainer

    class LeanTrainer(SFTTrainer):  # type: ignore[misc]
        weights: Sequence[torch.nn.Parameter] = ()

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            # It collects all of Python's garbage before each training, which takes as long as a dozen steps.
            self.accelerator.free_memory = lambda *held: [*held]

        def get_train_dataloader(self) -> DataLoader[Any]:
            return _loader(self)

        def training_step(self, model: Any, inputs: dict[str, torch.Tensor], num_items_in_batch: Any = None) -> torch.Tensor:
            loss: torch.Tensor = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
            loss.backward()
            return loss.detach()

        def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
            shared = shared_prefix(inputs["input_ids"], inputs["labels"])
            if shared >= WORTH_SHARING and (cache := _prefix_cache(model, inputs["input_ids"], shared)) is not None:
                rest = {name: inputs[name][:, shared:] for name in ("input_ids", "labels")}
                inputs = {**inputs, **rest, "past_key_values": cache, "use_cache": True}
            return Trainer.compute_loss(self, model, inputs, *args, **kwargs)

        def floating_point_ops(self, inputs: Any) -> int:
            return 0

        def _clip_grad_norm(self, model: Any) -> torch.Tensor:
            if not self.weights:
                self.weights = list(model.parameters())  # to walk through a model takes half a millisecond
            return torch.nn.utils.clip_grad_norm_(self.weights, self.args.max_grad_norm)

    return LeanTrainer


def shared_prefix(ids: torch.Tensor, labels: torch.Tensor) -> int:
    """Tokens that all rows of a batch, (rows, tokens), begin with, where neither they nor the next token are learnt."""
    alike = (ids == ids[:1]).all(0) & (labels == -100).all(0)
    return max(0, int(alike.long().cumprod(0).sum()) - 1)


def _prefix_cache(model: Any, ids: torch.Tensor, length: int) -> Cache | None:
    """Keys and values of a prefix, through which gradients flow, for each row; None for models that keep anything else."""
    from transformers.cache_utils import DynamicLayer

    cache: Any = model(input_ids=ids[:1, :length], use_cache=True, logits_to_keep=1).past_key_values
    if not all(type(layer) is DynamicLayer for layer in getattr(cache, "layers", [None])):
        return None
    for layer in cache.layers:
        layer.keys, layer.values = (part.expand(len(ids), -1, -1, -1) for part in (layer.keys, layer.values))
    return cache


def _loader(trainer: Any) -> DataLoader[Any]:
    """The trainer's batches in its order, of rows that are tensors already."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from torch.utils.data import DataLoader

    rows, padding = trainer.train_dataset, trainer.processing_class.pad_token_id
    tensors = [(torch.tensor(ids), torch.tensor(labels)) for ids, labels in zip(rows["input_ids"], rows["labels"], strict=True)]

    def batch(picked: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
        ids, labels = zip(*picked, strict=True)
        padded = pad_sequence(ids, batch_first=True, padding_value=padding)
        lengths = torch.tensor([len(row) for row in ids])
        return {
            "input_ids": padded,
            "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
            "attention_mask": (torch.arange(padded.shape[1]) < lengths[:, None]).long(),
        }

    return DataLoader(tensors, trainer.args.train_batch_size, sampler=trainer._get_train_sampler(rows), collate_fn=batch)
