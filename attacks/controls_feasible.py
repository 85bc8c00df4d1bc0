"""Controls that anyone could run: no victim and no gold answers."""

from collections.abc import Sequence

from heistbench.bench import Attack, Kit, Prompt, Question, Stolen, Target, attack, own_rows


@attack("untrained", version="1-A", threat="none", asks="nothing", control=True)
class Untrained(Attack):
    """The student as it is: no theft, no training."""

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        return []


@attack("surrogate_trace", version="1-B", paper="arXiv:2603.07267", threat="none", asks="nothing", control=True)
class SurrogateTrace(Attack):
    """Distil the surrogate on the same questions as the attacks; the victim is never queried.

    `augment` adds the rows that attacks with `augment` add: the surrogate's own on the attacker's questions.
    """

    temperature: float = 0.0
    augment: bool = False

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        replies = kit.surrogate([Prompt.of(q.text) for q in questions], self.temperature)
        rows = [Stolen(q.id, q.text, r.trace, r.text) for q, r in zip(questions, replies, strict=True) if r.stop == "stop"]
        return [*rows, *own_rows(kit)] if self.augment else rows
