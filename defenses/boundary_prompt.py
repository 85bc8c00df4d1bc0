"""Boundary prompt: the provider tells the model to reason inside one think block and nowhere else."""

from random import Random

from heistbench.bench import Defense, Exposure, Prompt, Reply, defense, with_boundary


@defense("boundary_prompt", version="1-A", touches=("prompt",), paper="arXiv:2606.00642")
class BoundaryPrompt(Defense):
    """Put the instruction before every prompt. The paper's victims ran under such a prompt and were robbed all the same."""

    def admit(self, prompt: Prompt) -> Prompt:
        return with_boundary(prompt)

    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        return reply.exposed()
