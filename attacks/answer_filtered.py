"""Answer filtering: the surrogate is sampled, and a trace that ends in the victim's answer is kept."""

from collections.abc import Sequence

from heistbench.bench import Attack, Choice, Doubt, Kit, Prompt, Question, Search, Stolen, Target, attack, doubt_of, filtered


@attack("answer_filtered", version="1-A", paper="arXiv:2203.14465", asks="questions")
class AnswerFiltered(Attack):
    """STaR's filter with stolen answers, without its retraining and its hints: it needs neither traces nor summaries.

    `samples` of a question are drawn in each of up to `rounds`, until `agree` of them end in the visible answer; of the traces
    that do, the `choice` is kept. An `adaptive` attacker learns from a rehearsal how often the standing defense alters answers,
    and takes the likeliest answer in the light of all samples.
    """

    samples: int = 4
    rounds: int = 4
    agree: int = 1
    choice: Choice = "first"
    adaptive: bool = False

    def __post_init__(self) -> None:
        for name in ("samples", "rounds", "agree"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected 1 or more")

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        shown = {q.id: e.text for q, e in zip(questions, exposures, strict=True) if e.answered}
        asked = [q for q in questions if q.id in shown]
        how = Search(self.samples, self.rounds, self.agree, self.choice)
        return filtered(kit, asked, [shown[q.id] for q in asked], how, doubt_of(kit) if self.adaptive else Doubt())
