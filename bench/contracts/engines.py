"""The engines that run models in this process, by name. Each is imported when it is first needed.

To add one, write a `LocalEngine` (see `bench/models/engine.py`) and name it here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

ENGINES: dict[str, str] = {
    "transformers": "heistbench.bench.models.transformers_engine:TransformersEngine",
    "vllm": "heistbench.bench.models.vllm_engine:VllmEngine",
}
DEFAULT = "transformers"
SLOW_TO_START = ("vllm",)
"""Those that take a minute to start and nearly all memory, so that they are not started again between two trainings."""


def engine_class(name: str) -> Any:
    """The class of an engine that `ENGINES` names."""
    return load(ENGINES[name])


def load(place: str) -> Any:
    """What `module:name` names, imported now: how tables name what is heavy."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
