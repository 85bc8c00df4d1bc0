"""Reasoning Exposure Prompting (REP): demonstrations in code-like wrappers make the victim show its trace."""

from collections.abc import Sequence
from typing import Literal

from heistbench.bench import (
    Attack,
    Exposure,
    Kit,
    Question,
    Stolen,
    Target,
    Wrapper,
    attack,
    demonstration_prompt,
    demonstrations,
    read_exposed,
    same_answer,
)


@attack("rep", version="2-A", paper="arXiv:2606.00642")
class ReasoningExposure(Attack):
    """Ask with `shots` demonstrations written by the surrogate, and read what the reply shows in the wrapper.

    `source` is the task whose questions the demonstrations answer, by default the attacked one. `keep` selects the replies to
    train on: `all` that show an answer, the `valid` ones that also show a trace, or the `clean` ones on whose answer the
    surrogate agrees (the paper's own filter compares with the gold answer, which no attacker has).
    """

    wrapper: Wrapper = "bash"
    shots: int = 3
    source: str = ""
    keep: Literal["all", "valid", "clean"] = "all"

    def __post_init__(self) -> None:
        if self.shots < 0:
            raise ValueError(f"shots={self.shots}: expected 0 or more")

    def reads(self, exposure: Exposure) -> str:
        return read_exposed(exposure.text, self.wrapper)[0] or exposure.text

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        demos = demonstrations(kit, self.shots, self.source)
        exposures = target.ask([demonstration_prompt(demos, q.text, self.wrapper) for q in questions])
        stolen = []
        for question, exposure in zip(questions, exposures, strict=True):
            trace, answer = read_exposed(exposure.text, self.wrapper)
            if answer and not exposure.refused and (trace or self.keep == "all"):
                stolen.append(Stolen(question.id, question.text, trace, answer))
        return same_answer(kit, stolen) if self.keep == "clean" else stolen
