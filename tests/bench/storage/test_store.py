from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heistbench.bench import HeistError, Usage, Verdict
from heistbench.bench.contracts.errors import Busy
from heistbench.bench.storage.digests import digest
from heistbench.bench.storage.locks import lock
from heistbench.bench.storage.store import (
    Store,
    canonical,
    hash_of,
    identify,
    read_lines,
    read_manifest,
    write_json,
    write_lines,
    write_text,
)

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


@pytest.fixture
def told(store: Store) -> list[str]:
    """What the user is told of the store."""
    store.notice = (lines := list[str]()).append
    return lines


def set_aside(store: Store, kind: str = "kind") -> list[Path]:
    return sorted((store.root / "damaged" / kind).glob("*"))


@pytest.mark.parametrize("name", ["inner/data.txt", "spec.json"])
def test_a_changed_file_is_set_aside_and_computed_again(store: Store, told: list[str], name: str) -> None:
    folder = store.once("kind", SPEC, write_data)
    whole = (folder / name).read_text()
    (folder / name).write_text("other")
    assert not store.has("kind", SPEC)
    assert store.once("kind", SPEC, write_data) == folder
    assert (folder / name).read_text() == whole
    assert [place.name for place in set_aside(store)] == [f"{folder.name}-1"]
    assert (set_aside(store)[0] / name).read_text() == "other"
    (line,) = told
    assert line.startswith(f"kind/{folder.name} is damaged ({name} is not what was written) and is computed again")
    assert str(set_aside(store)[0]) in line


def test_what_is_damaged_again_is_set_aside_beside_it(store: Store, told: list[str]) -> None:
    for _ in range(3):
        folder = store.once("kind", SPEC, write_data)
        (folder / "inner" / "data.txt").unlink()
    store.once("kind", SPEC, write_data)
    assert [place.name for place in set_aside(store)] == [f"{folder.name}-{n}" for n in (1, 2, 3)]
    assert len(told) == 3


@given(st.data())
def test_any_flipped_bit_or_cut_tail_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    lines = list[str]()
    store = Store(tmp_path_factory.mktemp("store"), lines.append)
    folder = store.once("kind", SPEC, write_data)
    path = data.draw(st.sampled_from(sorted(p for p in folder.rglob("*") if p.is_file())))
    content = bytearray(path.read_bytes())
    at = int(data.draw(st.floats(0, 1, exclude_max=True)) * len(content))  # the length of a manifest is that of its seconds
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    if path.name == "manifest.json" and store.has("kind", SPEC):
        return  # the same JSON in other words, such as without the last line's end
    assert store.verified("kind", SPEC) is None
    store.once("kind", SPEC, write_data)
    assert len(lines) == 1
    assert (folder / "inner" / "data.txt").read_text() == "payload"
    assert store.verified("kind", SPEC) == folder


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"files": []}', '{"files": null}', "{}", '{"files": {"spec.json": 1}}', "[" * 100_000]
)
def test_a_damaged_manifest_is_computed_again(store: Store, told: list[str], content: str) -> None:
    folder = store.once("kind", SPEC, write_data)
    (folder / "manifest.json").write_text(content)
    store.once("kind", SPEC, write_data)
    assert store.has("kind", SPEC)
    assert "manifest.json is not what was written" in told[0]


@pytest.mark.parametrize("what", ["file", "link", "dangling"])
def test_what_is_no_folder_is_set_aside(store: Store, told: list[str], tmp_path: Path, what: str) -> None:
    target = store.path("kind", SPEC)
    target.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.txt").write_text("mine")
    if what == "file":
        target.write_text("a file")
    else:
        target.symlink_to(tmp_path / ("elsewhere" if what == "link" else "nowhere"))
    assert (store.once("kind", SPEC, write_data) / "inner" / "data.txt").is_file()
    assert not target.is_symlink()
    assert (tmp_path / "elsewhere" / "mine.txt").read_text() == "mine"
    assert len(set_aside(store)) == len(told) == 1


def test_what_comes_out_different_is_told_with_the_results_that_rest_on_it(store: Store, told: list[str]) -> None:
    def build(text: str) -> Callable[[Path], None]:
        return lambda folder: write_text(folder / "text", text)

    def build_top(folder: Path) -> None:
        store.once("below", SPEC, build("below"))
        write_text(folder / "text", "top")

    Store(store.root).once("unrelated", SPEC, build("alone"))
    top, below = store.once("top", SPEC, build_top), store.path("below", SPEC)
    for text, lines in (("below", 1), ("not as before", 2)):
        told.clear()
        (below / "text").write_text("damaged")
        store.once("below", SPEC, build(text))
        assert len(told) == lines
    assert told[1].startswith(f"below/{below.name} came out different than before")
    assert f"top/{top.name};" in told[1]
    assert "unrelated" not in told[1]


def test_what_comes_out_different_is_told_though_it_took_two_attempts(store: Store, told: list[str]) -> None:
    def wait(folder: Path) -> None:
        raise Busy("elsewhere")

    folder = store.once("below", SPEC, write_data)
    store.once("top", SPEC, lambda folder: None)
    (folder / "spec.json").write_text("damaged")
    with pytest.raises(Busy):
        store.once("below", SPEC, wait)
    store.once("below", SPEC, lambda folder: write_text(folder / "text", "other"))
    assert [line.split()[2] for line in told] == ["damaged", "out"]


def test_a_manifest_names_what_an_artifact_was_made_from(store: Store) -> None:
    def build(folder: Path) -> None:
        store.once("inner", SPEC, write_data)

    inner, outer = store.path("inner", SPEC), store.once("outer", SPEC, build)
    assert read_manifest(inner)["uses"] == []
    assert read_manifest(outer)["uses"] == [f"inner/{inner.name}"]


def test_files_are_hashed_once_a_process_and_again_when_they_were_written(
    store: Store, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, hashed = store.once("kind", SPEC, write_data), list[str]()

    def count(path: Path) -> str:
        hashed.append(path.name)
        return digest(path)

    monkeypatch.setattr("heistbench.bench.storage.digests.digest", count)
    for _ in range(3):
        Store(store.root).once("kind", SPEC, write_data)
    assert sorted(hashed) == ["data.txt", "spec.json"]
    later = (folder / "spec.json").stat().st_mtime_ns + 10**9
    os.utime(folder / "spec.json", ns=(later, later))
    assert store.has("kind", SPEC)
    assert sorted(hashed) == ["data.txt", "spec.json", "spec.json"]


def test_a_deleted_artifact_is_computed_again(store: Store) -> None:
    import shutil

    folder = store.once("kind", SPEC, write_data)
    shutil.rmtree(folder)
    assert store.once("kind", SPEC, write_data).is_dir()


def test_what_another_holds_is_busy(store: Store) -> None:
    target = store.path("kind", SPEC)
    with lock(target), pytest.raises(Busy):
        store.once("kind", SPEC, write_data)
    assert store.once("kind", SPEC, write_data) == target


def test_what_is_damaged_and_held_by_another_is_left_to_him(store: Store, told: list[str]) -> None:
    folder = store.once("kind", SPEC, write_data)
    (folder / "spec.json").unlink()
    with lock(folder), pytest.raises(Busy):
        store.once("kind", SPEC, write_data)
    assert not told
    assert not set_aside(store)


def test_busy_passes_a_plugins_except_clause() -> None:
    assert not issubclass(Busy, Exception)


def test_what_is_there_needs_no_lock(store: Store) -> None:
    folder = store.once("kind", SPEC, write_data)
    with lock(folder):
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


# what cannot be written


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(store: Store, code: int) -> None:
    def fill(folder: Path) -> None:
        write_data(folder)
        raise OSError(code, os.strerror(code))

    with pytest.raises(HeistError, match=rf"^{store.path('kind', SPEC)}: cannot be written \({os.strerror(code)}\)"):
        store.once("kind", SPEC, fill)
    assert list((store.root / "kind").iterdir()) == []
    assert store.once("kind", SPEC, write_data).is_dir()


def test_what_fails_for_other_reasons_is_not_blamed_on_the_store(store: Store) -> None:
    def fail(folder: Path) -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    with pytest.raises(ConnectionRefusedError):
        store.once("kind", SPEC, fail)


@pytest.mark.parametrize("place", [".", "kind"])
@pytest.mark.parametrize("what", ["file", "dangling"])
def test_a_folder_that_is_none_is_one_line_and_is_left_alone(store: Store, tmp_path: Path, place: str, what: str) -> None:
    path = store.root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path / "nowhere")
    assert not store.has("kind", SPEC)
    with pytest.raises(HeistError, match=str(store.root)):
        store.once("kind", SPEC, write_data)
    assert path.is_symlink() if what == "dangling" else path.read_text() == "mine"


def test_a_store_may_lie_behind_a_link(store: Store, tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    store.root.symlink_to(tmp_path / "large disk")
    store.once("kind", SPEC, write_data)
    assert list((tmp_path / "large disk").glob("kind/*/manifest.json"))


NO_ROOM = """
import resource, signal, sys
from pathlib import Path
from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.store import Store, write_json

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    Store(Path(sys.argv[1])).once("kind", {"what": "a", "seed": 1}, lambda folder: write_json(folder / "x.json", ["x"] * 10_000))
except HeistError as error:
    print(error)
"""


def test_a_file_that_does_not_fit_is_one_line(store: Store) -> None:
    """The system itself refuses the second half of a file."""
    done = subprocess.run([sys.executable, "-c", NO_ROOM, str(store.root)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{store.path('kind', SPEC)}: cannot be written (File too large)")
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


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
