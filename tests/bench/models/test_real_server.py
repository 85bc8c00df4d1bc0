"""The pocket victim behind a real server, `transformers serve`: over HTTP it replies as it does in this process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from heistbench.bench import Prompt, tool_prompt
from heistbench.bench.contracts.nouns import Reply
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.loading import engine
from heistbench.bench.models.provider_engine import InspectEngine
from heistbench.bench.storage.shipped_models import SHIPPED
from heistbench.bench.suites.settings import Api

N = 30
FOLDER = SHIPPED / "pocket" / "victim-1"
QUESTIONS = [problem.question.text for problem in registry.build("task", "pocket").problems("query", N)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, ConnectionError):
            time.sleep(0.1)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The base URL of the served victim."""
    port = free_port()
    (tmp_path / "hub").mkdir()  # without it the server looks for its models in a cache that is not there
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(FOLDER), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--device", "cpu", "--dtype", "float32"]
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, tmp_path / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def essence(replies: list[Reply]) -> list[object]:
    return [(reply.trace, reply.text, reply.stop, reply.arguments, reply.usage.prompt) for reply in replies]


def test_the_served_victim_replies_as_it_does_in_process(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKET_API_KEY", "any key will do here")
    # The server wants the folder for a name.
    served = InspectEngine(f"openai-api/pocket/{FOLDER}", Api(base_url=url, connections=8, shows="trace"))
    local = engine(checkpoint("pocket/victim-1"))
    plain = [Prompt.of(text) for text in QUESTIONS]
    offered = [tool_prompt(text) for text in QUESTIONS]
    whole, cut = Sampling(max_new_tokens=112), Sampling(max_new_tokens=12)
    for prompts, sampling in ((plain, whole), (plain, cut), (offered, whole)):
        far, near = served.reply(prompts, sampling), local.reply(prompts, sampling)
        assert essence(far) == essence(near)
        assert all(reply.arguments if prompts is offered else reply.trace for reply in near)
        # The server counts the end of the text as a token of the completion.
        ended = [reply.stop == "stop" for reply in near]
        assert [f.usage.completion - n.usage.completion for f, n in zip(far, near, strict=True)] == ended
        assert any(ended) == (sampling is whole)
