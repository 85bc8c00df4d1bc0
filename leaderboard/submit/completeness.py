"""Whether a submission is whole and fits the panels it would join: what is left out of it would speak for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.registry import registry, spec_of
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import canonical
from heistbench.bench.suites.files import load_suite, shipped_suites
from heistbench.leaderboard.board.cells import RANKED_SEEDS
from heistbench.leaderboard.board.comparable import ATTACKED, check
from heistbench.leaderboard.board.gains import NONE
from heistbench.leaderboard.board.sweep import CEILING
from heistbench.leaderboard.submit.findings import Fault, Finding, Unchecked
from heistbench.leaderboard.submit.stated import settings_of
from heistbench.leaderboard.submit.thefts import is_idle

FLOOR, SURROGATE, ANSWERS, INVERTED = "untrained", "surrogate_trace", "gold_answer", "gold_inversion"
"""Controls without any theft: the student as it was, and those of the attacker's own model and of what gold answers give."""
FEW = 6
"""Names that one line lists."""
GroupKey = tuple[object, ...]
Group = tuple[list[Record], list[Record]]
"""Submitted records, and the published ones that they would stand beside."""


def check_whole(submitted: Mapping[str, Record], published: Sequence[Record]) -> Iterator[tuple[str, Finding]]:
    """What is missing, doubled or not comparable, each with the path of the file or folder where there is one to blame.

    `submitted` maps paths to records; `published` are those of the same settings.
    """
    records = list(submitted.values())
    if len(suites := {record.arm.suite for record in records}) > 1:
        yield "", Fault("arm.suite", f"expected one suite, found {', '.join(sorted(suites))}")
    yield from _doubles(submitted, published)
    yield from _mislabelled(submitted, published)
    for new, old in groups(records, published, setting):
        yield from _comparable([*old, *new], ATTACKED)
    for new, old in groups(records, published, panel):
        yield from _comparable([*old, *new], frozenset())
        yield from _controls(new, old)
        yield from _seeds(new, old)
        yield from _grid(new, old)


def setting(record: Record) -> GroupKey:
    """What the paths of one setting's records share: task and exam, victim and release, student."""
    task, victim, _, _, _, student, _ = record.path().parts
    return task, victim, student


def panel(record: Record) -> GroupKey:
    """The same with the budget."""
    return *setting(record), record.arm.budget


def groups(new: Iterable[Record], old: Iterable[Record], key: Callable[[Record], GroupKey]) -> list[Group]:
    """Submitted records that share a key, with the published ones that share it too."""
    groups: dict[GroupKey, Group] = defaultdict(lambda: ([], []))
    for record in new:
        groups[key(record)][0].append(record)
    for record in old:
        if (place := key(record)) in groups:
            groups[place][1].append(record)
    return list(groups.values())


def _doubles(submitted: Mapping[str, Record], published: Sequence[Record]) -> Iterator[tuple[str, Finding]]:
    there = {record.path().as_posix() for record in published}
    for path in sorted(submitted.keys() & there):
        yield path, Fault("", "is published already; results of a rerun replace the old files in a pull request of their own")


def _mislabelled(submitted: Mapping[str, Record], published: Sequence[Record]) -> Iterator[tuple[str, Finding]]:
    """Two cells that state one theft, or one student from different loot: one of them bears a wrong name."""
    named: dict[tuple[str, str], tuple[GroupKey, str]] = {}
    here = [(path, record) for path, record in sorted(submitted.items())]
    for path, record in [*((record.path().as_posix(), record) for record in published), *here]:
        for field, name, cell in _made(record):
            known, where = named.setdefault((field, name), (cell, path))
            if known != cell and path in submitted:
                yield path, Fault(field, f"is that of {where}, which is another cell")


def _made(record: Record) -> Iterator[tuple[str, str, GroupKey]]:
    """Names of what a run made, and what they stand for."""
    arm, made = record.arm, record.provenance
    theft = arm.task.spec, arm.victim, arm.release, arm.defense, arm.attack.spec, arm.budget, arm.seed
    yield "provenance.data.theft", made.data.get("theft", ""), theft
    if record.loot.rows:
        student = record.loot.sha256, made.models.get("student before"), canonical(arm.recipe), arm.seed
        yield "provenance.models.student after", made.models.get("student after", ""), student


def _comparable(records: Sequence[Record], may_differ: Set[str]) -> Iterator[tuple[str, Finding]]:
    try:
        check(records, may_differ)
    except HeistError as error:
        yield "", Fault("", str(error))


def _controls(new: Sequence[Record], old: Sequence[Record]) -> Iterator[tuple[str, Finding]]:
    """A gain is nothing without what the student could have learnt at no one's cost, nor a loss without the ceiling."""
    there = {spec for r in [*new, *old] if r.arm.control for spec in (r.arm.attack.spec, r.arm.attack.name)}
    needed = set[str]().union(*map(_needed, new))
    for control in sorted(needed - there):
        yield _title(new[0]), Fault("", f"the control {control} is missing, here and among the published results")


def _needed(record: Record) -> set[str]:
    """Those of a suite that ships, by its name; those that any suite of one's own can have."""
    if record.arm.suite in shipped_suites():
        return {spec_of(registry.build("attack", control)) for control in load_suite(record.arm.suite).controls}
    settings = settings_of(record)
    if settings is None:
        return {FLOOR}
    seen = not settings.victim.remote or settings.victim.api.shows == "trace"
    own = [*([SURROGATE] if settings.surrogate else []), *([INVERTED] if settings.surrogate and settings.inverter else [])]
    return {FLOOR, ANSWERS, *own, *([CEILING] if seen else [])}


def _seeds(new: Sequence[Record], old: Sequence[Record]) -> Iterator[tuple[str, Finding]]:
    """Every cell has the same seeds, 0, 1, 2 and on, so that none is left out and none is picked.

    A control that asks no victim serves every cell, and may go on with more of them.
    """
    published, seeds = ({record.arm.seed for record in records if not is_idle(record)} for records in (old, new))
    expected = published if len(published) >= RANKED_SEEDS else set(range(max(RANKED_SEEDS, len(seeds))))
    cells: dict[str, set[int]] = defaultdict(set)
    for record in [*new, *old]:
        cells[record.path().parent.as_posix()].add(record.arm.seed)
    for cell, idle in sorted({record.path().parent.as_posix(): is_idle(record) for record in new}.items()):
        more = set(range(len(cells[cell]))) | expected if idle else expected
        if cells[cell] != more:
            yield cell, Fault("arm.seed", f"has seeds {_listed(cells[cell])}; expected {_listed(more)}")


def _grid(new: Sequence[Record], old: Sequence[Record]) -> Iterator[tuple[str, Finding]]:
    """Every attack of a submission meets every defense of it, and none at all; beside the published ones the board says it."""
    ours, met = _defenses(new), _defenses([*new, *old])
    own, known = ({NONE}.union(*by_attack.values()) for by_attack in (ours, met))
    for attack, defenses in sorted(met.items()):
        if attack in ours and (missing := own - defenses):
            reason = f"{attack} against {_some(missing)} is missing, here and among the published results"
            yield _title(new[0]), Fault("", reason)
        elif missing := (known if attack in ours else own) - defenses:
            yield "", Unchecked(f"{attack} against {_some(missing)}: not run; the board says so")


def _defenses(records: Iterable[Record]) -> dict[str, set[str]]:
    """The defenses that each attack was run against."""
    met: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if not record.arm.control:
            met[record.arm.attack.spec].add(record.arm.defense)
    return met


def _title(record: Record) -> str:
    return "/".join(map(str, panel(record)))


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _some(names: Set[str]) -> str:
    """The first names, and how many there are besides."""
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    return ", ".join(sorted(names)[:FEW]) + more
