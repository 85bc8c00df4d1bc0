"""What students wrote in their exams, published beside the results, so that later graders can grade it again.

A file has a line per question, in the order of the exam's question list: `[trace, answer]`, with null for what was not there.
It is compressed, and named after its text, so that equal students share one.

    <suite's folder>/replies/0123456789abcdef.jsonl.xz
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from heistbench.bench.contracts.replies import Parts
from heistbench.bench.storage.regular_files import read_regular
from heistbench.bench.storage.store import canonical, write_bytes
from heistbench.bench.storage.strict_json import strict_json

REPLIES = "replies"
"""The folder of replies."""
SUFFIX = ".jsonl.xz"
LARGEST_PACKED, LARGEST = 4 * 2**20, 64 * 2**20
"""Bytes of a file, and of its text; students of the pocket world write 30 KB, reasoning models 10 MB."""
MEMORY = 32 * 2**20
"""Bytes that unpacking may take beside the text: three times what the preset needs."""


def write_replies(folder: Path, replies: Sequence[Parts]) -> str:
    """Write a student's replies under a suite's folder, in the order of the question list; returns their name."""
    write_bytes(replies_path(folder, name := name_of(replies)), lzma.compress(_text(replies), preset=6))
    return name


def name_of(replies: Sequence[Parts]) -> str:
    """What the file of these replies is called."""
    return _digest(_text(replies))


def replies_path(folder: Path, name: str) -> Path:
    """Where the replies of a name lie under a suite's folder."""
    return folder / REPLIES / f"{name}{SUFFIX}"


def read_replies(path: Path) -> list[Parts]:
    """The replies in a file that may hold anything. Raises ValueError that says in one line why there are none."""
    text = _unpacked(read_regular(path, LARGEST_PACKED))
    if (name := _digest(text)) != path.name.removesuffix(SUFFIX):
        raise ValueError(f"is not the file of this name, but {name}")
    *lines, rest = text.split(b"\n")
    if rest:
        raise ValueError("ends within a line")
    return [_reply(line, at) for at, line in enumerate(lines, 1)]


def _unpacked(content: bytes) -> bytes:
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
    try:
        text = unpacker.decompress(content, LARGEST + 1)
    except lzma.LZMAError as error:
        raise ValueError(f"cannot be unpacked: {error}") from None
    if len(text) > LARGEST:
        raise ValueError(f"holds more than {LARGEST:,} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("cannot be unpacked: it is cut short, or something follows")
    return text


def _reply(line: bytes, at: int) -> Parts:
    try:
        value = strict_json(line)
    except ValueError as error:
        raise ValueError(f"line {at:,} {error}") from None
    if not isinstance(value, list) or len(value) != 2 or not all(part is None or isinstance(part, str) for part in value):
        raise ValueError(f"line {at:,} is not a trace and an answer")
    return Parts(*value)


def _text(replies: Sequence[Parts]) -> bytes:
    return "".join(canonical(list(reply)) + "\n" for reply in replies).encode()


def _digest(text: bytes) -> str:
    return sha256(text).hexdigest()[:16]
