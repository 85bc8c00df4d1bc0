from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import HeistError
from heistbench.bench.scoring import sandbox as bounded
from heistbench.bench.scoring.sandbox import Failure, Pool

JOBS = '''
import os, signal, sys, time

def do(job):
    """One job after another, as tests ask for them."""
    kind, value = job
    if kind == "sleep": time.sleep(value)
    if kind == "big": return len(bytearray(value * 2**20))
    if kind == "grow":  # as a library does that goes on after an error
        held = []
        try:
            while True: held.append(bytearray(2**20))
        except MemoryError: pass
    if kind == "exit": os._exit(value)
    if kind == "raise": raise ValueError(value)
    if kind == "noise": print("noise"); print("noise", file=sys.stderr)
    if kind == "digits": return 9 ** 9 ** 9
    if kind == "die once":
        try: os.mkdir(value)
        except FileExistsError: return "alive"
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "try":
        try: return repr(eval(value))
        except Exception as error: return type(error).__name__
    return [value, os.getpid()]

def maker(): return do
def impatient():
    from heistbench.bench.scoring import sandbox as _bounded
    _bounded.SECONDS = 0.25
    return do
def broken(): raise RuntimeError("no such luck")

def in_a_process(n):
    from heistbench.bench.scoring.sandbox import Pool
    return [value for value, _ in Pool("heist_jobs:maker", 1).map([["is", i] for i in range(n)])]
'''


@pytest.fixture(scope="module", autouse=True)
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A module with functions for workers, where they find it."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "heist_jobs.py").write_text(JOBS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield folder


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool("heist_jobs:maker", 2)
    yield pool
    pool.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items may take half a second."""
    monkeypatch.setattr(bounded, "SECONDS", 0.5)


def values(found: list[Any]) -> list[Any]:
    return [item[0] for item in found]


def test_values_come_in_order_from_all_workers(pool: Pool) -> None:
    found = pool.map([["sleep", (20 - i) / 1000] for i in range(20)])
    assert values(found) == [(20 - i) / 1000 for i in range(20)]
    assert len({process for _, process in found}) == 2
    assert os.getpid() not in {process for _, process in found}


def test_nothing_is_started_for_nothing(pool: Pool) -> None:
    before = psutil.Process().children()
    assert pool.map([]) == []
    assert psutil.Process().children() == before


def test_one_item_takes_one_worker_and_the_next_one_takes_it_again(pool: Pool) -> None:
    processes = {pool.map([["is", i]])[0][1] for i in range(5)}
    assert len(processes) == 1
    assert len({process for _, process in pool.map([["sleep", 0.2], ["sleep", 0.2]])} | processes) == 2


def test_what_a_function_prints_is_no_value(pool: Pool) -> None:
    assert values(pool.map([["noise", 1], ["is", 2]])) == [1, 2]


@given(st.text(max_size=200))
def test_any_text_goes_there_and_comes_back(text: str) -> None:
    assert values(SHARED.map([["is", text + "\0\ud800\u202e\n"]])) == [text + "\0\ud800\u202e\n"]


SHARED = Pool("heist_jobs:maker", 1)


# bounds


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("job", [["sleep", 60], ["digits", 0]], ids=["asleep", "in one long instruction"])
def test_what_takes_too_long_is_ended(pool: Pool, job: list[Any]) -> None:
    pool.map([["is", 0], ["is", 0]])
    began = time.monotonic()
    found = pool.map([job, ["is", 1]])
    assert found[0] is Failure.TIMEOUT
    assert found[1][0] == 1
    assert 0.5 <= time.monotonic() - began < 2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell a process its size")
@pytest.mark.parametrize("job", [["big", 1024], ["grow", 0]], ids=["at once", "little by little, unnoticed"])
def test_what_takes_too_much_memory_is_ended(pool: Pool, job: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "SECONDS", 30)  # a busy machine grows slowly
    assert pool.map([job]) == [Failure.MEMORY]
    assert pool.map([["big", 100]]) == [100 * 2**20]


def test_a_parents_own_size_is_not_its_workers() -> None:
    code = """
from heistbench.bench.scoring.sandbox import Pool
held = bytearray(b"x" * (600 * 2**20))
print(Pool("heist_jobs:maker").map([["is", 1]])[0][0])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.mark.parametrize("job", [["exit", 0], ["exit", 3], ["raise", "x"]])
def test_what_kills_its_worker_fails_alone(pool: Pool, job: list[Any]) -> None:
    found = pool.map([["is", 1], job, ["is", 2], ["is", 3]])
    assert found.pop(1) is Failure.CRASH
    assert values(found) == [1, 2, 3]


@pytest.mark.parametrize(
    "attempt",
    [
        "__import__('os').system('touch {path}')",
        "open('{path}', 'w')",
        "open('{path}', 'ab')",
        "__import__('os').open('{path}', 65)",
        "__import__('pathlib').Path('{path}').write_text('x')",
        "__import__('subprocess').run(['touch', '{path}'])",
        "__import__('os').fork()",
        "__import__('os').posix_spawn('/bin/touch', ['touch', '{path}'], dict())",
        "__import__('socket').create_connection(('127.0.0.1', 9))",
    ],
)
def test_a_worker_starts_nothing_and_writes_nothing(pool: Pool, tmp_path: Path, attempt: str) -> None:
    path = tmp_path / "written"
    assert pool.map([["try", attempt.format(path=path)]]) == ["PermissionError"]
    assert not path.exists()


# deaths


def test_an_item_whose_worker_is_killed_gets_another_one(pool: Pool, tmp_path: Path) -> None:
    assert pool.map([["die once", str(tmp_path / "died")]]) == ["alive"]


def test_killing_workers_on_the_way_loses_nothing(pool: Pool) -> None:
    jobs = [["sleep", 0.02 + i / 10_000] for i in range(60)]
    before = {process for _, process in pool.map(jobs[:10])}
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(pool.map, jobs)
        for process in before:
            time.sleep(0.15)
            psutil.Process(process).kill()
        found = future.result()
    assert len(before) == 2
    assert values(found) == [seconds for _, seconds in jobs]
    assert {process for _, process in found} - before


def test_workers_killed_while_idle_are_replaced(pool: Pool) -> None:
    before = [process for _, process in pool.map([["sleep", 0.1], ["sleep", 0.1]])]
    for process in before:
        psutil.Process(process).kill()
    found = pool.map([["is", 1], ["is", 2]])
    assert values(found) == [1, 2]
    assert not {process for _, process in found} & set(before)


def test_a_closed_pool_leaves_nothing_behind_and_starts_again(pool: Pool) -> None:
    ((_, process),) = pool.map([["is", 1]])
    pool.close()
    assert not psutil.pid_exists(process)
    assert values(pool.map([["is", 2]])) == [2]


def gone(process: int) -> bool:
    for _ in range(100):
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True  # dead, and whoever should have noticed has not yet
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("end", ["pass", "__import__('os')._exit(1)", "__import__('os').kill(__import__('os').getpid(), 9)"])
def test_workers_end_with_their_parent(end: str) -> None:
    asked = "print(Pool('heist_jobs:maker').map([['is', 1]])[0][1], flush=True)"
    code = f"from heistbench.bench.scoring.sandbox import Pool; {asked}; {end}"
    ended = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert gone(int(ended.stdout))
    assert ended.stderr == ""


def test_a_busy_worker_ends_with_its_parent_too() -> None:
    code = """
from heistbench.bench.scoring.sandbox import Pool
pool = Pool("heist_jobs:impatient", 1)
print(pool.map([["is", 1]])[0][1], flush=True)
pool.map([["digits", 0]])
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.kill()
    assert gone(worker)


@pytest.mark.parametrize(
    ("factory", "why"),
    [
        ("heist_jobs:broken", "RuntimeError: no such luck"),
        ("heist_no_jobs:maker", "ModuleNotFoundError: No module named 'heist_no_jobs'"),
    ],
)
def test_a_function_that_cannot_be_made_is_an_error(factory: str, why: str) -> None:
    with pytest.raises(HeistError, match=f"^a worker for {factory} did not start: {why}$"):
        Pool(factory).map([1])


# where pools are used


def test_threads_share_the_workers(pool: Pool) -> None:
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda i: pool.map([["is", i], ["is", -i]]), range(30)))
    assert [values(pair) for pair in found] == [[i, -i] for i in range(30)]
    assert len({process for pair in found for _, process in pair}) <= 2


def test_processes_have_workers_of_their_own(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(jobs))
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        found = processes.map(import_module("heist_jobs").in_a_process, [3, 4])
        assert list(found) == [[0, 1, 2], [0, 1, 2, 3]]


def test_there_are_as_many_workers_as_cores() -> None:
    assert 1 <= bounded.cores() <= (os.cpu_count() or 1)
    assert Pool("heist_jobs:maker").workers == bounded.cores()
