"""Pairing: which arms of two sources are held against each other, and that they were made in the same way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.comparable import VICTIM, check, differs, file_of, plugin_fields
from heistbench.leaderboard.board.panel import victim_label

FIELDS = ("task.spec", "exam.spec", "victim", "release", "student", "budget", "attack.spec", "defense")
"""What identifies an arm; the last two are its place in its panel."""
ArmKey = tuple[Any, ...]
"""The values of these fields."""
RecordsByArm = Mapping[ArmKey, Sequence[Record]]
"""Records of each arm, in the order of seeds."""
Twice = tuple[Sequence[Record], Sequence[Record]]
"""Records of base and new."""


def key_of(record: Record, apart: Collection[str] = ()) -> ArmKey:
    """The key of a record's arm; the fields that stand apart are left blank, so that arms pair whatever their values."""
    return tuple("" if field in apart else attrgetter(field)(record.arm) for field in FIELDS)


def arms_of(records: Iterable[Record], apart: Collection[str] = ()) -> RecordsByArm:
    """The arms of a source. Two with one key are for panels to refuse, as a seed that is there twice."""
    arms: dict[ArmKey, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.arm.seed):
        arms[key_of(record, apart)].append(record)
    return arms


def pair(names: tuple[str, str], base: RecordsByArm, new: RecordsByArm, changed: Collection[str] = ()) -> list[Twice]:
    """The arms that both sources have, in the order of their keys.

    Raises HeistError when there are none, or when the records of a pair were not made in the same way: it names the field and
    both files. The victim may differ where releases do, and a plugin that `changed` in its version and parameters.
    """
    pairs = [(base[key], new[key]) for key in sorted(base.keys() & new.keys())]
    if not pairs:
        raise _nothing_pairs(names, base, new)
    for first, second in pairs:
        old = {id(record) for record in first}
        other_victim = VICTIM if victim_label(first[0]) != victim_label(second[0]) else frozenset()
        check(
            [*first, *second],
            may_differ=other_victim | {field for record in (first[0], second[0]) for field in _fields_of(record, changed)},
            called=lambda record, old=old: f"{names[id(record) not in old]}: {file_of(record)}",  # type: ignore[misc]
        )
    return pairs


def _fields_of(record: Record, changed: Collection[str]) -> Iterator[str]:
    """The fields in which the plugins of these names may differ."""
    for field, plugin in plugin_fields(record):
        if plugin.name in changed:
            yield field


def _nothing_pairs(names: tuple[str, str], base: RecordsByArm, new: RecordsByArm) -> HeistError:
    """The error that names the first field in which no arm of one source meets any of the other."""
    at = next(n for n in range(1, len(FIELDS) + 1) if not {key[:n] for key in base} & {key[:n] for key in new}) - 1
    shared = min({key[:at] for key in base} & {key[:at] for key in new})
    one, other = (next(records[0] for key, records in sorted(arms.items()) if key[:at] == shared) for arms in (base, new))
    values = attrgetter(FIELDS[at])(one.arm), attrgetter(FIELDS[at])(other.arm)
    return differs(f"arm.{FIELDS[at]}", values, (f"{names[0]}: {file_of(one)}", f"{names[1]}: {file_of(other)}"))
