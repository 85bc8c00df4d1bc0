"""What tests of engines share: the pocket models with attention heads that vLLM's kernels for CPUs know."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from heistbench.bench.models.checkpoints import checkpoint

Widen = Callable[[str], str]


@pytest.fixture(scope="session")
def widen(tmp_path_factory: pytest.TempPathFactory) -> Widen:
    """From a shipped model's reference to a folder with the same model in heads of 32 instead of 16."""

    @cache
    def folder(reference: str) -> str:
        path = tmp_path_factory.mktemp(reference.replace("/", "-"))
        write_wide(reference, path)
        return str(path)

    return folder


def write_wide(reference: str, folder: Path) -> None:
    """Pad each head with as many zeros: the model stays the same function of its input.

    Twice as long rotary embeddings turn as fast where their base is squared; queries make up for the smaller 1/sqrt(width).
    """
    from torch.nn.functional import pad
    from transformers import LlamaForCausalLM

    model, tokenizer = checkpoint(reference).load()
    heads, hidden, half = model.config.num_attention_heads, model.config.hidden_size, model.config.head_dim // 2
    weights = model.state_dict()
    for name, weight in weights.items():
        if "self_attn.o_proj" in name:
            weights[name] = pad(weight.view(hidden, heads, 2, half), (0, half)).reshape(hidden, -1)
        elif "self_attn" in name:
            wide = pad(weight.view(heads, 2, half, hidden), (0, 0, 0, half)).reshape(-1, hidden)
            weights[name] = wide * 2**0.5 if "q_proj" in name else wide
    model.config.head_dim *= 2
    model.config.rope_parameters["rope_theta"] **= 2
    wider = LlamaForCausalLM(model.config)
    wider.load_state_dict(weights)
    for part in (wider, model.generation_config, tokenizer):
        part.save_pretrained(folder)
