"""Exceptions in plugins become one line for the user, and a traceback in a log that the line names."""

from __future__ import annotations

import os
import signal
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from heistbench.bench.contracts.errors import BudgetExceeded, HeistError, PluginFailure, printable
from heistbench.bench.contracts.places import blame

DEBUG = "HEIST_DEBUG"
"""The environment variable that asks for tracebacks on the terminal; worker processes inherit it."""


@contextmanager
def plugin_code(plugin: object, log: Path | None = None) -> Iterator[None]:
    """Turn what a plugin raises, `sys.exit` included, into a PluginFailure that names its file and line.

    HeistErrors, failures of another plugin and an exceeded budget pass as they are. The traceback goes to the end of `log`, or
    without one to a temporary file.
    """
    try:
        yield
    except (HeistError, PluginFailure, BudgetExceeded):
        raise
    except (Exception, SystemExit) as error:
        raise PluginFailure(blame(error, plugin), keep_traceback(error, log)) from error


def keep_traceback(error: BaseException, log: Path | None = None) -> Path | None:
    """Append a traceback to a log, by default to this process's temporary one; None where it cannot be written."""
    return append_to(log, traceback_text(error))


def append_to(log: Path | None, text: str) -> Path | None:
    """As `keep_traceback`, for any text."""
    try:
        log = log or _temporary(os.getpid())
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return None
    return log


def traceback_text(error: BaseException) -> str:
    """A traceback whose lines are safe to print."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "".join(f"{printable(line)}\n" for line in lines)


def ended(status: int) -> str:
    """How a process ended, in words; a signal's status is its number, negative or above 128."""
    number = -status if status < 0 else status - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"ended with exit status {status}"
    return f"was killed by {name}" + (" (out of memory, or by hand)" if name == "SIGKILL" else "")


def wants_tracebacks() -> bool:
    """Whether the user asked for tracebacks on the terminal, by `--debug` or by the environment."""
    return os.environ.get(DEBUG, "0") not in ("", "0")


@cache
def _temporary(process: int) -> Path:
    handle, name = tempfile.mkstemp(prefix="heist-", suffix=".log")
    os.close(handle)
    return Path(name)
