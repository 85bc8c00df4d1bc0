"""Sources: where results to compare come from: a folder, a release of a victim, a git revision of the results."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import PATTERN, QUESTIONS, read_records
from heistbench.leaderboard.board.panel import victim_label
from heistbench.leaderboard.published import published
from heistbench.leaderboard.words import clean

MOST = 2**30
"""Bytes of result files that a revision may hold."""


def records_of(source: str, results: Path | None = None) -> list[Record]:
    """The records of a source.

    A source is, in this order, a folder of result files or one of `heist run` that holds `results/`; a victim's release among
    `results`, such as `1` or `pocket-victim-1`; a git revision, which stands for `results` as they were then. Without `results`
    the published ones are meant. Raises HeistError for anything else, and for records that cannot be read.
    """
    folder = Path(source)
    if folder.is_dir():
        return read_records(folder / "results" if (folder / "results").is_dir() else folder)
    results = results or published()
    now = read_records(results)
    found = [record for record in now if source in (record.arm.release, victim_label(record))]
    if found or (found := _at_revision(source, results)):
        return found
    victims = ", ".join(sorted({victim_label(record) for record in now}))
    expected = f"a folder of result files, a victim's release in {results} ({victims}), or a git revision of these files"
    raise HeistError(clean(f"nothing to compare is called {source!r}: expected {expected}"))


def _at_revision(revision: str, results: Path) -> list[Record]:
    """The records of `results` as they were committed; none where this is no revision or has none."""
    commit = _git(results, "rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}").decode().strip()
    files = list(_result_files(results, commit)) if commit else []
    if not files:
        return []
    if (size := sum(size for _, size, _ in files)) > MOST:
        raise HeistError(f"revision {revision!r}: {size:,} bytes of result files, expected at most {MOST:,}")
    with TemporaryDirectory() as folder:
        contents = _contents(results, [blob for blob, _, _ in files])
        for (_, _, name), content in zip(files, contents, strict=True):
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            return read_records(Path(folder))
        except HeistError as error:
            raise HeistError(clean(str(error).replace(folder, revision))) from None


def _result_files(results: Path, commit: str) -> Iterator[tuple[str, int, str]]:
    """Hash, size and path of each result file and question list under a folder, as git has them at a commit."""
    for entry in _git(results, "ls-tree", "-r", "-z", "--long", commit).decode(errors="replace").split("\0"):
        facts, _, name = entry.partition("\t")
        if facts.startswith("100") and _is_ours(PurePosixPath(name)):  # regular files: no links, no submodules
            _, _, blob, size = facts.split()
            yield blob, int(size), name


def _is_ours(path: PurePosixPath) -> bool:
    inside = not path.is_absolute() and ".." not in path.parts  # a tree may hold any name
    return inside and (fnmatch(path.name, PATTERN) or (path.parent.name == QUESTIONS and path.suffix == ".json"))


def _contents(results: Path, blobs: Sequence[str]) -> Iterator[bytes]:
    """What git keeps under these hashes."""
    answer = BytesIO(_git(results, "cat-file", "--batch", given="\n".join(blobs)))
    while header := answer.readline():
        yield answer.read(int(header.split()[2]))
        answer.readline()


def _git(folder: Path, *words: str, given: str = "") -> bytes:
    """What git says in a folder; nothing where it fails, is missing, or there is no such folder."""
    try:
        return subprocess.run(["git", "-C", str(folder), *words], input=given.encode(), capture_output=True, check=False).stdout
    except OSError:
        return b""
