"""What is freed of a store: nothing that a record needs, nothing that another process holds, no reply, nothing outside."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heistbench.bench import HeistError, Prompt, Reply, Usage
from heistbench.bench.storage.inventory import alone, artifacts
from heistbench.bench.storage.ledger import Ledger, ledgers
from heistbench.bench.storage.locks import lock, shared
from heistbench.bench.storage.store import IN_USE, Store, write_text
from heistbench.bench.storage.sweep import LOG_DAYS, Waste, free, waste

Build = Callable[[Path], None]


def made(root: Path, kind: str, number: int, *inputs: tuple[str, int]) -> Path:
    """An artifact that was made from others, which are there, by a process of its own."""
    store = Store(root)

    def build(folder: Path) -> None:
        for other, at in inputs:
            store.verified(other, {"number": at})
        write_text(folder / "text", f"{kind} {number}")

    return store.once(kind, {"number": number}, build)


def names(things: list[Waste]) -> set[str]:
    return {f"{thing.path.parent.name}/{thing.path.name}" for thing in things}


def swept(root: Path) -> list[Waste]:
    with alone(root):
        return [each for each in waste(root) if free(root, each)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A record that was made from a model, which was made from loot; and a model and loot that nothing needs."""
    made(tmp_path, "collect", 1)
    made(tmp_path, "train", 1, ("collect", 1))
    made(tmp_path, "record", 1, ("train", 1))
    made(tmp_path, "collect", 2)
    made(tmp_path, "train", 2, ("collect", 2))
    return tmp_path


def test_what_a_record_was_made_from_stays(root: Path) -> None:
    needed = [Store(root).path(kind, {"number": 1}) for kind in ("collect", "record", "train")]
    assert len(swept(root)) == 2
    assert artifacts(root) == needed
    assert swept(root) == []


@settings(max_examples=20)
@given(st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 14))), max_size=15))
def test_exactly_what_no_record_leads_to_is_freed(drawn: list[tuple[bool, set[int]]]) -> None:
    """Artifacts are numbered; each was made from earlier ones, and is a record or not."""
    with TemporaryDirectory() as folder:
        root, kinds, needed = Path(folder), list[str](), set[int]()
        for number, (is_record, inputs) in enumerate(drawn):
            kinds.append("record" if is_record else "other")
            made(root, kinds[number], number, *((kinds[at], at) for at in inputs if at < number))
        for number in reversed(range(len(drawn))):
            if kinds[number] == "record" or number in needed:
                needed |= {number, *(at for at in drawn[number][1] if at < number)}
        swept(root)
        assert {*artifacts(root)} == {Store(root).path(kinds[at], {"number": at}) for at in needed}


def test_what_another_process_holds_stays(root: Path) -> None:
    target = Store(root).path("train", {"number": 2})
    part = root / "train" / f"{'a' * 24}.part"
    part.mkdir()
    with lock(target), lock(part.with_suffix("")):
        assert names(swept(root)) == {f"collect/{Store(root).path('collect', {'number': 2}).name}"}
        assert part.is_dir()
    assert names(swept(root)) == {f"train/{target.name}", f"train/{part.name}"}


def test_a_store_that_a_run_uses_is_left_alone(root: Path) -> None:
    with shared(root / IN_USE), pytest.raises(HeistError, match=rf"store {root}: a run is using it"):
        swept(root)
    assert len(artifacts(root)) == 5


def test_what_killed_runs_left_is_freed(root: Path) -> None:
    swept(root)
    part = root / "train" / f"{'a' * 24}.part"
    write_text(part / "model" / "half.bin", "half")
    (root / "train" / f"{'b' * 24}.lock").touch()
    (root / f"{IN_USE}.lock").touch()
    before = {*root.rglob("*")}
    assert names(swept(root)) == {f"train/{'a' * 24}.part", f"train/{'b' * 24}.lock"}
    assert before - {*root.rglob("*")} == {
        part, part / "model", part / "model" / "half.bin", root / "train" / f"{'b' * 24}.lock", root / f"{IN_USE}.lock"
    }  # fmt: skip


def test_replies_and_what_was_set_aside_stay(root: Path) -> None:
    store = Store(root, lambda line: None)
    with Ledger(store, {"model": "m", "api": None}).writing() as keep:
        keep((Prompt.of("q"), 0), Reply(None, None, "a", Usage(), "stop"), 0.0)
    (Store(root).path("train", {"number": 1}) / "text").write_text("damaged")
    made(root, "train", 1, ("collect", 1))
    (folder,) = ledgers(store)
    (folder / "asking.lock").touch()
    (folder / ".tally.json.7.part").touch()
    before = {path for place in ("victims", "damaged") for path in (root / place).rglob("*")}
    swept(root)
    left = {path for place in ("victims", "damaged") for path in (root / place).rglob("*")}
    assert before - left == {folder / "asking.lock", folder / ".tally.json.7.part"}


def test_logs_are_kept_for_a_week(root: Path) -> None:
    swept(root)
    for name, text, days in (("old", "x", LOG_DAYS + 1), ("new", "x", LOG_DAYS - 1), ("empty", "", 0)):
        path = root / "log" / f"worker-{name}.log"
        write_text(path, text)
        os.utime(path, (time.time() - days * 86_400,) * 2)
    assert names(swept(root)) == {"log/worker-old.log", "log/worker-empty.log"}


def test_nothing_outside_the_store_is_touched(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write_text(outside / "manifest.json", "{}")
    (root / "train" / ("c" * 24)).symlink_to(outside)
    (root / "train" / f"{'d' * 24}.part").symlink_to(outside)
    (root / "mine").mkdir()
    write_text(root / "mine" / "notes" / "manifest.json", "{}")
    swept(root)
    assert (outside / "manifest.json").is_file()
    assert (root / "train" / ("c" * 24)).is_symlink()
    assert not (root / "train" / f"{'d' * 24}.part").is_symlink()
    assert (root / "mine" / "notes" / "manifest.json").is_file()


def test_what_cannot_be_removed_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("heistbench.bench.storage.sweep.shutil.rmtree", refuse)
    with pytest.raises(HeistError, match=r"cannot be removed \(Permission denied\)"):
        swept(root)
    monkeypatch.undo()
    swept(root)
    assert len(artifacts(root)) == 3
