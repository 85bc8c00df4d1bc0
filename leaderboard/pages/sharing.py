"""Records in little memory: what many of a contest have in common is held once, and so are the questions of their exam."""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, Mapping
from typing import Any, TypeVar

from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import canonical

T = TypeVar("T")


class Column(Mapping[str, T]):
    """Values whose keys stand elsewhere, for many columns: `places` says where each one's value is."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: Mapping[str, int], values: Mapping[str, T]) -> None:
        self._places, self._values = places, tuple(values[key] for key in places)

    def __getitem__(self, key: str) -> T:
        return self._values[self._places[key]]

    def __iter__(self) -> Any:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> KeysView[str]:
        """The keys: as quick to compare as those of a dictionary."""
        return self._places.keys()

    def items(self) -> ItemsView[str, T]:
        """Keys and values."""
        return dict(zip(self._places, self._values, strict=True)).items()


class Sharing:
    """Makes records share what is equal in them."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {}
        self._places: dict[frozenset[str], dict[str, int]] = {}

    def lean(self, record: Record) -> Record:
        """The same record."""
        arm, exam, made = record.arm, record.exam, record.provenance
        places = self._of(frozenset(exam.verdicts))
        columns = {name: Column(places, part) for name in ("verdicts", "traces") if (part := getattr(exam, name))}
        plugins = {name: self._one(getattr(arm, name)) for name in ("task", "exam", "attack", "defenses", "recipe")}
        blocks = {name: self._one(getattr(made, name)) for name in ("packages", "contamination", "settings")}
        update = {
            "arm": arm.model_copy(update=plugins),
            "exam": exam.model_copy(update=columns),
            "provenance": made.model_copy(update=blocks),
        }
        return record.model_copy(update=update)

    def _one(self, value: T) -> T:
        """The first value that was equal to this one."""
        return self._held.setdefault(canonical(_plain(value)), value)  # type: ignore[no-any-return]

    def _of(self, keys: frozenset[str]) -> dict[str, int]:
        if keys not in self._places:
            self._places[keys] = {key: at for at, key in enumerate(sorted(keys))}
        return self._places[keys]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, dict) else value.model_dump()
