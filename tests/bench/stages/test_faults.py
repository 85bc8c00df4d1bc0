"""A provider that fails: one outcome a query, no outage passes for an answer, nothing is paid for twice, no key gets out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from servers import KINDS, Faults, Query, Said, Server
from servers.asker import ask

from heistbench.bench import HeistError, Prompt
from heistbench.bench.contracts.nouns import Reply
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.models.provider_engine import InspectEngine
from heistbench.bench.suites.settings import Api

TESTS = Path(__file__).parents[2]
KEY = "sk-planted-4f9a77c1e0"
PASSING = ("429", "500", "cut", "truncated")
"""Faults that a client notices at once."""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the provider `heist`, whose server this file is."""
    monkeypatch.setenv("HEIST_API_KEY", KEY)


def says(asked: Query) -> Said:
    """The prompt backwards, after thinking about it."""
    return Said(asked.prompt[::-1], trace=f"turn {asked.prompt}", form="reasoning")


def outcomes(server: Server, n: int, api: Api) -> tuple[list[Reply], Counter[int]]:
    """Replies to n questions, and how often each of them arrived."""
    heard: Counter[int] = Counter()
    prompts = [Prompt.of(f"question {at}") for at in range(n)]
    replies = InspectEngine("openai-api/heist/victim", api).reply(prompts, Sampling(), None, lambda at, _: heard.update([at]))
    return replies, heard


def is_true_answer(at: int, reply: Reply) -> bool:
    return (reply.text, reply.trace) == (f"question {at}"[::-1], f"turn question {at}")


def test_a_thousand_questions_at_a_fifth_of_faults_have_one_outcome_each() -> None:
    with Server(says, Faults(0.2, hang=4)) as server:
        replies, heard = outcomes(server, 1000, Api(base_url=server.url, connections=100, timeout=2))
    assert heard == Counter(range(1000))
    assert set(KINDS) <= server.met.keys()
    assert {reply.stop for reply in replies} == {"stop", "refused"}  # none lost: six retries outlast such faults
    assert all(is_true_answer(at, reply) == (reply.stop == "stop") for at, reply in enumerate(replies))
    assert sum(reply.stop == "refused" for reply in replies) <= server.met["refusal"]


def test_no_outage_passes_for_an_answer() -> None:
    with Server(says, Faults(0.6, ("truncated", "empty"))) as server:
        replies, heard = outcomes(server, 200, Api(base_url=server.url, connections=50, retries=1))
    assert heard == Counter(range(200))
    lost = {at for at, reply in enumerate(replies) if reply.stop == "error"}
    assert lost == {at for at in range(200) if all(server.faults.draw(f"question {at}", before) for before in (0, 1))}
    assert lost
    assert all((reply.text, reply.trace) == ("", None) for at, reply in enumerate(replies) if at in lost)
    assert all(is_true_answer(at, reply) for at, reply in enumerate(replies) if at not in lost)


def start(url: str, folder: Path, n: int, connections: int) -> subprocess.Popen[str]:
    """Ask in a process of its own, whose every file lies in `folder`."""
    places = ("HOME", "TMPDIR", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    environment = {**os.environ, **dict.fromkeys(places, str(folder)), "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "servers.asker", url, str(folder), str(n), str(connections)]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def written(folder: Path) -> bytes:
    """Everything that lies in a folder."""
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_nothing_is_lost_or_paid_for_twice_when_the_process_is_killed(tmp_path: Path) -> None:
    n, connections = 300, 20
    with Server(lambda asked: replace(says(asked), delay=0.05), Faults(0.2, PASSING)) as server:
        first = start(server.url, tmp_path, n, connections)
        while server.delivered.total() < n // 3:
            assert first.poll() is None, first.communicate()[0]
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
        before = server.delivered.total()
        assert before < n
        second = start(server.url, tmp_path, n, connections)
        assert second.communicate(timeout=60)[0] == f"{n}\n"
        sent = server.requests.total()
        replies = ask(server.url, tmp_path, n, connections)  # all from the ledger
    assert server.requests.total() == sent
    assert [reply.text for reply in replies] == [f"question {at}"[::-1] for at in range(n)]
    again = Counter(server.delivered.values())
    assert set(again) <= {1, 2}
    assert again[2] <= connections  # what was on its way when the process died


def flip(folder: Path) -> None:
    """One bit of one reply, in the middle of the file."""
    base = next(folder.glob("victims/*/replies.sqlite"))
    content = bytearray(base.read_bytes())
    content[content.rindex(b"question 150") + 9] ^= 1
    base.write_bytes(content)


def truncate(folder: Path) -> None:
    """All pages but the first ones."""
    base = next(folder.glob("victims/*/replies.sqlite"))
    base.write_bytes(base.read_bytes()[: 4096 * 4])


def delete(folder: Path) -> None:
    """The whole table."""
    next(folder.glob("victims/*/replies.sqlite")).unlink()


@pytest.mark.parametrize("damage", [flip, truncate, delete])
def test_damaged_replies_are_not_paid_for_again_until_a_person_says_so(
    tmp_path: Path, heist: Callable, damage: Callable[[Path], None]
) -> None:
    n, folder = 300, tmp_path / "store"
    with Server(says) as server:
        first = ask(server.url, folder, n, 20)
        damage(folder)
        for _ in range(2):
            with pytest.raises(HeistError, match=r"replies are damaged or missing, .* `heist store verify --out \S+ --repair`"):
                ask(server.url, folder, n, 20)
        assert server.requests.total() == n
        assert heist("store", "verify", "--out", tmp_path, "--repair").code == 0
        assert ask(server.url, folder, n, 20) == first
        lost = server.requests.total() - n
    assert (lost == 1) if damage is flip else (1 < lost <= n)


@pytest.mark.parametrize("status", [200, 401])
def test_a_key_is_in_nothing_that_is_written_or_printed(tmp_path: Path, status: int) -> None:
    def leaky(asked: Query) -> Said:
        said = f"you sent {asked.headers['authorization']}"
        return Said(said, trace=said, form="reasoning", status=status if asked.before else 500)

    with Server(leaky) as server:
        process = start(server.url, tmp_path, 30, 5)
        printed = process.communicate(timeout=60)[0]
    assert any(KEY in asked.headers["authorization"] for asked in server.asked)
    everything = written(tmp_path) + printed.encode()
    assert KEY.encode() not in everything
    assert b"you sent Bearer [key]" in everything
    assert process.returncode == (0 if status == 200 else 1)
