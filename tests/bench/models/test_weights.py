"""Models of strangers: nothing but safetensors is read, and nothing that lies beside them is run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heistbench.bench import HeistError
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.models import vllm_engine
from heistbench.bench.models.checkpoints import Checkpoint, checkpoint, forget
from heistbench.bench.models.fine_tuning import fine_tune
from heistbench.bench.models.transformers_engine import TransformersEngine
from heistbench.bench.models.vllm_engine import VllmEngine
from heistbench.bench.runs.costs import parameters
from heistbench.bench.storage.shipped_models import SHIPPED

BASE = SHIPPED / "pocket" / "base"
Harm = Callable[[Path], object]


class Trap:
    """Leaves a file named `sprung` in the current folder when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("sprung",)


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """No test may spring a trap, be asked whether to run code, or leave references resolved."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.input", lambda *question: pytest.fail("asked whether to run code"))
    forget()
    yield
    forget()
    assert not (tmp_path / "sprung").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model to harm."""
    shutil.copytree(BASE, tmp_path / "model")
    (tmp_path / "model" / "card.json").unlink()
    return tmp_path / "model"


def pickled(name: str, trap: bool = True) -> Harm:
    """Puts a pickle in the place of the weights, a trap or the weights themselves."""
    import torch
    from safetensors.torch import load_file

    def harm(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        torch.save({"x": Trap()} if trap else load_file(BASE / "model.safetensors"), folder / name)

    return harm


def indexed(file: object) -> Harm:
    """Puts an index in the place of the weights, which names one file for all of them."""

    def harm(folder: Path) -> None:
        pickled("shard.bin")(folder)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": file}}))

    return harm


def beside_an_index(content: str) -> Harm:
    return lambda folder: (folder / "model.safetensors.index.json").write_text(content)


def configured(name: str = "config.json", **changes: object) -> Harm:
    """Changes a file of the configuration."""

    def harm(folder: Path) -> None:
        facts = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**facts, **changes}))
        (folder / "evil.py").write_text("import os; os.mkdir('sprung')")

    return harm


def adapter(folder: Path) -> None:
    import torch

    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x/y"}))
    torch.save({"x": Trap()}, folder / "adapter_model.bin")


HARM: list[tuple[str, Harm, str]] = [
    ("bin", pickled("pytorch_model.bin"), r"expected model\.safetensors instead of pytorch_model\.bin, a pickle, which can"),
    ("honest bin", pickled("pytorch_model.bin", trap=False), r"instead of pytorch_model\.bin, a pickle"),
    ("pt", pickled("model.pt"), r"instead of model\.pt, a pickle"),
    ("pth", pickled("consolidated.00.pth"), r"instead of consolidated\.00\.pth, a pickle"),
    ("ckpt", pickled("model.ckpt"), r"instead of model\.ckpt, a pickle"),
    ("no weights", lambda folder: (folder / "model.safetensors").unlink(), r"expected model\.safetensors$"),
    ("index of pickles", indexed("shard.bin"), r"index\.json: weight_map names 'shard\.bin'; expected \*\.safetensors"),
    ("index of elsewhere", indexed("../model.safetensors"), "weight_map names '../model.safetensors'"),
    ("index of numbers", indexed(7), "weight_map names 7"),
    ("index of nothing", beside_an_index("[]"), "expected weight_map"),
    ("deep index", beside_an_index("[" * 100_000), r"index\.json: recursion limit"),
    ("adapter", adapter, r"has an adapter \(adapter_config\.json\); expected a model that it is merged into"),
    ("other weights", configured(transformers_weights="adapter_model.bin"), r"config\.json: transformers_weights names other"),
    ("kernel", configured(_attn_implementation="org/evil"), "_attn_implementation names a kernel on a hub, which is code"),
    ("inner kernel", configured(text_config={"attn_implementation": {"": "org/evil@main"}}), "attn_implementation names"),
    ("experts", configured(experts_implementation="org/evil"), "experts_implementation names a kernel"),
    ("no JSON", lambda folder: (folder / "config.json").write_text("{"), r"config\.json: "),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "reason"), [rest for _, *rest in HARM], ids=[name for name, *_ in HARM])
def test_what_is_not_safe_is_refused_before_it_is_loaded(folder: Path, harm: Harm, reason: str) -> None:
    harm(folder)
    with pytest.raises(HeistError, match=rf"^model {folder}: .*{reason}"):
        checkpoint(str(folder))
    with pytest.raises(HeistError, match=reason):
        Checkpoint("known before", str(folder)).load()


def test_every_way_to_a_model_refuses_pickles(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_engine, "_library", lambda: SimpleNamespace(LLM=lambda *args, **more: pytest.fail("loaded")))
    pickled("pytorch_model.bin")(folder)
    source = Checkpoint("known before", str(folder))
    for way in (
        lambda: TransformersEngine(source),
        lambda: VllmEngine(source),
        lambda: vllm_engine._load(source),
        lambda: fine_tune(source, [], Recipe(), 0, tmp_path / "out"),
    ):
        with pytest.raises(HeistError, match="a pickle, which can run code"):
            way()


def test_vllm_is_asked_for_safetensors_and_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(vllm_engine, "_library", lambda: SimpleNamespace(LLM=lambda source, **more: asked.update(more)))
    monkeypatch.setattr(vllm_engine, "_loaded", {})
    vllm_engine._load(checkpoint("pocket/base"))
    assert (asked["load_format"], asked["trust_remote_code"]) == ("safetensors", False)


REMOTE = {"auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}
TOKENIZER = {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]}, "tokenizer_class": "Evil"}
BROKEN: list[tuple[str, Harm]] = [
    ("classes of its own", configured(model_type="evil", **REMOTE)),
    ("a tokenizer of its own", configured("tokenizer_config.json", **TOKENIZER)),
    ("no safetensors", lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 100)),
    ("no tokenizer", lambda folder: (folder / "tokenizer.json").write_text("\x1b[31m")),
    ("unknown packing", configured(quantization_config={"quant_method": "aqlm"})),
    ("absurd sizes", configured(hidden_size=-1)),
]


@pytest.mark.parametrize("harm", [harm for _, harm in BROKEN], ids=[name for name, _ in BROKEN])
def test_what_cannot_be_loaded_is_one_line(folder: Path, harm: Harm) -> None:
    harm(folder)
    with pytest.raises(HeistError, match=rf"^model {folder}: cannot be loaded: ") as refused:
        checkpoint(str(folder)).load()
    assert str(refused.value).isprintable()


def test_code_beside_a_known_model_is_not_run(folder: Path) -> None:
    configured(**REMOTE)(folder)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text("import os; os.mkdir('sprung')")
    assert type(checkpoint(str(folder)).load()[0]).__name__ == "LlamaForCausalLM"


def test_a_pickle_beside_safetensors_is_not_read(folder: Path) -> None:
    import torch

    torch.save({"x": Trap()}, folder / "pytorch_model.bin")
    assert checkpoint(str(folder)).load()[0].config.vocab_size > 0


def test_weights_in_several_files_are_read(folder: Path) -> None:
    model, _ = Checkpoint("base", str(BASE)).load()
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert Checkpoint("parts", str(folder)).load()[0].num_parameters() == model.num_parameters()


def test_a_repository_is_read_from_its_harmless_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **more: asked.update(name=name, **more) or str(folder))
    assert checkpoint("org/name@0123abc").load()[0].config.vocab_size > 0
    assert (asked["name"], asked["revision"]) == ("org/name", "0123abc")
    from huggingface_hub.utils import filter_repo_objects

    files = ["model.safetensors", "config.json", "pytorch_model.bin", "modeling_evil.py", "original/model.safetensors", "a.pth"]
    kept = filter_repo_objects(files, allow_patterns=asked["allow_patterns"], ignore_patterns=asked["ignore_patterns"])
    assert list(kept) == ["model.safetensors", "config.json"]


def test_a_repository_of_pickles_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **more: str(folder))
    with pytest.raises(HeistError, match=r"expected model\.safetensors"):
        checkpoint("org/name@0123abc").load()


def test_a_repository_that_cannot_be_had_is_one_line() -> None:
    with pytest.raises(HeistError, match=r"^model org/name@0123abc: cannot be downloaded: ") as refused:
        checkpoint("org/name@0123abc").load()
    assert "\n" not in str(refused.value)


def test_a_link_to_a_file_of_the_hubs_cache_is_read(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
    assert checkpoint(str(folder)).load()[0].config.vocab_size > 0


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}", b"\x09\0\0\0\0\0\0\0" + b"[" * 9])
def test_the_size_of_a_damaged_model_is_unknown(folder: Path, content: bytes) -> None:
    assert parameters(str(folder)) == float(checkpoint(str(folder)).load()[0].num_parameters())
    (folder / "model.safetensors").write_bytes(content)
    forget()
    assert parameters(str(folder)) is None
