"""Which plugins were edited since the store computed the same cells with them: what is computed again says why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from heistbench.bench.runs.schedule import Plan
from heistbench.bench.stages.record import cell_specs
from heistbench.bench.storage.store import Store, canonical, fault_of, identify

Sources = dict[str, str]
"""The hash of each plugin's source, by its name."""


def edited_plugins(planned: Plan, store: Store) -> Counter[str]:
    """How many missing cells each edited plugin has made stale, by the plugin's name."""
    edited: Counter[str] = Counter()
    before = _stale(planned, store) if planned.missing else {}
    for spec in cell_specs(planned.work) if before else ():
        for name, source in before.get(_without_sources(spec), {}).items():
            edited[name] += source != _sources(spec).get(name)
    return +edited


def _stale(planned: Plan, store: Store) -> dict[str, Sources]:
    """The sources that each record of the store that is of no planned cell was made with, by all else that it hangs on."""
    paths, kept = [*store.root.glob("record/*/spec.json")], {}
    of_plan = {identify(spec) for spec in cell_specs(planned.cells)} if paths else {}
    for path in paths:
        if path.parent.name not in of_plan and fault_of(path.parent) is None:
            spec = json.loads(path.read_text(encoding="utf-8"))
            kept[_without_sources(spec)] = _sources(spec)
    return kept


def _plugins(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (spec["attack"], *spec["defenses"], spec["task"], spec["exam"][0])


def _sources(spec: Mapping[str, Any]) -> Sources:
    return {plugin["name"]: plugin.get("source", "") for plugin in _plugins(spec)}


def _without_sources(spec: Mapping[str, Any]) -> str:
    exam, data = spec["exam"]
    plugins = {"attack": _bare(spec["attack"]), "defenses": [*map(_bare, spec["defenses"])], "task": _bare(spec["task"])}
    return canonical({**spec, **plugins, "exam": [_bare(exam), data]})


def _bare(plugin: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plugin.items() if name != "source"}
