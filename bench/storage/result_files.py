"""Result files: records as they lie in a folder of results, in compact form.

A verdict is a letter, and the verdicts of an exam are one string in the order of a list of question ids. The list stands once
per folder of a suite, as `questions/<first 16 digits of its hash>.json`; a record names it, and its path leads to it:

    <suite's folder>/questions/0123456789abcdef.json
    <suite's folder>/<task>/<victim>/<defense>/<attack>/<budget>-queries/<student>/seed-0.json
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic_core import from_json

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.storage.blocks import RecordParts
from heistbench.bench.storage.exams import ExamSums
from heistbench.bench.storage.records import Record, first_fault
from heistbench.bench.storage.regular_files import read_regular
from heistbench.bench.storage.store import hash_of, write_json
from heistbench.bench.storage.strict import Share

PATTERN = "seed-*.json"
"""Names of result files."""
QUESTIONS = "questions"
"""The folder of question lists."""
PARTS = 7
"""Parts of a result file's path below its suite's folder."""
LARGEST = 4 * 2**20
"""Bytes of a result file or question list: some 100,000 questions; the published ones have a hundredth."""
LETTERS = {
    Verdict.RIGHT: "r",
    Verdict.WRONG: "w",
    Verdict.TRUNCATED: "t",
    Verdict.UNPARSABLE: "u",
    Verdict.TIMEOUT: "o",
    Verdict.REFUSED: "f",
    Verdict.ERROR: "e",
}
VERDICTS = {letter: verdict for verdict, letter in LETTERS.items()}
KINDS = {"r": "right", "c": "class", "f": "facts", "w": "wrong", "n": "none"}
"""Kinds of trace by their letters."""
_LETTER = {kind: letter for letter, kind in KINDS.items()}
_TRACE = "[rcfwn](?:0|[1-9][0-9]{0,8})"
_TRACES = re.compile(_TRACE)
Position = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})$")]
"""A question by its place in the list, counted from 0."""


class PackedExam(ExamSums):
    """An exam in compact form; `questions` names the list whose order all else is in.

    `verdicts` has a letter per question: right, wrong, truncated, unparsable, time-out (o), refused (f), error. `partial` has the
    scores that a verdict does not tell, by position. `traces` has a letter and a length per question: right, class, facts,
    wrong, none; `w29` is a wrong trace of 29 words.
    """

    questions: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    verdicts: Annotated[str, Field(pattern=f"^[{''.join(VERDICTS)}]*$")]
    partial: dict[Position, Share]
    traces: Annotated[str, Field(pattern=f"^({_TRACE})*$")] | None


class ResultFile(RecordParts):
    """One cell's result as its file holds it."""

    exam: PackedExam


class Misfit(ValueError):
    """A packed exam that does not go with its question list."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


def pack(record: Record) -> ResultFile:
    """The compact form of a record."""
    exam, ids = record.exam, sorted(record.exam.verdicts)
    at = {question: str(position) for position, question in enumerate(ids)}
    packed = PackedExam(
        **_parts(exam, ExamSums),
        questions=name_of(ids),
        verdicts="".join(LETTERS[exam.verdicts[question]] for question in ids),
        partial={at[question]: score for question, score in exam.partial.items()},
        traces=None if exam.traces is None else "".join(_short(exam.traces[question]) for question in ids),
    )
    return ResultFile(**_parts(record, RecordParts), exam=packed)


def unpack(file: ResultFile, ids: Sequence[str]) -> Record:
    """The record of a file and its question list. Raises Misfit, and ValidationError where the exam does not add up."""
    exam = file.exam
    traces = None if exam.traces is None else _TRACES.findall(exam.traces)
    for field, letters in (("exam.verdicts", exam.verdicts), ("exam.traces", traces)):
        if letters is not None and len(letters) != len(ids):
            raise Misfit(field, f"has {len(letters):,} questions, the list {exam.questions} has {len(ids):,}")
    for position in exam.partial:
        if int(position) >= len(ids):
            raise Misfit(f"exam.partial.{position}", f"the list {exam.questions} has {len(ids):,} questions")
    plain = _parts(exam, ExamSums) | {
        "verdicts": {question: VERDICTS[letter] for question, letter in zip(ids, exam.verdicts, strict=True)},
        "partial": {ids[int(position)]: score for position, score in exam.partial.items()},
        "traces": None if traces is None else {question: _long(trace) for question, trace in zip(ids, traces, strict=True)},
    }
    return Record.model_validate({**_parts(file, RecordParts), "exam": plain})


def name_of(ids: Sequence[str]) -> str:
    """What a question list is called."""
    return hash_of(list(ids))[:16]


def question_list(name: str, value: object) -> tuple[str, ...]:
    """A question list read as JSON. Raises ValueError unless it is one, and the one of this name."""
    if not isinstance(value, list) or not all(isinstance(question, str) for question in value):
        raise ValueError("expected a list of question ids")
    if not all(one < other for one, other in pairwise(value)):
        raise ValueError("expected each question id once, in order")
    if name_of(value) != name:
        raise ValueError(f"is not the list of this name, but {name_of(value)}")
    return tuple(value)


def write_record(folder: Path, record: Record) -> Path:
    """Write a record to its place under a suite's folder, and its question list unless it is there, whole."""
    path, file = folder / record.path(), pack(record)
    questions = folder / QUESTIONS / f"{file.exam.questions}.json"
    if not _is_whole(questions):
        write_json(questions, sorted(record.exam.verdicts))
    write_json(path, file.model_dump(mode="json"))
    return path


def read_record(path: Path) -> Record:
    """Read and validate one record of a file that heist wrote. Raises HeistError that names file and field.

    Nothing that lies there does harm. Strangers' submissions are read by `leaderboard.submit.intake`, which also notices what is
    not as heist writes it.
    """
    try:
        file = ResultFile.model_validate_json(read_regular(path, LARGEST))
        return unpack(file, _questions(path, file.exam.questions))
    except ValidationError as error:
        raise HeistError(f"result file {path}: {first_fault(error)}") from None
    except ValueError as error:
        raise HeistError(f"result file {path}: {error}") from None


def read_records(folder: Path) -> list[Record]:
    """All records under a folder, in the order of their paths."""
    return [read_record(path) for path in result_files(folder)]


def result_files(folder: Path) -> list[Path]:
    """The result files under a folder, in the order of their paths. Raises HeistError when there are none."""
    paths = sorted(folder.rglob(PATTERN))
    if not paths:
        raise HeistError(f"no result files ({PATTERN}) under {folder}")
    return paths


def _questions(path: Path, name: str) -> tuple[str, ...]:
    """The question list of a record: the nearest of its name, up to the folder of the record's suite."""
    for folder in path.absolute().parents[:PARTS]:
        if (place := folder / QUESTIONS / f"{name}.json").is_file():
            return _read_questions(place, place.stat().st_mtime_ns)
    raise Misfit("exam.questions", f"expected the list {QUESTIONS}/{name}.json in the folder of its suite")


def _is_whole(questions: Path) -> bool:
    try:
        return bool(_read_questions(questions, questions.stat().st_mtime_ns))
    except (OSError, HeistError):
        return False


@lru_cache(maxsize=64)
def _read_questions(path: Path, changed: int) -> tuple[str, ...]:
    """A list as it was last changed then: many records share it, and the ids in it."""
    try:
        return question_list(path.stem, from_json(read_regular(path, LARGEST)))
    except ValueError as error:
        raise HeistError(f"question list {path}: {error}") from None


def _parts(whole: ExamSums | RecordParts, of: type[ExamSums] | type[RecordParts]) -> dict[str, Any]:
    """The fields that the two forms share."""
    return {name: getattr(whole, name) for name in of.model_fields}


@lru_cache(maxsize=4096)
def _short(trace: str) -> str:
    kind, words = trace.split()
    return _LETTER[kind] + words


@lru_cache(maxsize=4096)
def _long(trace: str) -> str:
    return f"{KINDS[trace[0]]} {trace[1:]}"
