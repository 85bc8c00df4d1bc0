"""Files from outside, which nobody vouches for: found and read as if each of them were meant to do harm."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from heistbench.bench.storage.invariants import faults_of
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.regular_files import Unreadable, read_regular
from heistbench.bench.storage.result_files import (
    LARGEST,
    PARTS,
    PATTERN,
    QUESTIONS,
    Misfit,
    ResultFile,
    question_list,
    unpack,
)
from heistbench.leaderboard.submit.findings import Fault, LocatedFault

MOST_FILES = 3000
MOST_BYTES = 128 * 2**20
"""Files and bytes of one submission; a larger one comes in parts."""
MOST_QUESTIONS = 40_000
"""Questions of one exam."""
MOST_VERDICTS = 5_000_000
"""Verdicts of one submission, all its records together."""
IN_PARTS = "send it in parts"
NESTED = 32
"""Objects and lists inside each other."""
LONGEST_NAME = 200
"""Bytes of a file's name: some file systems end at 255, and writing aside takes a few."""
_NAME = re.compile(r"[A-Za-z0-9._=+,()-]+")
_RESULT, _LIST = re.compile(r"seed-[0-9]+\.json"), re.compile(r"[0-9a-f]{16}\.json")
_VERSION: int = get_args(Record.model_fields["schema_version"].annotation)[0]


class Refused(Exception):
    """A file that holds no record; `faults` says why."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*(fault.reason for fault in faults))
        self.faults = faults


@dataclass
class Listing:
    """What lies in a submission, by paths relative to it, sorted: result files, question lists, and a problem for all else."""

    files: list[Path] = field(default_factory=list)
    questions: list[Path] = field(default_factory=list)
    problems: list[LocatedFault] = field(default_factory=list)


def list_files(folder: Path) -> Listing:
    """The listing of a folder. Nothing is opened; what is beyond `MOST_FILES` or `MOST_BYTES` is not looked at."""
    listing, size, names = Listing(), 0, dict[str, Path]()
    files, problems = listing.files, listing.problems
    for entry in _walk(folder):
        path = Path(entry.path).relative_to(folder)
        reason = _misplaced(entry, path)
        if (twin := names.setdefault(str(path).casefold(), path)) != path:
            reason = reason or f"has the name of {twin} but for upper and lower case: not every file system tells them apart"
        if reason:
            problems.append(LocatedFault(path.as_posix(), "", reason))
        elif entry.is_file(follow_symlinks=False):
            (listing.questions if _is_questions(path) else files).append(path)
            size += entry.stat(follow_symlinks=False).st_size
        if len(files) + len(listing.questions) + len(problems) > MOST_FILES or size > MOST_BYTES:
            problems.append(LocatedFault("", "", f"more than {MOST_FILES:,} files or {MOST_BYTES:,} bytes: {IN_PARTS}"))
            break
    if not files and not problems:
        problems.append(LocatedFault("", "", f"no result files ({PATTERN})"))
    return Listing(sorted(files), sorted(listing.questions), sorted(problems, key=lambda problem: problem.path))


class Reader:
    """Reads the result files of a submission, whose question lists it has read; bounded in time and memory."""

    def __init__(self) -> None:
        self._lists: dict[str, tuple[str, ...]] = {}
        self._verdicts = 0

    def read_questions(self, path: Path) -> None:
        """Read a question list, which may hold anything, for the records that name it. Raises Refused."""
        value = _parsed(_content(path))
        try:
            ids = question_list(path.stem, value)
        except ValueError as error:
            raise Refused(Fault("", str(error))) from None
        if len(ids) > MOST_QUESTIONS:
            raise Refused(Fault("", f"has {len(ids):,} questions; expected at most {MOST_QUESTIONS:,}"))
        self._lists[path.stem] = ids

    def read(self, path: Path) -> Record:
        """The record of a file that may hold anything. Raises Refused."""
        content = _content(path)
        value = _parsed(content)
        if not isinstance(value, dict):
            raise Refused(Fault("", "is JSON, but no object"))
        _check_version(value)
        try:
            file = ResultFile.model_validate_json(content, strict=True)
            if file.model_dump(mode="json") != value:
                raise Refused(Fault("", "is not written as heist writes records: a field that it always writes is missing"))
            return unpack(file, self._questions(file))
        except Misfit as misfit:
            raise Refused(Fault(misfit.field, misfit.reason)) from None
        except ValidationError as error:
            raise Refused(*(Fault(field, reason) for field, reason in faults_of(error))) from None

    def _questions(self, file: ResultFile) -> tuple[str, ...]:
        """The question list of a record; a letter of a file becomes many bytes here, so that their number is bounded."""
        name = file.exam.questions
        if name not in self._lists:
            raise Misfit("exam.questions", f"names a list that is not here: expected {QUESTIONS}/{name}.json")
        self._verdicts += len(file.exam.verdicts)
        if self._verdicts > MOST_VERDICTS:
            raise Misfit("exam.verdicts", f"more than {MOST_VERDICTS:,} in one submission: {IN_PARTS}")
        return self._lists[name]


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All entries below a folder; no link is followed, and nothing is entered below the depth of result files."""
    pending = [(folder, 1)]
    while pending:
        here, depth = pending.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                yield entry
                if depth < PARTS and entry.is_dir(follow_symlinks=False):
                    pending.append((Path(entry.path), depth + 1))


def _misplaced(entry: os.DirEntry[str], path: Path) -> str:
    """Why something does not belong in a submission; empty for folders and result files."""
    if not _NAME.fullmatch(entry.name) or len(entry.name) > LONGEST_NAME:
        return "has a name that heist gives no file: too long, or with other signs than letters, digits and ._=+,()-"
    if entry.is_symlink():
        return "is a link; expected files and folders"
    if entry.is_dir(follow_symlinks=False):
        return "" if len(path.parts) < PARTS else "lies deeper than result files do"
    if not entry.is_file(follow_symlinks=False):
        return "is neither a file nor a folder"
    if not _RESULT.fullmatch(entry.name) and not _is_questions(path):
        return f"is no result file; expected seed-0.json and so on, the lists under {QUESTIONS}, and nothing else"
    size = entry.stat(follow_symlinks=False).st_size
    return "" if size <= LARGEST else f"has {size:,} bytes; a result file has at most {LARGEST:,}"


def _is_questions(path: Path) -> bool:
    return len(path.parts) == 2 and path.parts[0] == QUESTIONS and bool(_LIST.fullmatch(path.name))


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, LARGEST)
    except Unreadable as error:
        raise Refused(Fault("", str(error))) from None


def _parsed(content: bytes) -> Any:
    """JSON in the strict sense: each key once, finite numbers, text that can be written again."""
    try:
        text = content.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair cannot be written
    except RecursionError:
        raise Refused(Fault("", _too_deep())) from None
    except UnicodeEncodeError:
        raise Refused(Fault("", "is not text: it holds half of a surrogate pair")) from None
    except UnicodeDecodeError as error:
        raise Refused(Fault("", f"is not UTF-8 ({error.reason} at byte {error.start})")) from None
    except ValueError as error:
        raise Refused(Fault("", f"is not JSON: {error}")) from None
    if _depth_over(value, NESTED):
        raise Refused(Fault("", _too_deep()))
    return value


def _check_version(value: dict[str, Any]) -> None:
    found = value.get("schema_version")
    if type(found) is not int:
        raise Refused(Fault("schema_version", f"expected {_VERSION}"))
    if found != _VERSION:
        what = "run the suite again" if found < _VERSION else "this heist is older than the one that wrote it"
        raise Refused(Fault("schema_version", f"{found} is not {_VERSION}: {what}"))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key[:40]!r} stands twice")
        found[key] = value
    return found


def _float(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"number {text[:40]} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > 18:
        raise ValueError(f"number {text[:40]} is too large")
    return int(text)


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _depth_over(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [inner for outer in level for inner in _inner(outer)]
    return bool(level)


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _too_deep() -> str:
    return f"nests more than {NESTED} objects and lists"
