"""Trace inversion: a model trained on the surrogate's traces rebuilds the victim's from what the victim shows."""

from collections.abc import Sequence

from heistbench.bench import Attack, Kit, Prompt, Question, Stolen, Target, attack, invert


@attack("trace_inversion", version="1-A", paper="arXiv:2603.07267")
class TraceInversion(Attack):
    """One rebuilt trace a question, unfiltered, before the victim's own answer (Eq. 3).

    `adaptive`: the inverter is trained on surrogate replies that passed through the standing defense.
    """

    use_summary: bool = True
    adaptive: bool = False

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        return invert(kit, questions, exposures, use_summary=self.use_summary, adaptive=self.adaptive)
