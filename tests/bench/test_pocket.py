"""Building the shipped models, on a five-hundredth of their lessons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from heistbench.bench._models import SHIPPED, digest
from heistbench.bench._pocket import PUPILS, steps

SCALE = 0.002


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, heist: Callable) -> tuple[Path, str]:
    """A base student as `heist pocket build` leaves it, and what the command said."""
    out = tmp_path_factory.mktemp("built")
    ended = heist("pocket", "build", "base", "--out", out, "--scale", SCALE)
    assert ended.code == 0, ended.err
    return out / "base", ended.out


def test_a_built_model_loads(built: tuple[Path, str]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(built[0]), AutoTokenizer.from_pretrained(built[0])
    assert model.config.vocab_size == len(tokenizer)


def test_a_built_model_has_the_files_and_the_vocabulary_of_the_shipped_one(built: tuple[Path, str]) -> None:
    shipped = SHIPPED / "pocket" / "base"
    assert {path.name for path in built[0].iterdir()} == {path.name for path in shipped.iterdir()}
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        assert digest(built[0] / name) == digest(shipped / name)


def test_a_built_model_has_a_card(built: tuple[Path, str]) -> None:
    card = json.loads((built[0] / "card.json").read_text())
    shipped = json.loads((SHIPPED / "pocket" / "base" / "card.json").read_text())
    assert card.keys() == shipped.keys()
    assert (card["role"], card["name"], card["seed"], card["rows"]) == ("student", "pocket-student", 0, 80)
    assert card["sha256"] == {path.name: digest(path) for path in built[0].iterdir() if path.name != "card.json"}


def test_the_command_says_what_it_measured(built: tuple[Path, str]) -> None:
    assert "accuracy: 0." in built[1]
    assert "whole traces: 0." in built[1]


def test_nothing_is_left_beside_it(built: tuple[Path, str]) -> None:
    assert [path.name for path in built[0].parent.iterdir()] == ["base"]


@pytest.mark.parametrize("name", PUPILS)
def test_steps_are_of_the_lessons_share(name: str) -> None:
    pupil = PUPILS[name]
    assert steps(name) == -(-pupil.rows // 32) * 2
    assert 0 < steps(name, SCALE) < steps(name, 0.01)
