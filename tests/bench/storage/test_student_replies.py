"""Replies of students in files: small, the same again, named after their text, and harmless whatever a file holds."""

from __future__ import annotations

import lzma
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench.contracts.replies import Parts
from heistbench.bench.storage.student_replies import name_of, read_replies, replies_path, write_replies

TEXT = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def planted(folder: Path, text: bytes, packed: bytes | None = None) -> Path:
    """A file of some text, under its right name."""
    path = replies_path(folder, sha256(text).hexdigest()[:16])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(text) if packed is None else packed)
    return path


@given(st.lists(st.builds(Parts, TEXT, TEXT), max_size=5))
def test_replies_come_back(tmp_path_factory: pytest.TempPathFactory, replies: list[Parts]) -> None:
    folder = tmp_path_factory.mktemp("replies")
    name = write_replies(folder, replies)
    assert name == name_of(replies)
    assert read_replies(replies_path(folder, name)) == replies


def test_equal_students_share_a_file_and_its_bytes_are_always_the_same(tmp_path: Path) -> None:
    one, other = [Parts("a\u2028b", "7")], [Parts(None, None)]
    files = [replies_path(tmp_path, write_replies(tmp_path, replies)) for replies in (one, other, one)]
    assert files[0] == files[2] != files[1]
    before = files[0].read_bytes()
    write_replies(tmp_path, one)
    assert files[0].read_bytes() == before


def test_replies_are_small(tmp_path: Path) -> None:
    replies = [Parts(f"s1 {n} plus 4 is {n + 4} ; s2 {n + 4} times 3 is {3 * n + 12}", str(n)) for n in range(500)]
    assert replies_path(tmp_path, write_replies(tmp_path, replies)).stat().st_size < 6000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'["a"]\n', "line 1 is not a trace and an answer"),
        (b'["a", 7]\n', "line 1 is not a trace and an answer"),
        (b'{"a": "b"}\n', "line 1 is not a trace and an answer"),
        (b'["a", "b"]\n["a", "b", "c"]\n', "line 2 is not a trace"),
        (b'["a", "b"]', "ends within a line"),
        (b'["a", NaN]\n', "line 1 is not JSON: NaN is no number"),
        (b"\xff\n", "line 1 is not UTF-8"),
        (rb'["\ud800", "b"]' + b"\n", "half of a surrogate pair"),
        (b"[" * 100_000 + b"\n", "nests more than 32"),
        (b"\n", "not JSON"),
    ],
)
def test_a_text_that_holds_no_replies_is_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_replies(planted(tmp_path, text))


GOOD = b'["a", "b"]\n'


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (b"", "cut short"),
        (b"no archive", "cannot be unpacked"),
        (GOOD, "cannot be unpacked"),
        (lzma.compress(GOOD)[:-8], "cut short"),
        (lzma.compress(GOOD) + b"more", "something follows"),
        (lzma.compress(GOOD) * 2, "something follows"),
        (lzma.compress(GOOD, format=lzma.FORMAT_ALONE), "cannot be unpacked"),
        (lzma.compress(b"[]\n"), "is not the file of this name, but [0-9a-f]{16}"),
        (lzma.compress(GOOD, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**28}]), "cannot be unpacked"),
    ],
)
def test_a_file_that_is_no_archive_of_its_name_is_refused(tmp_path: Path, packed: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_replies(planted(tmp_path, GOOD, packed))


def test_what_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heistbench.bench.storage.student_replies.LARGEST", 2**20)
    with pytest.raises(ValueError, match="holds more than 1,048,576 bytes"):
        read_replies(planted(tmp_path, b" " * 2**24))


def test_links_and_large_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = planted(tmp_path, GOOD)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is a link"):
        read_replies(path)
    monkeypatch.setattr("heistbench.bench.storage.student_replies.LARGEST_PACKED", 8)
    with pytest.raises(ValueError, match="more than 8 bytes"):
        read_replies(tmp_path / "elsewhere")
