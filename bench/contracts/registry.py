"""Finding plugins and building them from text such as `redact_summary(level=numbers)`.

Our own folders are scanned. Other people's packages come through the entry-point groups `heistbench.defenses` and
`heistbench.tasks`, whose modules are imported: what sees the truth is part of the harness. Those of `heistbench.attacks`, and
files of `--plugin` that hold attacks alone, are described by a confined process instead (`bench/walls/foreign.py`).
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib
import importlib.util
import json
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import yaml

from heistbench.bench.contracts.described import DescribedAttack, build_described
from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.failures import keep_traceback
from heistbench.bench.contracts.nouns import Kind
from heistbench.bench.contracts.places import FOLDERS, GIVEN, blame, foreign_points, nearby, origin
from heistbench.bench.contracts.plugins import Info, Plugin

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LARGEST = 1 << 20
"""Bytes of a plugin file."""
_ARGUMENT = re.compile(r"""\s*+([A-Za-z_]\w*+)\s*+=\s*+("(?:[^"\\]|\\.)*"|\[[^\]]*\]|[^,"\[]*+)\s*(?:,|$)""")
_CALL = re.compile(r"\s*+([A-Za-z_][\w.-]*)\s*+(?:\((.*)\))?\s*+", re.DOTALL)


class Registry:
    """All known plugins by kind and name."""

    def __init__(self) -> None:
        self._classes: dict[tuple[Kind, str], type[Plugin]] = {}

    def add(self, info: Info, cls: type[Plugin]) -> None:
        """Register a class. Raises HeistError when another class holds the name."""
        held = self._classes.get((info.kind, info.name))
        if held is not None and origin(held) != origin(cls):
            places = f"{nearby(origin(held))} and {nearby(origin(cls))}"
            raise HeistError(f"{info.kind} {info.name!r} is defined twice: {places}")
        self._classes[info.kind, info.name] = cls

    def loaded(self) -> list[type[Plugin]]:
        """The plugins that are here already."""
        return list(self._classes.values())

    def all(self, kind: Kind) -> dict[str, type[Plugin]]:
        """The plugins of a kind by name, sorted."""
        discover(kind)
        return {name: cls for (k, name), cls in sorted(self._classes.items()) if k == kind}

    def get(self, kind: Kind, name: str, search: bool = True) -> type[Plugin]:
        """The class of that name, without `search` one that is imported already.

        Raises HeistError that says what exists and what was probably meant.
        """
        if search:
            discover(kind)
        if (cls := self._classes.get((kind, name))) is None:
            raise HeistError(f"unknown {kind} {name!r}{suggest(name, [n for k, n in self._classes if k == kind])}")
        return cls

    def build(self, kind: Kind, spec: str, search: bool = True) -> Plugin:
        """Build a plugin from `name` or `name(field=value, ...)`; `search` as for `get`.

        Raises HeistError for an unknown name or field and for a value of the wrong type.
        """
        match = _CALL.fullmatch(spec)
        if match is None:
            raise HeistError(f"cannot read {kind} {spec!r}: expected name or name(field=value, ...)")
        cls = self.get(kind, match[1], search)
        return construct(cls, _arguments(match[2] or "", spec), f"{kind} {match[1]}")


registry = Registry()


def suggest(name: str, known: Iterable[str]) -> str:
    """The tail of an error about an unknown name: the likely one, then all there are."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return (f"; did you mean {close[0]!r}?" if close else "") + f" (there are: {', '.join(known) or 'none'})"


def parameters(plugin: Plugin | type[Plugin]) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a plugin by name: its parameters."""
    return {f.name: f for f in dataclasses.fields(plugin)}  # type: ignore[arg-type]


def default_of(field: dataclasses.Field[Any], missing: Any = None) -> Any:
    """A field's default, made if it is made anew each time; `missing` where there is none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return missing if field.default is dataclasses.MISSING else field.default


def construct(cls: type[Plugin], arguments: Mapping[str, Any], where: str) -> Plugin:
    """Build `cls` from untyped arguments, validating each against its field's type."""
    fields = parameters(cls)
    for name in arguments:
        if name not in fields:
            raise HeistError(f"{where} has no parameter {name!r}{suggest(name, fields)}")
    return build_described(cls, arguments, where) if issubclass(cls, DescribedAttack) else _constructed(cls, arguments, where)


def _constructed(cls: type[Plugin], arguments: Mapping[str, Any], where: str) -> Plugin:
    from pydantic import ValidationError

    types, values = _types(cls), {}
    for name, raw in arguments.items():
        try:
            values[name] = types[name].validate_python(raw)
            json.dumps(values[name], allow_nan=False)
        except ValidationError as error:
            raise HeistError(f"{where}: {name}={raw!r}: {error.errors()[0]['msg']}") from None
        except ValueError:
            raise HeistError(f"{where}: {name}={raw!r}: expected a finite number") from None
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise HeistError(f"{where}: {error}") from None
    except (Exception, SystemExit) as error:  # somebody else's code
        raise HeistError(f"{where}: {blame(error)}") from error


@cache
def _types(cls: type[Plugin]) -> dict[str, TypeAdapter[Any]]:
    """What validates each parameter of a class: it takes longer to make than to use."""
    from pydantic import TypeAdapter

    hints = get_type_hints(cls)
    return {name: TypeAdapter(hints[name]) for name in parameters(cls)}


def identity(plugin: Plugin) -> dict[str, Any]:
    """Name, version and every parameter: what makes two runs of a plugin comparable."""
    return {
        "name": plugin.info.name,
        "version": plugin.info.version,
        "parameters": {name: getattr(plugin, name) for name in parameters(plugin)},
    }


def spec_of(plugin: Plugin) -> str:
    """The shortest text that builds this plugin again: defaults are left out."""
    changed = {n: getattr(plugin, n) for n, f in parameters(plugin).items() if getattr(plugin, n) != default_of(f, missing=...)}
    inside = ",".join(f"{name}={_written(value)}" for name, value in changed.items())
    return f"{plugin.info.name}({inside})" if inside else plugin.info.name


def _arguments(text: str, spec: str) -> dict[str, Any]:
    """Parse `a=1,b=two,c="x, y",d=[1,2]`: names, and values as YAML reads them."""
    values: dict[str, Any] = {}
    at = 0
    while text[at:].strip():
        match = _ARGUMENT.match(text, at)
        if match is None:
            raise HeistError(f"cannot read {text[at:].strip()!r} in {spec!r}: expected field=value")
        if match[1] in values:
            raise HeistError(f"{spec!r} gives {match[1]!r} twice")
        try:
            values[match[1]] = yaml.safe_load(match[2])
        except (yaml.YAMLError, ValueError, RecursionError):
            raise HeistError(f"cannot read the value of {match[1]!r} in {spec!r}") from None
        at = match.end()
    return values


def _written(value: Any) -> str:
    """A value as `_arguments` reads it: plain words bare, all else as JSON."""
    plain = isinstance(value, str) and re.fullmatch(r"\w[\w.+-]*", value) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value)


@cache
def discover(kind: Kind) -> None:
    """Import our own folder of one kind of plugins; then of defenses and tasks those of installed packages too.

    A broken package only warns. Raises HeistError for a file in our own folder that raises on import.
    """
    folder = FOLDERS[kind]
    package = importlib.import_module(f"heistbench.{folder}")
    for module in pkgutil.iter_modules(package.__path__):
        with _explained(f"{folder}/{module.name}.py"):
            importlib.import_module(f"heistbench.{folder}.{module.name}")
    for point in foreign_points(kind) if kind != "attack" else ():
        with warned(), _explained(f"plugin {point.name} ({point.value})"):
            point.load()


@contextmanager
def warned() -> Iterator[None]:
    """Turn a HeistError into a warning: about somebody else's package, which this run may not need."""
    try:
        yield
    except HeistError as error:
        warnings.warn(str(error), stacklevel=3)


def load_plugin(path: Path) -> None:
    """Import a plugin file. Raises HeistError when it is not there or raises on import."""
    check_file(path)
    with _explained(f"--plugin {path}"):
        import_file(path)


def check_file(path: Path) -> None:
    """Raise HeistError for a plugin file that is not there, is no Python or is too large."""
    if not path.is_file() or path.suffix != ".py":
        raise HeistError(f"--plugin {path}: no such Python file")
    if path.stat().st_size > LARGEST:
        raise HeistError(f"--plugin {path}: is larger than {LARGEST // 1024} KiB")


def module_of(path: Path) -> str:
    """The name that the module of a plugin file gets."""
    return f"{GIVEN}{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"


def import_file(path: Path) -> None:
    """Import a plugin file, whatever that raises."""
    spec = importlib.util.spec_from_file_location(module_of(path), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what an import raises, `sys.exit` included, into one line; mistakes in declarations are one already."""
    try:
        yield
    except HeistError:
        raise
    except (Exception, SystemExit) as error:
        log = keep_traceback(error)
        raise HeistError(f"{what}: raises on import: {blame(error)}" + (f" (traceback: {log})" if log else "")) from error
