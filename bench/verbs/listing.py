"""What `heist list` and `heist overlap` print."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.plugins import Plugin
from heistbench.bench.contracts.registry import FOLDERS, default_of, origin, parameters, registry, suggest
from heistbench.bench.scoring.overlap import SIGNATURES, mean, score

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def describe_plugins() -> list[dict[str, Any]]:
    """Every plugin as a JSON-able row."""
    return [_describe(cls) for kind in FOLDERS for cls in registry.all(kind).values()]


def plugin_text() -> Text:
    """Every plugin as text: a line of facts, what it does, a line a parameter."""
    from rich.text import Text

    text = Text()
    for row in describe_plugins():
        text.append(f"{row['kind']:8}")
        text.append(f"{row['name']} {row['version']}", style="bold")
        facts = [row["threat"], *row["touches"], row["paper"], row["licence"], row["origin"]]
        text.append("  " + "  ".join(filter(None, facts)) + "\n", style="dim")
        text.append(f"        {row['about']}\n")
        if row["citation"]:
            text.append(f"        {row['citation']}\n", style="dim")
        for field in row["parameters"]:
            text.append(f"          {field['name']}: {field['type']} = {json.dumps(field['default'])}\n")
    return text


def overlap_report(path: Path, signature: str) -> dict[str, Any]:
    """Score a file of pairs. Raises HeistError that names file, line and field."""
    if signature not in SIGNATURES:
        raise HeistError(f"unknown signature {signature!r}{suggest(signature, SIGNATURES)}")
    chosen = SIGNATURES[signature]
    rows = [score(reference, candidate, chosen) for reference, candidate in _pairs(path)]
    return {"signature": str(chosen), "n": len(rows), "mean": mean(rows), "pairs": rows}


def overlap_table(report: dict[str, Any]) -> Table:
    """The means of a report, with its signature."""
    from rich.table import Table

    table = Table("metric", "mean", title=f"overlap of {report['n']} pairs", caption=report["signature"])
    for metric, value in report["mean"].items():
        table.add_row(metric, f"{value:.4f}")
    return table


def _describe(cls: type[Plugin]) -> dict[str, Any]:
    info = cls.info
    return {
        "kind": "control" if info.control else info.kind,
        "name": info.name,
        "version": info.version,
        "about": (inspect.getdoc(cls) or "").split("\n")[0],
        "parameters": [
            {"name": name, "type": _type_name(field.type), "default": default_of(field, "required")}
            for name, field in parameters(cls).items()
        ],
        "paper": info.paper,
        "threat": info.threat,
        "privileged": info.privileged,
        "touches": list(info.touches),
        "random": info.random,
        "licence": getattr(cls, "licence", ""),
        "citation": getattr(cls, "citation", ""),
        "origin": origin(cls),
    }


def _type_name(annotation: Any) -> str:
    """A type as its author would write it; plugin files may or may not postpone annotations."""
    if isinstance(annotation, str):
        return annotation
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _pairs(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise HeistError(f"{path}: cannot be read ({error})") from None
    return [_pair(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _pair(line: str, where: str) -> tuple[str, str]:
    try:
        row = json.loads(line)
    except ValueError:
        raise HeistError(f"{where}: not JSON") from None
    for field in ("reference", "candidate"):
        if not isinstance(row, dict) or not isinstance(row.get(field), str):
            raise HeistError(f"{where}: expected an object with a text {field!r}")
    return row["reference"], row["candidate"]
