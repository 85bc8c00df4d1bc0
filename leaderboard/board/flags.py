"""Flags: what a panel says against itself. A flag refuses nothing; it stands where the numbers stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from heistbench.bench.storage.blocks import PluginId
from heistbench.bench.storage.records import Record

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
    return (*_contaminated(records), *_edited(records), *_uncommitted(records))


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


def _plugins(record: Record) -> Iterator[PluginId]:
    arm = record.arm
    yield from (arm.attack, *arm.defenses, arm.task, arm.exam)
