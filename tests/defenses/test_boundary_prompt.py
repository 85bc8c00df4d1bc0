from __future__ import annotations

from random import Random

import pytest

from heistbench.bench import Exposure, Prompt, Reply, Usage, with_boundary
from heistbench.bench.contracts.registry import registry

DEFENSE = registry.build("defense", "boundary_prompt")


@pytest.mark.parametrize("prompt", [Prompt.of("q"), Prompt.of("q", "be brief")])
def test_every_prompt_comes_under_the_boundary(prompt: Prompt) -> None:
    assert DEFENSE.admit(prompt) == with_boundary(prompt) != prompt


@pytest.mark.parametrize("stop", ["stop", "length", "refused"])
def test_nothing_is_done_to_replies(stop: str) -> None:
    reply = Reply("hidden", "recap", "7", Usage(), stop, {"answer": "7"})
    assert DEFENSE.release(Prompt.of("q"), reply, Random(0)) == Exposure(
        "7", "recap", stop == "refused", {"answer": "7"}, stop=stop
    )


def test_it_says_that_it_makes_prompts_of_its_own() -> None:
    """Recorded victims cannot be asked through it."""
    assert DEFENSE.info.touches == ("prompt",)
