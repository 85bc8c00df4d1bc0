"""Exposure and inversion combined: traces exposed by some prompts train the inverter for all the others."""

from collections.abc import Sequence
from dataclasses import replace

from heistbench.bench import (
    Attack,
    Exposure,
    Kit,
    Prompt,
    Question,
    Sight,
    Stolen,
    Target,
    Wrapper,
    attack,
    demonstration_prompt,
    demonstrations,
    invert,
    read_exposed,
)


@attack("rep_inversion", version="1-A", paper="arXiv:2606.00642")
class ExposureInversion(Attack):
    """Ask a `share` of the questions by REP and the rest plainly. The exposed traces, beside the surrogate's, train the inverter,
    which rebuilds the traces of the rest and of the REP questions that were answered without a trace.
    """

    share: float = 0.2
    wrapper: Wrapper = "bash"
    shots: int = 3
    use_summary: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share={self.share} is not between 0 and 1")
        if self.shots < 0:
            raise ValueError(f"shots={self.shots}: expected 0 or more")

    @property
    def needs(self) -> Sight:
        return "summary" if self.use_summary else "answer"

    def reads(self, exposure: Exposure) -> str:
        return read_exposed(exposure.text, self.wrapper)[0] or exposure.text

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        cut = round(self.share * len(questions))
        demos = demonstrations(kit, self.shots)
        prompts = [demonstration_prompt(demos, q.text, self.wrapper) for q in questions[:cut]]
        exposures = target.ask(prompts + [Prompt.of(q.text) for q in questions[cut:]])
        exposed = []
        for at, question in enumerate(questions[:cut]):
            trace, answer = read_exposed(exposures[at].text, self.wrapper)
            exposures[at] = replace(exposures[at], text=answer)
            if trace and exposures[at].answered:
                exposed.append((question, exposures[at], trace))
        exposed_ids = {question.id for question, _, _ in exposed}
        rest = [(q, e) for q, e in zip(questions, exposures, strict=True) if q.id not in exposed_ids]
        others, rest_exposures = [q for q, _ in rest], [e for _, e in rest]
        rebuilt = invert(kit, others, rest_exposures, use_summary=self.use_summary, adaptive=False, exposed=exposed)
        return [*(Stolen(q.id, q.text, trace, e.text) for q, e, trace in exposed), *rebuilt]
