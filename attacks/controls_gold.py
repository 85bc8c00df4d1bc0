"""Controls that know the gold answers and never ask the victim: what a thief could do who needs no theft."""

from collections.abc import Sequence

from heistbench.bench import Attack, Exposure, Kit, Question, Search, Stolen, Target, attack, filtered, invert, own_rows, truth_of


@attack("gold_answer", version="1-A", threat="none", asks="nothing", control=True, privileged=True)
class GoldAnswer(Attack):
    """Right answers without traces: the yield of `answer_only` from a victim that is always right."""

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        return [Stolen(q.id, q.text, None, gold) for q, gold in zip(questions, truth_of(kit).gold(questions), strict=True)]


@attack("gold_inversion", version="1-B", paper="arXiv:2603.07267", threat="none", asks="nothing", control=True, privileged=True)
class GoldInversion(Attack):
    """The inverter fed with gold answers: the yield of inversion from a victim that is always right. `augment` as there."""

    augment: bool = False

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = [Exposure(gold) for gold in truth_of(kit).gold(questions)]
        rows = invert(kit, questions, exposures, use_summary=False, adaptive=False)
        return [*rows, *own_rows(kit)] if self.augment else rows


@attack("gold_filtered", version="1-A", paper="arXiv:2203.14465", threat="none", asks="nothing", control=True, privileged=True)
class GoldFiltered(Attack):
    """`answer_filtered` with gold answers in the place of the victim's."""

    samples: int = 4
    rounds: int = 4

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        return filtered(kit, questions, truth_of(kit).gold(questions), Search(self.samples, self.rounds))


@attack("wrong_trace", version="2-A", paper="arXiv:2505.13792", threat="none", asks="nothing", control=True, privileged=True)
class WrongTrace(Attack):
    """Wrong steps before right answers: the value of the form of a trace without its content."""

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        truth = truth_of(kit)
        pairs = zip(questions, truth.wrong_traces(questions), truth.gold(questions), strict=True)
        return [Stolen(q.id, q.text, trace, gold) for q, trace, gold in pairs]
