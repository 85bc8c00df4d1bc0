"""Flags: what a panel says against itself. A flag refuses nothing; it stands where the numbers stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from heistbench.bench.storage.blocks import PluginId
from heistbench.bench.storage.records import Record
from heistbench.bench.suites.files import load_suite, shipped_suites

CONTAMINATED = 0.05
"""The share of questions that may share an n-gram with another split's before a panel is flagged."""


def contamination(records: Sequence[Record]) -> dict[str, float]:
    """The largest share that any record states, by the two splits it is about."""
    shares: dict[str, float] = defaultdict(float)
    for record in records:
        for splits, share in record.provenance.contamination.items():
            shares[splits] = max(share, shares[splits])
    return dict(sorted(shares.items()))


def sentence(splits: str, share: float) -> str:
    """A contamination in words."""
    return f"{share:.1%} of {splits.replace(' sharing ', ' share ')}"


def flags(records: Sequence[Record]) -> tuple[str, ...]:
    """Every flag of a panel's records, in words."""
    return (*_contaminated(records), *_edited(records), *_uncommitted(records), *_other_recipes(records))


def _contaminated(records: Sequence[Record]) -> Iterator[str]:
    for splits, share in contamination(records).items():
        if share > CONTAMINATED:
            yield f"contaminated: {sentence(splits, share)}; up to {CONTAMINATED:.0%} is no flag"


def _edited(records: Sequence[Record]) -> Iterator[str]:
    """Plugins of one declared version whose code differs between records."""
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in records:
        for plugin in _plugins(record):
            sources[plugin.name, plugin.version].add(plugin.source)
    for (name, version), of_version in sorted(sources.items()):
        if len(known := of_version - {""}) > 1:
            yield f"{name} {version} stands here in {len(known)} different sources under one version"


def _uncommitted(records: Sequence[Record]) -> Iterator[str]:
    names = sorted({name for record in records for name in record.provenance.uncommitted})
    if names:
        yield f"code in no commit: {', '.join(names)}"


def _other_recipes(records: Sequence[Record]) -> Iterator[str]:
    """Students that the suite which ships under this name trains in another way today."""
    seen = {(record.arm.suite, record.arm.student): record.arm.recipe for record in records}
    for (suite, student), recipe in sorted(seen.items()):
        today = _recipes(suite).get(student, recipe)
        changed = [
            f"{name} {value} instead of {recipe[name]}" for name, value in today.items() if recipe.get(name, value) != value
        ]
        if changed:
            yield f"the suite {suite} trains {student} in another way today: {', '.join(changed)}"


@cache
def _recipes(suite: str) -> Mapping[str, Mapping[str, Any]]:
    """How the shipped suite of that name trains its students, by their model; nothing where none ships."""
    if suite not in shipped_suites():
        return {}
    return {student.model: student.recipe.identity for student in load_suite(suite).students}


def _plugins(record: Record) -> Iterator[PluginId]:
    arm = record.arm
    yield from (arm.attack, *arm.defenses, arm.task, arm.exam)
