"""The harness's side of the wall: starts the process of a theft, answers its calls, and takes in what it brings home."""

from __future__ import annotations

import os
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing import Pipe
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import Any

from pydantic import ValidationError

from heistbench.bench.contracts.errors import PluginFailure, one_line, printable
from heistbench.bench.contracts.failures import append_to
from heistbench.bench.contracts.nouns import Question
from heistbench.bench.contracts.places import GIVEN, source_file
from heistbench.bench.contracts.plugins import Attack
from heistbench.bench.contracts.sources import source_of
from heistbench.bench.contracts.wall import Desk
from heistbench.bench.walls.confinement import instructions, strongest, wall
from heistbench.bench.walls.line import (
    ANSWER,
    FAILURE,
    HAUL,
    LOOT,
    ORDER,
    READY,
    REFUSAL,
    REFUSALS,
    TROUBLE,
    Frame,
    Haul,
    Home,
    Order,
    Trouble,
    receive,
    send,
    verbs,
)

OWN_SECONDS = 600.0
"""The time that an attack may compute between its calls, in all; what it waits for victim, models and training does not count."""
START = 60.0
"""Seconds within which a process must have started."""
TAIL = 16_384
"""Bytes of what a theft printed that are kept when it fails."""
TRUTH = "truth_"
"""How the verbs begin that are for privileged controls alone."""
_MODULE = "heistbench.bench.walls.thief"
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")


class Thief:
    """A process in which one attack runs, or several from one home, one after the other. A context: at its end it is killed."""

    def __init__(self, home: Home, wall_name: str, hidden: Sequence[Path] = ()) -> None:
        """`hidden` are folders of the harness that the process must not see, wherever they lie."""
        readable, hidden = _readable(home), [*_packages("tasks", "defenses", "leaderboard"), *hidden]
        self._line, theirs = Pipe()
        self._output, self._left, self._begun = TemporaryFile(), 0.0, False  # noqa: SIM115 - closed by `end`
        order = [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno()), instructions(wall_name, readable, hidden)]
        self._process = subprocess.Popen(
            wall(wall_name).command(order, readable, hidden),
            env=_environment(),
            cwd="/",
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        theirs.close()

    def __enter__(self) -> Thief:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill the process, whatever it is doing."""
        self._line.close()
        self._kill()
        self._process.wait()
        self._output.close()

    def steal(self, attack: Attack, order: Order, desk: Desk, log: Path | None, seconds: float = OWN_SECONDS) -> Haul:
        """Have an order carried out, its calls answered by `desk`.

        Raises PluginFailure when the attack fails in whatever way, and what the desk raises and is no refusal.
        """
        allowed = {verb for verb in verbs() if order.privileged or not verb.startswith(TRUTH)}
        try:
            self._begin()
            self._left = seconds
            send(self._line, "order", ORDER.write(order))
            while True:
                word, body = self._next()
                if word == LOOT:
                    return HAUL.read(body)
                if word == FAILURE:
                    raise self._failure(TROUBLE.read(body), log)
                send(self._line, *_answer(desk, allowed, word, body))
        except (EOFError, OSError) as error:
            reason = f"it computed for more than {seconds:g} s" if self._left <= 0 else self._end(error)
        except ValidationError as error:
            reason = f"its process sent what it should not: {error.errors()[0]['msg']}"
        raise self._failure(Trouble("", one_line(f"{source_file(type(attack))}: {reason}")), log)

    def _begin(self) -> None:
        """Wait until the process has started, which is not the attack's own time."""
        if not self._begun:
            self._left = START
            self._begun = self._next().word == READY

    def _next(self) -> Frame:
        """The next frame. A process that takes too long over it, or sends only a part, is killed, which ends the line."""
        began, timer = time.monotonic(), Timer(max(0.0, self._left), self._kill)
        timer.start()
        try:
            return receive(self._line)
        finally:
            timer.cancel()
            self._left -= time.monotonic() - began

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _end(self, error: Exception) -> str:
        """How the process ended, in words."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.returncode
        if code is None:
            return f"its process closed the line: {error}"
        number = -code if code < 0 else code - 128
        with suppress(ValueError):
            name = signal.Signals(number).name
            return f"its process was killed by {name}" + (" (out of memory, or by itself)" if name == "SIGKILL" else "")
        return f"its process ended with exit status {code}"

    def _failure(self, trouble: Trouble, log: Path | None) -> PluginFailure:
        file = self._output.fileno()
        printed = os.pread(file, TAIL, max(0, os.fstat(file).st_size - TAIL)).decode("utf-8", "replace")
        told = "".join(f"{printable(line)}\n" for line in (*trouble.traceback.splitlines(), *printed.splitlines()))
        return PluginFailure(one_line(trouble.reason), append_to(log, told) if told else None, told)


class Thieves:
    """Processes that are kept for further thefts of attacks from the same home: for dry runs, where there is no truth."""

    def __init__(self) -> None:
        self._kept: dict[str, Thief] = {}

    def __enter__(self) -> Thieves:
        return self

    def __exit__(self, *error: object) -> None:
        while self._kept:
            self._kept.popitem()[1].end()

    def steal(self, attack: Attack, order: Order, desk: Desk, log: Path | None, seconds: float) -> Haul:
        """As `Thief.steal`; after a failure the next theft from that home gets a new process."""
        home = order.home.file or order.home.module.partition(".")[0]
        thief = self._kept.pop(home, None) or Thief(order.home, strongest())
        try:
            haul = thief.steal(attack, order, desk, log, seconds)
        except BaseException:
            thief.end()
            raise
        self._kept[home] = thief
        return haul


def order_of(attack: Attack, spec: str, questions: Sequence[Question], luck: str) -> Order:
    """The order that has an attack, written `spec`, carried out."""
    cls = type(attack)
    home = Home(cls.__module__, source_file(cls) if cls.__module__.startswith(GIVEN) else "")
    return Order(spec, home, source_of(cls), list(questions), luck, attack.info.privileged)


def _answer(desk: Desk, allowed: set[str], verb: str, body: bytes) -> tuple[str, bytes]:
    """The frame that answers a call: an answer or a refusal."""
    try:
        if verb not in allowed:
            raise PermissionError(f"{one_line(verb)} is not for this attack")
        arguments = verbs()[verb].arguments.read(body)
        answer = _bound(desk, verb)(*arguments)
    except ValidationError as error:
        return REFUSAL, TROUBLE.write(Trouble("TypeError", f"{verb}: {error.errors()[0]['msg']}"))
    except tuple(REFUSALS.values()) as error:
        kind = next(name for name, cls in REFUSALS.items() if isinstance(error, cls))
        return REFUSAL, TROUBLE.write(Trouble(kind, str(error)))
    return ANSWER, verbs()[verb].answer.write(answer)


def _bound(desk: Desk, verb: str) -> Callable[..., Any]:
    return getattr(desk, verb)  # type: ignore[no-any-return]


def _environment() -> dict[str, str]:
    """Without keys, and without where things lie."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _readable(home: Home) -> list[Path]:
    """What the process needs to read: Python and its packages, the harness without its tasks, and the attack itself."""
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix, *site.getsitepackages()]
    python += [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    own = [Path(home.file)] if home.file else _package(home.module.partition(".")[0])
    return [path.resolve() for path in (*map(Path, python), *_packages("bench", "attacks"), *own)]


def _packages(*names: str) -> list[Path]:
    """Folders of this package."""
    return [path for name in names for path in _package(f"heistbench.{name}")]


def _package(name: str) -> list[Path]:
    """Where a package or module lies; nowhere for one that is made up of several."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return []
    origin = Path(spec.origin)
    return [origin.parent if spec.submodule_search_locations else origin]
