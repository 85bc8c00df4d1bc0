from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench.storage import provenance as _provenance
from heistbench.bench.storage.provenance import code_state, contamination, hardware, harness_version, packages

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
