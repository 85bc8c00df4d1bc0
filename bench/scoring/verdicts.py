"""Judging a reply to a task's question: the only place where replies are graded, whichever route they took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heistbench.bench.contracts.checked import check_grade, check_grades
from heistbench.bench.contracts.nouns import Grade, Problem, Stop, TraceCheck, Verdict
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.replies import Parts, split_reply


@dataclass(frozen=True, slots=True)
class Examined:
    """The outcome of one question: the grade of the answer, the check of the trace if the task can check it, and both texts."""

    id: str
    grade: Grade
    check: TraceCheck | None
    answer: str | None
    trace: str | None


def judge(task: Task, problem: Problem, text: str, stop: Stop, prompt_text: str = "") -> Examined:
    """The outcome of one reply. Every reply is graded here or in `judge_all`, whichever route it took.

    A reply that was cut off at the token budget is truncated whatever it contains, and so is one whose thinking never closed.
    """
    parts = split_reply(text, prompt_text)
    grade = _ungraded(parts.answer, stop) or check_grade(task, task.grade(problem, parts.answer or ""))
    return _examined(task, problem, parts, stop, grade)


def judge_all(task: Task, problems: Sequence[Problem], texts: Sequence[str], stops: Sequence[Stop]) -> list[Examined]:
    """The outcomes of many replies, in order; see `judge`. Those that contain an answer are graded together."""
    return judge_parts(task, problems, [split_reply(text) for text in texts], stops)


def judge_parts(task: Task, problems: Sequence[Problem], parts: Sequence[Parts], stops: Sequence[Stop]) -> list[Examined]:
    """The same of replies that were split before."""
    grades = [_ungraded(reply.answer, stop) for reply, stop in zip(parts, stops, strict=True)]
    open_at = [at for at, grade in enumerate(grades) if grade is None]
    graded = task.grade_all([problems[at] for at in open_at], [parts[at].answer or "" for at in open_at])
    graded = check_grades(task, graded, len(open_at))
    late = dict(zip(open_at, graded, strict=True))
    rows = zip(problems, parts, stops, grades, strict=True)
    return [_examined(task, problem, reply, stop, grade or late[at]) for at, (problem, reply, stop, grade) in enumerate(rows)]


def _ungraded(answer: str | None, stop: Stop) -> Grade | None:
    """The grade of a reply without an answer; None if there is an answer to grade."""
    if stop in ("refused", "error"):
        return Grade(Verdict(stop), reason="the model gave no answer")
    if stop == "length":
        return Grade(Verdict.TRUNCATED, reason="cut off at the token budget")
    return Grade(Verdict.TRUNCATED, reason="the thinking never closed") if answer is None else None


def _examined(task: Task, problem: Problem, parts: Parts, stop: Stop, grade: Grade) -> Examined:
    answer = parts.answer if stop == "stop" else None
    return Examined(problem.question.id, grade, task.check(problem, parts.trace or ""), answer, parts.trace)
