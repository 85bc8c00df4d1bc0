"""Providers that are down, slow or ask for patience: how often they are asked, how long for, and what is said meanwhile."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from servers import Query, Said, Server

from heistbench.bench import HeistError, Prompt
from heistbench.bench.contracts.nouns import Reply
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.models import asking, provider_engine
from heistbench.bench.models.breaker import LOST_IN_A_ROW, Breaker
from heistbench.bench.models.provider_engine import InspectEngine
from heistbench.bench.suites.settings import Api

MODEL = "openai-api/heist/victim"
Outcomes = dict[int, str]
"""How each query ended, in order of completion."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses, and the key of the provider `heist`, whose server this file is."""
    monkeypatch.setenv("HEIST_API_KEY", "sk-planted-4f9a77c1e0")
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.02)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that says 7."""
    with Server(lambda asked: Said("7")) as server:
        yield server


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The URL of a port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def ask(url: str, n: int, breaker: Breaker | None = None, waiting: asking.Waiting = asking.unwatched, **api: int) -> Outcomes:
    """Ask n questions, and expect replies to all."""
    outcomes: Outcomes = {}
    engine = InspectEngine(MODEL, Api(base_url=url, **api), breaker, waiting)
    engine.reply([Prompt.of(f"q{at}") for at in range(n)], Sampling(), None, lambda at, reply: outcomes.update({at: reply.stop}))
    return outcomes


def ask_in_vain(url: str, n: int, breaker: Breaker | None = None, **api: int) -> tuple[str, Outcomes]:
    """Ask n questions, and expect that it is given up: why, and what had an outcome by then."""
    outcomes: Outcomes = {}

    def arrived(at: int, reply: Reply) -> None:
        assert at not in outcomes
        outcomes[at] = reply.stop

    engine = InspectEngine(MODEL, Api(base_url=url, **api), breaker)
    with pytest.raises(HeistError) as caught:
        engine.reply([Prompt.of(f"q{at}") for at in range(n)], Sampling(), None, arrived)
    assert "\n" not in str(caught.value)
    return str(caught.value), outcomes


# who is down


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_provider_that_is_down_is_asked_some_queries_and_no_more(server: Server, status: int) -> None:
    server.says = lambda asked: Said("no luck", status=status)
    why, outcomes = ask_in_vain(server.url, 100, retries=2)
    assert f"victim {MODEL}: {LOST_IN_A_ROW} queries in a row got no reply (Error code: {status} - no luck)" in why
    assert server.most_at_once <= LOST_IN_A_ROW
    assert max(server.requests.values()) == 3  # nobody retries the retries
    # Each of those that were lost before the last made room for one more.
    assert LOST_IN_A_ROW <= len(server.requests) <= len(outcomes) < 2 * LOST_IN_A_ROW
    assert set(outcomes.values()) == {"error"}
    assert outcomes.keys() >= {int(prompt[1:]) for prompt in server.requests}  # whatever was sent has an outcome


@pytest.mark.parametrize("host", ["", "no-such-host.invalid"])
def test_who_cannot_be_reached_is_given_up_after_one_query(nowhere: str, host: str) -> None:
    why, outcomes = ask_in_vain(f"http://{host}/v1" if host else nowhere, 100, retries=1)
    assert "1 query got no reply (cannot connect: [Errno " in why
    assert outcomes[0] == "error"
    assert len(outcomes) <= LOST_IN_A_ROW


@pytest.mark.parametrize(("alive", "attempts"), [(False, 2), (True, 4)])
def test_where_nobody_has_replied_yet_an_address_may_be_wrong(
    nowhere: str, monkeypatch: pytest.MonkeyPatch, alive: bool, attempts: int
) -> None:
    sent: list[None] = []

    async def refused(*_: object) -> Reply:
        sent.append(None)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(InspectEngine, "_send", refused)
    monkeypatch.setattr(asking, "UNREACHED", 2)
    breaker = Breaker("v")
    breaker.alive = alive
    ask_in_vain(nowhere, 1, breaker, retries=3)
    assert len(sent) == attempts


def test_an_address_where_nothing_answers_the_knock_is_no_long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_engine, "CONNECT", 0.2)
    monkeypatch.setenv("INSPECT_HTTP_CONNECT_TIMEOUT", "0.2")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        callers = [socket.socket() for _ in range(3)]  # who fill the queue of a listener that never accepts
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        why, _ = ask_in_vain(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", 20, retries=1)
        for caller in callers:
            caller.close()
    assert "1 query got no reply (cannot connect" in why


def test_who_dies_in_between_is_noticed_and_what_was_replied_arrives(server: Server) -> None:
    server.says = lambda asked: Said("7") if server.delivered.total() < 30 else Said("gone", status=502)
    why, outcomes = ask_in_vain(server.url, 500, retries=1, connections=10)
    assert "5 queries in a row got no reply (Error code: 502 - gone)" in why
    assert [*outcomes.values()].count("stop") == server.delivered.total() >= 30
    assert outcomes.keys() >= {int(prompt[1:]) for prompt in server.requests}
    assert len(outcomes) < 70


def test_who_is_silent_is_given_up_after_some_attempts(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SILENCES", 1)
    server.says = lambda asked: Said("7", delay=60)
    why, _ = ask_in_vain(server.url, 100, timeout=1)
    assert "5 queries in a row got no reply (no answer within 1 s)" in why
    assert set(server.requests.values()) == {1}
    assert len(server.requests) < 2 * LOST_IN_A_ROW


def test_one_silent_query_among_others_is_lost_alone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SILENCES", 2)
    server.says = lambda asked: Said("7", delay=60 if asked.prompt == "q3" else 0)
    outcomes = ask(server.url, 8, timeout=1)
    assert [at for at, stop in outcomes.items() if stop == "error"] == [3]
    assert server.requests["q3"] == 2


def test_odd_queries_do_not_stop_the_others(server: Server) -> None:
    odd = {f"q{at}" for at in (0, 1, 2, 3, 10, 11, 12, 13)}
    server.says = lambda asked: Said("too odd", status=500) if asked.prompt in odd else Said("7")
    outcomes = ask(server.url, 20, retries=1, connections=1)
    assert {f"q{at}" for at, stop in outcomes.items() if stop == "error"} == odd


def test_until_there_is_a_reply_few_are_under_way(server: Server) -> None:
    early: set[str] = set()

    def says(asked: Query) -> Said:
        if not server.delivered:
            early.add(asked.prompt)
        return Said("7", delay=0.1) if asked.prompt != "q0" or asked.before else Said("not yet", status=503)

    server.says = says
    assert set(ask(server.url, 60, connections=40).values()) == {"stop"}
    assert len(early) == LOST_IN_A_ROW < server.most_at_once <= 40


def test_after_an_outage_one_query_is_sent_to_see(server: Server) -> None:
    breaker = Breaker("v")
    server.says = lambda asked: Said("down", status=500)
    ask_in_vain(server.url, 50, breaker, retries=1)
    so_far = server.requests.total()
    outcomes = ask_in_vain(server.url, 50, breaker, retries=1)[1]
    assert (server.requests.total() - so_far, outcomes) == (2, {0: "error"})
    server.says = lambda asked: Said("7")
    assert set(ask(server.url, 50, breaker).values()) == {"stop"}


def test_what_ends_a_batch_hands_over_what_was_sent(server: Server) -> None:
    server.says = lambda asked: Said("7", delay=0 if asked.prompt in ("q0", "q1") else 60)
    outcomes: Outcomes = {}

    def arrived(at: int, reply: Reply) -> None:
        outcomes[at] = reply.stop
        if at == 1:
            raise KeyboardInterrupt

    engine = InspectEngine(MODEL, Api(base_url=server.url, connections=4))
    with pytest.raises(KeyboardInterrupt):
        engine.reply([Prompt.of(f"q{at}") for at in range(50)], Sampling(), None, arrived)
    assert outcomes.pop(0) == outcomes.pop(1) == "stop"
    assert set(outcomes.values()) == {"error"}
    assert outcomes.keys() >= {int(prompt[1:]) for prompt in server.requests} - {0, 1}


# who asks for patience


def patient(server: Server, header: Callable[[], str], status: int = 429) -> list[float]:
    """Make a server ask to wait before the first retry of each query; returns when its requests come."""
    times: list[float] = []

    def says(asked: Query) -> Said:
        times.append(time.time())
        return Said("7") if asked.before else Said("not now", status=status, headers={"retry-after": header()})

    server.says = says
    return times


@pytest.mark.parametrize("status", [429, 503])
def test_no_retry_comes_sooner_than_is_asked_for_in_seconds(server: Server, status: int) -> None:
    times = patient(server, lambda: "0.6", status)
    assert ask(server.url, 1) == {0: "stop"}
    assert len(times) == 2
    assert times[1] - times[0] >= 0.6


def test_no_retry_comes_sooner_than_is_asked_for_by_date(server: Server) -> None:
    until: list[datetime] = []

    def header() -> str:
        until.append(datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2))
        return format_datetime(until[-1], usegmt=True)

    times = patient(server, header)
    assert ask(server.url, 1) == {0: "stop"}
    assert times[1] >= until[0].timestamp()


def test_pauses_without_a_wish_grow(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LONGEST_WAIT", 0.08)
    times: list[float] = []

    def says(asked: Query) -> Said:
        times.append(time.monotonic())
        return Said("7") if asked.before == 4 else Said("not now", status=429)

    server.says = says
    ask(server.url, 1)
    pauses = [after - before for before, after in pairwise(times)]
    assert all(pause >= least for pause, least in zip(pauses, (0.02, 0.04, 0.08, 0.08), strict=True))


@pytest.mark.parametrize("wish", ["601", "1e400"])
def test_a_wait_that_is_too_long_ends_it(server: Server, wish: str) -> None:
    patient(server, lambda: wish)
    why, _ = ask_in_vain(server.url, 20)
    assert "1 query got no reply (Error code: 429 - not now; the provider asks to wait" in why
    assert "and a query waits 600 s in all); what was replied is kept" in why
    assert server.requests.total() == 1


def test_waits_that_sum_up_to_too_much_end_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_WAITING", 0.5)
    server.says = lambda asked: Said("not now", status=429, headers={"retry-after": "0.2"})
    why, _ = ask_in_vain(server.url, 1)
    assert "asks to wait" in why
    assert server.requests["q0"] == 3


# what is said meanwhile


def test_a_long_pause_is_told_when_it_begins(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LONG_PAUSE", 0.3)
    patient(server, lambda: "0.4")
    lines: list[tuple[str, int, int]] = []
    ask(server.url, 3, None, lambda *line: lines.append(line))
    assert lines == [("no reply for 0 s, last trouble: Error code: 429 - not now, next try in 0 s", 0, 3)]  # one a minute


def test_silence_is_told_of_again_and_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LINE_EVERY", 0.1)
    server.says = lambda asked: Said("7", delay=0.6 if asked.prompt == "q1" else 0)
    lines: list[tuple[str, int, int]] = []
    ask(server.url, 2, None, lambda *line: lines.append(line))
    assert len(lines) >= 2
    assert {line[1:] for line in lines[1:]} == {(1, 2)}
    assert all(why.startswith("no reply for ") for why, _, _ in lines)


def test_lines_count_what_was_lost(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LINE_EVERY", 0.1)
    server.says = lambda asked: Said("7", delay=0.5) if asked.prompt == "q2" else Said("broken\x1b[31m", status=500)
    lines: list[str] = []
    ask(server.url, 3, None, lambda why, answered, total: lines.append(why), retries=1)
    assert lines[-1].startswith("no reply for ")
    assert "2 in a row without one, last trouble: Error code: 500 - broken\\x1b[31m" in lines[-1]


def test_who_answers_is_not_talked_about(server: Server) -> None:
    lines: list[tuple[str, int, int]] = []
    ask(server.url, 30, None, lambda *line: lines.append(line))
    assert not lines
