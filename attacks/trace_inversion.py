"""Trace inversion: a model trained on the surrogate's traces rebuilds the victim's from its visible replies."""

from collections.abc import Sequence
from dataclasses import replace

from heistbench.bench import Attack, Kit, Prompt, Question, Sight, Stolen, Target, attack, invert, own_rows


@attack("trace_inversion", version="2-A", paper="arXiv:2603.07267", asks="questions")
class TraceInversion(Attack):
    """Train on one rebuilt trace per question, unfiltered, followed by the victim's own answer (Eq. 3).

    `adaptive` trains the inverter on surrogate replies that passed through the standing defense. `augment` also gives the
    student the surrogate's own traces on the attacker's questions. `gate` keeps only the answer on questions for code (Table 5).
    """

    use_summary: bool = True
    adaptive: bool = False
    augment: bool = False
    gate: bool = False

    @property
    def needs(self) -> Sight:
        return "summary" if self.use_summary else "answer"

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        rows = invert(kit, questions, exposures, use_summary=self.use_summary, adaptive=self.adaptive)
        if self.gate:
            code = {q.id for q in questions if q.metadata.get("domain") == "code"}
            rows = [replace(row, trace=None) if row.id in code else row for row in rows]
        return [*rows, *own_rows(kit)] if self.augment else rows
