"""Controls made of the victim's replies: what part of them matters."""

from collections.abc import Sequence
from dataclasses import replace

from heistbench.bench import Attack, Kit, Prompt, Question, Sight, Stolen, Target, attack, invert, truth_of


@attack("shuffled_inversion", version="1-A", paper="arXiv:2603.07267", asks="questions", control=True)
class ShuffledInversion(Attack):
    """The inverter fed with the answer and summary of another question: the part of inversion that needs no victim output."""

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        rows = [(q, e) for q, e in zip(questions, exposures, strict=True) if e.answered]
        others = [e for _, e in rows[1:] + rows[:1]]
        rebuilt = invert(kit, [q for q, _ in rows], others, use_summary=True, adaptive=False)
        return [replace(row, answer=e.text) for row, (_, e) in zip(rebuilt, rows, strict=True)]


@attack("other_trace", version="1-A", threat="full-leak", asks="questions", control=True, privileged=True)
class OtherTrace(Attack):
    """Another question's true trace before the right answer: the value of a trace's form alone, for any task."""

    @property
    def needs(self) -> Sight:
        return "trace"

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        truth = truth_of(kit)
        rows = [(q, r.trace) for q, r in zip(questions, truth.replies(questions), strict=True) if r.trace]
        others = [trace for _, trace in rows[1:] + rows[:1]]
        gold = truth.gold([q for q, _ in rows])
        return [Stolen(q.id, q.text, trace, answer) for (q, _), trace, answer in zip(rows, others, gold, strict=True)]


@attack(
    "true_trace", version="1-A", paper="arXiv:2603.07267", threat="full-leak", asks="questions", control=True, privileged=True
)
class TrueTrace(Attack):
    """The ceiling: the victim's hidden traces and its undefended answers."""

    @property
    def needs(self) -> Sight:
        return "trace"

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        replies = truth_of(kit).replies(questions)
        return [Stolen(q.id, q.text, r.trace, r.text) for q, r in zip(questions, replies, strict=True) if r.text]
