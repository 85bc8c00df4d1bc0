"""Which plugins were edited since the store computed the same cells with them: what is computed again says why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from heistbench.bench.runs.schedule import Plan
from heistbench.bench.stages.record import cell_spec
from heistbench.bench.storage.store import FORMAT, Store, canonical, fault_of

Sources = dict[str, str]
"""The hash of each plugin's source, by its name."""


def edited_plugins(planned: Plan, store: Store) -> Counter[str]:
    """How many missing cells each edited plugin has made stale, by the plugin's name."""
    edited: Counter[str] = Counter()
    before = _kept(store) if planned.missing else {}
    for cell in planned.work:
        spec = json.loads(canonical(cell_spec(cell)))
        for name, source in before.get(_without_sources(spec), {}).items():
            edited[name] += source != _sources(spec).get(name)
    return +edited


def _kept(store: Store) -> dict[str, Sources]:
    """The sources that each record of the store was made with, by all else that it hangs on."""
    kept = {}
    for path in store.root.glob("record/*/spec.json"):
        if fault_of(path.parent) is None:
            spec = json.loads(path.read_text(encoding="utf-8"))
            kept[_without_sources(spec)] = _sources(spec)
    return kept


def _plugins(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (spec["attack"], *spec["defenses"], spec["task"], spec["exam"][0])


def _sources(spec: Mapping[str, Any]) -> Sources:
    return {plugin["name"]: plugin.get("source", "") for plugin in _plugins(spec)}


def _without_sources(spec: Mapping[str, Any]) -> str:
    bare: dict[str, Any] = json.loads(canonical({"format": FORMAT, **spec}))
    for plugin in _plugins(bare):
        plugin.pop("source", None)
    return canonical(bare)
