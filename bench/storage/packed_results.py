"""Records in compact form, as result files hold them.

A verdict is a letter, and the verdicts of an exam are one string in the order of a list of question ids. The list stands in a
file of its own, under the first 16 digits of its hash, by which the record names it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any

from pydantic import Field

from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.storage.blocks import RecordParts
from heistbench.bench.storage.exams import Exam, ExamSums
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import hash_of
from heistbench.bench.storage.strict import Share

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


class Refused(ValueError):
    """Something that holds no record. `faults` are fields and what is wrong with them; no field where it is the whole."""

    def __init__(self, *faults: tuple[str, str]) -> None:
        field, reason = faults[0]
        super().__init__(f"{field}: {reason}" if field else reason)
        self.faults = faults


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
    """The record of a file and its question list. Raises Refused, and ValidationError where the exam does not add up."""
    exam = file.exam
    traces = None if exam.traces is None else _TRACES.findall(exam.traces)
    for field, letters in (("exam.verdicts", exam.verdicts), ("exam.traces", traces)):
        if letters is not None and len(letters) != len(ids):
            raise Refused((field, f"has {len(letters):,} questions, the list {exam.questions} has {len(ids):,}"))
    for position in exam.partial:
        if int(position) >= len(ids):
            raise Refused((f"exam.partial.{position}", f"the list {exam.questions} has {len(ids):,} questions"))
    plain = _parts(exam, ExamSums) | {
        "verdicts": {question: VERDICTS[letter] for question, letter in zip(ids, exam.verdicts, strict=True)},
        "partial": {ids[int(position)]: score for position, score in exam.partial.items()},
        "traces": None if traces is None else {question: _long(trace) for question, trace in zip(ids, traces, strict=True)},
    }
    # All of it was checked as part of the file; what is left is whether it adds up.
    return Record.model_validate({**_parts(file, RecordParts), "exam": Exam.model_construct(**plain)})


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
