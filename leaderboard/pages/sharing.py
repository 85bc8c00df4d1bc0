"""Records in little memory: what many of a contest have in common is held once, and so are the questions of their exam."""

from __future__ import annotations

from array import array
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, overload

from pydantic import TypeAdapter

from heistbench.bench.storage.blocks import TheftExample
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import canonical

T = TypeVar("T")


class Values(list[Any]):
    """Values that columns point at, each once."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[Any, int] = {}

    def numbers(self, values: Iterable[Any]) -> array[int]:
        """Where these values stand."""
        known = self._numbers
        numbers = array("I", [known.setdefault(value, len(known)) for value in values])
        self += islice(known, len(self), None)
        return numbers


class Column(Mapping[str, T]):
    """A mapping whose keys and values stand elsewhere, for many columns: `places` says which number is whose."""

    __slots__ = ("_numbers", "_places", "_values")

    def __init__(self, places: Mapping[str, int], values: Values, column: Mapping[str, T]) -> None:
        self._places, self._values = places, values
        self._numbers = values.numbers(map(column.__getitem__, places))

    def __getitem__(self, key: str) -> T:
        return self._values[self._numbers[self._places[key]]]  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._numbers)

    def keys(self) -> KeysView[str]:
        """The keys: as quick to compare as those of a dictionary."""
        return self._places.keys()

    def items(self) -> ItemsView[str, T]:
        """Keys and values."""
        return dict(zip(self._places, map(self._values.__getitem__, self._numbers), strict=True)).items()


class Examples(Sequence[TheftExample]):
    """Examples of a theft as JSON, a fifth of what they take as objects: few are looked at, and once."""

    __slots__ = ("_json",)
    _FORM: TypeAdapter[list[TheftExample]] = TypeAdapter(list[TheftExample])

    def __init__(self, examples: list[TheftExample]) -> None:
        self._json = self._FORM.dump_json(examples)

    @overload
    def __getitem__(self, at: int) -> TheftExample: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[TheftExample]: ...
    def __getitem__(self, at: int | slice) -> TheftExample | Sequence[TheftExample]:
        return self._FORM.validate_json(self._json)[at]

    def __iter__(self) -> Iterator[TheftExample]:
        return iter(self._FORM.validate_json(self._json))

    def __len__(self) -> int:
        return len(self._FORM.validate_json(self._json))


class Sharing:
    """Makes records share what is equal in them."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {}
        self._values = Values()
        self._places: dict[frozenset[str], dict[str, int]] = {}

    def lean(self, record: Record) -> Record:
        """The same record."""
        arm, exam, made = record.arm, record.exam, record.provenance
        places = self._of(frozenset(exam.verdicts))
        columns = {name: Column(places, self._values, part) for name in ("verdicts", "traces") if (part := getattr(exam, name))}
        plugins = {name: self._one(getattr(arm, name)) for name in ("task", "exam", "attack", "defenses", "recipe")}
        blocks = {name: self._one(getattr(made, name)) for name in ("packages", "contamination", "settings")}
        update = {
            "arm": arm.model_copy(update=plugins),
            "exam": exam.model_copy(update=columns),
            "examples": Examples(record.examples),
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
