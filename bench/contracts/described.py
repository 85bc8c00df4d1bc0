"""Attacks that are not ours, as the harness knows them: by a description of their classes, never by their code.

A description comes from a confined process in which that code was imported (`bench/walls/foreign.py`), and may be a lie from
beginning to end. It is held to the rules of `declared.py` here, and none of its texts is ever evaluated.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, make_dataclass
from functools import partial
from typing import Any, ClassVar, NoReturn, Protocol

from heistbench.bench.contracts.declared import TYPE_TEXT, info_faults
from heistbench.bench.contracts.errors import HeistError, one_line
from heistbench.bench.contracts.nouns import Sight
from heistbench.bench.contracts.places import WRITTEN_AT
from heistbench.bench.contracts.plugins import Attack, Info

_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an attack: its type as its author wrote it, and its default as JSON has it."""

    name: str
    type: str
    default: Any
    required: bool


@dataclass(frozen=True, slots=True)
class Description:
    """An attack, as its process describes it; `file` and `line` are where its class is written."""

    info: Info
    about: str
    file: str
    line: int
    parameters: list[Parameter]


@dataclass(frozen=True, slots=True)
class Built:
    """What became of an attack that was built in its process: the values of its parameters as JSON has them, and its needs."""

    parameters: dict[str, Any]
    needs: Sight


class Builder(Protocol):
    """Builds a described attack where its code is."""

    def __call__(self, arguments: str, where: str) -> Built:
        """Build it from a JSON object. Raises HeistError that begins with `where` for what the attack refuses."""


class DescribedAttack(Attack):
    """Base of the classes that stand in for attacks that are not ours; `stand_in` makes them."""

    __builder__: ClassVar[Builder]
    __digest__: ClassVar[str]
    __needs__: Sight
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def needs(self) -> Sight:
        return self.__needs__

    def steal(self, *_: object) -> NoReturn:
        raise NotImplementedError("its code is behind the wall")


def stand_in(description: Description, module: str, digest: str, builder: Builder) -> type[DescribedAttack]:
    """The class that stands in for a described attack of a module, whose file has that digest (`code_of`).

    Raises HeistError for what no decorator would accept.
    """
    info = description.info
    if problem := next(_faults(description), ""):
        raise HeistError(one_line(f"{description.file}:{description.line}: attack {info.name}: {problem}"))
    names = {
        "__doc__": description.about,
        "__module__": module,
        WRITTEN_AT: (description.file, description.line),
        "info": info,
        "__builder__": staticmethod(builder),
        "__digest__": digest,
    }
    parameters = [(parameter.name, Any, _field(parameter)) for parameter in description.parameters]
    return make_dataclass(info.name, parameters, bases=(DescribedAttack,), namespace=names, frozen=True, kw_only=True)


def build_described(cls: type[DescribedAttack], arguments: Mapping[str, Any], where: str) -> DescribedAttack:
    """Have an attack built where its code is. Raises HeistError that says what it refuses."""
    try:
        text = json.dumps(arguments)
    except (TypeError, ValueError, RecursionError):
        raise HeistError(f"{where}: expected texts, numbers, true, false, null or lists as values") from None
    built = cls.__builder__(text, where)
    if problem := next(_value_faults(built.parameters, set(cls.__dataclass_fields__)), ""):
        raise HeistError(one_line(f"{where}: {problem}"))
    attack = cls(**built.parameters)
    object.__setattr__(attack, "__needs__", built.needs)  # past the lock of a frozen class
    return attack


def _field(parameter: Parameter) -> Any:
    """The dataclass field of a parameter; its annotation is not the text of its type, which nobody may evaluate."""
    metadata = {TYPE_TEXT: parameter.type}
    if parameter.required:
        return field(metadata=metadata)
    return field(default_factory=partial(_as_it_is, parameter.default), metadata=metadata)


def _as_it_is(value: Any) -> Any:
    return value


def _faults(description: Description) -> Iterator[str]:
    if description.info.kind != "attack":
        yield "expected an attack"
    yield from info_faults(description.info)
    defaults = {parameter.name: parameter.default for parameter in description.parameters}
    if len(defaults) < len(description.parameters):
        yield "a parameter is there twice"
    for name in defaults:
        if not _PARAMETER.fullmatch(name) or keyword.iskeyword(name):
            yield f"parameter {name!r}: expected a name"
        if hasattr(DescribedAttack, name):
            yield f"parameter {name}: every attack has something else of that name"
    yield from _value_faults(defaults, set(defaults))


def _value_faults(values: Mapping[str, Any], names: set[str]) -> Iterator[str]:
    if values.keys() != names:
        yield "its process gave other parameters than it has"
    for name, value in values.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            yield f"{name}={value!r}: expected a finite number"
