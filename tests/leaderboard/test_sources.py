"""Sources: folders, releases, git revisions, and what is none of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import write_record
from heistbench.leaderboard.compare import sources
from heistbench.leaderboard.compare.sources import records_of

Make = Callable[..., Record]
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.fixture
def results(tmp_path: Path, make: Make) -> Path:
    """Result files of two releases of one victim and one of another."""
    for victim, release in (("oracle", "1"), ("oracle", "2"), ("sphinx", "2026-01")):
        write_record(tmp_path / "published" / "suite", make("rep", arm__victim=victim, arm__release=release))
    return tmp_path / "published"


@pytest.fixture
def repository(results: Path, make: Make) -> Path:
    """The same, committed as v1; then one file was changed and committed, one added and not, one deleted."""
    repository = results.parent
    git(repository, "init", "-q")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "first")
    git(repository, "tag", "v1")
    write_record(results / "suite", make("rep", accuracy=1.0, arm__release="1"))
    git(repository, "commit", "-qam", "second")
    write_record(results / "suite", make("late", arm__release="1"))
    next(results.rglob("sphinx*/**/seed-0.json")).unlink()
    return repository


def arms_of(source: str, results: Path) -> list[tuple[str, str, str]]:
    return sorted((r.arm.victim, r.arm.release, r.arm.attack.spec) for r in records_of(source, results))


ALL = [("oracle", "1", "rep"), ("oracle", "2", "rep"), ("sphinx", "2026-01", "rep")]


def test_a_folder_of_result_files(results: Path) -> None:
    assert arms_of(str(results), Path("elsewhere")) == ALL


def test_a_runs_folder_stands_for_the_results_in_it(tmp_path: Path, make: Make) -> None:
    write_record(tmp_path / "out" / "results", make("rep"))
    write_record(tmp_path / "out" / "other", make("inversion"))
    assert arms_of(str(tmp_path / "out"), tmp_path) == [("oracle", "1", "rep")]


@pytest.mark.parametrize("name", ["2", "oracle-2"])
def test_a_release_by_itself_or_with_its_victim(results: Path, name: str) -> None:
    assert arms_of(name, results) == [("oracle", "2", "rep")]


def test_a_folder_goes_before_a_release(results: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(results.parent / "2", make("inversion"))
    monkeypatch.chdir(results.parent)
    assert arms_of("2", results) == [("oracle", "1", "inversion")]


def test_an_empty_folder_has_no_results(tmp_path: Path) -> None:
    with pytest.raises(HeistError, match="no result files"):
        records_of(str(tmp_path), tmp_path)


@needs_git
@pytest.mark.parametrize("revision", ["v1", "HEAD~1", "HEAD^"])
def test_a_revision_stands_for_the_results_as_they_were(repository: Path, revision: str) -> None:
    results = repository / "published"
    assert arms_of(revision, results) == ALL
    then = next(r for r in records_of(revision, results) if r.arm.release == "1")
    now = next(r for r in records_of("1", results) if r.arm.attack.spec == "rep")
    assert then.exam.accuracy < now.exam.accuracy == 1.0


@needs_git
def test_a_revision_leaves_the_work_tree_as_it_is(repository: Path) -> None:
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file() and ".git" not in path.parts}
    records_of("v1", repository / "published")
    after = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert after == before


@needs_git
def test_a_folder_inside_the_results_has_its_own_part_of_a_revision(repository: Path, make: Make) -> None:
    write_record(repository / "published" / "second", make("inversion"))
    git(repository, "add", "published/second")
    git(repository, "commit", "-qm", "another suite")
    assert arms_of("HEAD", repository / "published" / "second") == [("oracle", "1", "inversion")]


@needs_git
def test_a_damaged_file_is_named_with_its_revision(repository: Path) -> None:
    path = next((repository / "published").rglob("oracle-1/**/seed-0.json"))
    path.write_text("{")
    git(repository, "commit", "-qam", "damaged")
    git(repository, "checkout", "v1", "--", str(path))
    with pytest.raises(HeistError, match=r"^result file HEAD/suite/pocket/oracle-1/.*/seed-0\.json: "):
        records_of("HEAD", repository / "published")


@needs_git
def test_links_in_a_revision_are_not_followed(repository: Path) -> None:
    (repository / "published" / "seed-9.json").symlink_to("/etc/hostname")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "a link")
    (repository / "published" / "seed-9.json").unlink()
    assert len(arms_of("HEAD", repository / "published")) == 3


def made(folder: Path, *words: str, of: str = "") -> str:
    """The hash of what git makes of some text."""
    done = subprocess.run(["git", "-C", str(folder), *words], input=of, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@needs_git
def test_names_in_a_revision_lead_nowhere_else(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree may hold any name: git itself refuses `..` only when it checks a work tree out."""
    files = made(repository, "mktree", of=f"100644 blob {made(repository, 'hash-object', '-w', '--stdin', of='{}')}\tseed-0.json")
    published = made(repository, "rev-parse", "v1:published/suite")
    up = made(repository, "mktree", of=f"040000 tree {files}\t..\n040000 tree {published}\tsuite")
    root = made(repository, "mktree", of=f"040000 tree {up}\tpublished")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    who = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x"}
    for name, value in who.items():
        monkeypatch.setenv(name, value)
    written = list[Path]()
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, content: written.append(path) or write(path, content))
    assert len(arms_of(made(repository, "commit-tree", root, "-m", "x"), repository / "published")) == 3
    assert len(written) == 4
    assert all(".." not in path.parts for path in written)


@needs_git
def test_a_revision_with_too_much_is_refused_unread(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST", 1000)
    with pytest.raises(HeistError, match=r"revision 'v1': [\d,]+ bytes of result files, expected at most 1,000"):
        records_of("v1", repository / "published")


@needs_git
@pytest.mark.parametrize("name", ["nothing", "--help", "-h", "HEAD:published", "v1^{tree}", "3", "\x1b[31mred\x1b[0m", "a b"])
def test_what_is_none_of_these_is_said_in_one_line(repository: Path, name: str) -> None:
    with pytest.raises(HeistError) as refused:
        records_of(name, repository / "published")
    message = str(refused.value)
    assert message.startswith("nothing to compare is called ")
    assert "(oracle-1, oracle-2)" in message
    assert message.isprintable()


def test_hostile_victims_are_listed_as_text(results: Path, make: Make) -> None:
    write_record(results / "suite", make("rep", arm__victim="\x1b[31mred\u202e"))
    with pytest.raises(HeistError) as refused:
        records_of("nowhere", results)
    assert str(refused.value).isprintable()


def test_outside_a_repository_there_are_no_revisions(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(results.parent))
    with pytest.raises(HeistError, match="nothing to compare is called 'HEAD'"):
        records_of("HEAD", results)


def test_without_git_there_are_no_revisions(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HeistError, match="nothing to compare is called 'HEAD'"):
        records_of("HEAD", results)
