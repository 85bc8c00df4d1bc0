"""The wall, walked by a spy that tries every way there is: none works behind bubblewrap and Landlock, and some do without."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench.contracts.registry import load_plugin, registry
from heistbench.bench.stages.collect import Collect
from heistbench.bench.walls.confinement import wall

SECRETS = ("GOLD-", "TRACE-", "KEY-7c1e")
ALWAYS_WALLED = {
    *("from frames", "from threads", "from memory", "from open files", "from the environment", "pipe verbs", "budget", "grader"),
    "by lifting its limits",
}
"""What a process of its own is enough for. As root, limits can be lifted there."""
OPEN = {
    *("from registry", "from the tasks file", "from the store", "from a file", "into a file", "into the harness"),
    *("from the parents environment", "by signal", "by socket", "by unix socket"),
}
"""What needs a wall: under `process`, the spy gets through."""
MAYBE = {"by tracing", "from the parents memory", "by lifting its limits"}
"""What hangs on the system and on who runs it."""


@pytest.fixture
def listening() -> Iterator[int]:
    """A server on this machine, and one on an abstract socket."""
    servers = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
    servers[1].bind(f"\0heist-spy-{os.getpid()}")
    servers[1].listen()
    for server in servers:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
    yield servers[0].getsockname()[1]
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def answer(server: socket.socket) -> None:
    while True:
        try:
            with server.accept()[0] as line:
                line.sendall(b"hello")
        except OSError:
            return


Spied = tuple[dict[str, Any], Any]


@pytest.fixture
def spied(tmp_path: Path, cell_of: Callable[..., Any], listening: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Spied]:
    """What the spy got behind a wall, and the theft as the harness has it."""
    monkeypatch.setenv("SOME_API_KEY", "KEY-7c1e-planted")
    (tmp_path / "private.txt").write_text("GOLD-in-a-file")
    module = Path(load_plugin.__globals__["__file__"]).parents[1] / "walls" / "thief.py"
    kept = module.read_bytes()
    shutil.copy(Path(__file__).with_name("spy.py"), tmp_path / "spy.py")
    load_plugin(tmp_path / "spy.py")
    about = {
        "world": str(tmp_path / "world.py"),
        "store": str(tmp_path / "store"),
        "file": str(tmp_path / "private.txt"),
        "pid": os.getpid(),
        "port": listening,
    }

    def run(name: str) -> Spied:
        if obstacle := wall(name).obstacle():
            pytest.skip(f"{name}: {obstacle}")
        (tmp_path / "store").mkdir(exist_ok=True)
        (tmp_path / "store" / "sealed.jsonl").write_text("TRACE-of-another-cell")
        context = cell_of(f"spy(about={json.dumps(json.dumps(about))})", wall=name)
        try:
            theft = context.result(Collect(context))
        finally:
            assert module.read_bytes() == kept, "the spy wrote into the harness"
            module.write_bytes(kept)
        got = json.loads(theft.rows[0].answer)
        if not (tmp_path / "private.txt.written").exists():
            got["into a file"] = None  # it wrote into a `/tmp` of its own
        return got, theft

    return run


def successes(got: dict[str, Any]) -> set[str]:
    """The ways that brought something home; those that raised end in a mark."""
    return {way for way, prey in got.items() if not way.endswith("!") and prey not in ([], False, None, "")}


def test_every_way_was_tried(spied: Callable[[str], Spied]) -> None:
    got, _ = spied("process")
    assert {way.removesuffix("!") for way in got} == ALWAYS_WALLED | OPEN | MAYBE


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
def test_behind_a_wall_no_way_leads_anywhere(spied: Callable[[str], Spied], name: str) -> None:
    got, theft = spied(name)
    assert successes(got) == set()
    assert [secret for secret in SECRETS if secret in json.dumps(got)] == []
    assert theft.wall == name


def test_without_one_these_ways_do(spied: Callable[[str], Spied]) -> None:
    got, _ = spied("process")
    assert successes(got) - MAYBE == OPEN


@pytest.mark.parametrize("name", ["bubblewrap", "landlock", "process"])
def test_the_bill_is_the_harnesss_and_the_grader_untouched(spied: Callable[[str], Spied], name: str) -> None:
    _, theft = spied(name)
    assert theft.bill.queries == 3
    task = registry.build("task", "marked")
    problem = task.problems("query", 1)[0]  # type: ignore[attr-defined]
    assert [grade.verdict for grade in task.grade_all([problem], ["wrong"])] == ["wrong"]  # type: ignore[attr-defined]
