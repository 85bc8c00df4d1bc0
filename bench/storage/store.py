"""The store: what a stage computes is kept under the hash of all that could change it, and computed once.

An artifact is a directory `<kind>/<identity>/`. It is written aside and renamed; its `manifest.json` is written last, with the
digest of every file and the artifacts it was made from: a directory without one is not there. A lock held while an artifact is
computed is let go by the system when its holder dies, so a killed run leaves nothing behind but work to do again. What is damaged
is set aside and computed again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.damage import last_set_aside, room_for, set_aside, to_stderr
from heistbench.bench.storage.digests import digest, digest_once
from heistbench.bench.storage.locks import lock
from heistbench.bench.storage.mirror import Mirror
from heistbench.bench.storage.owner import Owner

FORMAT = 2
"""Part of every identity; raised when the meaning of specs or the layout of artifacts changes."""
MANIFEST = "manifest.json"
VICTIMS = "victims"
"""The folder of the ledgers, which are no artifacts."""
IN_USE = "in-use"
"""What a run shares with other runs while it uses a store, and who cleans it up holds alone."""
PART = ".part"
"""How names end of what is being written."""


def canonical(value: Any) -> str:
    """One JSON text for one value: keys sorted, no spaces, dataclasses as objects, no NaN."""
    return _CANONICAL.encode(value)


def identify(spec: Mapping[str, Any]) -> str:
    """The identity of a spec: sha256 of its canonical JSON and of the store's format, 24 hexadecimal digits.

    A spec holds every field that can change a number (prompts, plugins' versions, recipes, seeds, digests of inputs) and
    none that cannot (batch size, paths, retries, number of jobs).
    """
    return hashlib.sha256(canonical({"format": FORMAT, **spec}).encode()).hexdigest()[:24]


class Store:
    """A directory of artifacts. `notice` is told, in one line each, what its users should know: above all of damage.

    The files of an artifact are hashed once a process, and again where size, time of change or inode differ. What changes without
    any of them is found by `heist store verify`, which always hashes.
    """

    def __init__(
        self,
        root: Path,
        notice: Callable[[str], None] = to_stderr,
        owner: Owner | None = None,
        mirror: Mirror | None = None,
    ) -> None:
        """`owner` and `mirror` are for stores of many machines: who has their locks, and where artifacts are copied to."""
        self.root, self.notice, self.owner, self.mirror = root, notice, owner, mirror
        self._used = set[str]()

    def path(self, kind: str, spec: Mapping[str, Any]) -> Path:
        """Where the artifact of a spec lies, or would."""
        return self.root / kind / identify(spec)

    def has(self, kind: str, spec: Mapping[str, Any]) -> bool:
        """True when the artifact is there, as it was written."""
        target = self.path(kind, spec)
        return fault_of(target) is None or (self.mirror is not None and self.mirror.has(_name(target)))

    def verified(self, kind: str, spec: Mapping[str, Any]) -> Path | None:
        """The directory of an artifact that is there. None when it is not, or is damaged: it is computed again."""
        target = self.path(kind, spec)
        return self._noted(target) if self._missing(target) is None else None

    def seconds(self, folder: Path) -> float:
        """How long an artifact took to build."""
        return float(read_json(folder / MANIFEST)["seconds"])

    def once(self, kind: str, spec: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """The artifact's directory; `build` fills an empty one when there is none yet, or a damaged one.

        What is damaged is set aside, and `notice` is told. Raises Busy while another process builds it, HeistError where it
        cannot be written.
        """
        target = self.path(kind, spec)
        if self._missing(target) is not None:
            with self.lock(target):
                if (fault := self._missing(target)) is not None:
                    self._compute(target, fault, spec, build)
        return self._noted(target)

    def holds(self, target: Path) -> bool:
        """Whether an artifact is finished, whole or damaged."""
        return (target / MANIFEST).is_file() or (self.mirror is not None and self.mirror.has(_name(target)))

    def lock(self, target: Path) -> AbstractContextManager[None]:
        """Hold what lies in the store at `target`. Raises Busy while another process does."""
        return self.owner.lock(target.relative_to(self.root).as_posix()) if self.owner else lock(target)

    def _missing(self, target: Path) -> str | None:
        """As `fault_of`, after a look into the mirror."""
        fault = fault_of(target)
        if fault is not None and self.mirror is not None and self.mirror.fetch(_name(target), target):
            return fault_of(target)
        return fault

    def _noted(self, target: Path) -> Path:
        """An artifact that is used: whatever is made from now on may be made from it."""
        self._used.add(_name(target))
        return target

    def _compute(self, target: Path, fault: str, spec: Mapping[str, Any], build: Callable[[Path], None]) -> None:
        with room_for(target):
            if os.path.lexists(target):
                self._set_aside(target, fault)
            aside = target.with_name(target.name + PART)
            shutil.rmtree(aside, ignore_errors=True)
            try:
                self._write(aside, spec, build)
                aside.rename(target)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
        if self.mirror is not None:
            self.mirror.push(_name(target), target)
        if (damaged := last_set_aside(self.root, target)) and _digests(damaged) != _digests(target):
            self._tell_users(target)

    def _write(self, aside: Path, spec: Mapping[str, Any], build: Callable[[Path], None]) -> None:
        aside.mkdir(parents=True)
        started = time.monotonic()
        build(aside)
        write_json(aside / "spec.json", spec)
        files = {str(p.relative_to(aside)): digest(p) for p in sorted(aside.rglob("*")) if p.is_file()}
        seconds = round(time.monotonic() - started, 3)
        manifest = {"kind": aside.parent.name, "files": files, "seconds": seconds, "uses": sorted(self._used)}
        write_json(aside / MANIFEST, {**manifest, "sha256": hash_of(manifest)})

    def _set_aside(self, target: Path, fault: str) -> None:
        place = set_aside(self.root, target)
        self.notice(f"{_name(target)} is damaged ({fault}) and is computed again; what was there is kept in {place}")

    def _tell_users(self, target: Path) -> None:
        """Where an artifact came out different than before, name what was made from it, or may have been."""
        name, manifests = _name(target), self.root.glob(f"*/*/{MANIFEST}")
        if users := sorted(_name(path.parent) for path in manifests if name in made_from(path.parent)):
            self.notice(
                f"{name} came out different than before; results that may rest on the earlier one are kept:"
                f" {', '.join(users)}; delete them to compute them again, too"
            )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an artifact. Raises OSError or ValueError where it is not there, or not as it was written."""
    try:
        manifest = read_json(folder / MANIFEST)
    except RecursionError:
        manifest = None
    if not isinstance(manifest, dict) or manifest.pop("sha256", None) != hash_of(manifest):
        raise ValueError("not as it was written")
    return manifest


def fault_of(folder: Path, digest_of: Callable[[Path], str] = digest_once) -> str | None:
    """What is wrong with an artifact; None where it is there as it was written.

    Raises HeistError for one that may not be read.
    """
    try:
        files = read_manifest(folder)["files"]
        wrong = next((name for name, expected in files.items() if digest_of(folder / name) != expected), None)
    except PermissionError as error:
        raise HeistError(f"{error.filename}: cannot be read ({error.strerror})") from None
    except (OSError, ValueError):
        wrong = MANIFEST
    return wrong and f"{wrong} is not what was written"


def _name(target: Path) -> str:
    return f"{target.parent.name}/{target.name}"


def made_from(folder: Path) -> list[str]:
    """The artifacts that one was made from, or may have been."""
    try:
        uses: list[str] = read_manifest(folder)["uses"]
    except (OSError, ValueError):
        return []
    return uses


def _digests(folder: Path) -> dict[str, str]:
    """The digests of an artifact's files, those of its manifest where that can be read."""
    try:
        files: dict[str, str] = read_manifest(folder)["files"]
    except (OSError, ValueError):
        return {str(p.relative_to(folder)): digest(p) for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST}
    return files


def read_json(path: Path) -> Any:
    """Read one JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON aside and rename, so that a reader sees all of it or nothing."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, default=_plain, allow_nan=False, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, for text."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Write a file aside, flush it to disk if it is to outlive a power failure, and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


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


@cache
def _field_names(cls: Any) -> tuple[str, ...] | None:
    """Of a dataclass; None for any other class."""
    return tuple(field.name for field in dataclasses.fields(cls)) if dataclasses.is_dataclass(cls) else None


def _plain(value: Any) -> Any:
    if (names := _field_names(value.__class__)) is not None:
        return {name: getattr(value, name) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain, allow_nan=False, ensure_ascii=False)
