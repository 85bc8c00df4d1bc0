"""What a store holds, by looking at its folders: artifacts, ledgers, what was set aside, what killed runs left, logs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from heistbench.bench.contracts.errors import Busy, HeistError
from heistbench.bench.storage.damage import DAMAGED
from heistbench.bench.storage.ledger import is_paid, ledgers, spec_of, spent_in
from heistbench.bench.storage.locks import lock
from heistbench.bench.storage.store import IN_USE, MANIFEST, PART, VICTIMS, Store

LOG = "log"
_IDENTITY = re.compile(r"[0-9a-f]{24}")


class Kind(NamedTuple):
    """All artifacts of one kind; `seconds` is what those whose manifest can be read took to compute."""

    kind: str
    artifacts: int
    bytes: int
    seconds: float


class Victim(NamedTuple):
    """One ledger; queries and dollars are missing where it is damaged."""

    name: str
    model: str
    paid: bool
    queries: int | None
    dollars: float | None
    bytes: int


class Thing(NamedTuple):
    """Anything else, by its path in the store."""

    path: Path
    bytes: int


def artifacts(root: Path) -> list[Path]:
    """The folders of all finished artifacts, by kind."""
    manifests = root.glob(f"*/*/{MANIFEST}")
    folders = (path.parent for path in manifests if path.parent.parent.name not in (VICTIMS, DAMAGED, LOG))
    return sorted(folder for folder in folders if _IDENTITY.fullmatch(folder.name) and not folder.is_symlink())


def kinds(store: Store) -> list[Kind]:
    """The artifacts of a store, kind by kind."""
    by_kind = groupby(artifacts(store.root), lambda folder: folder.parent.name)
    return [_kind(store, kind, list(folders)) for kind, folders in by_kind]


def victims(store: Store) -> list[Victim]:
    """The victims whose replies a store holds."""
    return [_victim(folder) for folder in ledgers(store)]


def set_aside(root: Path) -> list[Thing]:
    """What was damaged and set aside."""
    return _things(root.glob(f"{DAMAGED}/*/*"))


def unfinished(root: Path) -> list[Thing]:
    """What is being written, or was when its writer was killed: parts of artifacts and of files, and locks."""
    patterns = [f"*/*{PART}", f"{VICTIMS}/*/*{PART}", "*.lock", "*/*.lock", f"{VICTIMS}/*/*.lock"]
    paths = (path for pattern in patterns for path in root.glob(pattern))
    return _things(path for path in paths if path.relative_to(root).parts[0] != DAMAGED)


def logs(root: Path) -> list[Thing]:
    """What worker processes wrote."""
    return _things(root.glob(f"{LOG}/worker-*.log"))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what links lead to is not counted."""
    paths = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(each.lstat().st_size for each in paths if each.is_symlink() or each.is_file())


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Keep runs from a store. Raises HeistError while one uses it."""
    try:
        with lock(root / IN_USE):
            yield
    except Busy:
        raise HeistError(f"store {root}: a run is using it; try again when it has ended") from None


def _kind(store: Store, kind: str, folders: list[Path]) -> Kind:
    return Kind(kind, len(folders), sum(map(size_of, folders)), round(sum(_seconds(store, folder) for folder in folders), 3))


def _seconds(store: Store, folder: Path) -> float:
    try:
        return store.seconds(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _victim(folder: Path) -> Victim:
    queries, dollars = None, None
    with suppress(HeistError):  # `verify` says what is wrong with it
        queries, dollars, _ = spent_in(folder)
    model = (spec_of(folder) or {}).get("model", "unknown")
    return Victim(folder.name, str(model), is_paid(folder), queries, dollars, size_of(folder))


def _things(paths: Iterator[Path]) -> list[Thing]:
    return [Thing(path, size_of(path)) for path in sorted(paths)]
