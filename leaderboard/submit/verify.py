"""Verifying a submission: result files from outside, against themselves, this code and the published results.

Nothing in a submission is trusted, and nothing in it is run. What is cheap may be run again by the code here. What no check can
tell, such as whether students wrote what they are said to, is named in `Verification.unchecked`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.packed_results import Refused
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import PATTERN, RecordReader
from heistbench.leaderboard.submit.completeness import check_whole, groups, panel, setting
from heistbench.leaderboard.submit.findings import Fault, Finding, Verification
from heistbench.leaderboard.submit.intake import Intake, Listing, list_files
from heistbench.leaderboard.submit.known import check_known
from heistbench.leaderboard.submit.questions import check_questions, offline
from heistbench.leaderboard.submit.replies import Grading
from heistbench.leaderboard.submit.stated import check_stated
from heistbench.leaderboard.submit.students import Scripts, check_sources, check_students
from heistbench.leaderboard.submit.thefts import check_idle_controls, check_theft, is_idle

STATED = (
    "that students wrote what they are said to have written: only training them again tells",
    "overlap and exposure: their texts are not here",
    "loot, honest use and prompts, where they were not run again: they lie in the store of whoever ran the suite",
    "weights of students, and of every model that is not shipped",
    "the bill, the hardware, the time and the packages",
    "texts of examples",
)
"""What is only stated, in every submission."""


Rerun = Callable[[Mapping[str, Record]], Iterable[tuple[str, Finding]]]
"""Runs again what is cheap of some records, and says by path what came out otherwise."""


def verify(folder: Path, results: Path, rerun: Rerun | None = None) -> Verification:
    """Check all that lies in a folder of result files, and how it would stand beside the published `results`.

    What is refused without that is not run again. Raises HeistError where there is no such folder and where a published result
    cannot be read; whatever the submission holds, it is no error but a problem.
    """
    return examine(folder, results, rerun)[0]


def examine(folder: Path, results: Path, rerun: Rerun | None = None) -> tuple[Verification, dict[str, Record]]:
    """As `verify`, with the records by their paths, as far as they could be read."""
    for path in (folder, results):
        if not path.is_dir():
            raise HeistError(f"{path}: no such folder")
    listing = list_files(folder)
    found, grading = Verification(files=len(listing.files), problems=listing.problems), Grading(folder)
    with offline():
        records = _read(folder, listing, found)
        for name, record in records.items():
            found.note(name, chain(_check(Path(name), record), grading.check(record)))
    placed = [path for path, record in records.items() if record.path().as_posix() == path]
    if placed and len(placed) == len(listing.files):
        for at, finding in _check_together(records, results, grading.script):
            found.note(at, [finding])
    if rerun is None or not found.sound:
        found.unchecked.append("untrained students, honest use and cheap thefts: nothing was run again")
    else:
        with offline():
            for at, finding in rerun(records):
                found.note(at, [finding])
    found.cells = len({Path(path).parent for path in records})
    found.panels = len({panel(record) for record in records.values()})
    found.unchecked = [*dict.fromkeys(found.unchecked), *STATED]
    return found, records


def _read(folder: Path, listing: Listing, found: Verification) -> dict[str, Record]:
    """The records that can be read, by their paths; why others cannot is noted."""
    intake, records = Intake(listing.replies), dict[str, Record]()
    for path in listing.questions:
        with _noting(found, path):
            intake.read_questions(folder / path)
    for path in listing.files:
        with _noting(found, path):
            records[path.as_posix()] = intake.read(folder / path)
    return records


@contextmanager
def _noting(found: Verification, path: Path) -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        found.note(path.as_posix(), [Fault(*fault) for fault in refused.faults])


def _check(path: Path, record: Record) -> Iterator[Finding]:
    """One record by itself."""
    if record.path() != path:
        yield Fault("arm", f"is that of {record.path().as_posix()}")
    checks = (check_stated, check_known, check_questions, check_theft)
    yield from chain.from_iterable(check(record) for check in checks)


def _check_together(records: Mapping[str, Record], results: Path, scripts: Scripts) -> Iterator[tuple[str, Finding]]:
    """All records with each other, and with the published ones that they would stand beside."""
    published = _beside(records, results)
    yield from check_whole(records, published)
    yield from check_students(records, published, scripts)
    for new, old in groups(records.values(), published, panel):
        yield from check_sources([*old, *new], records, scripts)
    idle = {_anywhere(record) for record in records.values() if is_idle(record)}
    yield from check_idle_controls(records, _published(results, idle))


def _beside(records: Mapping[str, Record], results: Path) -> list[Record]:
    """The published records of the same settings."""
    settings = {setting(record) for record in records.values()}
    return _published(results, {f"{task}/{victim}/*/*/*/{student}" for task, victim, student in settings})


def _anywhere(record: Record) -> str:
    """Where the results of a cell lie, whoever is the victim."""
    task, _, *rest, _ = record.path().parts
    return "/".join([task, "*", *rest])


def _published(results: Path, cells: Iterable[str]) -> list[Record]:
    """The published records of some cells."""
    reader = RecordReader()
    return [reader.read(path) for cell in sorted(cells) for path in sorted(results.rglob(f"{cell}/{PATTERN}"))]
