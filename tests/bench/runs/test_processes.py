"""Worker processes: what they are told, and how a run ends whose worker or plugin does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench.runs import schedule
from heistbench.bench.runs.executors import EXECUTORS, Conditions, open_executor
from heistbench.bench.runs.here import Here
from heistbench.bench.runs.processes import Processes
from heistbench.bench.storage.shipped_models import SHIPPED
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite

SMALL = {"controls": ["untrained"], "defenses": ["none"], "sizes": {"query": 4, "surrogate": 8, "test": 4}, "inverter": None}
ENDING = '''
import os, sys
from heistbench.bench import Attack, attack

@attack("ending", version="1-A")
class Ending(Attack):
    """Ends the process that it runs in."""

    def steal(self, target, questions, kit):
        {how}
'''
KILL = "if questions[0].text.startswith('start'): os.kill(os.getpid(), 9)  # not in the estimate, which makes questions up"
COUNTING = """
import os
from heistbench.bench.models import checkpoints

digest_folder = checkpoints.digest_folder

def counted(folder):
    with open({log!r}, "a") as log:
        log.write(f"{{os.getpid()}} {{folder}}\\n")
    return digest_folder(folder)

checkpoints.digest_folder = counted
"""


def one_line(err: str) -> str:
    """The only line that is no line of progress."""
    lines = [line for line in err.splitlines() if not line.startswith("done: ")]
    assert len(lines) == 1, err
    return lines[0]


def test_the_cell_is_named_whose_worker_died(tmp_path: Path, suite_file: Callable, heist_process: Callable) -> None:
    plugin = tmp_path / "ending.py"
    plugin.write_text(ENDING.format(how=KILL))
    suite = suite_file(**{**SMALL, "attacks": ["answer_only", "ending"]})
    ended = heist_process("run", suite, "--plugin", plugin, "--out", tmp_path / "out", "--jobs", 2)
    assert ended.code == 2, ended.err
    assert one_line(ended.err).startswith("heist: error: cell ending x none, seed 0: its worker process died")
    assert not (tmp_path / "out" / "tiny").exists()


@pytest.mark.usefixtures("own_plugins")
@pytest.mark.parametrize("how", ["sys.exit(0)", "sys.exit('enough')", "raise SystemExit"])
def test_a_plugin_that_exits_fails_its_cell(tmp_path: Path, suite_file: Callable, heist: Callable, how: str) -> None:
    plugin = tmp_path / "ending.py"
    plugin.write_text(ENDING.format(how=how))
    suite = suite_file(**{**SMALL, "attacks": ["ending"], "controls": []})
    ended = heist("run", suite, "--plugin", plugin, "--out", tmp_path / "out", "--jobs", 1)
    assert ended.code == 2
    assert one_line(ended.err).startswith("heist: error: cell ending x none, seed 0: ")
    log = next((tmp_path / "out" / "store" / "log").glob("worker-*.log"))
    assert str(log) in ended.err
    assert "SystemExit" in log.read_text()
    assert not (tmp_path / "out" / "tiny").exists()


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
            monkeypatch.setattr("heistbench.bench.runs.here.run_job", lambda *_: schedule.Failed("enough"))
            return super().submit(slot, job)

    store = Store(tmp_path)
    planned = schedule.plan(cells(load_suite(str(tiny_run.suite)))[:1], store)
    with pytest.raises(schedule.HeistError, match="enough"):
        schedule.run(planned, store, Watching(Conditions(tmp_path), 1, lambda *_: None), lambda at: None)
    assert {"pocket/victim-1", "pocket/surrogate", "pocket/base"} <= jobs[0].models.keys()


@pytest.mark.parametrize(("name", "cls", "slots"), [("here", Here, 1), ("processes", Processes, 3)])
def test_executors_are_opened_by_name(tmp_path: Path, name: str, cls: type, slots: int) -> None:
    executor = open_executor(name, Conditions(tmp_path), slots, lambda *_: None)
    assert isinstance(executor, cls)
    assert len(executor.slots) == slots
    executor.close()
    assert name in EXECUTORS
