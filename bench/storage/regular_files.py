"""Files that somebody else may have put there: found without following links, and never more of them read than a bound."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path


class Unreadable(ValueError):
    """A file that is not read; the text says why, without its name."""


def entries_below(folder: Path, depth: int) -> Iterator[os.DirEntry[str]]:
    """Files, folders, links and all else below a folder; no link is followed, and no folder entered that lies at `depth`."""
    pending = [(folder, 1)]
    while pending:
        here, level = pending.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                yield entry
                if level < depth and entry.is_dir(follow_symlinks=False):
                    pending.append((Path(entry.path), level + 1))


def read_regular(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises Unreadable; for links, pipes, devices and folders too."""
    try:
        content = _content(path, most + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {'is a link' if error.errno == errno.ELOOP else error.strerror}") from None
    if len(content) > most:
        raise Unreadable(f"has more than {most:,} bytes")
    return content


def _content(path: Path, most: int) -> bytes:
    # Between listing and opening anything may have taken the file's place: what counts is what was opened. A pipe is not waited
    # for, and a link is not followed.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise Unreadable("is not a file")
        with os.fdopen(file, "rb", closefd=False) as reader:
            return reader.read(most)
    finally:
        os.close(file)
