"""vLLM itself: how it behaves in our processes, and its server robbed over HTTP. `make vllm` runs all of it, on a CPU."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import HeistError, Prompt, render_reply
from heistbench.bench.contracts.recipes import Recipe, Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.checkpoints import Checkpoint, checkpoint
from heistbench.bench.models.fine_tuning import TrainingRow, fine_tune
from heistbench.bench.models.provider_engine import InspectEngine
from heistbench.bench.models.transformers_engine import TransformersEngine
from heistbench.bench.models.vllm_engine import VllmEngine, _loaded, _rank
from heistbench.bench.suites.settings import Api

GREEDY = Sampling(max_new_tokens=112)
real = pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed; `make vllm` runs this")
Widen = Callable[[str], str]


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return [Prompt.of(problem.question.text) for problem in registry.build("task", "pocket").problems("dev", 50)]


def test_without_vllm_there_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(HeistError, match=r"^engine vllm: .*pip install 'heistbench\[vllm\]'.*`make vllm`") as error:
        VllmEngine(checkpoint("pocket/victim-1"))
    assert "\n" not in str(error.value)


# the engine in a process


@real
def test_a_process_holds_one_model(widen: Widen, prompts: list[Prompt]) -> None:
    names = ["pocket/victim-1", "pocket/surrogate"] * 2
    for name in names:
        engine = VllmEngine(checkpoint(widen(name)))
        assert engine.reply(prompts, GREEDY) == TransformersEngine(checkpoint(name)).reply(prompts, GREEDY)
        assert len(_loaded) == 1
    VllmEngine.unload()
    assert not _loaded


@real
def test_students_with_adapters_share_one_start(widen: Widen, prompts: list[Prompt], tmp_path: Path) -> None:
    base, task = checkpoint(widen("pocket/base")), registry.build("task", "pocket")
    problems = task.problems("surrogate", 64)
    rows = [TrainingRow(Prompt.of(p.question.text), render_reply(p.trace, p.gold)) for p in problems]
    VllmEngine(base).reply(prompts, GREEDY)
    loaded, replies = [], []
    for rank in (3, 8):
        recipe = Recipe(epochs=8, learning_rate=3e-3, lora_rank=rank)
        fine_tune(base, rows, recipe, 0, tmp_path / f"{rank}")
        student = base.tuned(f"student {rank}", tmp_path / f"{rank}")
        replies.append(VllmEngine(student).reply(prompts, GREEDY))
        assert replies[-1] == TransformersEngine(student).reply(prompts, GREEDY)
        loaded.append(next(iter(_loaded.values())))
    assert replies[0] != replies[1]
    assert loaded[0] is loaded[1]
    assert VllmEngine(base).reply(prompts, GREEDY) == TransformersEngine(base).reply(prompts, GREEDY)
    assert next(iter(_loaded.values())) is loaded[0]
    VllmEngine.unload()


def test_an_adapter_of_too_high_a_rank_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 600}')
    with pytest.raises(HeistError, match="a lora_rank of 600; expected at most 512"):
        _rank(Checkpoint("student", "base", adapter=tmp_path))
    for rank, kernels in ((1, 8), (8, 8), (9, 16), (512, 512)):
        (tmp_path / "adapter_config.json").write_text(json.dumps({"r": rank}))
        assert _rank(Checkpoint("student", "base", adapter=tmp_path)) == kernels
    assert _rank(Checkpoint("student", "base")) == 0


@real
def test_what_vllm_cannot_do_is_said_before_it_is_asked(widen: Widen) -> None:
    engine = VllmEngine(checkpoint(widen("pocket/victim-1")))
    with pytest.raises(HeistError, match=r"^engine vllm: temperature .* 3"):
        engine.reply([Prompt.of("start 3")], Sampling(temperature=3.0))


@real
def test_a_prompt_that_fills_the_context_has_no_reply_and_the_others_have_theirs(widen: Widen) -> None:
    engine = VllmEngine(checkpoint(widen("pocket/victim-1")))
    long, short = engine.reply([Prompt.of("start 3 " * 600), Prompt.of("start 3 ; s1 star 4")], GREEDY)
    assert (long.stop, long.text, long.trace) == ("length", "", None)
    assert (short.stop, bool(short.trace)) == ("stop", True)


@real
def test_a_full_context_ends_a_reply(widen: Widen) -> None:
    (completion,) = VllmEngine(checkpoint(widen("pocket/victim-1"))).complete(["3 " * 1000], GREEDY, [0])
    assert (completion.stop, completion.prompt_tokens, completion.tokens) == ("length", 1000, 24)


# a whole run


@real
def test_a_run_has_the_results_of_transformers_and_is_quiet(
    widen: Widen, suite_file: Callable[..., Path], heist_process: Callable[..., Any], tmp_path: Path
) -> None:
    """Theft, inverter, student and examination, all at temperature 0; vLLM in worker processes."""
    results = {}
    for name, engine, jobs in [("one", "transformers", 1), ("two", "vllm", 2)]:
        suite = suite_file(f"{name}.yaml", engine=engine, defenses=["none"], **greedy_models(widen))
        ended = heist_process("run", suite, "--out", tmp_path / name, "--jobs", jobs)
        assert ended.code == 0, ended.err
        assert all(line.startswith("done: ") for line in ended.err.splitlines())
        assert "vllm" not in ended.out.lower()
        results[name] = [findings(path) for path in sorted((tmp_path / name / "tiny" / "results").rglob("seed-*.json"))]
    assert len(results["one"]) == 4
    assert results["one"] == results["two"]


def greedy_models(widen: Widen) -> dict[str, Any]:
    victim, surrogate, base = map(widen, ("pocket/victim-1", "pocket/surrogate", "pocket/base"))
    recipe = {"epochs": 1, "batch_size": 32, "learning_rate": 3e-3, "max_length": 256}
    decoding = {"max_new_tokens": 64}
    return {
        "victims": [{"model": victim, "name": "oracle", "decoding": {"max_new_tokens": 112}}],
        "surrogate": {"model": surrogate, "decoding": {**decoding, "temperature": 0.0}},
        "inverter": {"model": surrogate, "recipe": recipe, "decoding": decoding},
        "students": [{"model": base, "recipe": recipe, "decoding": decoding}],
        "attacks": ["answer_only", "trace_inversion"],
        "controls": ["untrained", "true_trace"],
    }


def findings(path: Path) -> dict[str, Any]:
    """A record without what names engine, commit, machine and time."""
    record = json.loads(path.read_text())
    return {key: value for key, value in record.items() if key not in ("arm", "provenance", "volatile")}


# its server


@contextmanager
def served(model: str, log: Path, *options: str) -> Iterator[str]:
    """vLLM's OpenAI-compatible server as a process; the URL to ask."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--served-model-name", "victim-1"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager", *options]
    quiet = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("w") as said, subprocess.Popen(command, env={**os.environ, **quiet}, stdout=said, stderr=said) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    patience = time.monotonic() + 300
    while server.poll() is None and time.monotonic() < patience:
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"no server: it ended with {server.poll()}")


@real
@pytest.mark.parametrize("options", [(), ("--reasoning-parser", "deepseek_r1")], ids=["tags", "reasoning"])
def test_the_server_is_robbed_of_what_the_engine_in_process_says(
    options: tuple[str, ...], widen: Widen, prompts: list[Prompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCKET_API_KEY", "sk-of-a-test")
    expected = TransformersEngine(checkpoint("pocket/victim-1")).reply(prompts, GREEDY)
    with served(widen("pocket/victim-1"), tmp_path / "server.log", *options) as url:
        replies = InspectEngine("openai-api/pocket/victim-1", Api(base_url=url, shows="trace")).reply(prompts, GREEDY)
    assert [(r.trace, r.text, r.stop, r.usage.prompt) for r in replies] == [
        (e.trace, e.text, e.stop, e.usage.prompt) for e in expected
    ]
    # The server bills the end token, too.
    assert [r.usage.completion for r in replies] == [e.usage.completion + 1 for e in expected]
