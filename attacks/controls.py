"""Controls: arms that are not attacks but give meaning to the attacks' numbers."""

from collections.abc import Sequence
from dataclasses import replace

from heistbench.bench import (
    Attack,
    Exposure,
    Kit,
    Prompt,
    Question,
    Search,
    Sight,
    Stolen,
    Target,
    Truth,
    attack,
    filtered,
    invert,
)


@attack("untrained", version="1-A", threat="none", asks="nothing", control=True)
class Untrained(Attack):
    """The student as it is: no theft, no training."""

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        return []


@attack("surrogate_trace", version="1-A", paper="arXiv:2603.07267", threat="none", asks="nothing", control=True)
class SurrogateTrace(Attack):
    """Distil the surrogate on the same questions as the attacks; the victim is never queried."""

    temperature: float = 0.0

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        replies = kit.surrogate([Prompt.of(q.text) for q in questions], self.temperature)
        return [Stolen(q.id, q.text, r.trace, r.text) for q, r in zip(questions, replies, strict=True) if r.stop == "stop"]


@attack("gold_inversion", version="1-A", paper="arXiv:2603.07267", threat="none", asks="nothing", control=True, privileged=True)
class GoldInversion(Attack):
    """The inverter fed with gold answers: the yield of inversion without any victim."""

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = [Exposure(gold) for gold in _truth(kit).gold(questions)]
        return invert(kit, questions, exposures, use_summary=False, adaptive=False)


@attack("gold_answer", version="1-A", threat="none", asks="nothing", control=True, privileged=True)
class GoldAnswer(Attack):
    """Right answers without traces: the yield of `answer_only` from a victim that is always right."""

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        return [Stolen(q.id, q.text, None, gold) for q, gold in zip(questions, _truth(kit).gold(questions), strict=True)]


@attack("gold_filtered", version="1-A", paper="arXiv:2203.14465", threat="none", asks="nothing", control=True, privileged=True)
class GoldFiltered(Attack):
    """`answer_filtered` with gold answers in the place of the victim's: STaR as published."""

    samples: int = 4
    rounds: int = 4

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        return filtered(kit, questions, _truth(kit).gold(questions), Search(self.samples, self.rounds))


@attack("shuffled_inversion", version="1-A", paper="arXiv:2603.07267", asks="questions", control=True)
class ShuffledInversion(Attack):
    """The inverter fed with the answer and summary of another question: the part of inversion that needs no victim output."""

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        rows = [(q, e) for q, e in zip(questions, exposures, strict=True) if e.answered]
        others = [e for _, e in rows[1:] + rows[:1]]
        rebuilt = invert(kit, [q for q, _ in rows], others, use_summary=True, adaptive=False)
        return [replace(row, answer=e.text) for row, (_, e) in zip(rebuilt, rows, strict=True)]


@attack(
    "true_trace", version="1-A", paper="arXiv:2603.07267", threat="full-leak", asks="questions", control=True, privileged=True
)
class TrueTrace(Attack):
    """The ceiling: the victim's hidden traces and its undefended answers."""

    @property
    def needs(self) -> Sight:
        return "trace"

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        replies = _truth(kit).replies(questions)
        return [Stolen(q.id, q.text, r.trace, r.text) for q, r in zip(questions, replies, strict=True) if r.text]


@attack("wrong_trace", version="2-A", paper="arXiv:2505.13792", threat="none", asks="nothing", control=True, privileged=True)
class WrongTrace(Attack):
    """Wrong steps before right answers: the value of the form of a trace without its content."""

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        truth = _truth(kit)
        pairs = zip(questions, truth.wrong_traces(questions), truth.gold(questions), strict=True)
        return [Stolen(q.id, q.text, trace, gold) for q, trace, gold in pairs]


@attack("other_trace", version="1-A", threat="none", asks="questions", control=True, privileged=True)
class OtherTrace(Attack):
    """Another question's true trace before the right answer: the value of a trace's form alone, for any task."""

    @property
    def needs(self) -> Sight:
        return "trace"

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        truth = _truth(kit)
        rows = [(q, r.trace) for q, r in zip(questions, truth.replies(questions), strict=True) if r.trace]
        others = [trace for _, trace in rows[1:] + rows[:1]]
        gold = truth.gold([q for q, _ in rows])
        return [Stolen(q.id, q.text, trace, answer) for (q, _), trace, answer in zip(rows, others, gold, strict=True)]


def _truth(kit: Kit) -> Truth:
    assert kit.truth is not None, "the harness gives privileged controls the truth"
    return kit.truth
