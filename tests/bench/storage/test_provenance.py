from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench.storage import provenance as _provenance
from heistbench.bench.storage.provenance import (
    code_state,
    contamination,
    hardware,
    harness_differs,
    harness_version,
    packages,
    uncommitted,
)

texts = st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=8).map(" ".join), max_size=6)


@pytest.mark.parametrize(
    ("training", "tests", "n", "expected"),
    [
        (["a b c d"], ["x b c y"], 2, 1.0),
        (["a b c d"], ["x b d y"], 2, 0.0),
        (["x y c d"], ["a b c d"], 2, 1.0),
        (["a b x y"], ["a b c d"], 2, 1.0),
        (["a b c d"], ["x b c y", "x y z"], 2, 0.5),
        (["a b c d"], ["b c d", "c d e", "a b d", "a c"], 3, 0.25),
        (["a b"], ["a b"], 13, 1.0),
        (["a b c"], ["a b"], 2, 1.0),
        ([], ["a b c"], 2, 0.0),
        (["a b c"], [], 2, 0.0),
        (["a b", "c d"], ["b c"], 2, 0.0),
        (["a  b\nc"], ["a b c"], 3, 1.0),
    ],
)
def test_contamination_worked_by_hand(training: list[str], tests: list[str], n: int, expected: float) -> None:
    assert contamination(training, tests, n) == expected


def test_a_short_test_text_that_stands_whole_in_a_training_text_counts() -> None:
    assert contamination(["start 3 ; s1 plus 4 ; s2 star 9"], ["start 3 ; s1 plus 4"]) == 1.0


@given(texts, st.integers(1, 5))
def test_what_was_trained_on_is_contaminated(training: list[str], n: int) -> None:
    assert contamination(training, training, n) == (1.0 if training else 0.0)


@given(texts, texts, st.integers(1, 5), texts)
def test_more_training_is_never_less_contamination(training: list[str], tests: list[str], n: int, more: list[str]) -> None:
    assert 0 <= contamination(training, tests, n) <= contamination(training + more, tests, n) <= 1


@given(texts, texts, st.integers(2, 5))
def test_longer_grams_are_shared_less(training: list[str], tests: list[str], n: int) -> None:
    long = [text for text in tests if len(text.split()) >= n]
    assert contamination(training, long, n) <= contamination(training, long, n - 1)


# code state


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place of its own for the code."""
    monkeypatch.setattr(_provenance, "ROOT", tmp_path)
    code_state.cache_clear()
    yield tmp_path
    code_state.cache_clear()


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_outside_a_checkout(root: Path) -> None:
    assert code_state() == ("not a checkout", False)


def test_a_checkout_without_commits(root: Path) -> None:
    git(root, "init", "-q")
    assert code_state() == ("no commit", False)


@pytest.mark.parametrize("dirty", [False, True])
def test_a_checkout(root: Path, dirty: bool) -> None:
    git(root, "init", "-q")
    (root / "code.py").write_text("1")
    git(root, "add", "code.py")
    git(root, "commit", "-qm", "one")
    (root / "notes.txt").write_text("not tracked")
    if dirty:
        (root / "code.py").write_text("2")
    assert code_state() == (git(root, "rev-parse", "HEAD"), dirty)


def test_a_checkout_without_git(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / ".git").mkdir()
    monkeypatch.setenv("PATH", str(root))
    assert not code_state()[1]


# files of plugins


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with committed, changed, staged, untracked and ignored files, and a folder with a committed one."""
    folder = tmp_path / "checkout"
    (folder / "inside").mkdir(parents=True)
    git(folder, "init", "-q")
    for name in ("committed.py", "changed.py", "inside/committed.py", "removed.py"):
        (folder / name).write_text("1")
    (folder / ".gitignore").write_text("ignored.py")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    for name in ("changed.py", "staged.py", "untracked.py", "ignored.py"):
        (folder / name).write_text("2")
    git(folder, "add", "staged.py")
    (folder / "removed.py").unlink()
    (folder / "link.py").symlink_to(tmp_path / "outside.py")
    (tmp_path / "outside.py").write_text("3")
    git(folder, "add", "link.py")
    git(folder, "commit", "-qm", "two", "--", "link.py")
    return folder


def test_files_that_stand_in_no_commit_are_named(checkout: Path, tmp_path: Path) -> None:
    committed = [checkout / "committed.py", checkout / "inside" / "committed.py"]
    others = [checkout / f"{name}.py" for name in ("changed", "staged", "untracked", "ignored", "removed", "link")]
    outside = tmp_path / "outside.py"
    assert uncommitted(committed) == []
    assert uncommitted([*committed, *others]) == sorted(map(str, others))
    assert uncommitted([outside]) == [str(outside)]
    assert uncommitted([]) == []


def test_a_file_that_changes_is_looked_up_again(checkout: Path) -> None:
    path = checkout / "committed.py"
    assert uncommitted([path]) == []
    path.write_text("another text")
    assert uncommitted([path]) == [str(path)]


def test_without_git_no_file_can_be_shown_to_stand_in_a_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkout / "inside" / "committed.py"
    monkeypatch.setenv("PATH", str(checkout))
    assert uncommitted([path]) == [str(path)]


# versions


def test_versions_are_those_installed() -> None:
    found = packages()
    assert found["torch"] == version("torch")
    assert {"transformers", "trl", "peft", "lm_eval", "scipy", "sacrebleu"} <= found.keys()
    assert harness_version() == version("heistbench")


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    packages.cache_clear()
    monkeypatch.setattr(_provenance, "PACKAGES", ("torch", "no-such-package"))
    assert list(packages()) == ["torch"]
    packages.cache_clear()


def test_hardware_is_said_in_words() -> None:
    assert "cores" in hardware()
    assert "1 thread(s)" in hardware()


def test_hardware_names_what_rounding_hangs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hardware()
    monkeypatch.setattr(_provenance, "_processor", lambda: "another processor")
    assert "another processor" in hardware()
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "another set")
    assert "another set" in hardware()
    assert hardware() != before


def test_the_harness_of_a_commit_is_compared_with_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_provenance, "ROOT", tmp_path)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "bench").mkdir()
    commits = list[str]()
    for name in ("bench/one.py", "README.md", "bench/two.py"):
        (tmp_path / name).write_text(name)
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", name]):
            subprocess.run([*git, *command], check=True)
        commits.append(subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip())
    assert [harness_differs(commit) for commit in commits] == [True, True, False]
    assert harness_differs("0" * 40) is None
    harness_differs.cache_clear()
