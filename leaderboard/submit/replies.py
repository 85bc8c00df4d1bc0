"""What students wrote, graded again: the verdicts of a record are those that the grader here gives."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.failures import plugin_code
from heistbench.bench.contracts.nouns import TraceCheck, Verdict
from heistbench.bench.contracts.replies import Parts
from heistbench.bench.scoring.verdicts import judge_parts
from heistbench.bench.storage.exams import Exam
from heistbench.bench.storage.invariants import EXACT, Rule
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import canonical
from heistbench.bench.storage.student_replies import read_replies, replies_path
from heistbench.leaderboard.submit.findings import Fault, Finding, Unchecked, broken
from heistbench.leaderboard.submit.questions import SplitQuestions, exam_questions

SECONDS = 600
"""How long students are graded again; a hostile reply may take a grader seconds."""
BARE = 16
"""Characters that an answer without any reasoning may have beside those of two right ones."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a student's replies come to when they are graded here.

    `commonest` is how often its most frequent reply stands in it. Of right answers too short for any reasoning, `bare` counts
    those without a trace, `unfounded` those after a trace that the task says is wrong, or none.
    """

    exam: Exam
    commonest: int
    bare: int
    unfounded: int


class Grading:
    """Grades the students of a submission again, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._scripts, self._seconds = folder, dict[object, Script | Finding](), 0.0

    def check(self, record: Record) -> Iterator[Finding]:
        """Where a record says otherwise than its student's replies."""
        script = self._scripts[key] if (key := _key(record)) in self._scripts else self._grade(record)
        self._scripts[key] = script
        yield from broken(_same(record.exam, script.exam)) if isinstance(script, Script) else [script]
        if isinstance(script, Script) and (late := _late(record.exam, script.exam)):
            yield Unchecked(f"verdicts where a grader ran out of time, there or here: {len(late)} of {record.exam.n}")

    def script(self, record: Record) -> Script | None:
        """A student's replies, graded; None where they could not be."""
        script = self._scripts.get(_key(record))
        return script if isinstance(script, Script) else None

    def _grade(self, record: Record) -> Script | Finding:
        if self._seconds > SECONDS:
            return Unchecked(f"verdicts of the students that were left after {SECONDS} seconds of grading")
        began = time.monotonic()
        try:
            return _graded(record, read_replies(replies_path(self._folder, record.exam.replies)))
        except ValueError as error:
            return Fault("exam.replies", f"names a file that {error}")
        except HeistError as error:
            return Fault("exam.replies", f"cannot be graded: {error}")
        finally:
            self._seconds += time.monotonic() - began


def _graded(record: Record, replies: Sequence[Parts]) -> Script | Finding:
    if len(replies) != record.exam.n:
        return Fault("exam.replies", f"names a file of {len(replies):,} replies; expected {record.exam.n:,}")
    questions = exam_questions(record)
    if isinstance(questions, SplitQuestions) and record.exam.verdicts.keys() == questions.ids:
        return _script(questions, replies)
    return Unchecked("verdicts of exams whose questions are not known here: their replies are not graded again")


def _key(record: Record) -> object:
    """What the grading of a student hangs on."""
    exam = canonical([record.arm.exam.model_dump(), record.provenance.data.get("exam"), record.exam.n])
    return record.exam.replies, exam, frozenset(record.exam.verdicts)


def _script(questions: SplitQuestions, replies: Sequence[Parts]) -> Script:
    problems = sorted(questions.problems, key=lambda problem: problem.question.id)
    with plugin_code(questions.task):
        examined = judge_parts(questions.task, problems, replies, ["stop"] * len(replies))
    pairs = zip(problems, replies, strict=True)
    short = [len("".join((reply.answer or "").split())) <= 2 * len(problem.shown) + BARE for problem, reply in pairs]
    right = [fits and outcome.grade.verdict is Verdict.RIGHT for fits, outcome in zip(short, examined, strict=True)]
    return Script(
        exam=Exam.of(examined),
        commonest=max(Counter(replies).values(), default=0),
        bare=sum(counts and not reply.trace for counts, reply in zip(right, replies, strict=True)),
        unfounded=sum(counts and _is_wrong(outcome.check) for counts, outcome in zip(right, examined, strict=True)),
    )


def _is_wrong(check: TraceCheck | None) -> bool:
    return check is not None and check.kind in ("wrong", "none")


def _same(stated: Exam, again: Exam) -> Iterator[Rule]:
    late = _late(stated, again)
    wrong = sum(again.verdicts[i] != verdict for i, verdict in stated.verdicts.items() if i not in late)
    yield not wrong, "exam.verdicts", f"are not what the grader says of the replies: {wrong} of {stated.n} differ"
    yield stated.traces == again.traces, "exam.traces", "are not what the task says of the replies"
    if not late:
        yield stated.partial == again.partial, "exam.partial", "is not what the grader says of the replies"
        same = stated.metrics.keys() == again.metrics.keys()
        same = same and all(abs(value - again.metrics[name]) <= EXACT for name, value in stated.metrics.items())
        yield same, "exam.metrics", "are not what the grader says of the replies"


def _late(stated: Exam, again: Exam) -> set[str]:
    """Questions on which a grader ran out of time: a slower machine does so more often."""
    return {i for i, verdict in again.verdicts.items() if Verdict.TIMEOUT in (verdict, stated.verdicts[i])}
