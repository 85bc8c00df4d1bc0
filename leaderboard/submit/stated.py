"""What a record states of itself: in the right form, the same wherever it stands twice, and fit to be repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.engines import ENGINES
from heistbench.bench.storage.blocks import PluginId
from heistbench.bench.storage.invariants import Rule
from heistbench.bench.storage.provenance import harness_version
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.shipped_models import is_shipped
from heistbench.leaderboard.submit.findings import Fault, Finding, Unchecked, broken
from heistbench.leaderboard.words import clean

if TYPE_CHECKING:
    from heistbench.bench.suites.settings import Compressor, Inverter, Sizes, Student, Surrogate, Victim

SHA256, COMMIT, ARTIFACT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{24}")
SOURCE = re.compile(r"([0-9a-f]{16})?")
ROLES = {"victim", "surrogate", "inverter", "student before", "student after"}
HASHES = {"questions attacked", "questions examined", "prompts sent"}
DATA = {*HASHES, "task", "exam", "theft"}
FILES = {"task files": "task", "exam files": "exam"}
"""Which entry of `provenance.data` says of which other whether its files are the pinned ones."""
SUITE = re.compile(r"[a-z0-9][a-z0-9-]*")
COMPOSED = 20
"""Defenses in one composition."""
CLOCKS = timedelta(days=1)
"""How far the clocks of two machines may differ."""


@dataclass(frozen=True, slots=True)
class StatedSettings:
    """What `provenance.settings` holds, typed."""

    victim: Victim
    surrogate: Surrogate | None
    compressor: Compressor | None
    inverter: Inverter | None
    student: Student
    sizes: Sizes


def settings_of(record: Record) -> StatedSettings | None:
    """The settings of a record; None where they are not those of a suite."""
    from heistbench.bench.suites import settings as suite

    raw = record.provenance.settings
    if raw.keys() != {field.name for field in fields(StatedSettings)}:
        return None
    try:
        return StatedSettings(
            victim=suite.Victim.model_validate(raw["victim"]),
            surrogate=raw["surrogate"] and suite.Surrogate.model_validate(raw["surrogate"]),
            compressor=raw["compressor"] and suite.Compressor.model_validate(raw["compressor"]),
            inverter=raw["inverter"] and suite.Inverter.model_validate(raw["inverter"]),
            student=suite.Student.model_validate(raw["student"]),
            sizes=suite.Sizes.model_validate(raw["sizes"]),
        )
    except ValueError:
        return None


def check_stated(record: Record) -> Iterator[Finding]:
    """What is out of form, contradicts itself, or cannot be repeated."""
    settings = settings_of(record)
    parts: list[Iterator[Rule]] = [_names(record), _arm(record), _hashes(record), _code(record), _machine(record)]
    if settings:
        parts.append(_agreement(record, settings))
    else:
        yield Fault("provenance.settings", "are not the settings of a suite")
    yield from broken(chain.from_iterable(parts))
    if record.provenance.harness != harness_version():
        harness = clean(record.provenance.harness)
        yield Unchecked(f"what heistbench {harness} does otherwise than {harness_version()}, which checks here")


def _names(record: Record) -> Iterator[Rule]:
    """Names go into tables and pages: none may hold what does not show. Texts of models, prompts and parameters may."""
    for where, text in _texts("", record.model_dump(mode="json", exclude={"examples": True, "provenance": {"settings"}})):
        yield clean(text) == text, where, "holds a character that does not show: control, bidi or line break"


def _texts(where: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, list):
        yield from chain.from_iterable(_texts(where, inner) for inner in value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield f"{where} (a key)".strip(), key
            if key != "parameters":
                yield from _texts(f"{where}.{clean(key)}".strip("."), inner)


def _arm(record: Record) -> Iterator[Rule]:
    arm = record.arm
    yield bool(SUITE.fullmatch(arm.suite)), "arm.suite", "expected small letters, digits and dashes"
    yield 0 <= arm.seed < 2**32, "arm.seed", "expected 0 or more, below 2**32"
    yield len(arm.defenses) <= COMPOSED, "arm.defenses", f"has more than {COMPOSED} parts"
    yield arm.defense == "+".join(part.spec for part in arm.defenses), "arm.defense", "is not what arm.defenses make up"
    yield arm.control or not arm.privileged, "arm.privileged", "only a control may see the truth: this is no attack"


def _hashes(record: Record) -> Iterator[Rule]:
    data, models = record.provenance.data, record.provenance.models
    yield bool(SHA256.fullmatch(record.loot.sha256)), "loot.sha256", "is no sha256"
    yield models.keys() == ROLES, "provenance.models", f"expected {', '.join(sorted(ROLES))}"
    yield data.keys() - FILES.keys() == DATA, "provenance.data", f"expected {', '.join(sorted(DATA))}"
    for name in sorted(HASHES & data.keys()):
        yield bool(SHA256.fullmatch(data[name])), f"provenance.data.{name}", "is no sha256"
    yield bool(ARTIFACT.fullmatch(data.get("theft", ""))), "provenance.data.theft", "expected 24 hexadecimal digits"
    for name in sorted({"task", "exam"} & data.keys()):
        good = all(SHA256.fullmatch(digest) for digest in data[name].split())
        yield good, f"provenance.data.{name}", "expected the sha256 of each file"


def _code(record: Record) -> Iterator[Rule]:
    made = record.provenance
    whole = bool(COMMIT.fullmatch(made.commit))
    yield whole, "provenance.commit", "is no commit: run from a checkout, so that others can have the code"
    yield not made.dirty, "provenance.dirty", "the code differed from its commit: commit it and run again"
    yield not made.uncommitted, "provenance.uncommitted", "code stands in no commit: commit it and run again"
    for field, plugin in _plugins(record):
        yield bool(SOURCE.fullmatch(plugin.source)), f"{field}.source", "expected 16 hexadecimal digits, or nothing"
    yield bool(made.packages), "provenance.packages", "names none"
    yield bool(re.fullmatch(r"\d+\.\d+\.\w+", made.python)), "provenance.python", "expected a version such as 3.12.1"


def _plugins(record: Record) -> Iterator[tuple[str, PluginId]]:
    arm = record.arm
    yield from (("arm.task", arm.task), ("arm.exam", arm.exam), ("arm.attack", arm.attack))
    yield from ((f"arm.defenses.{at}", part) for at, part in enumerate(arm.defenses))


def _machine(record: Record) -> Iterator[Rule]:
    made, volatile = record.provenance, record.volatile
    yield made.engine in ENGINES, "provenance.engine", f"expected {' or '.join(ENGINES)}"
    kinds = {"cpu": "float32", "cuda": "bfloat16"}
    yield kinds.get(made.device) == made.dtype, "provenance.device", "expected cpu and float32, or cuda and bfloat16"
    good = all(0 <= share <= 1 for share in made.contamination.values())
    yield good, "provenance.contamination", "is out of [0, 1]"
    yield bool(volatile.hardware), "volatile.hardware", "is empty"
    yield min(volatile.seconds, volatile.attacker_seconds) >= 0, "volatile.seconds", "is negative"
    created = _date(volatile.created)
    yield created is not None, "volatile.created", "is no ISO date"
    future = created is not None and created > datetime.now(UTC) + CLOCKS
    yield not future, "volatile.created", "lies in the future"


def _agreement(record: Record, settings: StatedSettings) -> Iterator[Rule]:
    arm, sizes = record.arm, settings.sizes
    recipe = settings.student.recipe.identity == arm.recipe
    rows = arm.budget + sizes.surrogate
    yield settings.student.model == arm.student, "arm.student", "is not the student of provenance.settings"
    yield recipe, "arm.recipe", "is not the student's recipe in provenance.settings"
    yield settings.victim.model == arm.victim_model, "arm.victim_model", "is not the victim of provenance.settings"
    yield _called(settings.victim) == (arm.victim, arm.release), "arm.victim", "is not what its settings and its card call it"
    yield arm.budget <= sizes.query, "arm.budget", f"is more than the {sizes.query} questions of the split"
    yield record.loot.rows <= rows, "loot.rows", f"is more than the {rows} questions an attacker has"
    for field, n in (("exam.n", record.exam.n), ("utility.n", record.utility.n)):
        yield n == sizes.test, field, f"is not the {sizes.test} questions of provenance.settings.sizes.test"


def _called(victim: Victim) -> tuple[str, str]:
    return victim.called if is_shipped(victim.model) else (victim.name or victim.model, victim.release)


def _date(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
