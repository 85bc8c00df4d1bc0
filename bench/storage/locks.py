"""Locks between processes: each is a file that one process holds, and that is gone when nobody does.

The system lets go of a lock when its holder dies. The file that a killed holder leaves behind stops nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path

from heistbench.bench.contracts.errors import Busy, HeistError


@contextmanager
def lock(target: Path) -> Iterator[None]:
    """Hold what is computed at `target`.

    Raises Busy while another process does, HeistError where no lock file can be made.
    """
    with _held(target, LOCK_EX | LOCK_NB):
        yield


@contextmanager
def shared(target: Path) -> Iterator[None]:
    """Hold `target` together with others who share it, after whoever holds it alone.

    Raises HeistError where no lock file can be made.
    """
    with _held(target, LOCK_SH):
        yield


@contextmanager
def _held(target: Path, how: int) -> Iterator[None]:
    path = Path(f"{target}.lock")
    try:
        handle = _acquired(path, how)
    except BlockingIOError:
        raise Busy(str(target)) from None
    except OSError as error:
        raise HeistError(f"{path.parent}: expected a folder that can be written to ({error.strerror}: {path.name})") from None
    try:
        yield
    finally:
        _release(path, handle)


def _acquired(path: Path, how: int) -> int:
    """An open file that holds the lock. Its last holder may have removed it before we got it: then there is a new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            flock(handle, how)
            if _leads_to(path, handle):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _release(path: Path, handle: int) -> None:
    """Let go, and remove the file unless somebody shares it; while it is held alone, nobody else takes it for the lock."""
    with suppress(OSError):
        flock(handle, LOCK_EX | LOCK_NB)
        if _leads_to(path, handle):
            path.unlink()
    os.close(handle)


def _leads_to(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(handle))
    except FileNotFoundError:
        return False
