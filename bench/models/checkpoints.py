"""Where models come from: shipped with the package, a local folder, or a hub id pinned to a revision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.engines import DEFAULT
from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.registry import suggest
from heistbench.bench.models.weights import ADAPTER, CONFIG, check_folder, downloaded, loading
from heistbench.bench.storage import shipped_models
from heistbench.bench.storage.digests import digest_folder
from heistbench.bench.storage.shipped_models import is_shipped, shipped_identity
from heistbench.bench.storage.shipped_models import shipped_models as all_shipped

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

AS_FILES: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""How transformers reads a folder: what is there and no more, and none of it as code."""
_HUB = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that can be loaded: its identity in specs, the path or pinned hub id its files come from, and any adapter on it."""

    identity: str
    source: str
    revision: str | None = None
    engine: str = DEFAULT
    adapter: Path | None = None

    def tuned(self, identity: str, folder: Path) -> Checkpoint:
        """The model that this one was fine-tuned to: a folder with all its weights, or with an adapter on this one's."""
        if (folder / ADAPTER).is_file():
            return replace(self, identity=identity, adapter=folder)
        return replace(self, identity=identity, source=str(folder), revision=None)

    def folder(self) -> Path:
        """The folder with its files, downloaded if need be. Raises HeistError where none can be had or they are unsafe."""
        folder = downloaded(self.source, self.revision) if self.revision else Path(self.source)
        check_folder(folder)
        return folder

    def load(
        self, in_4bit: bool = False, in_float32: bool = False, attention: str | None = None
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Model and tokenizer: in float32 on a CPU; on a GPU in bfloat16, or in 4 bits or float32 where asked to.

        `attention` is an implementation that transformers knows; None is its own choice.

        Raises HeistError as `folder` does, and for files that cannot be loaded.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

        cuda, folder = torch.cuda.is_available(), self.folder()
        dtype = torch.bfloat16 if cuda and not in_float32 else torch.float32
        settings: dict[str, Any] = {"dtype": dtype, "device_map": "cuda" if cuda else "cpu", "use_safetensors": True}
        if attention is not None:
            settings["attn_implementation"] = attention
        if in_4bit:
            settings["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
            )
        with loading(self.source):
            tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", **AS_FILES)
            if tokenizer.pad_token is None:
                tokenizer.pad_token = tokenizer.eos_token
            model = AutoModelForCausalLM.from_pretrained(folder, **settings, **AS_FILES)
            return (_adapted(model, self.adapter) if self.adapter else model), tokenizer


def _adapted(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    from peft import PeftModel

    merged: PreTrainedModel = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return merged


_resolved: dict[str, Checkpoint] = {}
"""References that this run has resolved: a folder is hashed once, however many cells use it."""


def checkpoint(reference: str) -> Checkpoint:
    """Resolve `pocket/victim-1` (shipped), a folder, or `org/name@<commit>` (hub), once per run.

    Raises HeistError for an unknown reference, for a shipped model whose files do not match their card, and for a folder whose
    weights are not safe to read.
    """
    if reference not in _resolved:
        _resolved[reference] = _resolve(reference)
    return _resolved[reference]


def resolved() -> dict[str, Checkpoint]:
    """What has been resolved so far: handed to worker processes, which need not hash it again."""
    return dict(_resolved)


def know(models: Mapping[str, Checkpoint]) -> None:
    """Take over what another process of this run has resolved."""
    _resolved.update(models)


def forget() -> None:
    """Resolve everything anew: files may have changed since the last run of this process."""
    _resolved.clear()


def _resolve(reference: str) -> Checkpoint:
    if is_shipped(reference):
        return Checkpoint(shipped_identity(reference), str(shipped_models.SHIPPED / reference))
    if (Path(reference) / CONFIG).is_file():
        check_folder(Path(reference))
        return Checkpoint(f"local:{digest_folder(Path(reference))}", reference)
    if _HUB.fullmatch(reference):
        name, revision = reference.split("@")
        return Checkpoint(f"hub:{reference}", name, revision)
    raise HeistError(
        f"model {reference!r} is neither shipped, nor a folder with a config.json, nor org/name@commit"
        f"{suggest(reference, all_shipped())}"
    )
