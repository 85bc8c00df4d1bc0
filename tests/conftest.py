"""What all tests share: a quiet offline process with one thread, `heist` as a call, and one finished run to look at."""

from __future__ import annotations

import os
import sys

from heistbench.bench.models.process import one_thread

one_thread()
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TQDM_DISABLE="1", COLUMNS="200", NO_COLOR="1")

import json  # noqa: E402 - nothing may load torch before the lines above
import shutil  # noqa: E402
import subprocess  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import redirect_stderr, redirect_stdout  # noqa: E402
from io import StringIO  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402
from unittest import mock  # noqa: E402

import pytest  # noqa: E402
import yaml  # noqa: E402
from filelock import FileLock  # noqa: E402
from hypothesis import settings  # noqa: E402

from heistbench.bench.contracts.places import FOLDERS  # noqa: E402
from heistbench.bench.contracts.registry import registry  # noqa: E402
from heistbench.bench.models.checkpoints import forget  # noqa: E402
from heistbench.bench.suites.questions import _drawn  # noqa: E402

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("repeatable")

MAIN = "from heistbench.bench.cli import main; main()"
TINY: dict[str, Any] = {
    "name": "tiny",
    "tasks": ["pocket"],
    "victims": [{"model": "pocket/victim-1", "decoding": {"temperature": 0.7, "max_new_tokens": 112}}],
    "surrogate": {"model": "pocket/surrogate", "decoding": {"temperature": 1.0, "max_new_tokens": 64}},
    "inverter": {
        "model": "pocket/surrogate",
        "recipe": {"epochs": 1, "batch_size": 32, "learning_rate": 3e-3, "max_length": 256},
        "decoding": {"max_new_tokens": 64},
    },
    "students": [
        {
            "model": "pocket/base",
            "recipe": {"epochs": 1, "batch_size": 16, "learning_rate": 2e-3, "max_length": 256},
            "decoding": {"max_new_tokens": 64},
        }
    ],
    "attacks": ["answer_only", "summary_answer", "zero_shot_inversion", "trace_inversion", "rep(shots=2)"],
    "controls": ["untrained", "surrogate_trace", "gold_inversion", "wrong_trace", "true_trace"],
    "defenses": ["none", "redact_summary(level=all)", "noise_answers"],
    "seeds": [0],
    "signatures": ["words", "rep"],
    "sizes": {"query": 24, "surrogate": 40, "test": 16},
}
"""All attacks, controls and shipped defenses on real shipped models; about a second a cell."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class TinyRun(NamedTuple):
    """A finished run: its suite file, its `--out` folder, what it said."""

    suite: Path
    out: Path
    ended: Ended


def run_heist(*words: object) -> Ended:
    """`heist words...` in this process."""
    from heistbench.bench.cli import main

    out, err, code = StringIO(), StringIO(), 0
    forget()  # a process of its own would have resolved no model yet, and drawn no questions
    _drawn.cache_clear()
    with (
        mock.patch.object(sys, "argv", ["heist", *map(str, words)]),
        mock.patch.dict(os.environ),
        mock.patch.object(warnings, "formatwarning", warnings.formatwarning),
        warnings.catch_warnings(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        warnings.filterwarnings("ignore", message="Cyclopts application invoked without tokens")
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Ended(code, out.getvalue(), err.getvalue())


def write_tiny(path: Path, **changes: Any) -> Path:
    """The tiny suite as a file, with some fields changed."""
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    return path


@pytest.fixture
def test_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of real data sets that HEIST_TEST_DATA names, set as the data folder."""
    folder = Path(os.environ.get("HEIST_TEST_DATA", "nowhere"))
    if not folder.is_dir():
        pytest.skip("HEIST_TEST_DATA names no folder with the real data sets")
    monkeypatch.setenv("HEIST_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def heist() -> Callable[..., Ended]:
    """Runs the command line in this process."""
    return run_heist


@pytest.fixture
def heist_process() -> Callable[..., Ended]:
    """Runs the command line in a process of its own."""

    def run(*words: object, **environment: str) -> Ended:
        command = [sys.executable, "-c", MAIN, *map(str, words)]
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def suite_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny suite with some fields changed."""
    return lambda name="tiny.yaml", **changes: write_tiny(tmp_path / name, **changes)


@pytest.fixture
def own_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets after the test which plugins it registered."""
    for kind in FOLDERS:
        registry.all(kind)
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """The whole tiny matrix, run once whatever the number of test processes. To be read only; see `tiny_copy`."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared
    with FileLock(shared / "tiny.lock"):
        suite, said = write_tiny(shared / "tiny.yaml"), shared / "tiny.said.json"
        if not said.exists():
            said.write_text(json.dumps(run_heist("run", suite, "--out", shared / "tiny", "--executor", "here")))
        ended = Ended(*json.loads(said.read_text()))
    assert ended.code == 0, ended.err
    return TinyRun(suite, shared / "tiny", ended)


@pytest.fixture
def tiny_copy(tiny_run: TinyRun, tmp_path: Path) -> TinyRun:
    """A copy of the finished run to go on from, or to damage."""
    out = tmp_path / "copy"
    shutil.copytree(tiny_run.out, out)
    return tiny_run._replace(out=out)
