"""What nothing in a store needs any more, and how it is freed.

Needed is every record, and whatever it was made from: each manifest names the artifacts that its own was made from. Replies of
victims and what was set aside as damaged are never freed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from heistbench.bench.contracts.errors import Busy, HeistError
from heistbench.bench.storage.inventory import artifacts, logs, size_of, unfinished
from heistbench.bench.storage.locks import lock
from heistbench.bench.storage.store import IN_USE, PART, VICTIMS, made_from

RECORD = "record"
LOG_DAYS = 7
"""For how long logs are kept: messages of failed runs name them."""


class Waste(NamedTuple):
    """Something that can be freed, and why."""

    path: Path
    bytes: int
    why: str


def waste(root: Path) -> list[Waste]:
    """All that can be freed. Must be called by who holds the store alone."""
    return [*_unneeded(root), *_leftovers(root), *_old_logs(root)]


def free(root: Path, each: Waste) -> bool:
    """Free something of a store; False where another process holds it. Raises HeistError where it cannot be removed."""
    try:
        with lock(_holder(root, each.path)):
            _remove(each.path)
    except Busy:
        return False
    except OSError as error:
        raise HeistError(f"{each.path}: cannot be removed ({error.strerror})") from None
    return True


def _unneeded(root: Path) -> Iterator[Waste]:
    folders = {f"{folder.parent.name}/{folder.name}": folder for folder in artifacts(root)}
    needed, ahead = set[str](), [name for name in folders if name.startswith(f"{RECORD}/")]
    while ahead:
        if (name := ahead.pop()) not in needed:
            needed.add(name)
            ahead += made_from(root / name)
    for name in folders.keys() - needed:
        yield Waste(folders[name], size_of(folders[name]), "no record needs it")


def _leftovers(root: Path) -> Iterator[Waste]:
    for path, size in unfinished(root):
        if path != root / f"{IN_USE}.lock":  # that is ours
            yield Waste(path, size, "left by a run that was killed")


def _old_logs(root: Path) -> Iterator[Waste]:
    for path, size in logs(root):
        if not size or path.stat().st_mtime < time.time() - LOG_DAYS * 86_400:
            yield Waste(path, size, f"a log of more than {LOG_DAYS} days ago" if size else "an empty log")


def _holder(root: Path, path: Path) -> Path:
    """What is locked by whoever works on a path."""
    kind, *inside = path.relative_to(root).parts
    if kind == VICTIMS and len(inside) > 1 and path.suffix == PART:
        return path.parent / "asking"
    return path.with_suffix("") if path.suffix in (PART, ".lock") else path


def _remove(path: Path) -> None:
    if path.suffix == ".lock":
        return  # whoever lets go of a lock removes it
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    if path.suffix != PART:  # a process that dies here leaves no half of an artifact
        path = path.rename(path.with_name(path.name + PART))
    shutil.rmtree(path)
