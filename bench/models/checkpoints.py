"""Where models come from: shipped with the package, a local folder, or a hub id pinned to a revision."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.registry import suggest
from heistbench.bench.storage.store import digest, digest_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHIPPED = Path(__file__).parents[2] / "tasks" / "models"
"""Shipped models lie in `<world>/<name>/`, each with a `card.json`: role, recipe, seed, accuracy and sha256 of its files."""
EngineName = Literal["transformers", "vllm"]
"""What runs a model in this process."""
_SHIPPED_NAME = re.compile(r"[\w-]+/[\w-]+")
_HUB = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that can be loaded: its identity in specs, and the path or pinned hub id its files come from."""

    identity: str
    source: str
    revision: str | None = None
    engine: EngineName = "transformers"

    def load(self, in_4bit: bool = False, in_float32: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Model and tokenizer: in float32 on a CPU; on a GPU in bfloat16, or in 4 bits or float32 where asked to."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

        cuda = torch.cuda.is_available()
        pinned: dict[str, Any] = {"revision": self.revision} if self.revision else {"local_files_only": True}
        tokenizer = AutoTokenizer.from_pretrained(self.source, padding_side="left", **pinned)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        dtype = torch.bfloat16 if cuda and not in_float32 else torch.float32
        if in_4bit:
            pinned["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
            )
        model = AutoModelForCausalLM.from_pretrained(self.source, dtype=dtype, device_map="cuda" if cuda else "cpu", **pinned)
        return model, tokenizer


def checkpoint(reference: str) -> Checkpoint:
    """Resolve `pocket/victim-1` (shipped), a folder, or `org/name@<commit>` (hub).

    Raises HeistError for an unknown reference and for a shipped model whose files do not match their card.
    """
    shipped = SHIPPED / reference
    if _SHIPPED_NAME.fullmatch(reference) and (shipped / "card.json").is_file():
        return Checkpoint(f"shipped:{reference}:{_verified(shipped)}", str(shipped))
    if (Path(reference) / "config.json").is_file():
        return Checkpoint(f"local:{digest_folder(Path(reference))}", reference)
    if _HUB.fullmatch(reference):
        name, revision = reference.split("@")
        return Checkpoint(f"hub:{reference}", name, revision)
    known = [str(card.parent.relative_to(SHIPPED)) for card in SHIPPED.glob("*/*/card.json")]
    raise HeistError(
        f"model {reference!r} is neither shipped, nor a folder with a config.json, nor org/name@commit{suggest(reference, known)}"
    )


def card(reference: str) -> dict[str, Any]:
    """The card of a shipped model, or of a folder that `heist pocket build` made; empty for any other."""
    path = SHIPPED / reference / "card.json"
    return json.loads(path.read_text()) if path.is_file() else {}


@cache
def _verified(folder: Path) -> str:
    for name, expected in card(str(folder.relative_to(SHIPPED)))["sha256"].items():
        if not (folder / name).is_file() or digest(folder / name) != expected:
            raise HeistError(f"shipped model file {folder / name} does not match its card; `heist pocket build` makes it again")
    return digest(folder / "card.json")[:16]
