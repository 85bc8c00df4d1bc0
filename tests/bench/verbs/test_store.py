"""`heist store`: what it lists, what it finds damaged, what it sets aside, what it frees."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import Prompt, Reply, Usage
from heistbench.bench.storage.ledger import Ledger, ledgers, spent_on_all
from heistbench.bench.storage.locks import shared
from heistbench.bench.storage.owner import Accounts
from heistbench.bench.storage.store import IN_USE, Store, write_json

PAID = {"model": "provider/model", "api": {"shows": "trace"}}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A store with one artifact and ten paid replies at a quarter of a dollar each."""
    store = Store(tmp_path / "out" / "store")
    store.once("record", {"number": 1}, lambda folder: write_json(folder / "record.json", [1]))
    with Ledger(store, PAID).writing() as keep:
        for number in range(10):
            keep((Prompt.of(f"q{number}"), 0), Reply(None, None, "a", Usage(), "stop"), 0.25)
    return tmp_path / "out"


def lose_rows(out: Path, *numbers: int) -> None:
    (folder,) = ledgers(Store(out / "store"))
    with sqlite3.connect(folder / "replies.sqlite") as base:
        base.executemany("DELETE FROM replies WHERE number = ?", [(number,) for number in numbers])
    base.close()


# ls


def test_a_store_is_listed(tiny_run: Any, heist: Callable) -> None:
    ended = heist("store", "ls", "--out", tiny_run.out, "--json")
    report = json.loads(ended.out)
    counts = {kind["kind"]: kind["artifacts"] for kind in report["artifacts"]}
    assert ended.code == 0
    assert counts["record"] == 20
    assert all(kind["bytes"] > 0 and kind["seconds"] >= 0 for kind in report["artifacts"])
    (victim,) = report["victims"]
    assert victim["model"].startswith("shipped:pocket/victim-1")
    assert not victim["paid"]
    assert victim["queries"] > 24
    assert report["damaged"] == report["unfinished"] == []
    text = heist("store", "ls", "--out", tiny_run.out).out
    assert all(kind in text for kind in counts)


def test_a_damaged_ledger_is_listed(out: Path, heist: Callable) -> None:
    (line,) = [line for line in heist("store", "ls", "--out", out).out.splitlines() if "provider/model" in line]
    assert line.split()[1:4] == ["provider/model", "10", "2.50"]
    lose_rows(out, 3)
    (victim,) = json.loads(heist("store", "ls", "--out", out, "--json").out)["victims"]
    assert (victim["queries"], victim["dollars"], victim["paid"]) == (None, None, True)
    assert "see verify" in heist("store", "ls", "--out", out).out


def test_nothing_hostile_reaches_the_terminal(out: Path, heist: Callable) -> None:
    with Ledger(Store(out / "store"), {"model": "\x1b[31m[bold]red", "api": None}).writing():
        pass
    assert "\\x1b[31m[bold]red" in heist("store", "ls", "--out", out).out


@pytest.mark.parametrize("verb", ["ls", "verify", "gc"])
def test_a_folder_without_a_store_is_one_line(tmp_path: Path, heist: Callable, verb: str) -> None:
    for out in (tmp_path / "nowhere", tmp_path / "file"):
        (tmp_path / "file").touch()
        ended = heist("store", verb, "--out", out)
        assert (ended.code, ended.out) == (2, "")
        assert (
            ended.err == f"heist: error: --out {out}: no store there; expected the folder {out}/store, which `heist run` makes\n"
        )
    assert not (tmp_path / "nowhere").exists()


# verify


def test_a_whole_store_is_sound(tiny_run: Any, heist: Callable) -> None:
    ended = heist("store", "verify", "--out", tiny_run.out)
    assert ended.code == 0
    assert ended.out.endswith(", 0 of them damaged\n")


def test_all_damage_is_found_set_aside_and_computed_again(tiny_copy: Any, heist: Callable) -> None:
    before = contents(tiny_copy.out / "tiny" / "results").keys()
    store, touched = tiny_copy.out / "store", set[str]()
    for kind, name in (("train", "model/model.safetensors"), ("collect", "loot.jsonl"), ("record", "manifest.json")):
        path = next(path for path in sorted(store.glob(f"{kind}/*/{name}")) if path.stat().st_size)
        content, stat = bytearray(path.read_bytes()), path.stat()
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        touched.add(str(path.parents[name.count("/")].relative_to(store)))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # whoever goes by size and time alone does not see it
    ended = heist("store", "verify", "--out", tiny_copy.out, "--json")
    assert ended.code == 1
    assert {each["path"] for each in json.loads(ended.out)["damaged"]} == touched
    assert "--repair sets them aside" in heist("store", "verify", "--out", tiny_copy.out).out
    repaired = heist("store", "verify", "--out", tiny_copy.out, "--repair", "--json")
    assert repaired.code == 0
    assert {Path(each["kept"]).parent.name for each in json.loads(repaired.out)["damaged"]} == {"train", "collect", "record"}
    assert heist("store", "verify", "--out", tiny_copy.out).code == 0
    assert heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--executor", "here").code == 0
    assert contents(tiny_copy.out / "tiny" / "results").keys() == before


def test_the_loss_of_paid_replies_is_accepted_by_hand(out: Path, heist: Callable) -> None:
    lose_rows(out, 3, 10)
    ended = heist("store", "verify", "--out", out)
    assert ended.code == 1
    assert "2 of 10 replies are damaged or missing, which cost $0.50" in ended.out
    assert "asked, and paid for, again" in ended.out
    assert heist("store", "verify", "--out", out, "--repair").code == 0
    assert heist("store", "verify", "--out", out).code == 0
    assert spent_on_all(Store(out / "store")) == Accounts(10, 2.5)  # what was lost stays paid for
    (aside,) = (out / "store" / "damaged" / "victims").iterdir()
    assert {"replies.sqlite", "tally.json"} <= {path.name for path in aside.iterdir()}


def test_a_repair_waits_for_runs(out: Path, heist: Callable) -> None:
    lose_rows(out, 3)
    with shared(out / "store" / IN_USE):
        assert heist("store", "verify", "--out", out).code == 1
        ended = heist("store", "verify", "--out", out, "--repair")
    assert ended.code == 2
    assert "a run is using it" in ended.err


def test_a_ledger_that_cannot_be_opened_does_not_hide_the_rest(out: Path, heist: Callable) -> None:
    (folder,) = ledgers(Store(out / "store"))
    (folder / "replies.sqlite").unlink()
    (folder / "replies.sqlite").mkdir()
    (record,) = (out / "store" / "record").iterdir()
    (record / "record.json").write_text("[2]")
    ended = heist("store", "verify", "--out", out, "--json")
    assert ended.code == 1
    assert len(json.loads(ended.out)["damaged"]) == 2


# gc


def test_a_finished_run_needs_all_it_has(tiny_copy: Any, heist: Callable) -> None:
    heist("store", "gc", "--out", tiny_copy.out)
    ended = heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--executor", "here")
    assert "all of them computed before" in ended.out
    shutil.rmtree(tiny_copy.out / "store" / "record")  # and each cell goes on from what its record was made from
    before = contents(tiny_copy.out / "store").keys()
    assert heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--executor", "here").code == 0
    new = {name for name in contents(tiny_copy.out / "store").keys() - before if not name.startswith(("record/", "log/"))}
    assert new == set()


def test_a_dry_run_says_what_would_be_freed_and_frees_nothing(out: Path, heist: Callable) -> None:
    Store(out / "store").once("train", {"number": 1}, lambda folder: write_json(folder / "x.json", [1]))
    before = contents(out)
    dry = heist("store", "gc", "--out", out, "--dry-run")
    assert "no record needs it" in dry.out
    assert "in 1 places would be freed" in dry.out
    assert contents(out) == before
    freed = json.loads(heist("store", "gc", "--out", out, "--json").out)
    assert [Path(each["path"]).parent.name for each in freed["freed"]] == ["train"]
    assert freed["bytes"] == sum(len(content) for name, content in before.items() if name.startswith("store/train/"))
    assert json.loads(heist("store", "gc", "--out", out, "--json").out)["freed"] == []
