from __future__ import annotations

from pathlib import Path

import pytest

from heistbench.bench import HeistError, Prompt
from heistbench.bench.contracts.registry import registry
from heistbench.bench.contracts.replies import render_prompt
from heistbench.bench.models.checkpoints import checkpoint, digest_folder
from heistbench.bench.models.scratch import is_scratch, make_scratch, random_llama, word_tokenizer


@pytest.mark.parametrize(
    ("reference", "expected"), [("scratch/64x2", True), ("pocket/base", False), ("org/scratch@0123abc", False)]
)
def test_references_are_told_apart(reference: str, expected: bool) -> None:
    assert is_scratch(reference) is expected


MISSPELT = ["scratch/", "scratch/64", "scratch/64x", "scratch/x2", "scratch/64x2x3", "scratch/-4x1"]
ABSURD = ["scratch/0x1", "scratch/64x0", "scratch/12x1", "scratch/2048x1", "scratch/64x65", "scratch/99999999x99999999"]


@pytest.mark.parametrize("reference", [*MISSPELT, *ABSURD])
def test_a_misspelt_one_is_an_error(reference: str) -> None:
    with pytest.raises(HeistError, match=r"expected scratch/<hidden>x<layers>"):
        is_scratch(reference)


def test_its_vocabulary_is_the_words_of_the_task(tmp_path: Path) -> None:
    problems = registry.build("task", "pocket").problems("surrogate", 200)
    make_scratch("scratch/8x1", problems, tmp_path)
    model, tokenizer = checkpoint(str(tmp_path)).load()
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (8, 1)
    for problem in problems:
        assert tokenizer.unk_token_id not in tokenizer(f"{problem.question.text} {problem.trace} {problem.gold}")["input_ids"]
    assert tokenizer.unk_token_id in tokenizer("elephant")["input_ids"]


def test_the_same_model_each_time(tmp_path: Path) -> None:
    problems = registry.build("task", "pocket").problems("surrogate", 20)
    for name in ("a", "b"):
        make_scratch("scratch/8x1", problems, tmp_path / name)
    assert digest_folder(tmp_path / "a") == digest_folder(tmp_path / "b")


def test_seeds_and_sizes_change_the_weights() -> None:
    import torch

    first, second = random_llama(10, 8, 1, 0), random_llama(10, 8, 1, 1)
    assert not torch.equal(first.lm_head.weight, second.lm_head.weight)
    assert random_llama(10, 16, 2, 0).config.num_hidden_layers == 2


def test_a_word_is_a_token_and_thinking_tags_are_words() -> None:
    tokenizer = word_tokenizer(["b", "a", "b"])
    text = "<think> a b </think> b"
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert len(tokenizer(text)["input_ids"]) == 5


def test_the_prompt_names_every_turn() -> None:
    tokenizer = word_tokenizer(["why"])
    assert render_prompt(tokenizer, Prompt.of("why", system="be")).split() == ["<system>", "be", "<user>", "why", "<assistant>"]
