"""Submissions, which nobody vouches for: what may lie in one and where, and its records as `heist` would have written them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from heistbench.bench.storage.packed_results import Refused
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.regular_files import entries_below
from heistbench.bench.storage.result_files import (
    LARGEST,
    PARTS,
    PATTERN,
    QUESTIONS,
    RecordReader,
    parsed,
    parsed_questions,
)
from heistbench.bench.storage.student_replies import REPLIES, SUFFIX, replies_path
from heistbench.leaderboard.submit.findings import LocatedFault

MOST_FILES = 3000
MOST_BYTES = 128 * 2**20
"""Files and bytes of one submission; a larger one comes in parts."""
MOST_VERDICTS = 5_000_000
"""Verdicts of one submission, all its records together."""
IN_PARTS = "send it in parts"
LONGEST_NAME = 200
"""Bytes of a file's name: some file systems end at 255, and writing aside takes a few."""
_NAME = re.compile(r"[A-Za-z0-9._=+,()-]+")
_RESULT = re.compile(r"seed-[0-9]+\.json")
_SHARED = {QUESTIONS: re.compile(r"[0-9a-f]{16}\.json"), REPLIES: re.compile(rf"[0-9a-f]{{16}}{re.escape(SUFFIX)}")}
"""The folders of files that result files share, and how these are called."""


@dataclass
class Listing:
    """What lies in a submission, by paths relative to it, sorted: result files, what they share, and a problem for all else."""

    files: list[Path] = field(default_factory=list)
    questions: list[Path] = field(default_factory=list)
    replies: list[Path] = field(default_factory=list)
    problems: list[LocatedFault] = field(default_factory=list)


def list_files(folder: Path) -> Listing:
    """The listing of a folder. Nothing is opened; what is beyond `MOST_FILES` or `MOST_BYTES` is not looked at."""
    listing, size, names = Listing(), 0, dict[str, Path]()
    files, problems = listing.files, listing.problems
    for entry in entries_below(folder, PARTS):
        path = Path(entry.path).relative_to(folder)
        reason = _misplaced(entry, path)
        if (twin := names.setdefault(str(path).casefold(), path)) != path:
            reason = reason or f"has the name of {twin} but for upper and lower case: not every file system tells them apart"
        if reason:
            problems.append(LocatedFault(path.as_posix(), "", reason))
        elif entry.is_file(follow_symlinks=False):
            {QUESTIONS: listing.questions, REPLIES: listing.replies}.get(_shared(path), files).append(path)
            size += entry.stat(follow_symlinks=False).st_size
        entries = len(files) + len(listing.questions) + len(listing.replies) + len(problems)
        if entries > MOST_FILES or size > MOST_BYTES:
            problems.append(LocatedFault("", "", f"more than {MOST_FILES:,} files or {MOST_BYTES:,} bytes: {IN_PARTS}"))
            break
    if not files and not problems:
        problems.append(LocatedFault("", "", f"no result files ({PATTERN})"))
    by_path = sorted(problems, key=lambda problem: problem.path)
    return Listing(sorted(files), sorted(listing.questions), sorted(listing.replies), by_path)


class Intake:
    """Reads the result files of a submission, whose question lists it has read; bounded in time and memory."""

    def __init__(self, replies: Collection[Path]) -> None:
        """`replies` are the files of students' replies that lie in it."""
        self._lists: dict[str, tuple[str, ...]] = {}
        self._replies = frozenset(replies)
        self._reader = RecordReader(MOST_VERDICTS)

    def read_questions(self, path: Path) -> None:
        """Read a question list, which may hold anything, for the records that name it. Raises Refused."""
        self._lists[path.stem] = parsed_questions(path)

    def read(self, path: Path) -> Record:
        """The record of a file that may hold anything. Raises Refused."""
        file, value = parsed(path)
        if file.model_dump(mode="json") != value:
            raise Refused(("", "is not written as heist writes records: a field that it always writes is missing"))
        questions, replies = file.exam.questions, replies_path(Path(), file.exam.replies)
        if questions not in self._lists:
            raise Refused(("exam.questions", f"names a list that is not here: expected {QUESTIONS}/{questions}.json"))
        if not file.exam.replies:
            raise Refused(("exam.replies", "is empty: run the suite again, so that what students wrote lies beside the results"))
        if replies not in self._replies:
            raise Refused(("exam.replies", f"names a file that is not here: expected {replies.as_posix()}"))
        return self._reader.unpack(file, self._lists[questions])


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
    if not _RESULT.fullmatch(entry.name) and not _shared(path):
        folders = f"the lists under {QUESTIONS}, what students wrote under {REPLIES}"
        return f"is no result file; expected seed-0.json and so on, {folders}, and nothing else"
    size = entry.stat(follow_symlinks=False).st_size
    return "" if size <= LARGEST else f"has {size:,} bytes; a result file has at most {LARGEST:,}"


def _shared(path: Path) -> str:
    """The folder of files that result files share, for one of these; empty for any other."""
    folder, *rest = path.parts
    return folder if folder in _SHARED and len(rest) == 1 and _SHARED[folder].fullmatch(path.name) else ""
