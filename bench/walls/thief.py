"""The process of a theft, from its start: it confines itself, imports the attack, and runs it at the attacker's end of the line.

Started by `process.py` as `python -c MAIN <file descriptor> <confinement>`, with an empty environment.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import cast

from heistbench.bench.contracts.checked import check_rows
from heistbench.bench.contracts.errors import PluginFailure, one_line
from heistbench.bench.contracts.failures import traceback_text
from heistbench.bench.contracts.places import blame, source_file
from heistbench.bench.contracts.plugins import Attack
from heistbench.bench.contracts.registry import load_plugin, registry
from heistbench.bench.contracts.sources import source_of
from heistbench.bench.contracts.wall import Kit, Target
from heistbench.bench.walls.confinement import confine
from heistbench.bench.walls.line import (
    FAILURE,
    HAUL,
    LOOT,
    ORDER,
    READY,
    TROUBLE,
    Haul,
    Home,
    JsonLine,
    Order,
    Trouble,
    receive,
    send,
)


def main(connection: Connection) -> None:
    """Carry out orders until the line ends: one, but for a dry run's."""
    send(connection, READY, b"")
    while True:
        try:
            order = ORDER.read(receive(connection).body)
        except (EOFError, OSError):
            return
        try:
            word, body = LOOT, HAUL.write(_steal(order, JsonLine(connection)))
        except BaseException as error:
            word, body = FAILURE, TROUBLE.write(_trouble(error))
        send(connection, word, body)


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
    if source_of(type(attack)) != order.source:
        raise PluginFailure(f"{source_file(type(attack))}: it was edited while the run went on")
    return attack


def load(home: Home) -> None:
    """Import an attack's home, once."""
    if not home.file:
        importlib.import_module(home.module)
    elif home.module not in sys.modules:
        load_plugin(Path(home.file))


def _text(attack: Attack, reading: object) -> str:
    if not isinstance(reading, str):
        raise PluginFailure(one_line(f"attack {attack.info.name}: reads returned a {type(reading).__name__}; expected a text"))
    return reading


def _trouble(error: BaseException) -> Trouble:
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
