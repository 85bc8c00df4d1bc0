"""`heist compare`: read the sources, compare them, report the changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.store import write_bytes
from heistbench.leaderboard.compare.comparison import Comparison, compare, compare_within
from heistbench.leaderboard.compare.junit import junit
from heistbench.leaderboard.compare.report import as_json, lines, tables
from heistbench.leaderboard.compare.sources import records_of
from heistbench.leaderboard.published import published

PluginPair = tuple[str, str] | None
"""PluginPair plugins of one source."""


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """The arguments of `heist compare`."""

    base: str | None
    new: str | None
    results: Path | None
    attack: PluginPair
    defense: PluginPair
    threshold: float
    as_json: bool
    junit: Path | None


def compare_sources(request: CompareRequest) -> bool:
    """Compare and report; True where an attack's students get significantly more, by more than the threshold.

    Raises HeistError for a bad combination of arguments, and as `compare` does.
    """
    if not 0 <= request.threshold <= 1:
        raise HeistError(f"--threshold {request.threshold}: expected a difference in accuracy, 0 to 1")
    comparison = _compared(request)
    if request.junit:
        _write(request.junit, junit(comparison, request.threshold))
    _print(comparison, request)
    return bool(comparison.regressions(request.threshold))


def _compared(request: CompareRequest) -> Comparison:
    if request.attack and request.defense:
        raise HeistError("--attack or --defense: expected one of them")
    two = request.attack or request.defense
    if two is None:
        if request.base is None or request.new is None:
            raise HeistError("expected BASE and NEW, or one source with --attack A B or --defense A B")
        return compare(records_of(request.base, request.results), records_of(request.new, request.results))
    if request.new is not None:
        raise HeistError("--attack and --defense compare within one source: expected at most one of BASE and NEW")
    records = records_of(request.base or str(request.results or published()), request.results)
    return compare_within(records, "attack" if request.attack else "defense", *two)


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

        print(json.dumps(as_json(comparison, request.threshold), indent=1, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for table in tables(comparison):
        console.print(table)
    for line in lines(comparison, request.threshold):
        console.print(Text(line), soft_wrap=True)
