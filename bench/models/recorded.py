"""The engine without a model: it replays the traces and answers that a data set ships."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Problem, Prompt, Reply, Usage
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.models.engine import Arrived, unheard


class RecordedEngine:
    """Answers the questions of some problems as they are recorded, and no other prompts."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._records = {problem.question.text: problem for problem in problems}

    def reply(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repetitions: Sequence[int] | None = None,
        arrived: Arrived = unheard,
    ) -> list[Reply]:
        """See `Engine.reply`. Raises HeistError for any prompt but a recorded question."""
        replies = [self._recall(prompt) for prompt in prompts]
        for at, reply in enumerate(replies):
            arrived(at, reply)
        return replies

    def _recall(self, prompt: Prompt) -> Reply:
        if prompt.text not in self._records:
            raise HeistError(f"the recorded model answers the task's own questions only, not {prompt.text[:60]!r}")
        problem = self._records[prompt.text]
        words = len(problem.trace.split())
        usage = Usage(len(prompt.text.split()), words + len(problem.shown.split()), words)
        return Reply(problem.trace or None, None, problem.shown, usage, "stop")
