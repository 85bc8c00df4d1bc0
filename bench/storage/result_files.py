"""Result files: where records lie in a folder of results, and how they are written, found and read.

Whoever wrote them, they are read with the same care: the folders that `heist run` left, those that `heist leaderboard show` and
`heist compare` are given, and submissions. `packed_results` says what is in them.

    <suite's folder>/questions/0123456789abcdef.json
    <suite's folder>/replies/0123456789abcdef.jsonl.xz
    <suite's folder>/<task>/<victim>/<defense>/<attack>/<budget>-queries/<student>/seed-0.json
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.blocks import Arm
from heistbench.bench.storage.invariants import faults_of
from heistbench.bench.storage.packed_results import Refused, ResultFile, pack, question_list, unpack
from heistbench.bench.storage.records import Record, path_of
from heistbench.bench.storage.regular_files import entries_below, read_regular
from heistbench.bench.storage.store import read_json, write_bytes, write_json
from heistbench.bench.storage.strict_json import levels, strict_json
from heistbench.bench.storage.student_replies import REPLIES, replies_path

PATTERN = "seed-*.json"
"""Names of result files."""
QUESTIONS = "questions"
"""The folder of question lists."""
KEPT = Path("record.json")
"""A result file in the store, where nobody takes it for a published one."""
PARTS = 7
"""Parts of a result file's path below its suite's folder."""
DEEPEST = 16
"""Parts of a result file's path below a folder of many suites, at most."""
MOST_FILES = 50_000
MOST_BYTES = 2**30
"""Result files in one folder, and their bytes together."""
MOST_ENTRIES = 2_000_000
"""Files and folders of any kind that are looked through for them."""
LARGEST = 4 * 2**20
"""Bytes of a result file or question list: some 100,000 questions; the published ones have a hundredth."""
MOST_QUESTIONS = 40_000
"""Questions of one exam."""
MOST_VERDICTS = 20_000_000
"""Verdicts of the records that are read together."""
LONGEST = 10_000
"""Characters of a text in a record, be it a name or an example."""
LETTERED = ("verdicts", "traces")
"""Texts of an exam with a letter or more per question."""
_VERSION: int = get_args(Record.model_fields["schema_version"].annotation)[0]


class RecordReader:
    """Reads records that belong together. A letter of a file becomes many bytes here, so their number is bounded."""

    def __init__(self, most_verdicts: int = MOST_VERDICTS) -> None:
        self._left, self._most = most_verdicts, most_verdicts

    def read(self, path: Path) -> Record:
        """One record, with the question list nearest to it. Raises HeistError that names file and field."""
        try:
            file, _ = parsed(path)
            return self.unpack(file, _nearest_questions(path, file.exam.questions))
        except Refused as refused:
            raise HeistError(f"result file {path}: {refused}") from None

    def unpack(self, file: ResultFile, ids: tuple[str, ...]) -> Record:
        """The record of a file and its question list. Raises Refused."""
        self._left -= len(file.exam.verdicts)
        if self._left < 0:
            raise Refused(("exam.verdicts", f"more than {self._most:,} in one folder"))
        try:
            return unpack(file, ids)
        except ValidationError as error:
            raise Refused(*faults_of(error)) from None


def parsed(path: Path) -> tuple[ResultFile, dict[str, Any]]:
    """A result file, which may hold anything, and its JSON. Raises Refused."""
    try:
        content = read_regular(path, LARGEST)
        value = strict_json(content)
    except ValueError as error:
        raise Refused(("", str(error))) from None
    if not isinstance(value, dict):
        raise Refused(("", "is JSON, but no object"))
    _check_version(value)
    _check_lengths(value)
    try:
        return ResultFile.model_validate_json(content, strict=True), value
    except ValidationError as error:
        raise Refused(*faults_of(error)) from None


def parsed_questions(path: Path) -> tuple[str, ...]:
    """A question list, which may hold anything. Raises Refused."""
    try:
        ids = question_list(path.stem, strict_json(read_regular(path, LARGEST)))
    except ValueError as error:
        raise Refused(("", str(error))) from None
    if len(ids) > MOST_QUESTIONS:
        raise Refused(("", f"has {len(ids):,} questions; expected at most {MOST_QUESTIONS:,}"))
    return ids


def write_record(folder: Path, record: Record, place: Path | None = None) -> Path:
    """Write a record to its place under a suite's folder, or to another, and its question list unless it is there, whole."""
    path, file = folder / (place or record.path()), pack(record)
    questions = folder / QUESTIONS / f"{file.exam.questions}.json"
    if not _is_whole(questions):
        write_json(questions, sorted(record.exam.verdicts))
    write_json(path, file.model_dump(mode="json"))
    return path


def kept_files(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The files of a record that was written to `folder / KEPT`, each with its place under a suite's folder."""
    yield path_of(Arm.model_validate(read_json(folder / KEPT)["arm"])), folder / KEPT
    for part in (QUESTIONS, REPLIES):
        yield from ((Path(part, file.name), file) for file in (folder / part).glob("*"))


def move_record(path: Path, folder: Path) -> None:
    """Move a record to its place under another suite's folder; question list and replies are copied, others may share them."""
    write_record(folder, record := read_record(path))
    if name := record.exam.replies:
        for above in path.absolute().parents[:PARTS]:
            if (replies := replies_path(above, name)).is_file():
                write_bytes(replies_path(folder, name), replies.read_bytes())
                break
    path.unlink()


def read_record(path: Path) -> Record:
    """Read and validate one record, as a `RecordReader` does."""
    return RecordReader().read(path)


def read_records(folder: Path) -> list[Record]:
    """All records under a folder, in the order of their paths. Raises HeistError as `result_files` and a `RecordReader` do."""
    reader = RecordReader()
    return [reader.read(path) for path in result_files(folder)]


def result_files(folder: Path) -> list[Path]:
    """As `results_below`. Raises HeistError if there are none, too."""
    paths = results_below(folder) if folder.is_dir() else []
    if not paths:
        raise HeistError(f"no result files ({PATTERN}) under {folder}")
    return paths


def results_below(folder: Path) -> list[Path]:
    """The result files under a folder, in the order of their paths.

    Raises HeistError for a link that might lead to others, for too many files, and for a folder that cannot be listed.
    """
    paths, size = list[Path](), 0
    try:
        for at, entry in enumerate(entries_below(folder, DEEPEST)):
            is_result = fnmatch(entry.name, PATTERN)
            if entry.is_symlink() and (is_result or entry.is_dir()):
                raise HeistError(f"{entry.path}: is a link; expected files and folders")
            if is_result:
                paths.append(Path(entry.path))
                size += entry.stat(follow_symlinks=False).st_size
            if len(paths) > MOST_FILES or size > MOST_BYTES or at > MOST_ENTRIES:
                raise HeistError(
                    f"{folder}: more than {MOST_FILES:,} result files, {MOST_BYTES:,} bytes of them, or {MOST_ENTRIES:,} files"
                )
    except OSError as error:
        raise HeistError(f"{error.filename or folder}: cannot be read ({error.strerror})") from None
    return sorted(paths)


def _nearest_questions(path: Path, name: str) -> tuple[str, ...]:
    """The question list of a record: the nearest of its name, up to the folder of the record's suite."""
    for folder in path.absolute().parents[:PARTS]:
        place = folder / QUESTIONS / f"{name}.json"
        if place.parent.is_symlink():
            raise HeistError(f"{place.parent}: is a link; expected a folder of question lists")
        if place.is_file():
            return _read_questions(place, place.stat().st_mtime_ns)
    raise Refused(("exam.questions", f"expected the list {QUESTIONS}/{name}.json in the folder of its suite"))


def _is_whole(questions: Path) -> bool:
    try:
        return bool(_read_questions(questions, questions.stat().st_mtime_ns))
    except (OSError, HeistError):
        return False


@lru_cache(maxsize=64)
def _read_questions(path: Path, changed: int) -> tuple[str, ...]:
    """A list as it was last changed then: many records share it, and the ids in it."""
    try:
        return parsed_questions(path)
    except Refused as refused:
        raise HeistError(f"question list {path}: {refused}") from None


def _check_version(value: dict[str, Any]) -> None:
    version = value.get("schema_version")
    if type(version) is not int:
        raise Refused(("schema_version", f"expected {_VERSION}"))
    if version != _VERSION:
        what = "run the suite again" if version < _VERSION else "this heist is older than the one that wrote it"
        raise Refused(("schema_version", f"{version} is not {_VERSION}: {what}"))


def _check_lengths(value: dict[str, Any]) -> None:
    """Only the letters of an exam are long; a longer name would fill the terminal of whoever looks at the board."""
    exam = value.get("exam")
    rest = {name: part for name, part in exam.items() if name not in LETTERED} if isinstance(exam, dict) else {}
    if any(len(text) > LONGEST for text in _texts({**value, "exam": rest})):
        raise Refused(("", f"holds a text of more than {LONGEST:,} characters"))


def _texts(value: Any) -> Iterator[str]:
    for level in levels(value):
        yield from (item for item in level if isinstance(item, str))
        yield from chain.from_iterable(item for item in level if isinstance(item, dict))
