"""The process behind the wall, from its start: it confines itself, imports an attack, and describes it, builds it or runs it.

Started by `confined.py` with a file descriptor, its end of the line, and the confinement; its environment is empty.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, cast

from heistbench.bench.contracts.checked import check_rows
from heistbench.bench.contracts.declared import type_of
from heistbench.bench.contracts.described import Built, Description, Parameter
from heistbench.bench.contracts.errors import HeistError, PluginFailure, one_line
from heistbench.bench.contracts.failures import traceback_text
from heistbench.bench.contracts.places import blame, origin, source_file
from heistbench.bench.contracts.plugins import Attack, Plugin
from heistbench.bench.contracts.registry import construct, default_of, identity, import_file, parameters, registry
from heistbench.bench.contracts.sources import code_of
from heistbench.bench.contracts.wall import Kit, Target
from heistbench.bench.walls.confinement import confine
from heistbench.bench.walls.line import (
    BUILD,
    BUILT,
    DESCRIBE,
    FAILURE,
    HAUL,
    HOLDINGS,
    HOME,
    ORDER,
    PLAN,
    READY,
    RESULT,
    STEAL,
    TROUBLE,
    Haul,
    Holdings,
    Home,
    JsonLine,
    Order,
    Plan,
    Trouble,
    receive,
    send,
)


def main(connection: Connection) -> None:
    """Carry out orders until the line ends: one, but for a dry run's."""
    send(connection, READY, b"")
    line = JsonLine(connection)
    orders: dict[str, Callable[[bytes], bytes]] = {
        STEAL: lambda body: HAUL.write(_steal(ORDER.read(body), line)),
        DESCRIBE: lambda body: HOLDINGS.write(_describe(HOME.read(body))),
        BUILD: lambda body: BUILT.write(_build(PLAN.read(body))),
    }
    while True:
        try:
            word, body = receive(connection)
        except (EOFError, OSError):
            return
        line.shown.clear()
        try:
            ended = RESULT, orders[word](body)
        except BaseException as error:
            ended = FAILURE, TROUBLE.write(_trouble(error))
        send(connection, *ended)


def load(home: Home) -> None:
    """Import an attack's home, once, whatever that raises."""
    if home.folder and home.folder not in sys.path:
        sys.path.append(home.folder)
    if not home.file:
        importlib.import_module(home.module)
    elif home.module not in sys.modules:
        import_file(Path(home.file))


def _steal(order: Order, line: JsonLine) -> Haul:
    attack = _attack(order)
    kit = Kit(line, Random(order.luck), order.privileged)
    try:
        rows = check_rows(attack, attack.steal(Target(line), order.questions, kit))
        return Haul(rows, [_text(attack, attack.reads(exposure)) for exposure in line.shown])
    except PluginFailure:
        raise
    except BaseException as error:
        raise PluginFailure(blame(error, attack)) from error


def _attack(order: Order) -> Attack:
    load(order.home)
    attack = cast(Attack, registry.build("attack", order.attack, search=False))
    if code_of(type(attack)) != order.code:
        raise PluginFailure(f"{source_file(type(attack))}: it was edited while the run went on")
    return attack


def _text(attack: Attack, reading: object) -> str:
    if not isinstance(reading, str):
        raise PluginFailure(one_line(f"attack {attack.info.name}: reads returned a {type(reading).__name__}; expected a text"))
    return reading


def _describe(home: Home) -> Holdings:
    load(home)
    classes = [cls for cls in registry.loaded() if _top(cls.__module__) == _top(home.module)]
    others = [f"{cls.info.kind} {cls.info.name}" for cls in classes if cls.info.kind != "attack"]
    return Holdings([_description(cls) for cls in classes if cls.info.kind == "attack"], others)


def _top(module: str) -> str:
    return module.partition(".")[0]


def _description(cls: type[Plugin]) -> Description:
    line = origin(cls).rpartition(":")[2]
    fields = parameters(cls).items()
    listed = [Parameter(name, type_of(f), _json(default_of(f)), default_of(f, ...) is ...) for name, f in fields]
    return Description(cls.info, inspect.getdoc(cls) or "", source_file(cls), int(line) if line.isdigit() else 0, listed)


def _build(plan: Plan) -> Built:
    load(plan.home)
    attack = construct(registry.get("attack", plan.name, search=False), json.loads(plan.arguments), plan.where)
    return Built(_json(identity(attack)["parameters"]), cast(Attack, attack).needs)


def _json(value: object) -> Any:
    """A value as JSON has it."""
    return json.loads(json.dumps(value))


def _trouble(error: BaseException) -> Trouble:
    if isinstance(error, HeistError):
        return Trouble(HeistError.__name__, str(error))
    reason = error.reason if isinstance(error, PluginFailure) else blame(error)
    return Trouble(type(error).__name__, reason, traceback_text(error))


def _end_with(parent: int) -> None:
    """End this process when the harness's ends, whatever the attack is doing then."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    confine(sys.argv[2])
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    main(Connection(int(sys.argv[1])))
