"""The decorators that register a plugin: `@attack`, `@defense` and `@task`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

from heistbench.bench.contracts.declared import check_class, check_info, check_parameters
from heistbench.bench.contracts.plugins import Asks, Attack, Defense, Info, Plugin, Task, Touch

_A = TypeVar("_A", bound=type[Attack])
_D = TypeVar("_D", bound=type[Defense])
_T = TypeVar("_T", bound=type[Task])


def _register(cls: type[Plugin], info: Info) -> type[Plugin]:
    from heistbench.bench.contracts.registry import registry  # reads YAML and metadata of packages, which `heist --help` does not

    check_info(cls, info)
    check_class(cls, info)
    frozen = dataclass(frozen=True)(cls)
    check_parameters(frozen, info)
    frozen.info = info
    registry.add(info, frozen)
    return frozen


@dataclass_transform(frozen_default=True)
def attack(
    name: str,
    *,
    version: str,
    paper: str = "",
    threat: str = "black-box",
    asks: Asks = "prompts",
    control: bool = False,
    privileged: bool = False,
) -> Callable[[_A], _A]:
    """Register an attack. `privileged` ones get the truth through the kit; only controls may be."""
    info = Info("attack", name, version, paper, threat, asks, control, privileged)
    return lambda cls: _register(cls, info)  # type: ignore[return-value]


@dataclass_transform(frozen_default=True)
def defense(name: str, *, version: str, touches: tuple[Touch, ...], paper: str = "", random: bool = False) -> Callable[[_D], _D]:
    """Register a defense and declare what it touches and whether it is random."""
    info = Info("defense", name, version, paper, touches=touches, random=random)
    return lambda cls: _register(cls, info)  # type: ignore[return-value]


@dataclass_transform(frozen_default=True)
def task(name: str, *, version: str, paper: str = "") -> Callable[[_T], _T]:
    """Register a task."""
    info = Info("task", name, version, paper)
    return lambda cls: _register(cls, info)  # type: ignore[return-value]
