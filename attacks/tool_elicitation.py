"""Tool-argument elicitation: a model that may not think on its own passes its thoughts to a tool, where they are visible."""

from collections.abc import Sequence

from heistbench.bench import Attack, Exposure, Kit, Question, Stolen, Target, attack, tool_prompt


@attack("tool_elicitation", version="1-A", paper="arXiv:2608.09867")
class ToolElicitation(Attack):
    """Turn native thinking off, offer `deep_think(thoughts, answer)`, and read its arguments.

    One query per question is enough: the answer is an argument too, so that no second turn is needed.
    """

    def reads(self, exposure: Exposure) -> str:
        return exposure.arguments.get("thoughts") or exposure.text

    def steal(self, target: Target, questions: Sequence[Question], kit: Kit) -> list[Stolen]:
        exposures = target.ask([tool_prompt(q.text) for q in questions])
        stolen = []
        for question, exposure in zip(questions, exposures, strict=True):
            thoughts, answer = exposure.arguments.get("thoughts"), exposure.arguments.get("answer") or exposure.text
            if answer and not exposure.refused:
                stolen.append(Stolen(question.id, question.text, thoughts or None, answer))
        return stolen
