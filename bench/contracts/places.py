"""The places of plugins: file and line of a class, and of an exception that one of them raised."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.errors import one_line
from heistbench.bench.contracts.nouns import Kind

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

FOLDERS: dict[Kind, str] = {"attack": "attacks", "defense": "defenses", "task": "tasks"}
"""The folder of each kind of plugin, in this package; `heistbench.` before it names the group of entry points."""
GIVEN = "heistbench_plugin_"
"""The beginning of the names of modules given by `--plugin`."""
WRITTEN_AT = "__written_at__"
"""The attribute of a class that stands in for one written elsewhere: the file and the line of that one."""
_OURS = tuple(f"heistbench.{folder}." for folder in FOLDERS.values())


def source_file(cls: type) -> str:
    """The file that a class is written in; empty where there is none."""
    if written := getattr(cls, WRITTEN_AT, None):
        return str(written[0])
    try:
        return inspect.getsourcefile(cls) or ""
    except (OSError, TypeError):
        return ""


def origin(cls: type) -> str:
    """The place where a class is written, as file:line."""
    if written := getattr(cls, WRITTEN_AT, None):
        return f"{written[0]}:{written[1]}"
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return f"{getattr(cls, '__module__', '?')}.{getattr(cls, '__qualname__', cls)}"


def place_of(cls: type) -> str:
    """`origin` as a person would give it: from the current folder, where the file is in it."""
    return nearby(origin(cls))


def nearby(place: str) -> str:
    """A path without the current folder before it."""
    return place.removeprefix(f"{Path.cwd()}{os.sep}")


def blame(error: BaseException, plugin: object = None) -> str:
    """One line for an exception raised inside a plugin: `attacks/mine.py:12: ZeroDivisionError: division by zero`.

    The line is the innermost one in a plugin's file. Where there is none, the class of `plugin` is named, if one is given.
    """
    home = type(plugin).__module__ if plugin is not None else ""
    places = [f"{file}:{line}" for module, file, line in _frames(error) if _is_plugin(module, home)]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        places.append(f"{error.filename}:{error.lineno}")
    if not places and plugin is not None:
        places = [origin(type(plugin))]
    where = f"{nearby(places[-1])}: " if places else ""
    return one_line(f"{where}{_what(error)}")


def _what(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else ascii(error.code)})"
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _frames(error: BaseException) -> Iterator[tuple[str, str, int]]:
    for frame, line in walk_tb(error.__traceback__):
        yield frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line


def _is_plugin(module: str, home: str) -> bool:
    """Whether a module is a plugin's: ours, one given by `--plugin`, the one at hand, or of a package with plugins."""
    return module.startswith((*_OURS, GIVEN)) or (bool(module) and module == home) or module.partition(".")[0] in _packages()


def foreign_points(kind: Kind) -> Iterator[EntryPoint]:
    """The entry points through which installed packages offer plugins of a kind."""
    from importlib.metadata import entry_points

    yield from entry_points(group=f"heistbench.{FOLDERS[kind]}")


@cache
def _packages() -> dict[str, Any]:
    return {point.module.partition(".")[0]: point.dist for kind in FOLDERS for point in foreign_points(kind)}


def distribution(module: str) -> str:
    """Name and version of the installed package whose plugins stand in a module; empty for ours and for plain files."""
    dist = _packages().get(module.partition(".")[0])
    return f"{dist.name} {dist.version}" if dist is not None else ""
