"""The source of a plugin: a hash of its code that an edit changes, and formatting, comments and docstrings do not.

It tells results of one version apart whose code was not the same. It covers the plugin's own file; what the file imports is
covered by the version of the installed package it belongs to, and by the commit of this one.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from heistbench.bench.contracts.described import DescribedAttack
from heistbench.bench.contracts.places import distribution, source_file
from heistbench.bench.contracts.plugins import Plugin
from heistbench.bench.contracts.registry import identity

_DIGITS = 16


def keyed(plugin: Plugin) -> dict[str, Any]:
    """A plugin's identity and its source: what the store keys results on."""
    return {**identity(plugin), "source": source_of(type(plugin))}


@cache
def source_of(cls: type[Plugin]) -> str:
    """The first 16 hexadecimal digits of a sha256 over the code of the file a plugin stands in.

    The version of the installed package it comes from, if any, is part of it. Empty where there is no file to read.
    """
    code, package = code_of(cls), distribution(cls.__module__)
    return code and hashlib.sha256(f"{package}\n{code}".encode()).hexdigest()[:_DIGITS]


@cache
def code_of(cls: type[Plugin]) -> str:
    """The digest of the file a plugin stands in; empty where there is no file to read.

    A class keeps it for as long as the process runs: it is the code that was loaded, not what was written to its file since.
    """
    if issubclass(cls, DescribedAttack):
        return cls.__digest__
    try:
        return code_digest(Path(source_file(cls)).read_bytes())
    except OSError:
        return ""


@lru_cache(maxsize=1024)
def code_digest(code: bytes) -> str:
    """sha256 of a file's syntax tree without comments and docstrings."""
    digest = hashlib.sha256()
    for part in _parts(ast.parse(code)):
        digest.update(f"{part}\n".encode())
    return digest.hexdigest()


class _Name(str):
    """The name of a field, or a bracket: what is written into the hash as it is."""


def _parts(tree: ast.AST) -> Iterator[str]:
    """The tree in prefix notation. Fields that are not there are passed over: versions of Python differ in how they say so."""
    waiting: list[Any] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.AST):
            yield f"{type(item).__name__}("
            waiting.append(_Name(")"))
            for name, value in reversed([*ast.iter_fields(item)]):
                if value is not None and value != []:
                    waiting += [_statements(value), _Name(name)]
        elif isinstance(item, list):
            yield "["
            waiting += [_Name("]"), *reversed(item)]
        else:
            yield str(item) if isinstance(item, _Name) else f"{type(item).__name__} {item!a}"


def _statements(value: Any) -> Any:
    """A list of statements without bare strings, docstrings above all, and with a `pass` where nothing is left."""
    if not isinstance(value, list):
        return value
    kept = [item for item in value if not _is_text(item)]
    return kept if kept or not value else [ast.Pass()]


def _is_text(item: Any) -> bool:
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)
