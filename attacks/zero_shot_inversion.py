"""Zero-shot inversion: the surrogate is asked to rebuild the trace, without any training for it."""

from collections.abc import Sequence

from heistbench.bench import Attack, Kit, Prompt, Question, Stolen, Target, attack, inversion_prompt


@attack("zero_shot_inversion", version="1-A", paper="arXiv:2603.07267")
class ZeroShotInversion(Attack):
    """Prompt the surrogate as an inverter. One that thinks first does the rebuilding in its thoughts."""

    use_summary: bool = True

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        rows = [(q, e) for q, e in zip(questions, exposures, strict=True) if e.answered]
        replies = kit.surrogate(
            [inversion_prompt(q.text, e.text, e.summary if self.use_summary else None) for q, e in rows], temperature=0.0
        )
        return [Stolen(q.id, q.text, r.trace or r.text, e.text) for (q, e), r in zip(rows, replies, strict=True)]
