"""Digests of files and folders."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

Stamp = tuple[int, int, int]
"""Size, time of change and inode of a file."""


def digest(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_folder(folder: Path) -> str:
    """sha256 over the names and digests of a folder's files."""
    lines = [f"{p.relative_to(folder)} {digest(p)}" for p in sorted(folder.rglob("*")) if p.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digest_once(path: Path) -> str:
    """As `digest`, worked out once a process for a file that keeps its size, time of change and inode."""
    return _digest_as_of(path, stamp(path))


def stamp(path: Path) -> Stamp:
    """What differs of a file when it was written again."""
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


@cache
def _digest_as_of(path: Path, written: Stamp) -> str:
    return digest(path)
