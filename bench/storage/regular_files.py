"""Files that somebody else may have put there: read if they are files, and never more of them than a bound."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


class Unreadable(ValueError):
    """A file that is not read; the text says why, without its name."""


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
