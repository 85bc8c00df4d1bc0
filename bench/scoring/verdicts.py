"""Judging replies, by whatever route they came, and examining students through lm-eval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heistbench.bench.contracts.checked import check_grade, check_grades
from heistbench.bench.contracts.nouns import Grade, Problem, Stop, TraceCheck, Verdict
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.replies import Parts, split_reply
from heistbench.bench.models.engine import LocalEngine, Sampling


@dataclass(frozen=True, slots=True)
class Examined:
    """One question's outcome: the grade of the answer, the check of the trace where the task can, and both as written."""

    id: str
    grade: Grade
    check: TraceCheck | None
    answer: str | None
    trace: str | None


def judge(task: Task, problem: Problem, text: str, stop: Stop, prompt_text: str = "") -> Examined:
    """The outcome of one reply: all that is graded, by whatever route it came, is graded here or in `judge_all`.

    A reply cut off at the token budget is truncated whatever it holds so far, and so is one whose thinking never closed.
    """
    parts = split_reply(text, prompt_text)
    grade = _ungraded(parts.answer, stop) or check_grade(task, task.grade(problem, parts.answer or ""))
    return _examined(task, problem, parts, stop, grade)


def judge_all(task: Task, problems: Sequence[Problem], texts: Sequence[str], stops: Sequence[Stop]) -> list[Examined]:
    """`judge` for many replies, those that hold an answer graded together; in order."""
    parts = [split_reply(text) for text in texts]
    grades = [_ungraded(reply.answer, stop) for reply, stop in zip(parts, stops, strict=True)]
    open_at = [at for at, grade in enumerate(grades) if grade is None]
    graded = task.grade_all([problems[at] for at in open_at], [parts[at].answer or "" for at in open_at])
    graded = check_grades(task, graded, len(open_at))
    found = dict(zip(open_at, graded, strict=True))
    rows = zip(problems, parts, stops, grades, strict=True)
    return [_examined(task, problem, reply, stop, grade or found[at]) for at, (problem, reply, stop, grade) in enumerate(rows)]


def _ungraded(answer: str | None, stop: Stop) -> Grade | None:
    """The grade of a reply that holds no answer to grade; None where there is one."""
    if stop in ("refused", "error"):
        return Grade(Verdict(stop), reason="the model gave no answer")
    if stop == "length":
        return Grade(Verdict.TRUNCATED, reason="cut off at the token budget")
    return Grade(Verdict.TRUNCATED, reason="the thinking never closed") if answer is None else None


def _examined(task: Task, problem: Problem, parts: Parts, stop: Stop, grade: Grade) -> Examined:
    answer = parts.answer if stop == "stop" else None
    return Examined(problem.question.id, grade, task.check(problem, parts.trace or ""), answer, parts.trace)


def examine(
    engine: LocalEngine,
    task: Task,
    problems: Sequence[Problem],
    sampling: Sampling,
    advance: Callable[[int], None] = lambda n: None,
) -> list[Examined]:
    """Ask a student every problem through `lm_eval.evaluate`; one verdict each, in order."""
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    from heistbench.bench.bridges.lm_eval import as_lm_eval_model, as_lm_eval_task

    exam = as_lm_eval_task(task, problems, engine.render, sampling.max_new_tokens)
    # Not simple_evaluate: it asks pip and git about the machine each time, which takes longer than a small exam.
    results = evaluate(
        as_lm_eval_model(engine, sampling, advance),
        TaskManager(include_defaults=False).load([exam]),
        bootstrap_iters=0,
        log_samples=True,
    )
    assert results is not None
    samples = sorted(results["samples"][task.info.name], key=lambda sample: int(sample["doc_id"]))
    examined = [sample["examined"] for sample in samples]
    if [e.id for e in examined] != [p.question.id for p in problems]:
        raise AssertionError("lm-eval returned other questions than it was given")
    return examined
