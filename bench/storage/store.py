"""The store: what a stage computes is kept under the hash of all that could change it, and computed once.

An artifact is a directory `<kind>/<identity>/`. It is written aside and renamed; its `manifest.json`, with the digest of
every file, is written last: a directory without one is not there. A lock held while an artifact is computed is let go by
the system when its holder dies, so a killed run leaves nothing behind but work to do again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from heistbench.bench.contracts.errors import Busy, HeistError

FORMAT = 2
"""Part of every identity; raised when the meaning of specs or the layout of artifacts changes."""
MANIFEST = "manifest.json"
VICTIMS = "victims"
"""The folder of the ledgers, which are no artifacts."""


def canonical(value: Any) -> str:
    """One JSON text for one value: keys sorted, no spaces, dataclasses as objects, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain, allow_nan=False, ensure_ascii=False)


def identify(spec: Mapping[str, Any]) -> str:
    """The identity of a spec: sha256 of its canonical JSON and of the store's format, 24 hexadecimal digits.

    A spec holds every field that can change a number (prompts, plugins' versions, recipes, seeds, digests of inputs) and
    none that cannot (batch size, paths, retries, number of jobs).
    """
    return hashlib.sha256(canonical({"format": FORMAT, **spec}).encode()).hexdigest()[:24]


class Store:
    """A directory of artifacts."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, kind: str, spec: Mapping[str, Any]) -> Path:
        """Where the artifact of a spec lies, or would."""
        return self.root / kind / identify(spec)

    def has(self, kind: str, spec: Mapping[str, Any]) -> bool:
        """True when the artifact is there, whole or damaged."""
        return (self.path(kind, spec) / MANIFEST).is_file()

    def verified(self, kind: str, spec: Mapping[str, Any]) -> Path:
        """The directory of an artifact that is there. Raises HeistError when it is not, or is damaged."""
        return _verified(self.path(kind, spec))

    def seconds(self, folder: Path) -> float:
        """How long an artifact took to build."""
        return float(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["seconds"])

    def once(self, kind: str, spec: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """The artifact's directory; `build` fills an empty one when there is none yet.

        Raises Busy while another process builds it, HeistError when it is there but damaged.
        """
        target = self.path(kind, spec)
        if (target / MANIFEST).is_file():
            return _verified(target)
        with lock(target):
            if (target / MANIFEST).is_file():
                return _verified(target)
            aside = target.with_name(target.name + ".part")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            started = time.monotonic()
            build(aside)
            write_json(aside / "spec.json", spec)
            files = {str(p.relative_to(aside)): digest(p) for p in sorted(aside.rglob("*")) if p.is_file()}
            manifest = {"kind": kind, "files": files, "seconds": round(time.monotonic() - started, 3)}
            write_json(aside / MANIFEST, manifest)
            # What stands here without a manifest is the rest of something that never finished.
            shutil.rmtree(target, ignore_errors=True)
            aside.rename(target)
        return target


@contextmanager
def lock(target: Path) -> Iterator[None]:
    """Hold what is computed at `target`. Raises Busy while another process does."""
    from filelock import FileLock, Timeout

    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{target}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise Busy(str(target)) from None
    try:
        yield
    finally:
        lock.release()


def read_json(path: Path) -> Any:
    """Read one JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON aside and rename, so that a reader sees all of it or nothing."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, default=_plain, allow_nan=False, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, for text."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file aside, flush it to disk and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def write_lines(path: Path, rows: list[Any]) -> None:
    """Write one JSON value a line."""
    write_text(path, "".join(canonical(row) + "\n" for row in rows))


def read_lines(path: Path) -> list[Any]:
    """Read what `write_lines` wrote."""
    # Not splitlines: texts may hold other line separators, which JSON leaves as they are.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def hash_of(value: Any) -> str:
    """sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def digest(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_folder(folder: Path) -> str:
    """sha256 over the names and digests of a folder's files."""
    lines = [f"{p.relative_to(folder)} {digest(p)}" for p in sorted(folder.rglob("*")) if p.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def _field_names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: getattr(value, name) for name in _field_names(type(value))}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


def _verified(folder: Path) -> Path:
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        damaged = [n for n, expected in files.items() if not (folder / n).is_file() or digest(folder / n) != expected]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        damaged = [MANIFEST]
    if damaged:
        raise HeistError(f"damaged artifact {folder / damaged[0]}: not what was written; delete {folder} to compute it again")
    return folder
