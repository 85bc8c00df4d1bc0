"""The folder that a verb writes to."""

from __future__ import annotations

import os
from pathlib import Path

from heistbench.bench.contracts.errors import HeistError


def writable(folder: Path) -> Path:
    """The folder, made if need be. Raises HeistError where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HeistError(f"--out {folder}: cannot write there ({error.strerror})") from None
    return folder
