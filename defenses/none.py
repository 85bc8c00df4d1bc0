"""No defense: the provider hides the trace and shows everything else. Every defense is measured against it."""

from random import Random

from heistbench.bench import Defense, Exposure, Prompt, Reply, defense


@defense("none", version="1-A", touches=())
class NoDefense(Defense):
    """Hide the trace, show summary and answer."""

    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        return reply.exposed()
