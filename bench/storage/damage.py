"""What goes wrong with a store: what is damaged is set aside, never deleted, and what cannot be written is one line."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from heistbench.bench.contracts.errors import HeistError, one_line

DAMAGED = "damaged"
"""The folder of a store that holds what was set aside."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""What a disk says that takes no more."""


def set_aside(root: Path, path: Path) -> Path:
    """Move something of a store to `damaged/<kind>/<identity>-<n>`, and say where it lies now."""
    place = free_place(root, path)
    path.rename(place)
    return place


def free_place(root: Path, path: Path) -> Path:
    """The first name under `damaged/` that is free for something of a store; its folder is there."""
    folder = root / DAMAGED / path.relative_to(root).parent
    folder.mkdir(parents=True, exist_ok=True)
    names = (folder / f"{path.name}-{n}" for n in count(1))
    return next(place for place in names if not os.path.lexists(place))


def last_set_aside(root: Path, path: Path) -> Path | None:
    """What was set aside last of something of a store."""
    places = (root / DAMAGED / path.relative_to(root).parent).glob(f"{path.name}-*")
    return max(places, key=lambda place: int(place.name.rpartition("-")[2]), default=None)


@contextmanager
def room_for(target: Path) -> Iterator[None]:
    """Say in one line that an artifact, whose store lies two levels up, cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM and not str(error.filename or "").startswith(str(target.parents[1])):
            raise  # not of the store: of a model that is fetched, say
        raise HeistError(f"{target}: cannot be written ({error.strerror}); nothing was lost") from None


def to_stderr(line: str) -> None:
    """Tell the user what happened to the store, in one line."""
    print(f"heist: {one_line(line)}", file=sys.stderr, flush=True)
