"""Comparability: what records must share, checked before any number is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.blocks import PluginId
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import hash_of

OWN = {"models": {"student after"}, "data": {"prompts sent", "theft"}, "settings": {"model", "name", "release"}}
"""Keys in which a panel's records may differ: results, and names of what the panel or a hash already identifies."""
ATTACKED = frozenset({"provenance.data.questions attacked", "provenance.settings.sizes.query"})
"""Fields that say which questions were attacked: another budget attacks others."""
VERSION = "comparable version"
"""What the name of a field about a plugin's version begins with."""
VICTIM = frozenset({"provenance.models.victim", "provenance.settings.victim"})
"""Fields that say who was robbed: another release differs in them."""


def generation(version: str) -> str:
    """The part of a plugin's version that changes when scores stop being comparable: 2 of "2-A"."""
    return version.partition("-")[0]


def file_of(record: Record) -> str:
    """What a record is called in a message: its path."""
    return record.path().as_posix()


def check(records: Sequence[Record], may_differ: Set[str] = frozenset(), called: Callable[[Record], str] = file_of) -> None:
    """Raise HeistError, naming both records and the field, unless all were made in the same way.

    Questions are matched by id, so the order in which a record lists them makes no difference. `may_differ` names fields that
    are not looked at, with all that lies under them; `called` says what a record is called in the message.
    """
    first, free = records[0], tuple(may_differ)
    names: dict[str, tuple[Any, Record]] = {}
    for record in records:
        for field, values in _differences(first, record):
            if not field.startswith(free):
                raise differs(field, values, (called(first), called(record)))
        for field, value in _names(record):
            if field in may_differ:
                continue
            expected, where = names.setdefault(field, (value, record))
            if expected != value:
                raise differs(field, (expected, value), (called(where), called(record)))


def differs(field: str, values: tuple[Any, Any], files: tuple[str, str]) -> HeistError:
    """The error of two records that do not share a field."""
    each = " and ".join(f"{_brief(value)} in {file}" for value, file in zip(values, files, strict=True))
    return HeistError(f"not comparable: {repr(field)[1:-1]} is {each}; results made in different ways are not compared")


def _brief(value: Any) -> str:
    # repr, because strings of models and users must not reach a terminal as they are.
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _differences(first: Record, record: Record) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """The fields of the protocol in which two records differ, with their values."""
    if _glance(first) == _glance(record):
        return
    one, other = _protocol(first), _protocol(record)
    for field in sorted(one.keys() | other.keys()):
        if one.get(field) != other.get(field):
            yield field, (one.get(field), other.get(field))


def _glance(record: Record) -> tuple[Any, ...]:
    """Where this is equal, so is the protocol, which takes ten times as long to write down."""
    arm, made = record.arm, record.provenance
    plugins = ((generation(plugin.version), plugin.parameters) for plugin in (arm.task, arm.exam))
    models = {name: value for name, value in made.models.items() if name not in OWN["models"]}
    data = {name: value for name, value in made.data.items() if name not in OWN["data"]}
    return record.exam.verdicts.keys(), *plugins, arm.recipe, made.engine, made.dtype, made.device, models, data, made.settings


def _protocol(record: Record) -> dict[str, Any]:
    """What every record must share, flat, by the name of the field."""
    arm, made = record.arm, record.provenance
    return {
        "arm.task.version": generation(arm.task.version),
        "arm.exam.version": generation(arm.exam.version),
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
    for field, plugin in plugin_fields(record):
        yield field, generation(plugin.version) if field.startswith(VERSION) else plugin.parameters
    for name, scores in record.overlap.items():
        yield f"overlap.{name}.signature", scores.signature
    if record.exposure:
        yield "exposure.signature", record.exposure.signature


def plugin_fields(record: Record) -> Iterator[tuple[str, PluginId]]:
    """The fields that say what an attack's or a defense's name means, each with the plugin."""
    arm = record.arm
    for kind, plugin in (("attack", arm.attack), *(("defense", part) for part in arm.defenses)):
        yield f"{VERSION} of {kind} {plugin.spec}", plugin
        yield f"parameters of {kind} {plugin.spec}", plugin


def _leaves(name: str, value: Any, without: Set[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, inner in value.items():
        if key not in without:
            yield from _leaves(f"{name}.{key}", inner, without)
