"""SFT on summaries and answers: the visible summary takes the place of the trace."""

from collections.abc import Sequence

from heistbench.bench import Attack, Kit, Prompt, Question, Sight, Stolen, Target, attack


@attack("summary_answer", version="1-A", paper="arXiv:2603.07267", asks="questions")
class SummaryAnswer(Attack):
    """Train on the summary as if it were the trace, in the same tags as every other arm.

    The paper's baseline of this name used delimiters that its other arms did not, which confounds its collapse.
    """

    @property
    def needs(self) -> Sight:
        return "summary"

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        return [Stolen(q.id, q.text, e.summary, e.text) for q, e in zip(questions, exposures, strict=True) if e.answered]
