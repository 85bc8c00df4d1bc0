"""A mirror of a store under a URL, for machines that share no file system: artifacts are copied to it, and fetched from it.

Any file system that fsspec knows will do: `s3://bucket/heist`, `gs://...`, `file:///mnt/...`. As on disk, an artifact without its
manifest is not there, and its manifest is copied last.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heistbench.bench.contracts.errors import HeistError

MANIFEST = "manifest.json"


class Mirror:
    """The artifacts under one URL, by their names in the store."""

    def __init__(self, url: str) -> None:
        """Raises HeistError for a URL of a kind that is unknown here, or whose package is not installed."""
        from fsspec.core import url_to_fs

        self._url = url
        try:
            self._files, root = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise HeistError(f"--mirror {url}: {error}") from None
        self._root = root.rstrip("/")

    def has(self, name: str) -> bool:
        """Whether an artifact is there."""
        with self._explained():
            return bool(self._files.exists(f"{self._root}/{name}/{MANIFEST}"))

    def fetch(self, name: str, target: Path) -> bool:
        """Copy an artifact to where it is missing; whether it was there. What arrives is not looked at."""
        if not self.has(name):
            return False
        aside = target.with_name(f"{target.name}.fetched")
        shutil.rmtree(aside, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            self._files.get(f"{self._root}/{name}/", f"{aside}/", recursive=True)
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
        return True

    def push(self, name: str, folder: Path) -> None:
        """Copy an artifact to the mirror, its manifest last."""
        files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name == MANIFEST)
        with self._explained():
            for path in files:
                place = f"{self._root}/{name}/{path.relative_to(folder).as_posix()}"
                self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(path), place)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HeistError(f"--mirror {self._url}: {error}") from None
