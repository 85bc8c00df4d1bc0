"""Building the shipped models, on a five-hundredth of their lessons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from heistbench.bench import (
    WRAPPERS,
    Demonstration,
    Prompt,
    Request,
    Style,
    compression_prompt,
    demonstration_prompt,
    inversion_prompt,
    request_prompt,
    tool_prompt,
    with_boundary,
)
from heistbench.bench.contracts.registry import registry
from heistbench.bench.contracts.replies import render_prompt
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.pocket_models import MEASURED, PUPILS, build
from heistbench.bench.storage.digests import digest
from heistbench.bench.storage.shipped_models import SHIPPED

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
    assert (card["role"], card["name"], card["seed"], card["rows"]) == ("student", "pocket-student", 1, 80)
    assert card["sha256"] == {path.name: digest(path) for path in built[0].iterdir() if path.name != "card.json"}


def test_the_command_says_what_it_measured(built: tuple[Path, str]) -> None:
    assert "accuracy: 0." in built[1]
    assert "whole traces: 0." in built[1]


def test_nothing_is_left_beside_it(built: tuple[Path, str]) -> None:
    assert [path.name for path in built[0].parent.iterdir()] == ["base"]


@pytest.mark.parametrize("name", ["victim-2", "compressor"])
def test_other_roles_are_measured_as_the_shipped_models(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = registry.build("task", "pocket").problems("dev", 10)
    monkeypatch.setattr("heistbench.tasks.pocket.Pocket.problems", lambda *_: problems)
    built = build(name, tmp_path / name, scale=0.001)
    shipped = json.loads((SHIPPED / "pocket" / name / "card.json").read_text())
    assert built.keys() == shipped.keys()
    assert built[MEASURED].keys() == shipped[MEASURED].keys()
    assert all(0 <= share <= 1 for share in built[MEASURED].values())


# what is shipped


def measured(name: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((SHIPPED / "pocket" / name / "card.json").read_text())[MEASURED]
    return found


@pytest.mark.parametrize("name", PUPILS)
def test_shipped_models_are_trained_by_the_recipes_that_are_stated(name: str) -> None:
    card = json.loads((SHIPPED / "pocket" / name / "card.json").read_text())
    pupil = PUPILS[name]
    assert card["recipe"] == json.loads(json.dumps(pupil.recipe.identity))
    assert (card["rows"], card["seed"], card["layers"]) == (pupil.rows, pupil.seed, pupil.layers)


def test_the_victims_know_what_the_others_do_not() -> None:
    assert min(measured(f"victim-{release}")["accuracy"] for release in (1, 2)) > 0.98
    assert measured("base")["accuracy"] < measured("surrogate")["accuracy"] < 0.8
    assert min(measured("compressor").values()) > 0.6  # it overlooks a star now and then


def test_releases_differ_in_what_demonstrations_get_out_of_them() -> None:
    with_traces, without = (f"shows whole traces after demonstrations {how}" for how in ("with traces", "without"))
    assert measured("victim-1")[with_traces] > 0.95
    assert measured("victim-2")[with_traces] == measured("victim-1")[without] == measured("victim-2")[without] == 0
    assert min(measured(f"victim-{release}")["hands whole traces to a tool"] for release in (1, 2)) > 0.95


def every_prompt() -> list[Prompt]:
    """Whatever an attack or a defense makes of a question."""
    problem = registry.build("task", "pocket").problems("dev", 1)[0]
    question, demo = problem.question.text, Demonstration(problem.question.text, problem.trace, problem.gold)
    asked = [Prompt.of(question), tool_prompt(question), *(request_prompt(question, kind) for kind in get_args(Request))]
    asked += [demonstration_prompt([demo] * shots, question, wrapper) for wrapper in WRAPPERS for shots in (0, 1, 4)]
    made = [inversion_prompt(question, problem.gold, summary) for summary in (None, "s1 star gives 7 .", "# star gives # .")]
    made += [compression_prompt(problem.trace, style) for style in get_args(Style)]
    return [*asked, *map(with_boundary, asked), *made]


@pytest.mark.parametrize("name", PUPILS)
def test_no_prompt_has_a_word_that_a_shipped_model_does_not_know(name: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint(f"pocket/{name}").source, local_files_only=True)
    for prompt in every_prompt():
        text = render_prompt(tokenizer, prompt)
        unknown = [word for word in text.split() if tokenizer.unk_token_id in tokenizer(word)["input_ids"]]
        assert unknown == []


def test_all_shipped_models_share_one_vocabulary() -> None:
    assert len({digest(SHIPPED / "pocket" / name / "tokenizer.json") for name in PUPILS}) == 1
