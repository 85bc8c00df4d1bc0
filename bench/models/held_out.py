"""The loss of a model on rows that it was not trained on, by which one training is told from another."""

from __future__ import annotations

from collections.abc import Sequence

from heistbench.bench.contracts.replies import encode
from heistbench.bench.models.chat_templates import render
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.fine_tuning import TrainingRow

AT_ONCE = 16
"""Rows of one forward pass; the loss does not depend on it."""


def held_out_loss(source: Checkpoint, rows: Sequence[TrainingRow], longest: int) -> float | None:
    """Nats per token of the completions, prompts given; rows of more than `longest` tokens are left out, as in training.

    None where no row is left.
    """
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.utils.rnn import pad_sequence

    model, tokenizer = source.load()
    model.eval()
    encoded = [encode(tokenizer, render(tokenizer, row.prompt), row.completion) for row in rows]
    kept = sorted((pair for pair in encoded if len(pair[0]) <= longest), key=lambda pair: len(pair[0]))
    if not kept:
        return None
    total, tokens = 0.0, 0
    for at in range(0, len(kept), AT_ONCE):
        parts = zip(*kept[at : at + AT_ONCE], strict=True)
        fills = (tokenizer.pad_token_id, -100)
        pairs = zip(parts, fills, strict=True)
        ids, labels = (pad_sequence([torch.tensor(row) for row in part], True, fill).to(model.device) for part, fill in pairs)
        with torch.inference_mode():
            # Padding stands behind what is learnt, where a causal model does not see it.
            logits = model(input_ids=ids).logits[:, :-1].float()
        total += float(cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"))
        tokens += int((labels[:, 1:] != -100).sum())
    return total / tokens
