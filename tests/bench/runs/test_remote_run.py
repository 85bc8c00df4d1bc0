"""Whole runs on a victim behind an API: the same loot and records as in process, within a budget, and nothing paid for twice."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Faults, Query, Said, Server

from heistbench.bench import DEEP_THINK, Message, Prompt
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.models import asking
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.loading import engine

KEY = "sk-planted-in-the-environment-0123456789"
VICTIM = {"name": "pocket-victim", "release": "1", "decoding": {"temperature": 0.0, "max_new_tokens": 112}}
SUITE: dict[str, Any] = {
    "attacks": ["answer_only", "trace_inversion", "rep(shots=2)", "tool_elicitation"],
    "controls": ["untrained", "true_trace"],
    "defenses": ["none"],
    "sizes": {"query": 12, "surrogate": 24, "test": 8},
}


def pocket_victim(asked: Query) -> Said:
    """The shipped victim as a server would run it, its thinking apart from the answer."""
    tool, think = DEEP_THINK if asked.tool else None, asked.body.get("reasoning_effort") != "none"
    prompt = Prompt(tuple(Message(turn["role"], turn["content"]) for turn in asked.body["messages"]), tool, think)
    sampling = Sampling(asked.body["temperature"], max_new_tokens=asked.body["max_tokens"])
    reply = engine(checkpoint("pocket/victim-1")).reply([prompt], sampling, [asked.before])[0]
    usage = (reply.usage.prompt, reply.usage.completion, reply.usage.reasoning)
    arguments = json.dumps(dict(reply.arguments)) if reply.arguments else ""
    return Said(reply.text, trace=reply.trace or "", form="reasoning", usage=usage, arguments=arguments)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("POCKET_API_KEY", KEY)
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.02)
    with Server(pocket_victim, Faults(0.1, ("429", "truncated", "empty"), retry_after=0.01)) as running:
        yield running


@pytest.fixture
def remote_suite(server: Server, suite_file: Callable[..., Path]) -> Callable[..., Path]:
    api = {"base_url": server.url, "shows": "trace", "prices": {"input": 1.0, "output": 10.0}}
    victim = {**VICTIM, "model": "inspect:openai-api/pocket/victim-1", "api": api}
    return lambda **changes: suite_file(**{**SUITE, "victims": [victim], **changes})


def records(out: Path) -> dict[str, Any]:
    """The records of a run by attack."""
    found = [json.loads(path.read_text()) for path in (out / "tiny" / "results").rglob("seed-*.json")]
    return {record["arm"]["attack"]["spec"]: record for record in found}


def test_a_victim_is_robbed_of_the_same_over_http(
    server: Server, remote_suite: Callable[..., Path], suite_file: Callable[..., Path], heist: Callable, tmp_path: Path
) -> None:
    local = suite_file("local.yaml", **{**SUITE, "victims": [{**VICTIM, "model": "pocket/victim-1"}]})
    assert heist("run", local, "--out", tmp_path / "local", "--executor", "here").code == 0
    suite = remote_suite()
    ended = heist("run", suite, "--out", tmp_path / "far", "--executor", "here", "--budget-queries", 56, "--budget-usd", 5)
    assert ended.code == 0, ended.err
    assert "pocket-victim-1: at most 56 queries, about " in ended.out
    here, there = records(tmp_path / "local"), records(tmp_path / "far")
    assert here.keys() == there.keys()
    for attack, record in there.items():
        for part in ("loot", "exam", "overlap", "exposure", "utility"):
            assert record[part] == here[attack][part], (attack, part)
        assert record["bill"]["queries"] == here[attack]["bill"]["queries"]
        assert (record["bill"]["dollars"] > 0) == (record["bill"]["queries"] > 0)
    assert there["tool_elicitation"]["loot"]["whole_traces"] == 1.0
    # Plain, once more for the ceiling, by demonstrations, by the tool; and an honest user's.
    assert sum(server.delivered.values()) >= 4 * 12 + 8

    asked = sum(server.requests.values())
    assert (
        heist("run", suite, "--out", tmp_path / "far", "--executor", "here", "--seeds", "0,1", "--attack", "answer_only").code
        == 0
    )
    assert sum(server.requests.values()) == asked  # another seed is another theft from the same replies
    kept = b"".join(path.read_bytes() for path in (tmp_path / "far").rglob("*") if path.is_file())
    assert b"victim-1" in kept
    assert KEY.encode() not in kept
    assert KEY not in ended.out + ended.err


def test_a_budget_that_is_too_small_sends_nothing(
    server: Server, remote_suite: Callable[..., Path], heist: Callable, tmp_path: Path
) -> None:
    for option, value in (("--budget-queries", 5), ("--budget-usd", 0.0001)):
        ended = heist("run", remote_suite(), "--out", tmp_path / "out", option, value)
        assert ended.code == 2
        assert f"{option} {value}: this run " in " ".join(ended.err.split())
    assert not server.requests
    assert not (tmp_path / "out").exists()


def test_a_missing_key_sends_nothing(
    server: Server, remote_suite: Callable[..., Path], heist: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POCKET_API_KEY")
    ended = heist("run", remote_suite(), "--out", tmp_path / "out")
    assert ended.code == 2
    assert "POCKET_API_KEY" in ended.err
    assert not server.requests
    assert "POCKET_API_KEY" not in os.environ


# a provider that is down


def test_a_victim_that_is_out_ends_a_run_soon_and_the_same_command_continues(
    remote_suite: Callable[..., Path], heist: Callable, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "LINE_EVERY", 0.1)
    server.faults = Faults()
    server.says = lambda asked: pocket_victim(asked) if server.delivered.total() < 7 else Said("down", status=503)
    command = ("run", remote_suite(attacks=["answer_only"]), "--out", tmp_path / "out", "--executor", "here")
    ended = heist(*command)
    assert ended.code == 3
    why = re.compile(
        r"failed: .*, in .*: victim pocket-victim-1: 5 queries in a row got no reply \(Error code: 503 - down\).*;"
        r" what was replied is kept, and the same command asks again"
    )
    failed = [line for line in ended.err.splitlines() if line.startswith("failed: ")]
    assert failed
    assert all(why.fullmatch(line) for line in failed)
    lines = [line for line in ended.err.splitlines() if not line.startswith(("done: ", "failed: "))]
    assert lines
    waits = re.compile(r"\w+ x none, seed 0: victim pocket-victim-1 \(waiting: no reply for .*\), \d+ of \d+ answered")
    assert all(waits.fullmatch(line) for line in lines), lines
    server.says = pocket_victim
    assert heist(*command).code == 0
    assert set(server.delivered.values()) <= {1, 2}  # a question is asked again for the ceiling
