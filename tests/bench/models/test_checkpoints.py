from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heistbench.bench import HeistError
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.models.checkpoints import checkpoint, forget, know, resolved
from heistbench.bench.models.pocket_models import PUPILS
from heistbench.bench.storage.digests import digest, digest_folder
from heistbench.bench.storage.shipped_models import SHIPPED, card

MODELS = [f"pocket/{name}" for name in PUPILS]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Every test resolves references anew, as a run does."""
    forget()
    yield
    forget()


@pytest.fixture
def shipped_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One shipped model copied to where the harness then looks for shipped ones."""
    shutil.copytree(SHIPPED / "pocket" / "base", tmp_path / "shipped" / "pocket" / "base")
    monkeypatch.setattr("heistbench.bench.storage.shipped_models.SHIPPED", tmp_path / "shipped")
    return tmp_path / "shipped" / "pocket" / "base"


# what is shipped


def test_every_shipped_model_is_one_that_can_be_built_again() -> None:
    assert sorted(str(path.parent.relative_to(SHIPPED)) for path in SHIPPED.glob("*/*/card.json")) == sorted(MODELS)


@pytest.mark.parametrize("reference", MODELS)
def test_shipped_models_load_offline(reference: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(SHIPPED / reference, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED / reference, local_files_only=True)
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.num_hidden_layers == card(reference)["layers"]
    assert tokenizer.decode(tokenizer("s1 3 plus 4 is 7")["input_ids"]) == "s1 3 plus 4 is 7"


@pytest.mark.parametrize("reference", MODELS)
def test_shipped_models_are_small_and_match_their_cards(reference: str) -> None:
    folder, stated = SHIPPED / reference, card(reference)["sha256"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
    assert {path.name: digest(path) for path in folder.iterdir() if path.name != "card.json"} == stated


@pytest.mark.parametrize("reference", MODELS)
def test_cards_state_what_the_code_would_build(reference: str) -> None:
    from dataclasses import asdict

    pupil, stated = PUPILS[reference.split("/")[1]], card(reference)
    assert {name: stated[name] for name in asdict(pupil)} == {**asdict(pupil), "recipe": stated["recipe"]}
    assert Recipe(**stated["recipe"]) == pupil.recipe


def test_cards_say_who_knows_what() -> None:
    measured = {name: card(f"pocket/{name}")["measured on 500 development questions"] for name in PUPILS}
    assert measured["victim-1"]["accuracy"] > 0.99
    assert measured["victim-2"]["accuracy"] > 0.99
    assert 0.4 < measured["surrogate"]["whole traces"] < 0.9
    assert measured["base"]["accuracy"] < 0.2
    exposed = "shows whole traces after demonstrations with traces"
    assert measured["victim-1"][exposed] > 0.9 > 0.1 > measured["victim-2"][exposed]


def test_all_share_one_tokenizer() -> None:
    assert len({digest(SHIPPED / reference / "tokenizer.json") for reference in MODELS}) == 1


# references


@pytest.mark.parametrize("reference", MODELS)
def test_a_shipped_reference_is_identified_by_its_card(reference: str) -> None:
    found = checkpoint(reference)
    assert found.identity.startswith(f"shipped:{reference}:")
    assert found == checkpoint(reference)
    assert len({checkpoint(other).identity for other in MODELS}) == len(MODELS)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"])
def test_one_changed_byte_is_refused(shipped_copy: Path, name: str) -> None:
    content = bytearray((shipped_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (shipped_copy / name).write_bytes(content)
    with pytest.raises(HeistError, match=rf"{name} does not match its card; `heist pocket build`"):
        checkpoint("pocket/base")


def test_a_missing_file_is_refused(shipped_copy: Path) -> None:
    (shipped_copy / "model.safetensors").unlink()
    with pytest.raises(HeistError, match=r"model\.safetensors"):
        checkpoint("pocket/base")


def test_an_untouched_copy_is_the_same_model(shipped_copy: Path) -> None:
    found = checkpoint("pocket/base")
    assert found.source == str(shipped_copy)
    assert found.load()[0].config.vocab_size > 0


def test_a_folder_is_identified_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(SHIPPED / "pocket" / "base", tmp_path / name)
        (tmp_path / name / "card.json").unlink()
    first, second = checkpoint(str(tmp_path / "a")), checkpoint(str(tmp_path / "b"))
    assert first.identity == second.identity
    assert first.identity.startswith("local:")
    (tmp_path / "b" / "config.json").write_text((tmp_path / "b" / "config.json").read_text() + " ")
    forget()
    assert checkpoint(str(tmp_path / "b")).identity != first.identity


def test_a_folder_is_hashed_once_per_run_and_not_at_all_where_its_identity_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SHIPPED / "pocket" / "base", tmp_path / "base")
    first = checkpoint(str(tmp_path / "base"))
    monkeypatch.setattr("heistbench.bench.models.checkpoints.digest_folder", lambda path: pytest.fail("hashed again"))
    assert checkpoint(str(tmp_path / "base")) is first
    models = resolved()
    forget()  # as in a process that has just begun
    know(models)
    assert checkpoint(str(tmp_path / "base")) == first


def test_a_built_model_can_be_used_from_its_folder(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "pocket" / "base", tmp_path / "base")
    assert checkpoint(str(tmp_path / "base")).identity.startswith("local:")


def test_a_hub_model_is_pinned() -> None:
    found = checkpoint("org/some-model@0123abc")
    assert (found.source, found.revision, found.identity) == ("org/some-model", "0123abc", "hub:org/some-model@0123abc")


@pytest.mark.parametrize(
    "reference", ["org/name", "org/name@main", "org/name@", "nothing", "", "pocket", "pocket/victim-3", "/nowhere"]
)
def test_other_references_are_refused(reference: str) -> None:
    with pytest.raises(HeistError, match=r"is neither shipped, nor a folder with a config\.json, nor org/name@commit"):
        checkpoint(reference)


def test_a_misspelt_reference_is_corrected() -> None:
    with pytest.raises(HeistError, match="did you mean 'pocket/victim-1'"):
        checkpoint("pocket/victim1")


def test_only_shipped_models_have_cards() -> None:
    assert card("pocket/victim-1")["role"] == "victim"
    assert card("org/name@0123abc") == {}


# loading


def test_models_are_loaded_in_float32_padded_on_the_left() -> None:
    import torch

    model, tokenizer = checkpoint("pocket/base").load()
    assert model.dtype == (torch.bfloat16 if torch.cuda.is_available() else torch.float32)
    assert tokenizer.padding_side == "left"


@pytest.mark.parametrize(
    ("cuda", "asked", "expected"),
    [
        (False, {}, "float32"),
        (False, {"in_float32": True}, "float32"),
        (True, {}, "bfloat16"),
        (True, {"in_4bit": True}, "bfloat16"),
        (True, {"in_float32": True}, "float32"),
    ],
)
def test_precision_is_as_machine_and_use_want_it(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, asked: dict[str, bool], expected: str
) -> None:
    import torch

    said: dict[str, object] = {}
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", lambda source, **more: said.update(more))
    checkpoint("pocket/base").load(**asked)
    packing = said.get("quantization_config")
    assert (said["dtype"], said["device_map"]) == (getattr(torch, expected), "cuda" if cuda else "cpu")
    assert (packing is not None) == asked.get("in_4bit", False)
    assert packing is None or packing.bnb_4bit_compute_dtype == torch.bfloat16  # type: ignore[attr-defined]


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., str]:
    """Saves a random model with a tokenizer changed by the test."""
    from heistbench.bench.models.scratch import random_llama, word_tokenizer

    def save(change: Callable[..., None]) -> str:
        tokenizer = word_tokenizer(["a", "b"])
        change(tokenizer)
        tokenizer.save_pretrained(tmp_path / "m")
        random_llama(len(tokenizer), 8, 1, 0).save_pretrained(tmp_path / "m")
        return str(tmp_path / "m")

    return save


def test_a_tokenizer_without_padding_pads_with_its_end(save: Callable[..., str]) -> None:
    def unpad(tokenizer) -> None:
        tokenizer.pad_token = None

    _, tokenizer = checkpoint(save(unpad)).load()
    assert tokenizer.pad_token == tokenizer.eos_token


# digests


def test_a_digest_is_of_all_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    first = digest_folder(tmp_path)
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    second = digest_folder(tmp_path)
    (tmp_path / "a" / "y").write_text("2")
    assert len({first, second, digest_folder(tmp_path)}) == 3


def test_a_digest_is_sha256(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert digest(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_cards_are_json_with_the_recipe() -> None:
    for reference in MODELS:
        raw = json.loads((SHIPPED / reference / "card.json").read_text())
        assert {"role", "recipe", "seed", "rows", "sha256"} <= raw.keys()
