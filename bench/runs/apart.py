"""A function run apart: in a forked process, so that whatever plugins do in it, this process goes on."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from heistbench.bench.contracts.errors import HeistError, PluginFailure
from heistbench.bench.contracts.failures import ended
from heistbench.bench.contracts.places import blame

T = TypeVar("T")


def apart(function: Callable[[], T], seconds: float) -> T:
    """What the function returns.

    Raises HeistError and PluginFailure as it does, and PluginFailure for all else that may happen to its process.
    """
    context = get_context("fork")  # which knows what plugins this process has loaded
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(function, theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            raise PluginFailure(f"it took more than {seconds:g} s")
        value, error = ours.recv()
    except EOFError:
        process.join()
        raise PluginFailure(f"its process {ended(process.exitcode or 0)}") from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]


def _call(function: Callable[[], object], line: Connection) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        line.send((function(), None))
    except (HeistError, PluginFailure) as error:
        line.send((None, error))
    except BaseException as error:
        line.send((None, PluginFailure(blame(error), details=traceback.format_exc())))
