"""Recipes say what each of their hyperparameters means."""

from __future__ import annotations

import re
from dataclasses import fields
from inspect import getdoc

import pytest

from heistbench.bench.contracts.recipes import Recipe


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_every_hyperparameter_is_explained(name: str) -> None:
    assert re.search(rf"^\| `{name}` \| \S.{{10,}} \|$", getdoc(Recipe) or "", re.MULTILINE)


def test_steps_are_those_of_whole_batches_in_every_epoch() -> None:
    assert Recipe(epochs=3, batch_size=16).steps(33) == 9


def test_frozen_parameters_of_4_bits_need_an_adapter() -> None:
    with pytest.raises(ValueError, match="lora_rank"):
        Recipe(load_in_4bit=True)
