"""Our tasks as Inspect tasks: `inspect eval heistbench/gsm8k --model ...` finds them through the entry point.

`-T n=100` examines the first hundred questions; other `-T` options are the task's own parameters (`-T types=1`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from inspect_ai import Task as InspectTask
from inspect_ai import task as register
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, mean, scorer, stderr
from inspect_ai.solver import generate

from heistbench.bench.contracts.nouns import Problem, Stop, Verdict
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import registry
from heistbench.bench.contracts.replies import CLOSE, OPEN, render_reply
from heistbench.bench.models.provider_replies import read_output, stop_of
from heistbench.bench.scoring.verdicts import judge

if TYPE_CHECKING:
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Scorer, Target
    from inspect_ai.solver import TaskState


def as_inspect_task(name: str, n: int | None = None, **parameters: Any) -> InspectTask:
    """One of our tasks, on the first `n` questions of its test split (None: all of them)."""
    spec = f"{name}({', '.join(f'{key}={value}' for key, value in parameters.items())})" if parameters else name
    task, problems = _load(spec, n)
    samples = [Sample(id=p.question.id, input=p.question.text, target=p.gold) for p in problems]
    return InspectTask(dataset=samples, solver=generate(), scorer=graded(spec, n), version=task.info.version)


@scorer(metrics={"right": [mean(), stderr()], "score": [mean(), stderr()]})
def graded(spec: str, n: int | None = None) -> Scorer:
    """The task's own grader; the metadata of a score hold the verdict and the trace."""
    task, problems = _load(spec, n)
    known = {problem.question.id: problem for problem in problems}

    async def score(state: TaskState, target: Target) -> Score:
        from anyio.to_thread import run_sync

        text, stop = reply_of(state.output)
        # Graders may wait for a worker process: Inspect's event loop must not.
        examined = await run_sync(partial(judge, task, known[str(state.sample_id)], text, stop))
        grade = examined.grade
        return Score(
            value={"right": float(grade.verdict is Verdict.RIGHT), "score": grade.score},
            answer=grade.extracted,
            explanation=grade.reason or grade.verdict.value,
            metadata={"verdict": grade.verdict.value, "trace": examined.trace, **grade.metrics},
        )

    return score


def reply_of(output: ModelOutput) -> tuple[str, Stop]:
    """A reply as `judge` reads it, with separate reasoning put back between think tags. See `provider_replies`."""
    trace, _, answer = read_output(output)
    if answer is None:
        return f"{OPEN}\n{trace or ''}", stop_of(output)
    # Tags that belong to the answer must not be read as thinking again.
    return render_reply(trace, answer) if trace or CLOSE in answer or OPEN in answer else answer, stop_of(output)


def _load(spec: str, n: int | None) -> tuple[Task, list[Problem]]:
    task = cast(Task, registry.build("task", spec))
    return task, task.problems("test", n)


def _register(name: str) -> Any:
    def factory(n: int | None = None, **parameters: Any) -> InspectTask:
        return as_inspect_task(name, n, **parameters)

    return register(name=name)(factory)


TASKS = {name: _register(name) for name in registry.all("task")}
