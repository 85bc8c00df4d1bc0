"""Boxed answers: the reply is cut down to its final answer, so that no worked solution is given away."""

from random import Random

from heistbench.bench import Defense, Exposure, Prompt, Reply, boxed_answer, defense


@defense("box_answers", version="1-A", touches=("answer",), paper="arXiv:2603.07267")
class BoxAnswers(Defense):
    """Show only the last box of the text and of each argument of a tool call. Text without a box passes unchanged.

    This is the other end of the scale that starts at a worked solution.
    """

    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        arguments = {name: _cut(value) for name, value in reply.arguments.items()}
        return reply.exposed(text=_cut(reply.text), arguments=arguments)


def _cut(text: str) -> str:
    boxed = boxed_answer(text)
    return rf"\boxed{{{boxed}}}" if boxed else text
