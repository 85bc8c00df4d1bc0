"""Loading engines: a process keeps the last two, and gives them back when training needs the memory."""

from __future__ import annotations

import sys
from functools import lru_cache

from heistbench.bench.contracts.engines import ENGINES, engine_class
from heistbench.bench.contracts.replies import Family
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import LocalEngine


@lru_cache(maxsize=2)
def engine(source: Checkpoint, family: Family = "think") -> LocalEngine:
    """The engine of a checkpoint."""
    loaded: LocalEngine = engine_class(source.engine)(source, family)
    return loaded


def release_engines() -> None:
    """Give back the memory of all loaded models: training needs the whole of a GPU."""
    engine.cache_clear()
    for name, place in ENGINES.items():
        if place.partition(":")[0] in sys.modules:  # what was never imported holds nothing
            engine_class(name).unload()
