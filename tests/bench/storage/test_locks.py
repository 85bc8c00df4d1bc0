"""Locks: one holder at a time, whoever dies and whenever, and no file left of a lock that nobody holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fcntl import flock
from pathlib import Path
from random import Random

import pytest

from heistbench.bench import HeistError
from heistbench.bench.contracts.errors import Busy
from heistbench.bench.storage.inventory import artifacts
from heistbench.bench.storage.locks import lock, shared


def test_one_holds_at_a_time_and_nothing_is_left(tmp_path: Path) -> None:
    target = tmp_path / "kind" / "artifact"
    with lock(target):
        with pytest.raises(Busy, match=str(target)), lock(target):
            pass
        with lock(tmp_path / "kind" / "other"):
            pass
    assert list((tmp_path / "kind").iterdir()) == []
    with lock(target):
        pass


def test_a_lock_is_let_go_where_its_holder_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock(tmp_path / "x"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_many_share_and_none_is_alone_meanwhile(tmp_path: Path) -> None:
    target = tmp_path / "store"
    with shared(target):
        with shared(target), pytest.raises(Busy), lock(target):
            pass
        assert list(tmp_path.iterdir()) != []  # the first one left, the other still holds it
        with pytest.raises(Busy), lock(target):
            pass
    assert list(tmp_path.iterdir()) == []
    with lock(target):
        pass


def test_the_file_of_a_dead_holder_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "x.lock").touch()
    with lock(tmp_path / "x"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_lock_file_in_the_place_of_ours_is_left_alone(tmp_path: Path) -> None:
    with lock(tmp_path / "x"):
        (tmp_path / "x.lock").unlink()
        with lock(tmp_path / "x"):
            (tmp_path / "x.lock").rename(tmp_path / "theirs")
            (tmp_path / "x.lock").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"theirs", "x.lock"}


@pytest.mark.parametrize("how", [lock, shared])
def test_a_file_that_its_last_holder_removed_before_we_got_it_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable
) -> None:
    removed = list[Path]()

    def late(handle: int, flags: int) -> None:
        if not removed:
            removed.append(tmp_path / "x.lock")
            removed[0].unlink()
        flock(handle, flags)

    monkeypatch.setattr("heistbench.bench.storage.locks.flock", late)
    with how(tmp_path / "x"):
        assert removed
        with pytest.raises(Busy), lock(tmp_path / "x"):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["folder", "link", "no folder"])
def test_what_cannot_be_locked_is_one_line(tmp_path: Path, what: str) -> None:
    if what == "folder":
        (tmp_path / "x.lock").mkdir()
    elif what == "link":  # whoever follows it would lock, and remove, something else
        (tmp_path / "x.lock").symlink_to(tmp_path / "mine")
        (tmp_path / "mine").touch()
    target = tmp_path / "x"
    if what == "no folder":
        (tmp_path / "file").touch()
        target = tmp_path / "file" / "x"
    with pytest.raises(HeistError, match=rf"^{target.parent}: expected a folder that can be written to \("), lock(target):
        pass


CONTENDER = """
import fcntl, os, random, sys, time
from pathlib import Path
from heistbench.bench.contracts.errors import Busy
from heistbench.bench.storage.store import Store

root, seed = Path(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)

def build(folder):
    # A referee of another kind, whose file is never removed: two holders at a time would meet here.
    referee = os.open(root / f"referee-{number}", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.lockf(referee, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        (root / "overlap").touch()
    (folder / "text").write_text(f"artifact {number} " * 500)
    time.sleep(rng.random() * 0.02)
    os.close(referee)

left = list(range(60))
while left:
    number = rng.choice(left)
    try:
        folder = Store(root / "store").once("kind", {"number": number}, build)
    except Busy:
        continue
    assert (folder / "text").read_text() == f"artifact {number} " * 500
    left.remove(number)
"""


def test_many_processes_and_many_deaths_leave_whole_artifacts(tmp_path: Path) -> None:
    """Processes contend for sixty artifacts and are killed at random; others go on in their place."""
    rng, environment = Random(0), {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(seed: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", CONTENDER, str(tmp_path), str(seed)]
        return subprocess.Popen(command, env=environment)

    children = [start(seed) for seed in range(4)]
    while not (tmp_path / "store").exists():
        time.sleep(0.01)
    for seed in range(4, 10):
        time.sleep(rng.random() * 0.15)
        victim = rng.choice(children)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        children[children.index(victim)] = start(seed)
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    assert not (tmp_path / "overlap").exists()
    left = {path.suffix for path in (tmp_path / "store" / "kind").iterdir()}
    assert left <= {"", ".lock"}  # a lock is left by who is killed while he lets it go, and stops nobody
    assert len(artifacts(tmp_path / "store")) == 60
    for folder in artifacts(tmp_path / "store"):
        with lock(folder):
            pass
    assert {path.suffix for path in (tmp_path / "store" / "kind").iterdir()} == {""}
