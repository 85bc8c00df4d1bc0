"""Declarations of plugins, checked when their decorator runs: name, version, claims, base class, parameters.

Each mistake is a HeistError that names the plugin's file and line.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from heistbench.bench.contracts.errors import HeistError, one_line
from heistbench.bench.contracts.nouns import Kind
from heistbench.bench.contracts.places import origin
from heistbench.bench.contracts.plugins import Asks, Attack, Defense, Info, Plugin, Task, Touch

NAME = re.compile(r"[a-z][a-z0-9_]*")
VERSION = re.compile(r"[1-9][0-9]*-[A-Z]")
TYPE_TEXT = "type"
"""The key of a field's metadata that holds its type as text, where no annotation does."""
BASES: dict[Kind, type[Plugin]] = {"attack": Attack, "defense": Defense, "task": Task}


def check_info(cls: type, info: Info) -> None:
    """Raise HeistError for a name, a version or a claim that is not of the form it should have."""
    for problem in info_faults(info):
        raise _mistake(cls, info, problem)


def info_faults(info: Info) -> Iterator[str]:
    """What is not of the form it should have in a plugin's name, version and claims, in words."""
    if not isinstance(info.name, str) or not NAME.fullmatch(info.name):
        yield f"name {info.name!r}: expected small letters, digits and _, a letter first"
    if not isinstance(info.version, str) or not VERSION.fullmatch(info.version):
        yield f"version {info.version!r}: expected a number, a hyphen and a capital letter, such as '2-A'"
    for field in ("paper", "threat"):
        if not isinstance(getattr(info, field), str):
            yield f"{field} {getattr(info, field)!r}: expected a text"
    for field in ("control", "privileged", "random"):
        if not isinstance(getattr(info, field), bool):
            yield f"{field} {getattr(info, field)!r}: expected True or False"
    if info.asks not in get_args(Asks):
        yield f"asks {info.asks!r}: expected one of {', '.join(get_args(Asks))}"
    yield from _touch_faults(info.touches)
    if info.privileged and not info.control:
        yield "only a control may be privileged"


def _touch_faults(touches: Any) -> Iterator[str]:
    if not isinstance(touches, tuple):
        yield f"touches {touches!r}: expected a tuple, such as ('answer',)"
        return
    for touch in touches:
        if touch not in get_args(Touch):
            yield f"touches {touch!r}: expected some of {', '.join(get_args(Touch))}"


def check_class(cls: type, info: Info) -> None:
    """Raise HeistError for what does not derive from its contract, and for a class attribute meant as a parameter."""
    base = BASES[info.kind]
    if not isinstance(cls, type) or not issubclass(cls, base):
        raise _mistake(cls, info, f"expected a class that derives from {base.__name__}")
    for name, value in vars(cls).items():
        if _looks_like_parameter(cls, name, value):
            written = type(value).__name__
            raise _mistake(
                cls, info, f"{name} is no parameter without an annotation: write `{name}: {written} = ...`, or ClassVar"
            )


def _looks_like_parameter(cls: type, name: str, value: Any) -> bool:
    """A public plain value that no annotation names and that overrides no class variable of a base."""
    if name.startswith("_") or name in inspect.get_annotations(cls):
        return False
    if callable(value) or inspect.ismethoddescriptor(value) or inspect.isdatadescriptor(value):
        return False
    bases = cls.__mro__[1:]
    is_field = any(name in getattr(base, "__dataclass_fields__", {}) for base in bases if base not in BASES.values())
    inherited = any(name in vars(base) or name in inspect.get_annotations(base) for base in bases)
    return is_field or not inherited


def check_parameters(cls: type[Plugin], info: Info) -> None:
    """Raise HeistError for a parameter whose type no text can give, or whose default is not of its type."""
    if missing := sorted(cls.__abstractmethods__):
        raise _mistake(cls, info, f"expected a method {missing[0]}()")
    try:
        hints = get_type_hints(cls)
    except Exception as error:  # annotations are expressions: anything can happen
        raise _mistake(cls, info, f"an annotation cannot be read: {one_line(error)}") from error
    for field in fields(cls):  # type: ignore[arg-type]
        if get_origin(hints[field.name]) is not ClassVar:
            _check_default(cls, info, field, hints[field.name])


def _check_default(cls: type, info: Info, field: Field[Any], hint: Any) -> None:
    from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
    except (PydanticSchemaGenerationError, PydanticUserError):
        raise _mistake(cls, info, f"parameter {field.name}: no text can give a value of type {type_name(hint)}") from None
    default = field.default if field.default_factory is MISSING else field.default_factory()
    if default is MISSING:
        return
    try:
        adapter.validate_python(default, strict=True)
        json.dumps(default, allow_nan=False)
    except (ValidationError, TypeError, ValueError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise _mistake(cls, info, f"parameter {field.name}: default {default!r} is no {type_name(hint)}: {why}") from None


def type_of(field: Field[Any]) -> str:
    """A parameter's type as its author would write it."""
    return field.metadata.get(TYPE_TEXT) or type_name(field.type)


def type_name(hint: Any) -> str:
    """An annotation as its author would write it; plugin files may or may not postpone them."""
    if isinstance(hint, str):
        return hint
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _mistake(cls: type, info: Info, problem: str) -> HeistError:
    return HeistError(one_line(f"{origin(cls)}: {info.kind} {info.name}: {problem}"))
