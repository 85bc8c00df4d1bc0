"""Bills against loot: what an attack says it asked for, what it carried off, and what controls that ask nothing share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from heistbench.bench.contracts.plugins import Info
from heistbench.bench.contracts.registry import registry
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import canonical
from heistbench.leaderboard.board.comparable import generation
from heistbench.leaderboard.submit.findings import Fault, Finding, Unchecked
from heistbench.leaderboard.submit.stated import settings_of
from heistbench.leaderboard.words import clean

SHIPPED = "heistbench.attacks."
"""The package of the attacks and controls that ask every attacked question once, or nothing at all."""


def check_theft(record: Record) -> Iterator[Finding]:
    """Where the bill of a theft does not fit what was carried off."""
    arm, rows, queries = record.arm, record.loot.rows, record.bill.queries
    if not arm.control and arm.threat == "none":
        yield Fault("arm.threat", "is none: what asks the victim nothing is a control and no attack")
    if info := _shipped(record):
        asked = 0 if info.asks == "nothing" else arm.budget
        if queries != asked:
            yield Fault("bill.queries", f"is not {asked}: {info.name} asks {'every question once' if asked else 'nothing'}")
        if rows > (most := arm.budget + _own(record)):
            yield Fault("loot.rows", f"is more than the {most} questions that {info.name} has rows of")
    elif rows and not queries and not arm.control:
        yield Fault("bill.queries", "is 0: an attack that carries off rows has asked the victim")
    elif rows > queries and arm.threat != "none":
        yield Unchecked(f"{clean(arm.attack.spec)}: more rows than queries; that the others are of the attacker's own questions")


def check_idle_controls(submitted: Mapping[str, Record], published: Iterable[Record]) -> Iterator[tuple[str, Finding]]:
    """A control that asks no victim has the same loot whoever the victim is."""
    known: dict[str, tuple[Record, str]] = {}
    for record in filter(is_idle, published):
        known.setdefault(_origin(record), (record, record.path().as_posix()))
    for path, record in sorted(submitted.items()):
        if not is_idle(record):
            continue
        other, where = known.setdefault(_origin(record), (record, path))
        if other.loot.sha256 == record.loot.sha256:
            continue
        if where not in submitted and other.provenance.packages != record.provenance.packages:
            what = f"loot of {clean(record.arm.attack.spec)}"
            yield path, Unchecked(f"{what}: not that of the published results, which were made with other packages")
        else:
            yield path, Fault("loot.sha256", f"is not that of {where}: this control asks no victim, and is the same for all")


def _shipped(record: Record) -> Info | None:
    """What an attack declares that ships with this code; None for any other."""
    cls = registry.all("attack").get(record.arm.attack.name)
    same = cls is not None and generation(cls.info.version) == generation(record.arm.attack.version)
    return cls.info if cls is not None and same and cls.__module__.startswith(SHIPPED) else None


def is_idle(record: Record) -> bool:
    """Whether it is of a control that asks no victim."""
    return record.arm.control and record.arm.threat == "none"


def _origin(record: Record) -> str:
    """All that the loot of such a control hangs on."""
    arm, made = record.arm, record.provenance
    models = {role: made.models.get(role) for role in ("surrogate", "inverter")}
    settings = {name: made.settings.get(name) for name in ("surrogate", "compressor", "inverter", "sizes")}
    attack = {name: getattr(arm.attack, name) for name in ("name", "version", "parameters", "source")}
    data = {name: made.data.get(name) for name in ("task", "questions attacked")}
    machine = (made.engine, made.dtype, made.device)
    return canonical([attack, arm.task.spec, arm.task.version, data, models, settings, machine, arm.budget, arm.seed])


def _own(record: Record) -> int:
    """Rows of the attacker's own questions: those of attacks with `augment`."""
    settings = settings_of(record)
    return settings.sizes.surrogate if settings and record.arm.attack.parameters.get("augment") else 0
