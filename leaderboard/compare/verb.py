"""`heist compare`: read the sources, compare them, report the changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.registry import suggest
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import write_bytes
from heistbench.leaderboard.board.comparable import plugin_fields
from heistbench.leaderboard.compare.comparison import Comparison, compare, compare_within
from heistbench.leaderboard.compare.junit import Gate, junit
from heistbench.leaderboard.compare.report import as_json, lines, tables
from heistbench.leaderboard.compare.sources import records_of
from heistbench.leaderboard.published import published
from heistbench.leaderboard.words import clean

PluginPair = tuple[str, str] | None
"""Two plugins of one source."""
UNJUDGED = 4
"""The exit code where an attack cannot be judged."""


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """The arguments of `heist compare`."""

    base: str | None
    new: str | None
    results: Path | None
    attack: PluginPair
    defense: PluginPair
    changed: tuple[str, ...]
    gate: Gate
    as_json: bool
    junit: Path | None


def compare_sources(request: CompareRequest) -> int:
    """Compare and report; the exit code: 1 where students get significantly more, or honest users less, by more than the
    threshold; else `UNJUDGED` where an attack cannot be judged and that is not allowed; else 0.

    Raises HeistError for a bad combination of arguments, and as `compare` does.
    """
    gate = request.gate
    for option, threshold in (("--threshold", gate.threshold), ("--users-threshold", gate.users_threshold)):
        if not 0 <= threshold <= 1:
            raise HeistError(f"{option} {threshold}: expected a difference in accuracy, 0 to 1")
    comparison = _compared(request)
    if request.junit:
        _write(request.junit, junit(comparison, gate))
    _print(comparison, request)
    if comparison.regressions(gate.threshold) or comparison.losses(gate.users_threshold):
        return 1
    return UNJUDGED if comparison.unjudged() and not gate.allow_unjudged else 0


def _compared(request: CompareRequest) -> Comparison:
    if request.attack and request.defense:
        raise HeistError("--attack or --defense: expected one of them")
    two = request.attack or request.defense
    if two is None:
        if request.base is None or request.new is None:
            raise HeistError("expected BASE and NEW, or one source with --attack A B or --defense A B")
        base, new = (records_of(source, request.results) for source in (request.base, request.new))
        return compare(base, new, changed=_known(request.changed, [*base, *new]))
    if request.changed:
        raise HeistError("--changed: expected BASE and NEW, which hold the two versions")
    if request.new is not None:
        raise HeistError("--attack and --defense compare within one source: expected at most one of BASE and NEW")
    records = records_of(request.base or str(request.results or published()), request.results)
    return compare_within(records, "attack" if request.attack else "defense", *two)


def _known(changed: Sequence[str], records: Sequence[Record]) -> Sequence[str]:
    there = {plugin.name for record in records for _, plugin in plugin_fields(record)}
    if missing := {*changed} - there:
        name = min(missing)
        raise HeistError(clean(f"--changed {name}: no such attack or defense in both sources{suggest(name, there)}"))
    return changed


def _write(path: Path, content: bytes) -> None:
    if path.is_dir():
        raise HeistError(f"--junit {path}: expected a file, this is a folder")
    try:
        write_bytes(path, content)
    except OSError as error:
        raise HeistError(f"--junit {path}: cannot write there ({error.strerror})") from None


def _print(comparison: Comparison, request: CompareRequest) -> None:
    if request.as_json:
        import json

        report = as_json(comparison, request.gate.threshold, request.gate.users_threshold)
        print(json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for table in tables(comparison):
        console.print(table)
    for line in lines(comparison, request.gate.threshold, request.gate.users_threshold):
        console.print(Text(line), soft_wrap=True)
