"""Requests for the reasoning without demonstrations: the baselines R and C of Reasoning Exposure Prompting."""

from collections.abc import Sequence

from heistbench.bench import Attack, Kit, Question, Request, Stolen, Target, attack, final_text, request_prompt


@attack("rep_request", version="1-A", paper="arXiv:2606.00642")
class ReasoningRequest(Attack):
    """Ask for the reasoning once more as plain text (`repeat`, R), or for a chain of thought in the reply (`stepwise`, C).

    The whole visible text counts as the trace, since nothing marks its end.
    """

    request: Request = "repeat"

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([request_prompt(q.text, self.request) for q in questions])
        rows = zip(questions, exposures, strict=True)
        return [Stolen(q.id, q.text, e.text, final_text(e.text)) for q, e in rows if e.answered]
