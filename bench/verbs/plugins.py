"""`heist list`: every plugin there is, with what it declares and the parameters it takes."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.declared import type_of
from heistbench.bench.contracts.errors import one_line
from heistbench.bench.contracts.places import FOLDERS, nearby, origin
from heistbench.bench.contracts.plugins import Plugin
from heistbench.bench.contracts.registry import default_of, parameters, registry

if TYPE_CHECKING:
    from rich.text import Text

_INDENT = 9
"""Columns before what is said of a plugin: the widest kind, and a space."""


def describe_plugins() -> list[dict[str, Any]]:
    """Every plugin as a JSON-able row."""
    return [_describe(cls) for kind in FOLDERS for cls in registry.all(kind).values()]


def plugin_text(width: int) -> Text:
    """Every plugin as text of `width` columns: its name, what it does, a line per parameter, its claims, where it stands."""
    from rich.text import Text

    text = Text()
    for row in describe_plugins():
        text.append(f"{row['kind']:<{_INDENT}}")
        text.append(f"{row['name']} {row['version']}\n", style="bold")
        for line, style in _lines(row):
            text.append(_folded(line, width), style=style)
    text.rstrip()
    return text


def _lines(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines under a plugin's name, each with its style."""
    yield row["about"], ""
    for field in row["parameters"]:
        yield f"  {field['name']}: {field['type']} = {json.dumps(field['default'], default=str)}", ""
    touches = f"touches {', '.join(row['touches'])}" if row["touches"] else ""
    threat = f"threat {row['threat']}" if row["threat"] else ""
    claims = [threat, touches, "random" * row["random"], row["paper"], row["licence"]]
    yield ", ".join(filter(None, claims)), "dim"
    yield row["citation"], "dim"
    yield one_line(nearby(row["origin"])), "dim"


def _folded(line: str, width: int) -> str:
    """A line within so many columns, indented, and further where it goes on; long names and paths stay whole."""
    further = len(line) - len(line.lstrip())
    indent = " " * (_INDENT + further)
    lines = textwrap.wrap(
        line.strip(),
        width,
        initial_indent=indent,
        subsequent_indent=indent + " " * further,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"{part}\n" for part in lines)


def _describe(cls: type[Plugin]) -> dict[str, Any]:
    info = cls.info
    return {
        "kind": "control" if info.control else info.kind,
        "name": info.name,
        "version": info.version,
        "about": one_line((inspect.getdoc(cls) or "").split("\n\n")[0]),
        "parameters": [
            {"name": name, "type": one_line(type_of(field)), "default": default_of(field, "required")}
            for name, field in parameters(cls).items()
        ],
        "paper": one_line(info.paper),
        "threat": one_line(info.threat),
        "privileged": info.privileged,
        "touches": list(info.touches),
        "random": info.random,
        "licence": one_line(getattr(cls, "licence", "")),
        "citation": one_line(getattr(cls, "citation", "")),
        "origin": origin(cls),
    }
