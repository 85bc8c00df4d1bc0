"""What is shown of a run on anything but a terminal."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from heistbench.bench.runs.schedule import Plan
from heistbench.bench.runs.status import StatusFile
from heistbench.bench.stages.stage import waiting
from heistbench.bench.verbs.progress import watching

CELL = SimpleNamespace(attack="rep", defense="none", seed=0)
IN_A_JOB = """
import sys
from pathlib import Path
from types import SimpleNamespace
from rich.console import Console
from heistbench.bench.models.process import stderr_to
from heistbench.bench.runs.schedule import Plan
from heistbench.bench.runs.status import StatusFile
from heistbench.bench.verbs.progress import watching

planned = Plan([SimpleNamespace(attack="rep", defense="none", seed=0)], [0])
status = StatusFile(Path(sys.argv[1]).parent, "x", 1)
with watching(Console(), planned, status) as watcher, open(sys.argv[1], "w") as log, stderr_to(log.fileno()):
    print("chatter", file=sys.stderr, flush=True)
    watcher.noted(0, "victim v-1 (waiting: no reply for 60 s)", 3, 20)
"""


def test_waiting_is_a_line_and_other_progress_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with watching(Console(), Plan([CELL], [0]), StatusFile(tmp_path, "x", 1)) as watcher:  # type: ignore[list-item]

        def progress(what: str, done: int, total: int) -> None:
            watcher.noted(0, what, done, total)

        progress("victim", 2, 20)
        waiting(progress, "victim v-1")("last trouble: Error code: 429, next try in 40 s", 3, 20)
        watcher.finished(0)
    assert capsys.readouterr().err == (
        "rep x none, seed 0: victim v-1 (waiting: last trouble: Error code: 429, next try in 40 s), 3 of 20 answered\n"
        "done: rep x none, seed 0\n"
    )


def test_a_job_in_this_process_has_its_lines_shown_and_its_chatter_not(tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", IN_A_JOB, str(log)], capture_output=True, text=True, check=True)
    assert done.stderr == "rep x none, seed 0: victim v-1 (waiting: no reply for 60 s), 3 of 20 answered\n"
    assert log.read_text() == "chatter\n"


def test_on_a_terminal_the_bar_says_what_is_waited_for(tmp_path: Path) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=150)
    with watching(console, Plan([CELL], [0]), StatusFile(tmp_path, "x", 1)) as watcher:  # type: ignore[list-item]
        watcher.noted(0, "victim v-1 (waiting: no reply for 60 s)", 3, 20)
    assert isinstance(console.file, StringIO)
    assert "rep x none, seed 0: victim v-1 (waiting: no reply for 60 s)" in console.file.getvalue()
