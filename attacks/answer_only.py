"""Plain SFT on answers: the yield of a thief who takes only what is served."""

from collections.abc import Sequence

from heistbench.bench import Attack, Kit, Prompt, Question, Stolen, Target, attack


@attack("answer_only", version="1-A", paper="arXiv:2603.07267", asks="questions")
class AnswerOnly(Attack):
    """Ask every question once and train on the visible answers, without traces."""

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        return [Stolen(q.id, q.text, None, e.text) for q, e in zip(questions, exposures, strict=True) if e.answered]
