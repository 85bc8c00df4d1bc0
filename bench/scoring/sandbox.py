"""Worker processes that call a function on untrusted text, with bounds on time and memory.

A worker is a Python process that makes its function once, by calling a factory, and then answers each JSON line with another.
The parent kills a worker that takes longer than `SECONDS` over an item, and starts a new one. An item that crashes its worker is
tried once more in a new one. A worker ends with its parent: at the end of its standard input or, if it is busy then, at an alarm
of its own. The function cannot start programs, open connections or write files.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from threading import BoundedSemaphore, Timer
from typing import Any

from heistbench.bench.contracts.errors import HeistError

SECONDS = 3.0
"""The wall-clock time that an item may take, without the start of a worker."""
MEBIBYTES = 512
"""The address space of a worker, libraries included."""
START = 60.0
"""Seconds within which a worker must be ready."""
STARTS = 3
"""How often the start of a worker is tried if it crashes."""
_FORBIDDEN = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.", "socket.connect", "ctypes.dlopen")
_MAIN = "from heistbench.bench.scoring.sandbox import serve; serve()"


class Failure(StrEnum):
    """The reason why there is no value."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"


class Pool:
    """At most `workers` processes, started when there is work for them and kept until `close` or the end of this process.

    `factory` is the "module:name" of a callable without arguments that returns the function; the time of its imports is not
    counted as an item's. Several threads may use a pool at once; a forked child must make its own.
    """

    def __init__(self, factory: str, workers: int | None = None) -> None:
        self._factory, self.workers = factory, workers or cores()
        self._idle: list[_Worker] = []
        self._places = BoundedSemaphore(self.workers)
        atexit.register(self.close)

    def map(self, items: Iterable[Any]) -> list[Any]:
        """The function's value for each JSON-serialisable item, in order, or a `Failure`.

        Raises HeistError when the worker's function cannot be made.
        """
        waiting = list(items)
        if len(waiting) <= 1:
            return [self._one(item) for item in waiting]
        with ThreadPoolExecutor(min(self.workers, len(waiting))) as threads:
            return list(threads.map(self._one, waiting))

    def close(self) -> None:
        """End the idle workers; the next `map` starts new ones."""
        while self._idle:
            self._idle.pop().end()

    def _one(self, item: Any) -> Any:
        """Ask a worker. If it fails for any reason but time, ask a new one, within the time that is left."""
        left, failures = SECONDS, list[Failure]()
        with self._places:
            while len(failures) < 2 and Failure.TIMEOUT not in failures:
                worker = (not failures and self._idle_worker()) or self._new_worker()
                began = time.monotonic()
                value = worker.ask(item, left)
                left -= time.monotonic() - began
                if not isinstance(value, Failure):
                    self._idle.append(worker)
                    return value
                worker.end()
                failures.append(value)
        return failures[0]

    def _idle_worker(self) -> _Worker | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _new_worker(self) -> _Worker:
        for _ in range(STARTS):
            worker = _Worker(self._factory)
            if (greeting := worker.started()) == "ready":
                return worker
            worker.end()
            if not isinstance(greeting, Failure):
                break
        raise HeistError(f"a worker for {self._factory} did not start: {greeting}")


class _Worker:
    """One process, ready for items."""

    def __init__(self, factory: str) -> None:
        command = [sys.executable, "-P", "-c", _MAIN, factory]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )

    def started(self) -> Any:
        """The state of a new process: "ready", an error message, or a failure."""
        return self._read(START)

    def ask(self, item: Any, seconds: float) -> Any:
        """The function's value, or the reason why there is none. After a failure the worker must not be used again."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(item) + "\n")
            self._process.stdin.flush()
        except OSError:
            return Failure.CRASH
        reply = self._read(seconds)
        return reply["value"] if isinstance(reply, dict) else reply

    def end(self) -> None:
        """Kill the process and forget it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):  # of text written to a dead worker and never read
                pipe.close()

    def _read(self, seconds: float) -> Any:
        """The next line, or a failure. A timer kills a process that does not answer, which ends the read."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        timer = Timer(seconds, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if line.endswith("\n"):
            reply = json.loads(line)
            return Failure.MEMORY if reply == Failure.MEMORY else reply
        return Failure.TIMEOUT if time.monotonic() >= deadline else Failure.CRASH


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def serve() -> None:
    """Run as a worker: write "ready", or the error that prevents it, then answer lines until there are no more."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # anything the function prints is not a reply

    def reply(value: Any) -> None:
        replies.write(json.dumps(value) + "\n")
        replies.flush()

    module, name = sys.argv[1].split(":")
    try:
        function = getattr(import_module(module), name)()
    except Exception as error:
        reply(f"{type(error).__name__}: {error}")
        return
    _limit_memory()
    sys.addaudithook(_forbid)
    reply("ready")
    for line in sys.stdin:
        outcome = _bounded(function, line)
        reply(outcome)
        if outcome is Failure.MEMORY:
            break


def _bounded(function: Callable[[Any], Any], line: str) -> Any:
    """A function's value for one line, as a reply. Any error but one of memory ends the worker."""
    _alarm(2 * SECONDS)
    try:
        value = function(json.loads(line))
    except MemoryError:
        return Failure.MEMORY
    finally:
        _alarm(0)
    # A library may have swallowed the error, and a process that grew this large should not take another item.
    return Failure.MEMORY if _peak() > 0.75 * MEBIBYTES else {"value": value}


def _limit_memory() -> None:
    """Bound this process's address space, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEBIBYTES * 2**20, MEBIBYTES * 2**20))


def _peak() -> float:
    """The most memory that this process has held, in MiB; 0 if the system does not report it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    # Not getrusage: its figure starts at the size of the parent.
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def _alarm(seconds: float) -> None:
    """Make this process end itself after so many seconds, whatever it is doing then; 0 cancels that."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _forbid(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: even a library misled by hostile text starts no program and writes no file."""
    if event.startswith(_FORBIDDEN) or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        raise PermissionError(f"{event} is not for workers")
