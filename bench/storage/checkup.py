"""All that is damaged in a store, found by hashing every file and every reply, and how it is set aside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from heistbench.bench.contracts.errors import Busy, HeistError
from heistbench.bench.storage.damage import set_aside
from heistbench.bench.storage.digests import digest
from heistbench.bench.storage.inventory import artifacts
from heistbench.bench.storage.ledger import is_paid, ledgers
from heistbench.bench.storage.locks import lock
from heistbench.bench.storage.replies import Replies
from heistbench.bench.storage.salvage import condition, lost_words, repair
from heistbench.bench.storage.store import VICTIMS, Store, fault_of


class Damage(NamedTuple):
    """Something damaged: where, what is wrong, and what becomes of it once it is set aside."""

    path: Path
    fault: str
    then: str


def check(store: Store, looked_at: Callable[[int], None]) -> tuple[list[Damage], int, int]:
    """What is damaged, and the number of artifacts and of replies that were looked at."""
    damage, folders, replies = list[Damage](), artifacts(store.root), 0
    for folder in folders:
        if (fault := fault_of(folder, digest)) and folder.exists():  # a run may have set it aside meanwhile
            damage.append(Damage(folder, fault, "it is computed again when a run needs it"))
        looked_at(1)
    for folder in ledgers(store):
        found, count = _check_ledger(folder)
        damage, replies = damage + found, replies + count
        looked_at(1)
    return damage, len(folders), replies


def mend(store: Store, damage: Damage) -> Path:
    """Set something damaged aside, and say where it lies now. Raises HeistError where that cannot be done."""
    kind = damage.path.parent.name
    try:
        if kind != VICTIMS:
            with lock(damage.path):
                return set_aside(store.root, damage.path)
        with lock(damage.path / "asking"):
            return repair(Replies(damage.path), store.root)
    except Busy:
        raise HeistError(f"{damage.path}: another process works on it; try again when it has ended") from None
    except OSError as error:
        raise HeistError(f"{damage.path}: cannot be set aside ({error.strerror})") from None


def _check_ledger(folder: Path) -> tuple[list[Damage], int]:
    try:
        found = condition(Replies(folder))
    except HeistError as error:
        return [Damage(folder, str(error), "it has to be usable first")], 0
    if found.whole:
        return [], found.sound
    again = "asked, and paid for, again" if is_paid(folder) else "asked again"
    return [Damage(folder, lost_words(found), f"sound replies are kept, others are {again} when a run needs them")], found.sound
