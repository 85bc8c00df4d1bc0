"""Comparability: what records must share, checked before any number is compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from heistbench.bench._errors import HeistError
from heistbench.bench._record import Record
from heistbench.bench._store import hash_of

OWN = {"models": {"student after"}, "data": {"prompts sent", "theft"}, "settings": {"model", "name", "release"}}
"""Keys in which a panel's records may differ: results, and names of what the panel or a hash already identifies."""
ATTACKED = frozenset({"provenance.data.questions attacked", "provenance.settings.sizes.query"})
"""Fields that say which questions were attacked: another budget attacks others."""


def generation(version: str) -> str:
    """The part of a plugin's version that changes when scores stop being comparable: 2 of "2-A"."""
    return version.partition("-")[0]


def check(records: Sequence[Record], may_differ: Set[str] = frozenset()) -> None:
    """Raise HeistError, naming both cells and the field, unless all records were made in the same way.

    Questions are matched by id, so the order in which a record lists them makes no difference. `may_differ` names fields that
    are not looked at.
    """
    first, protocol = records[0], _protocol(records[0])
    names: dict[str, tuple[Any, Record]] = {}
    for record in records:
        if not record.exam.n:
            raise HeistError(f"{record.path()}: no questions were examined")
        here = _protocol(record)
        for field in sorted((protocol.keys() | here.keys()) - may_differ):
            _same(field, protocol.get(field), first, here.get(field), record)
        for field, value in _names(record):
            _same(field, *names.setdefault(field, (value, record)), value, record)


def _same(field: str, expected: Any, first: Record, found: Any, other: Record) -> None:
    if expected != found:
        raise HeistError(
            f"not comparable: {repr(field)[1:-1]} is {_brief(expected)} in {first.path()} and {_brief(found)} in {other.path()}; "
            "results made in different ways do not belong on one board"
        )


def _brief(value: Any) -> str:
    # repr, because strings of models and users must not reach a terminal as they are.
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _protocol(record: Record) -> dict[str, Any]:
    """What every record must share, flat, by the name of the field."""
    arm, made = record.arm, record.provenance
    return {
        "exam.verdicts": f"{record.exam.n} questions (sha256 {hash_of(sorted(record.exam.verdicts))[:12]})",
        **dict(_leaves("arm.task.parameters", arm.task.parameters)),
        **dict(_leaves("arm.exam.parameters", arm.exam.parameters)),
        **dict(_leaves("arm.recipe", arm.recipe)),
        "provenance.engine": [made.engine, made.dtype, made.device],
        **dict(_leaves("provenance.models", made.models, OWN["models"])),
        **dict(_leaves("provenance.data", made.data, OWN["data"])),
        **dict(_leaves("provenance.settings", made.settings, OWN["settings"])),
    }


def _names(record: Record) -> Iterator[tuple[str, Any]]:
    """What one name must mean wherever it stands: a plugin's spec its generation and its parameters, defaults included; a
    signature's name the whole signature.
    """
    arm = record.arm
    for kind, plugin in (("attack", arm.attack), *(("defense", part) for part in arm.defenses)):
        yield f"comparable version of {kind} {plugin.spec}", generation(plugin.version)
        yield f"parameters of {kind} {plugin.spec}", plugin.parameters
    for name, scores in record.overlap.items():
        yield f"overlap.{name}.signature", scores.signature
    if record.exposure:
        yield "exposure.signature", record.exposure.signature


def _leaves(name: str, value: Any, without: Set[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, inner in value.items():
        if key not in without:
            yield from _leaves(f"{name}.{key}", inner, without)
