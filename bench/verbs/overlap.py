"""`heist overlap`: the overlap of pairs of texts from anywhere, by a named signature."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.registry import suggest
from heistbench.bench.scoring.overlap import SIGNATURES, mean, score
from heistbench.bench.storage.data_files import numbered_lines

if TYPE_CHECKING:
    from rich.table import Table


def overlap_report(path: Path, signature: str) -> dict[str, Any]:
    """Score a file of pairs. Raises HeistError that names file, line and field."""
    if signature not in SIGNATURES:
        raise HeistError(f"unknown signature {signature!r}{suggest(signature, SIGNATURES)}")
    chosen = SIGNATURES[signature]
    pairs = [_pair(line, f"{path}, line {number}") for number, line in numbered_lines(path)]
    rows = [score(reference, candidate, chosen) for reference, candidate in pairs]
    return {"signature": str(chosen), "n": len(rows), "mean": mean(rows), "pairs": rows}


def overlap_table(report: dict[str, Any]) -> Table:
    """The means of a report, with its signature."""
    from rich.table import Table

    table = Table("metric", "mean", title=f"overlap of {report['n']} pairs", caption=report["signature"])
    for metric, value in report["mean"].items():
        table.add_row(metric, f"{value:.4f}")
    return table


def _pair(line: str, where: str) -> tuple[str, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise HeistError(f"{where}: not JSON") from None
    for field in ("reference", "candidate"):
        if not isinstance(row, dict) or not isinstance(row.get(field), str):
            raise HeistError(f"{where}: expected an object with a text {field!r}")
    return row["reference"], row["candidate"]
