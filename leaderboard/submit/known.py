"""A record against what is known here: plugins, shipped models, pinned data, the commit. No engine is loaded."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from heistbench.bench.contracts.engines import DEFAULT, ENGINES
from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Kind
from heistbench.bench.contracts.plugins import Plugin
from heistbench.bench.contracts.registry import construct, identity, registry, spec_of
from heistbench.bench.storage.blocks import PluginId
from heistbench.bench.storage.data_files import as_pinned
from heistbench.bench.storage.invariants import Rule
from heistbench.bench.storage.provenance import ROOT
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.shipped_models import is_shipped, shipped_identity
from heistbench.bench.storage.store import canonical
from heistbench.bench.suites.reply_sources import Provider, Recorded, recorded_identity, reply_source
from heistbench.leaderboard.board.comparable import generation
from heistbench.leaderboard.submit.findings import Fault, Finding, Unchecked, broken
from heistbench.leaderboard.submit.stated import COMMIT, COMPOSED, FILES, StatedSettings, settings_of
from heistbench.leaderboard.words import clean

_HUB = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{7,40}")
_IDENTITY = re.compile(r"local:[0-9a-f]{64}|(scratch|taught|student):[0-9a-f]{24}")


def check_known(record: Record) -> Iterator[Finding]:
    """What is otherwise here, and what is not here to compare with."""
    arm, settings = record.arm, settings_of(record)
    attack = {"arm.control": arm.control, "arm.privileged": arm.privileged, "arm.threat": arm.threat}
    yield from _plugin("task", "arm.task", arm.task, {})
    yield from _plugin("task", "arm.exam", arm.exam, {})
    yield from _plugin("attack", "arm.attack", arm.attack, attack)
    for at, part in enumerate(arm.defenses[:COMPOSED]):
        claims = {f"arm.defenses.{at}.{name}": getattr(part, name) for name in ("touches", "random")}
        yield from _plugin("defense", f"arm.defenses.{at}", part, claims)
    if settings:
        yield from broken(_models(record, settings))
    yield from broken(_pinned(record))
    yield from _commit(record)


def _plugin(kind: Kind, field: str, stated: PluginId, claims: Mapping[str, Any]) -> Iterator[Finding]:
    """A plugin's version, parameters and claims, each by its field, against the plugin of its name here."""
    cls = registry.all(kind).get(stated.name)
    if cls is None or (stated.version != cls.info.version and generation(stated.version) == generation(cls.info.version)):
        name = clean(f"{kind} {stated.name} {stated.version}")
        yield Unchecked(f"{name}: not known here, so its parameters and what its author says of it are only stated")
        return
    if stated.version != cls.info.version:
        yield Fault(f"{field}.version", f"is not {cls.info.version}, the one here: scores of the two are not comparable")
        return
    try:
        plugin = construct(cls, stated.parameters, f"{kind} {stated.name}")
    except HeistError as error:
        yield Fault(f"{field}.parameters", str(error))
        return
    yield from broken(_same(plugin, field, stated, claims))


def _same(plugin: Plugin, field: str, stated: PluginId, claims: Mapping[str, Any]) -> Iterator[Rule]:
    own, spec = _json(identity(plugin)["parameters"]), spec_of(plugin)
    yield own == stated.parameters, f"{field}.parameters", f"are not those of the plugin: {canonical(own)}"
    yield spec == stated.spec, f"{field}.spec", f"is not how these parameters are written: {spec}"
    for where, claim in {**claims, f"{field}.paper": stated.paper}.items():
        declared = _json(getattr(plugin.info, where.rpartition(".")[2]))
        yield declared == claim, where, f"is not what the plugin declares: {canonical(declared)}"


def _models(record: Record, settings: StatedSettings) -> Iterator[Rule]:
    """Identities of models: those that follow from their names as they must be, the others in their form."""
    engine = f"{name}:" if (name := record.provenance.engine) in ENGINES and name != DEFAULT else ""
    taught = settings.surrogate and settings.surrogate.lessons
    named = {
        "victim": settings.victim.model,
        "student before": settings.student.model,
        "inverter": settings.inverter.model if settings.inverter else "none",
        **({} if taught else {"surrogate": settings.surrogate.model if settings.surrogate else "none"}),
    }
    for role, stated in sorted(record.provenance.models.items()):
        expected = _identity(named[role], engine, record) if role in named else None
        if role == "student after" and not record.loot.rows:
            continue  # as it was before
        good = stated == expected if expected else bool(_IDENTITY.fullmatch(stated.removeprefix(engine)))
        yield good, f"provenance.models.{role}", f"is not {expected}" if expected else "is no hash of a model"


def _identity(reference: str, engine: str, record: Record) -> str | None:
    """What identifies a model of this name; None where that takes its weights."""
    if reference == "none":
        return reference
    match reply_source(reference):
        case Provider(name):
            return name
        case Recorded():
            task = {name: getattr(record.arm.task, name) for name in ("name", "version", "parameters")}
            return recorded_identity(task, record.provenance.data.get("task"))
    if is_shipped(reference):
        return engine + shipped_identity(reference)
    return f"{engine}hub:{reference}" if _HUB.fullmatch(reference) else None


def _pinned(record: Record) -> Iterator[Rule]:
    """Public results are made with the files that `tasks/data.sha256` lists."""
    data = record.provenance.data
    for label, name in FILES.items():
        digests = data.get(name, "")
        pinned = "as pinned" if as_pinned(digests) else "not as pinned"
        yield data.get(label) == (pinned if digests else None), f"provenance.data.{label}", "is not what the files' hashes say"
        yield pinned == "as pinned", f"provenance.data.{name}", "are not the files that tasks/data.sha256 lists"


def _commit(record: Record) -> Iterator[Finding]:
    commit = record.provenance.commit
    if COMMIT.fullmatch(commit) and not _is_here(commit):
        yield Unchecked(f"commit {commit}: not in this checkout, so nobody here has seen its code")


@cache
def _is_here(commit: str) -> bool:
    command = ["git", "-C", str(ROOT), "cat-file", "-e", f"{commit}^{{commit}}"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:  # no git on this machine
        return False


def _json(value: Any) -> Any:
    return json.loads(canonical(value))
