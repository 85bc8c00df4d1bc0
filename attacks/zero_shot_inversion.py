"""Zero-shot inversion: the inverter's base model is asked to rebuild the trace, without any training for it."""

from collections.abc import Sequence

from heistbench.bench import Attack, Kit, Prompt, Question, Sight, Stolen, Target, attack, inversion_prompt, rebuilt


@attack("zero_shot_inversion", version="2-A", paper="arXiv:2603.07267", asks="questions")
class ZeroShotInversion(Attack):
    """Send the prompts of trace inversion to the model before training."""

    use_summary: bool = True

    @property
    def needs(self) -> Sight:
        return "summary" if self.use_summary else "answer"

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        rows = [(q, e) for q, e in zip(questions, exposures, strict=True) if e.answered]
        texts = kit.inverter().generate(
            [inversion_prompt(q.text, e.text, e.summary if self.use_summary else None) for q, e in rows]
        )
        return [Stolen(q.id, q.text, rebuilt(text), e.text) for (q, e), text in zip(rows, texts, strict=True)]
