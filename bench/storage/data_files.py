"""Public data files, read from the data folder or downloaded into it once, at a pinned revision.

The data folder is `--data DIR`, otherwise HEIST_DATA, otherwise a cache in the home folder. `tasks/data.sha256` lists the
checksums of the shipped tasks' files. A download with another checksum is refused. A file that a user put there is used all the
same: records hold its digest and say that it is not the listed one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.digests import digest_once
from heistbench.bench.storage.store import write_bytes

T = TypeVar("T")
SETTING = "HEIST_DATA"
CHECKSUMS = Path(__file__).parents[2] / "tasks" / "data.sha256"
TIMEOUT = 60
"""Seconds without a byte after which a download is abandoned."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One public file: its path in the data folder, and the URL of a pinned revision."""

    path: str
    url: str

    @property
    def sha256(self) -> str | None:
        """The checksum that the file should have, if one is listed."""
        return _checksums().get(self.path)

    def locate(self) -> Path:
        """The path of the file on this machine, downloaded if necessary.

        Raises HeistError naming file, folder and URL if it cannot be obtained or has the wrong checksum.
        """
        path = data_folder() / self.path
        if not path.is_file():
            self._download(path)
        return path

    def digest(self) -> str:
        """The sha256 of the file as it is on this machine."""
        return digest_once(self.locate())

    def _download(self, path: Path) -> None:
        if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
            raise self._missing("HF_HUB_OFFLINE forbids downloading it")
        try:
            with urlopen(self.url, timeout=TIMEOUT) as response:
                content = response.read()
        except HTTPError as error:
            error.close()
            raise self._missing(f"could not be downloaded: {error.code} {error.reason}") from None
        except (OSError, ValueError) as error:
            raise self._missing(f"could not be downloaded: {getattr(error, 'reason', error)}") from None
        if self.sha256 not in (None, actual := hashlib.sha256(content).hexdigest()):
            raise HeistError(f"{self.url}: sha256 is {actual}, expected {self.sha256}; nothing was kept")
        write_bytes(path, content)

    def _missing(self, why: str) -> HeistError:
        return HeistError(
            f"{self.path} is not in the data folder {data_folder()} and {why}; put {self.url} there, "
            f"or name another folder with --data DIR or {SETTING}"
        )


def text_of(path: Path) -> str:
    """A file's text. Raises HeistError for one that cannot be read or is not UTF-8."""
    with _readable(path):
        return path.read_text(encoding="utf-8")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, each with its number, one at a time. Raises HeistError as `text_of` does."""
    with _readable(path), path.open("rb") as file:  # as bytes: in a text JSON allows what ends lines elsewhere
        for at, line in enumerate(file, 1):
            if line.strip():
                yield at, line.decode("utf-8")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HeistError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise HeistError(f"{path}: cannot be read: expected UTF-8, and byte {error.start} is not ({error.reason})") from None


def json_lines(path: Path, read: Callable[[Any], T], expected: str) -> list[T]:
    """What `read` makes of each line of a file of JSON. Raises HeistError that names the line and what was expected of it."""
    values = []
    for at, line in numbered_lines(path):
        try:
            values.append(read(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise HeistError(f"{path}, line {at}: expected {expected}") from None
    return values


def use_folder(folder: Path | None) -> None:
    """Look for data files in `folder` from now on, in child processes too; None changes nothing.

    Raises HeistError if there is no such folder.
    """
    if folder is not None:
        if not folder.is_dir():
            raise HeistError(f"--data {folder}: no such folder")
        os.environ[SETTING] = str(folder.resolve())


def data_folder() -> Path:
    """The folder in which data files are looked for."""
    return Path(os.environ.get(SETTING) or Path.home() / ".cache" / "heistbench")


def as_pinned(digests: str) -> bool:
    """Whether all digests in a task's `data_digest` are listed in `tasks/data.sha256`."""
    return set(digests.split()) <= set(_checksums().values())


@cache
def _checksums() -> dict[str, str]:
    rows = (line.split(None, 1) for line in CHECKSUMS.read_text(encoding="utf-8").splitlines())
    return {path: digest for digest, path in rows}
