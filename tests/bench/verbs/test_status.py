"""`heist status`: what a run is doing, as another process sees it."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heistbench.bench.runs import status as running
from heistbench.bench.runs.status import StatusFile, status_of


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "EVERY", 0.0)


def shown(heist: Callable, out: Path) -> list[dict]:
    ended = heist("status", "--out", out, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_a_run_is_followed_from_its_begin_to_its_end(heist: Callable, tmp_path: Path) -> None:
    assert "no run uses" in heist("status", "--out", tmp_path).out
    with status_of(tmp_path / "store", "tiny", 3) as file:
        file.begun(0, "rep x none, seed 0", "collect")
        file.noted(0, "victim", 3, 24)
        file.ended(1)
        file.ended(2, failed=True)
        (run,) = shown(heist, tmp_path)
        assert (run["suite"], run["cells"], run["done"], run["failed"], run["alive"]) == ("tiny", 3, 1, 1, True)
        assert run["running"]["0"]["cell"] == "rep x none, seed 0"
        table = heist("status", "--out", tmp_path).out
        assert "tiny: 1 of 3 cells done, 1 failed, 1 to go" in table
        assert "victim: 3 of 24" in table
    assert shown(heist, tmp_path) == []


def test_a_run_that_was_killed_is_told_apart_and_cleared_away_by_the_next(heist: Callable, tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "store", "tiny", 3)
    file.begun(0, "rep x none, seed 0", "collect")
    path = next((tmp_path / "store" / "running").iterdir())
    dead = json.loads(path.read_text()) | {"process": 2**22 - 1}
    path.with_name("dead.json").write_text(json.dumps(dead))
    path.unlink()
    assert "it was killed, and the same command continues it" in heist("status", "--out", tmp_path).out
    with status_of(tmp_path / "store", "tiny", 3):
        assert shown(heist, tmp_path) == []


@pytest.mark.parametrize(("ago", "alive"), [(1.0, True), (1000.0, False)])
def test_a_run_on_another_machine_is_alive_while_it_is_seen(tmp_path: Path, ago: float, alive: bool) -> None:
    file = StatusFile(tmp_path, "tiny", 3)
    assert file.status.alive
    file.status.host, file.status.seen = f"not-{platform.node()}", time.time() - ago
    assert file.status.alive == alive


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\x00" * 100])
def test_what_is_no_status_is_passed_over(heist: Callable, tmp_path: Path, content: str) -> None:
    folder = tmp_path / "store" / "running"
    folder.mkdir(parents=True)
    (folder / "odd.json").write_text(content)
    assert shown(heist, tmp_path) == []


def test_a_hostile_name_is_text(heist: Callable, tmp_path: Path) -> None:
    with status_of(tmp_path / "store", "[red]\x1b[31m", 1) as file:
        file.begun(0, "[link=http://x]\x1b]8;;", "collect")
        text = heist("status", "--out", tmp_path).out
    assert "\x1b" not in text
    assert "[red]" in text
