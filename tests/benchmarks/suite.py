"""What whole runs are measured on: the pocket world at a quarter of its sizes, so that a plain script takes minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

POCKET = Path(__file__).parents[2] / "bench" / "suites" / "pocket.yaml"


def write_suite(path: Path, **changes: Any) -> Path:
    """A quarter of `pocket` with changes."""
    document = yaml.safe_load(POCKET.read_text(encoding="utf-8"))
    document |= {"name": path.stem, "smoke": {}, "sizes": {"query": 240, "surrogate": 1500, "test": 120}, **changes}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path
