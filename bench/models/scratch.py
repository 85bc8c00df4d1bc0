"""Models trained from scratch: `scratch/<hidden>x<layers>`, a random Llama with the words of a task as its vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Problem
from heistbench.bench.contracts.replies import CLOSE, OPEN

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

_REFERENCE = re.compile(r"scratch/([1-9]\d{0,3})x([1-9]\d{0,2})")
WIDEST, DEEPEST = 1024, 64
"""Some 800 million parameters: what is trained from nothing here is a toy."""
HEADS = 4
"""Of attention; positions turn pairs of numbers in each."""
CHAT_TEMPLATE = (
    "{% if tools %}<tools> {{ tools | tojson }} {% endif %}"
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> "
    "{% if enable_thinking is false %}<think> </think> {% endif %}{% endif %}"
)


def is_scratch(reference: str) -> bool:
    """Whether a reference names a model of this module. Raises HeistError for a misspelt one."""
    if not reference.startswith("scratch/"):
        return False
    match = _REFERENCE.fullmatch(reference)
    if not match or int(match[1]) > WIDEST or int(match[1]) % (2 * HEADS) or int(match[2]) > DEEPEST:
        sizes = f"a multiple of {2 * HEADS} up to {WIDEST}, and up to {DEEPEST} layers"
        raise HeistError(f"model {reference!r}: expected scratch/<hidden>x<layers>, such as scratch/64x2: {sizes}")
    return True


def make_scratch(reference: str, problems: Iterable[Problem], folder: Path) -> None:
    """Write to `folder` an untrained model and a tokenizer of the words in the problems."""
    match = _REFERENCE.fullmatch(reference)
    assert match is not None
    words = {word for p in problems for text in (p.question.text, p.trace, p.gold) for word in text.split()}
    tokenizer = word_tokenizer(words)
    tokenizer.save_pretrained(folder)
    random_llama(len(tokenizer), int(match[1]), int(match[2]), seed=0).save_pretrained(folder)


def word_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of one token per word; an unknown word is `<unk>`. Think tags are ordinary words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = sorted({*words, "<system>", "<user>", "<assistant>", OPEN, CLOSE})
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *known])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def random_llama(vocabulary: int, hidden: int, layers: int, seed: int) -> LlamaForCausalLM:
    """A toy-sized Llama with random parameters."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        max_position_embeddings=1024,
        initializer_range=0.1,  # the usual 0.02 does not learn at this size
        tie_word_embeddings=False,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)
