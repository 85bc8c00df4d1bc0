"""A confined process as the harness sees it: it is started, carries out orders over the line, and is ended."""

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
from typing import Self, TypeVar

from pydantic import ValidationError

from heistbench.bench.contracts.errors import one_line, printable
from heistbench.bench.contracts.failures import ended
from heistbench.bench.walls.confinement import instructions, wall
from heistbench.bench.walls.line import FAILURE, READY, RESULT, TROUBLE, Frame, Home, Message, Trouble, receive, send

T = TypeVar("T")
START = 60.0
"""Seconds within which a process must have started."""
TAIL = 16_384
"""Bytes of what a process printed that are kept when it fails."""
_MODULE = "heistbench.bench.walls.thief"
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")


class OrderFailed(Exception):
    """An order was not carried out. `reason` is a line; `kind` is the exception it failed with, empty where the process failed.

    `details` are the traceback and the end of what the process printed, safe to print.
    """

    def __init__(self, kind: str, reason: str, details: str) -> None:
        super().__init__(details or reason)
        self.kind, self.reason, self.details = kind, one_line(reason), details


class Confined:
    """A process behind a wall, in which the attacks of one home can be imported. A context: at its end it is killed."""

    def __init__(self, home: Home, wall_name: str, hidden: Sequence[Path] = ()) -> None:
        """`hidden` are folders of the harness that the process must not see, wherever they lie."""
        seen, hidden = readable(home), [*_packages("tasks", "defenses", "leaderboard"), *hidden]
        self._line, theirs = Pipe()
        self._output, self._left, self._begun = TemporaryFile(), 0.0, False  # noqa: SIM115 - closed by `end`
        order = [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno()), instructions(wall_name, seen, hidden)]
        self._process = subprocess.Popen(
            wall(wall_name).command(order, seen, hidden),
            env=_environment(),
            cwd="/",
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill the process, whatever it is doing."""
        self._line.close()
        self._kill()
        self._process.wait()
        self._output.close()

    def carry_out(
        self,
        order: Frame,
        result: Message[T],
        answer: Callable[[str, bytes], Frame],
        seconds: float,
        longest: int | None = None,
    ) -> T:
        """What an order ends with, its calls answered meanwhile. `longest` is the most bytes that a frame may have.

        Raises OrderFailed where the order or its process fails in whatever way, and what `answer` raises.
        """
        try:
            self._begin()
            self._left = seconds
            send(self._line, *order)
            while True:
                word, body = self._next(longest)
                if word == RESULT:
                    return result.read(body)
                if word == FAILURE:
                    raise self._failure(TROUBLE.read(body))
                send(self._line, *answer(word, body))
        except (EOFError, OSError) as error:
            reason = f"it computed for more than {seconds:g} s" if self._left <= 0 else self._end(error)
        except ValidationError as error:
            reason = f"its process sent what it should not: {error.errors()[0]['msg']}"
        raise self._failure(Trouble("", reason))

    def _begin(self) -> None:
        """Wait until the process has started, which is not the attack's own time."""
        if not self._begun:
            self._left = START
            self._begun = self._next(None).word == READY

    def _next(self, longest: int | None) -> Frame:
        """The next frame. A process that takes too long over it, or sends only a part, is killed, which ends the line."""
        began, timer = time.monotonic(), Timer(max(0.0, self._left), self._kill)
        timer.start()
        try:
            return receive(self._line, longest)
        finally:
            timer.cancel()
            self._left -= time.monotonic() - began

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _end(self, error: Exception) -> str:
        """How the process ended, in words."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        status = self._process.returncode
        return f"its process closed the line: {error}" if status is None else f"its process {ended(status)}"

    def _failure(self, trouble: Trouble) -> OrderFailed:
        file = self._output.fileno()
        printed = os.pread(file, TAIL, max(0, os.fstat(file).st_size - TAIL)).decode("utf-8", "replace")
        details = "".join(f"{printable(line)}\n" for line in (*trouble.traceback.splitlines(), *printed.splitlines()))
        return OrderFailed(trouble.kind, trouble.reason, details)


def _environment() -> dict[str, str]:
    """Without keys, and without where things lie."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def readable(home: Home) -> list[Path]:
    """What the process needs to read: Python and its packages, the harness without its tasks, and the attack itself."""
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix, *site.getsitepackages()]
    python += [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [path.resolve() for path in (*map(Path, python), *_packages("bench", "attacks"), *own_files(home))]


def home_of(module: str, file: str = "") -> Home:
    """The home of a module, or of a plugin file under the module's name."""
    code = None if file else _first_code(module)
    folder = str(code[1]) if code else ""
    return Home(module, file, folder if folder in sys.path else "")


def own_files(home: Home) -> list[Path]:
    """A home's file, or the file or folder of its package."""
    code = _first_code(home.module)
    return [Path(home.file)] if home.file else [code[0]] if code else []


def _first_code(module: str) -> tuple[Path, Path] | None:
    """The first package on the way to a module that has code of its own, and the folder it is found from. Nothing is run."""
    parts = module.split(".")
    for at in range(len(parts)):
        for path in package(".".join(parts[: at + 1])):
            return path, path.parents[at]
    return None


def _packages(*names: str) -> list[Path]:
    """Folders of this package."""
    return [path for name in names for path in package(f"heistbench.{name}")]


def package(name: str) -> list[Path]:
    """Where a package or module lies; nowhere for one that is made up of several."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return []
    if spec is None or spec.origin is None:
        return []
    origin = Path(spec.origin)
    return [origin.parent if spec.submodule_search_locations else origin]
