"""Where a model's replies come from: weights that run here, a provider's API, or the records of a data set.

The one place that reads a model's reference for its kind; all others look at the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heistbench.bench.storage.store import hash_of

_RECORDED = "recorded"
_PROVIDER = "inspect:"


@dataclass(frozen=True, slots=True)
class Weights:
    """A checkpoint that an engine of this process runs: shipped, a folder, a hub id, or made from nothing."""

    reference: str


@dataclass(frozen=True, slots=True)
class Provider:
    """A model behind a provider's API, by the name that Inspect has for it."""

    name: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """No model: the traces and answers that a data set ships are replayed."""


ReplySource = Weights | Provider | Recorded


def reply_source(reference: str) -> ReplySource:
    """The source that a reference names: `recorded`, `inspect:<provider>/<model>`, or a checkpoint.

    >>> reply_source("inspect:openai/gpt-5")
    Provider(name='openai/gpt-5')
    """
    if reference == _RECORDED:
        return Recorded()
    if reference.startswith(_PROVIDER):
        return Provider(reference.removeprefix(_PROVIDER))
    return Weights(reference)


def recorded_identity(task: Mapping[str, Any], data_digest: str | None) -> str:
    """What identifies the records that a task ships: the task as specs name it, and its files."""
    return f"{_RECORDED}:{hash_of([task, data_digest])}"
