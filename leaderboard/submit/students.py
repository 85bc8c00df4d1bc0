"""Students beside each other: one that is two, two that are one, and right answers for which nothing was learnt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import sqrt
from statistics import fmean, variance

from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import canonical
from heistbench.leaderboard.submit.findings import Fault, Finding, Unchecked
from heistbench.leaderboard.submit.replies import Script
from heistbench.leaderboard.words import clean

Scripts = Callable[[Record], Script | None]
"""What the replies of a submitted record come to; None where they could not be graded here."""
TELLING = 10
"""Right and wrong answers each that an exam has to have before two students with the same ones are suspect."""
NEEDED = {"untrained", "gold_answer"}
WITHOUT_REASONING = {*NEEDED, "wrong_trace", "other_trace"}
"""Controls whose students can know right answers and no reasoning; without the first two there is nothing to compare with."""
FAR, LEAST = 4.0, 0.1
"""Standard errors, and accuracy, by which a student is far above a control."""


def check_students(
    submitted: Mapping[str, Record], published: Sequence[Record], scripts: Scripts
) -> Iterator[tuple[str, Finding]]:
    """What cannot be true of the students of a submission and those published, each with the path of the file to blame."""
    yield from _one_student(submitted, published)
    yield from _copies(submitted, published, scripts)


def _one_student(submitted: Mapping[str, Record], published: Iterable[Record]) -> Iterator[tuple[str, Finding]]:
    """One student has one set of verdicts, whichever cell it stands in."""
    known: dict[str, tuple[Record, str]] = {}
    for record in published:
        known.setdefault(_student(record), (record, record.path().as_posix()))
    for path, record in sorted(submitted.items()):
        other, where = known.setdefault(_student(record), (record, path))
        if other.exam.verdicts == record.exam.verdicts and (record.exam.replies == other.exam.replies or not other.exam.replies):
            continue
        if where not in submitted and _machine(other) != _machine(record):
            yield path, Unchecked("students of published results that answer otherwise here: their machine is another")
        else:
            yield path, Fault("exam.verdicts", f"or replies are not those of {where}, which has the same student")


def _copies(submitted: Mapping[str, Record], published: Iterable[Record], scripts: Scripts) -> Iterator[tuple[str, Finding]]:
    """Two students that are right and wrong on the very same questions are one under two names.

    Chance does it to those that are nearly always right, or that give everyone the same reply.
    """
    known: dict[str, tuple[str, str]] = {}
    for record in published:
        known.setdefault(_answers(record), (_student(record), record.path().as_posix()))
    for path, record in sorted(submitted.items()):
        student, where = known.setdefault(_answers(record), (_student(record), path))
        script, right = scripts(record), record.exam.counts.get(Verdict.RIGHT, 0)
        telling = min(right, record.exam.n - right) >= TELLING and script is not None and 2 * script.commonest <= record.exam.n
        if student != _student(record) and telling:
            yield path, Fault("exam.verdicts", f"are those of {where}, question by question, and its student is another one")


def check_sources(panel: Sequence[Record], submitted: Mapping[str, Record], scripts: Scripts) -> Iterator[tuple[str, Finding]]:
    """Right answers without any reasoning: no student has far more of them than controls that have nothing to reason with.

    `panel` are all records of one panel, submitted and published ones.
    """
    bounds: dict[str, list[float]] = defaultdict(list)
    cells: dict[str, list[tuple[Record, Script]]] = defaultdict(list)
    for record in panel:
        if record.arm.control and record.arm.attack.name in WITHOUT_REASONING:
            bounds[record.arm.attack.name].append(record.exam.accuracy)
        elif record.path().as_posix() in submitted and record.loot.rows and (script := scripts(record)):
            cells[record.path().parent.as_posix()].append((record, script))
    if cells and not bounds.keys() >= NEEDED:
        yield "", Unchecked(f"right answers without reasoning: one of the controls {', '.join(sorted(NEEDED))} is not here")
        return
    for cell, students in cells.items():
        yield from ((cell, finding) for finding in _unreasoned(students, [*bounds.values()]))


def _unreasoned(students: Sequence[tuple[Record, Script]], bounds: Sequence[Sequence[float]]) -> Iterator[Finding]:
    """A student that was shown no trace has none of a form that the task cannot read: its wrong traces are no reasoning."""
    n, most = students[0][0].exam.n, max(map(fmean, bounds))
    certain = [(script.bare if record.loot.traces else max(script.bare, script.unfounded)) / n for record, script in students]
    doubtful = [max(script.bare, script.unfounded) / n for _, script in students]
    if all(_far_above(certain, bound, n) for bound in bounds):
        share = f"{fmean(certain):.2f} of the answers"
        yield Fault("exam.verdicts", f"{share} are right without any reasoning before them; the controls reach {most:.2f}")
    elif all(_far_above(doubtful, bound, n) for bound in bounds):
        name = clean(students[0][0].arm.attack.spec)
        yield Unchecked(f"how {fmean(doubtful):.2f} of the answers can be right after wrong traces: students of {name}")


def _far_above(ours: Sequence[float], theirs: Sequence[float], n: int) -> bool:
    """Whether one accuracy is above another beyond what seeds and questions explain."""
    one, other = fmean(ours), fmean(theirs)
    by_question = sum(p * (1 - p) / n for p in (one, other))
    by_seed = sum(variance(group) / len(group) for group in (ours, theirs) if len(group) > 1)
    return one - other > max(LEAST, FAR * sqrt(by_question + by_seed))


def _student(record: Record) -> str:
    """A student and its exam: weights, questions, and the way it is asked."""
    made, decoding = record.provenance, record.provenance.settings.get("student")
    decoding = decoding.get("decoding") if isinstance(decoding, dict) else None
    return canonical([made.models.get("student after"), _exam(record), decoding, made.engine, made.dtype, made.device])


def _answers(record: Record) -> str:
    """An exam, and which of its questions were answered rightly or in what other way."""
    return canonical([_exam(record), sorted(record.exam.verdicts.items())])


def _exam(record: Record) -> list[object]:
    return [record.arm.exam.spec, record.exam.n, record.provenance.data.get("questions examined")]


def _machine(record: Record) -> object:
    return record.provenance.packages, record.volatile.hardware
