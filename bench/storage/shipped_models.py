"""Models that ship with the package: where they lie, and what their cards say.

They lie in `tasks/models/<world>/<name>/`, each with a `card.json`: role, recipe, seed, accuracy and sha256 of its files.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.digests import digest

SHIPPED = Path(__file__).parents[2] / "tasks" / "models"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,99}/[A-Za-z0-9_-]{1,99}")


def is_shipped(reference: str) -> bool:
    """Whether a model of this name is shipped; no other name leads to a file of this package."""
    return bool(_NAME.fullmatch(reference)) and (SHIPPED / reference / "card.json").is_file()


def shipped_models() -> list[str]:
    """The names of all shipped models."""
    return sorted(str(card.parent.relative_to(SHIPPED)) for card in SHIPPED.glob("*/*/card.json"))


def card(reference: str) -> dict[str, Any]:
    """The card of a shipped model, or of a folder that `heist pocket build` made; empty for any other."""
    path = (SHIPPED / reference if is_shipped(reference) else Path(reference)) / "card.json"
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return facts


def shipped_identity(reference: str) -> str:
    """What identifies a shipped model in specs and records. Raises HeistError where its files are not those of its card."""
    return f"shipped:{reference}:{verified(SHIPPED / reference)}"


@cache
def verified(folder: Path) -> str:
    """A digest of a shipped model, by its card. Raises HeistError where a file is not what the card says."""
    facts = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    for name, expected in facts["sha256"].items():
        if not (folder / name).is_file() or digest(folder / name) != expected:
            raise HeistError(f"shipped model file {folder / name} does not match its card; `heist pocket build` makes it again")
    return digest(folder / "card.json")[:16]
