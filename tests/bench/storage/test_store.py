from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import example, given
from hypothesis import strategies as st

from heistbench.bench import HeistError, Usage, Verdict
from heistbench.bench.contracts.errors import Busy
from heistbench.bench.storage.store import Store, canonical, hash_of, identify, read_lines, write_json, write_lines, write_text

SPEC = {"what": "a", "seed": 1}
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
specs = st.dictionaries(st.sampled_from("abcdef"), values, min_size=1)


@dataclass(frozen=True)
class Point:
    x: int
    y: object = None


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def write_data(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "data.txt").write_text("payload")


# canonical text


@given(values)
def test_canonical_text_is_json_of_the_same_value(value: object) -> None:
    assert json.loads(canonical(value)) == value


@given(st.dictionaries(st.text(), values, max_size=5), st.randoms())
def test_the_order_of_keys_makes_no_difference(value: dict[str, object], rng) -> None:
    pairs = list(value.items())
    rng.shuffle(pairs)
    assert canonical(dict(pairs)) == canonical(value)


def test_dataclasses_enums_and_sets_are_plain() -> None:
    assert canonical(Point(1, Verdict.RIGHT)) == '{"x":1,"y":"right"}'
    assert canonical(Usage(1, 2, 3)) == '{"completion":2,"prompt":1,"reasoning":3}'
    assert canonical({"set": {"b", "a"}}) == canonical({"set": frozenset(["a", "b"])}) == '{"set":["a","b"]}'


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": number})


@pytest.mark.parametrize("value", [object(), Path("x"), b"bytes", 1j, Point])
def test_what_is_not_plain_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical([value])


# identities


@given(specs, st.data())
def test_an_identity_hangs_on_every_field(spec: dict[str, object], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(spec)))
    other = data.draw(values.filter(lambda value: canonical(value) != canonical(spec[key])))
    assert identify({**spec, key: other}) != identify(spec)
    assert identify({k: v for k, v in spec.items() if k != key}) != identify(spec)
    assert identify(dict(reversed(spec.items()))) == identify(spec)


def test_an_identity_hangs_on_the_format_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identify(SPEC)
    monkeypatch.setattr("heistbench.bench.storage.store.FORMAT", 10_000)
    assert identify(SPEC) != before


def test_hashes_tell_values_apart() -> None:
    assert hash_of([1, 2]) == hash_of([1, 2])
    assert len({hash_of(value) for value in ([1, 2], [2, 1], [[1], 2], ["1", 2], [12])}) == 5


# artifacts


def test_an_artifact_is_computed_once(store: Store) -> None:
    built = []
    for _ in range(3):
        folder = store.once("kind", SPEC, lambda path: (built.append(path), write_data(path)))
    assert len(built) == 1
    assert (folder / "inner" / "data.txt").read_text() == "payload"
    assert folder == store.path("kind", SPEC)
    assert store.has("kind", SPEC)


def test_an_artifact_says_what_it_is_of(store: Store) -> None:
    folder = store.once("kind", SPEC, write_data)
    assert json.loads((folder / "spec.json").read_text()) == SPEC
    assert set(json.loads((folder / "manifest.json").read_text())["files"]) == {"inner/data.txt", "spec.json"}


def test_other_specs_and_kinds_are_other_artifacts(store: Store) -> None:
    folders = {store.once(kind, {**SPEC, "seed": seed}, write_data) for kind in ("a", "b") for seed in (1, 2)}
    assert len(folders) == 4


def test_nothing_is_there_before_it_is_built(store: Store) -> None:
    assert not store.has("kind", SPEC)
    assert not store.root.exists()


def test_a_build_that_fails_leaves_no_artifact(store: Store) -> None:
    def fail(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        store.once("kind", SPEC, fail)
    assert not store.has("kind", SPEC)
    folder = store.once("kind", SPEC, write_data)
    assert not (folder / "half.txt").exists()


def test_a_directory_without_a_manifest_is_not_there(store: Store) -> None:
    target = store.path("kind", SPEC)
    target.mkdir(parents=True)
    (target / "rest.txt").write_text("of something that never finished")
    assert not store.has("kind", SPEC)
    store.once("kind", SPEC, write_data)
    assert not (target / "rest.txt").exists()
    assert (target / "inner" / "data.txt").exists()


@pytest.mark.parametrize("name", ["inner/data.txt", "spec.json"])
def test_a_changed_file_is_named(store: Store, name: str) -> None:
    folder = store.once("kind", SPEC, write_data)
    (folder / name).write_text("other")
    with pytest.raises(HeistError, match=name):
        store.once("kind", SPEC, write_data)


def test_a_missing_file_is_named(store: Store) -> None:
    folder = store.once("kind", SPEC, write_data)
    (folder / "inner" / "data.txt").unlink()
    with pytest.raises(HeistError, match=r"data\.txt"):
        store.once("kind", SPEC, write_data)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"files": []}', '{"files": null}', "{}", '{"files": {"spec.json": 1}}']
)
def test_a_damaged_manifest_is_an_error_that_names_the_artifact(store: Store, content: str) -> None:
    folder = store.once("kind", SPEC, write_data)
    (folder / "manifest.json").write_text(content)
    with pytest.raises(HeistError, match=str(folder)):
        store.once("kind", SPEC, write_data)


def test_a_deleted_artifact_is_computed_again(store: Store) -> None:
    import shutil

    folder = store.once("kind", SPEC, write_data)
    shutil.rmtree(folder)
    assert store.once("kind", SPEC, write_data).is_dir()


def test_what_another_holds_is_busy(store: Store) -> None:
    target = store.path("kind", SPEC)
    target.parent.mkdir(parents=True)
    lock = FileLock(f"{target}.lock")
    with lock, pytest.raises(Busy):
        store.once("kind", SPEC, write_data)
    assert store.once("kind", SPEC, write_data) == target


def test_busy_passes_a_plugins_except_clause() -> None:
    assert not issubclass(Busy, Exception)


def test_what_is_there_needs_no_lock(store: Store) -> None:
    folder = store.once("kind", SPEC, write_data)
    with FileLock(f"{folder}.lock"):
        assert store.once("kind", SPEC, write_data) == folder


SUICIDE = """
import os, signal, sys
from pathlib import Path
from heistbench.bench.storage.store import Store

def build(folder):
    (folder / "half.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

Store(Path(sys.argv[1])).once("kind", {"what": "a", "seed": 1}, build)
"""


def test_a_killed_build_leaves_only_work_to_do_again(store: Store) -> None:
    killed = subprocess.run([sys.executable, "-c", SUICIDE, str(store.root)], env=dict(os.environ), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not store.has("kind", SPEC)
    folder = store.once("kind", SPEC, write_data)
    assert (folder / "inner" / "data.txt").exists()
    assert not (folder / "half.txt").exists()


# files


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}


def test_writing_leaves_one_file(tmp_path: Path) -> None:
    write_text(tmp_path / "x.txt", "one")
    write_text(tmp_path / "x.txt", "two")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x.txt", "two")]


@given(st.lists(values, max_size=4))
@example(["a\x85b"])
@example(["a\u2028b", "a\u2029b"])
@example(["a\nb", "a\x1cb", ""])
def test_lines_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list[object]) -> None:
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    write_lines(path, rows)
    assert read_lines(path) == rows
