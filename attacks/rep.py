"""Reasoning Exposure Prompting: demonstrations in code-like wrappers make the victim show its trace."""

from collections.abc import Sequence
from typing import Literal

from heistbench.bench import (
    Attack,
    Demonstration,
    Kit,
    Prompt,
    Question,
    Stolen,
    Target,
    Wrapper,
    attack,
    demonstration_prompt,
    read_shown,
)


@attack("rep", version="1-A", paper="arXiv:2606.00642")
class ReasoningExposure(Attack):
    """Ask with `shots` demonstrations written by the surrogate, and read what the reply shows in the wrapper.

    `keep=all` trains on every reply that shows an answer, with the trace where it shows one; `keep=shown` on those that
    show a trace.
    """

    wrapper: Wrapper = "bash"
    shots: int = 3
    keep: Literal["all", "shown"] = "all"

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        demos = self._demonstrations(kit)
        exposures = target.ask([demonstration_prompt(demos, q.text, self.wrapper) for q in questions])
        stolen = []
        for question, exposure in zip(questions, exposures, strict=True):
            trace, answer = read_shown(exposure.text, self.wrapper)
            if exposure.answered and (trace or self.keep == "all"):
                stolen.append(Stolen(question.id, question.text, trace, answer or exposure.text))
        return stolen

    def _demonstrations(self, kit: Kit) -> list[Demonstration]:
        questions = kit.rng.sample(kit.questions(), self.shots)
        replies = kit.surrogate([Prompt.of(q.text) for q in questions], temperature=0.0)
        return [Demonstration(q.text, r.trace, r.text) for q, r in zip(questions, replies, strict=True)]
