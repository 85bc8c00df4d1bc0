"""What tests of training share: a model made from nothing, and how far apart two models are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.scratch import make_scratch


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A small random model with the words of the pocket world."""
    folder = tmp_path_factory.mktemp("base")
    make_scratch("scratch/16x1", registry.build("task", "pocket").problems("surrogate", 40), folder)
    return Checkpoint("base", str(folder))


@pytest.fixture(scope="session")
def furthest() -> Callable[[Checkpoint, Checkpoint], float]:
    """The largest difference between weights of two models."""

    def furthest(one: Checkpoint, other: Checkpoint) -> float:
        first, second = (checkpoint.load()[0].state_dict() for checkpoint in (one, other))
        assert first.keys() == second.keys()
        return max((first[name] - second[name]).abs().max().item() for name in first)

    return furthest
