"""Worker processes: what they are told, and how a run ends whose worker or plugin does."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import HeistError
from heistbench.bench.runs import schedule
from heistbench.bench.runs.executors import EXECUTORS, open_executor
from heistbench.bench.runs.here import Here
from heistbench.bench.runs.processes import Processes
from heistbench.bench.runs.status import StatusFile
from heistbench.bench.runs.worker import Conditions, Done, Failed, Job, Note
from heistbench.bench.storage.shipped_models import SHIPPED
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite
from heistbench.bench.verbs.progress import Lines

SMALL = {"controls": ["untrained"], "defenses": ["none"], "sizes": {"query": 4, "surrogate": 8, "test": 4}, "inverter": None}
JOBS = """
import os, signal, sys, time
from heistbench.bench.runs import processes
from heistbench.bench.runs.worker import Done

def run_job(job, conditions, progress):
    progress("working", 1, 2)
    {what}
    return Done()

processes.run_job = run_job
"""
COUNTING = """
import os
from heistbench.bench import Defense, defense
from heistbench.bench.models import checkpoints

digest_folder = checkpoints.digest_folder

def counted(folder):
    with open({log!r}, "a") as log:
        log.write(f"{{os.getpid()}} {{folder}}\\n")
    return digest_folder(folder)

checkpoints.digest_folder = counted


@defense("counting", version="1-A", touches=())
class Counting(Defense):
    # what makes this file a part of the harness, which is imported
    def release(self, prompt, reply, rng):
        return reply.exposed()
"""


@pytest.fixture
def job(tiny_run: Any) -> Job:
    """Any job."""
    return Job(0, cells(load_suite(str(tiny_run.suite)))[0], 0, {})


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Callable[..., Processes]]:
    """Two workers whose jobs are these lines."""
    opened = list[Processes]()

    def start(what: str, memory: float | None = None, note: Note = lambda *_: None) -> Processes:
        (tmp_path / "jobs.py").write_text(JOBS.format(what=what))
        conditions = Conditions(tmp_path / "store", plugins=(tmp_path / "jobs.py",), memory=memory)
        opened.append(Processes(conditions, 2, note))
        return opened[-1]

    yield start
    for executor in opened:
        executor.close()


def test_a_worker_does_one_job_after_the_other_and_tells_of_its_progress(workers: Callable, job: Job) -> None:
    notes: list[tuple] = []
    executor = workers("pass", note=lambda *what: notes.append(what))
    assert [executor.submit(0, job).result() for _ in range(3)] == [Done()] * 3
    assert notes[0] == (0, "working", 1, 2)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("os._exit(0)", "its worker process ended with exit status 0"),
        ("os._exit(9)", "its worker process ended with exit status 9"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its worker process was killed by SIGKILL (out of memory, or by hand)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its worker process was killed by SIGSEGV"),
    ],
)
def test_a_worker_that_dies_fails_its_own_job_and_is_replaced(workers: Callable, job: Job, what: str, reason: str) -> None:
    executor = workers(f"if job.step == 1: {what}")
    dying, other = executor.submit(0, replace(job, step=1)), executor.submit(1, job)
    assert isinstance(dying.result(), Failed)
    assert dying.result().reason == reason
    assert Path(dying.result().log).is_file()
    assert other.result() == executor.submit(0, job).result() == Done()


def test_a_job_that_hangs_is_ended_for_a_reason(workers: Callable, job: Job) -> None:
    began = threading.Event()
    executor = workers("time.sleep(1000 * job.step)", note=lambda *_: began.set())
    hanging = executor.submit(0, replace(job, step=1))
    assert began.wait(60)
    executor.end(0, "it ran for too long")
    assert hanging.result(60).reason == "it ran for too long"
    executor.end(0, "nobody runs here")
    assert executor.submit(0, job).result() == Done()


def test_a_job_that_holds_too_much_memory_is_ended(workers: Callable, job: Job) -> None:
    executor = workers("hog = bytearray(2 * 2**30 * job.step); time.sleep(1000 * job.step)", memory=1.5)
    assert executor.submit(0, replace(job, step=1)).result(120).reason == "it held more than 1.5 GiB of memory"
    assert executor.submit(0, job).result() == Done()


def test_a_model_is_hashed_once_per_run_however_many_processes_use_it(
    tmp_path: Path, suite_file: Callable, heist_process: Callable
) -> None:
    log, plugin = tmp_path / "hashed.txt", tmp_path / "counting.py"
    plugin.write_text(COUNTING.format(log=str(log)))
    folders = {
        name: str(shutil.copytree(SHIPPED / "pocket" / name, tmp_path / name)) for name in ("base", "surrogate", "victim-1")
    }
    roles = {
        "victims": [{"model": folders["victim-1"], "decoding": {"max_new_tokens": 64}}],
        "surrogate": {"model": folders["surrogate"], "decoding": {"max_new_tokens": 16}},
        "students": [{"model": folders["base"], "decoding": {"max_new_tokens": 8}, "recipe": {"epochs": 1}}],
    }
    suite = suite_file(**{**SMALL, **roles, "attacks": ["answer_only"]})
    ended = heist_process("run", suite, "--plugin", plugin, "--out", tmp_path / "out", "--jobs", 2)
    assert ended.code == 0, ended.err
    assert {line.partition(": ")[0] for line in ended.err.splitlines()} == {"done"}, "nothing but progress"
    assert (tmp_path / "out" / "tiny" / "results").is_dir()
    processes, hashed = zip(*(line.split(" ", 1) for line in log.read_text().splitlines()), strict=True)
    assert sorted(hashed) == sorted(folders.values())
    assert len({*processes}) == 1


def test_jobs_carry_the_models_that_the_run_has_resolved(tiny_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = []

    class Watching(Here):
        def submit(self, slot: int, job: Any) -> Any:
            jobs.append(job)
            monkeypatch.setattr("heistbench.bench.runs.here.run_job", lambda *_: Failed("enough"))
            return super().submit(slot, job)

    planned = schedule.plan(cells(load_suite(str(tiny_run.suite)))[:1], Store(tmp_path))
    executor = Watching(Conditions(tmp_path), 1, lambda *_: None)
    watcher = Lines(planned, StatusFile(tmp_path, "x", 1))
    with pytest.raises(HeistError, match="enough"):
        schedule.run(planned, Store(tmp_path), executor, watcher, schedule.Limits(fail_fast=True))
    assert {"pocket/victim-1", "pocket/surrogate", "pocket/base"} <= jobs[0].models.keys()


@pytest.mark.parametrize(("name", "cls", "slots"), [("here", Here, 1), ("processes", Processes, 3)])
def test_executors_are_opened_by_name(tmp_path: Path, name: str, cls: type, slots: int) -> None:
    executor = open_executor(name, Conditions(tmp_path), slots, lambda *_: None)
    assert isinstance(executor, cls)
    assert len(executor.slots) == slots
    executor.close()
    assert name in EXECUTORS
