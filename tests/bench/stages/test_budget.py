"""What asking a provider may cost: budgets hold whatever the replies are."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heistbench.bench import DEEP_THINK, HeistError, Message, Prompt, Reply, Usage, tool_prompt
from heistbench.bench.stages.budget import AROUND, NO_LIMIT, PART, Budget, dearest, parts, price
from heistbench.bench.storage.ledger import Ledger, spent_on_all
from heistbench.bench.storage.owner import Accounts, Query
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.settings import Prices, Victim

REMOTE = {"model": "m", "api": {"base_url": ""}}
LOCAL = {"model": "m", "api": None}


def victim(price_in: float = 1.0, price_out: float = 10.0, tokens: int = 1000, prices: bool = True) -> Victim:
    api = {"prices": {"input": price_in, "output": price_out}} if prices else {}
    return Victim(model="inspect:fake/model", decoding={"max_new_tokens": tokens}, api=api)


def queries(count: int, length: int = 20) -> list[Query]:
    return [(Prompt.of(f"{number}".ljust(length, ".")), 0) for number in range(count)]


def send(part: list[Query], store: Store, dollars: float) -> None:
    with Ledger(store, REMOTE).writing() as keep:
        for query in part:
            keep(query, Reply(None, None, "7", Usage(), "stop"), dollars)


def test_prices_are_dollars_a_million_tokens() -> None:
    """The bill of arXiv:2603.07267 for 10,000 queries, at $0.75 and $4.50, is of this size."""
    assert price(Usage(1_000_000, 2_000_000, 1_500_000), Prices(input=0.75, output=4.5)) == 9.75
    assert price(Usage(10**6, 10**6), None) == 0.0


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.text(max_size=60), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=25),
    st.floats(0, 0.2),
    st.floats(0, 100),
    st.integers(1, 400),
)
def test_dollars_are_never_exceeded(asked: list[tuple[str, float, float]], dollars: float, dear: float, tokens: int) -> None:
    """Whatever share of the most that can be billed is billed; and who stops could not afford the next query."""
    model, budget = victim(dear, 5 * dear, tokens), Budget(dollars=dollars)
    billed = {
        (Prompt.of(f"{number} {text}"), 0): Usage(round(a * (len(text.encode()) + AROUND)), round(b * tokens))
        for number, (text, a, b) in enumerate(asked)
    }
    with TemporaryDirectory() as folder:
        store, sent = Store(Path(folder)), 0
        try:
            for part in parts(list(billed), model, budget, store):
                with Ledger(store, REMOTE).writing() as keep:
                    for query in part:
                        keep(query, Reply(None, None, "", billed[query], "stop"), price(billed[query], model.api.prices))
                sent += len(part)
                assert spent_on_all(store).dollars <= dollars * (1 + 1e-9)
            assert sent == len(billed)
        except HeistError:
            next_one = list(billed)[sent][0]
            assert spent_on_all(store).dollars + dearest(next_one, model) > dollars * (1 - 1e-9)


@pytest.mark.parametrize(
    "prompt",
    [Prompt.of("why?"), Prompt.of("数" * 100), Prompt.of("\0\n\t" * 50), Prompt.of("q", "s" * 500), tool_prompt("why?")],
)
def test_the_dearest_query_is_no_cheaper_than_one_with_a_token_a_byte(prompt: Prompt) -> None:
    said = sum(len(message.content.encode()) for message in prompt.messages)
    offered = len(DEEP_THINK.description + "".join(map("".join, DEEP_THINK.arguments))) if prompt.tool else 0
    most = Usage(said + offered + AROUND, 1000)
    assert dearest(prompt, victim()) >= price(most, victim().api.prices)


def test_what_providers_put_around_a_prompt_is_paid_for() -> None:
    """The largest that is published: 346 tokens, which Anthropic adds where a tool is forced."""
    assert dearest(Prompt.of(""), victim()) >= price(Usage(346, 1000), victim().api.prices)


def test_a_long_prompt_is_dear() -> None:
    long, short = (Prompt((Message("user", "a" * n),)) for n in (100_000, 100))
    assert dearest(long, victim()) - dearest(short, victim()) == pytest.approx(99_900 / 1e6)


@pytest.mark.parametrize("limit", [0, 1, 499, 500, 501, 1200])
def test_queries_are_counted_out(tmp_path: Path, limit: int) -> None:
    store, asked, sent = Store(tmp_path), queries(1100), list[Query]()
    try:
        for part in parts(asked, victim(prices=False), Budget(queries=limit), store):
            assert len(part) <= PART
            sent += part
            send(part, store, 0.0)
        ended = True
    except HeistError:
        ended = False
    assert sent == asked[:limit]
    assert ended == (limit >= 1100)


def test_without_a_limit_all_is_sent_in_parts(tmp_path: Path) -> None:
    sent = list(parts(queries(1100), victim(prices=False), NO_LIMIT, Store(tmp_path)))
    assert [len(part) for part in sent] == [PART, PART, 100]
    assert [query for part in sent for query in part] == queries(1100)


def test_nothing_to_ask_needs_no_budget(tmp_path: Path) -> None:
    assert list(parts([], victim(), Budget(queries=0, dollars=0.0), Store(tmp_path))) == []


def test_the_narrower_limit_counts(tmp_path: Path) -> None:
    one = dearest(queries(1)[0][0], victim())
    for budget, fits in ((Budget(3, 100.0), 3), (Budget(100, 2.5 * one), 2)):
        assert len(next(parts(queries(9), victim(), budget, Store(tmp_path)))) == fits


def test_what_was_spent_before_stays_spent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    send(queries(7), store, 0.25)
    assert spent_on_all(store) == Accounts(7, 1.75)
    left = next(parts(queries(30)[7:], victim(), Budget(queries=10), Store(tmp_path)))
    assert len(left) == 3
    with pytest.raises(HeistError):
        next(parts(queries(30)[7:], victim(), Budget(dollars=1.75), Store(tmp_path)))


# what was sent in vain


def send_in_vain(store: Store, times: int, dollars: float = 0.0) -> None:
    for _ in range(times):
        Ledger(store, REMOTE).charge(dollars)


def test_queries_without_a_reply_are_counted_apart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    send(queries(2), store, 0.25)
    send_in_vain(store, 3)
    with Ledger(store, REMOTE).writing() as keep:
        keep((Prompt.of("lost"), 0), Reply(None, None, "", Usage(), "error"), 0.0)
    assert spent_on_all(store) == Accounts(2, 0.5, 4)
    assert len(next(parts(queries(30)[2:], victim(), Budget(queries=10), store))) == 6  # as many again may go in vain


def test_what_was_billed_counts_whatever_came_of_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    send_in_vain(store, 3, 0.25)
    assert spent_on_all(store) == Accounts(3, 0.75, 0)
    assert len(next(parts(queries(30), victim(), Budget(queries=10), store))) == 7


def test_nobody_is_asked_in_vain_for_ever(tmp_path: Path) -> None:
    store, budget = Store(tmp_path), Budget(queries=10)
    send(queries(2), store, 0.25)
    send_in_vain(store, 9)
    assert len(next(parts(queries(30)[2:], victim(), budget, store))) == 1
    send_in_vain(store, 1)
    with pytest.raises(HeistError, match=r"2 queries and \$0\.50 spent, sent without a reply: 10, 28 more to ask"):
        next(parts(queries(30)[2:], victim(), budget, store))
    assert len(next(parts(queries(30)[2:], victim(), NO_LIMIT, store))) == 28


def test_every_victim_behind_an_api_and_no_other_is_counted(tmp_path: Path) -> None:
    store, said = Store(tmp_path), Reply(None, None, "7", Usage(1, 1), "stop")
    for spec, dollars in ((REMOTE, 1.0), ({**REMOTE, "model": "other"}, 2.0), (LOCAL, 4.0)):
        with Ledger(store, spec).writing() as keep:
            keep((Prompt.of("q"), 0), said, dollars)
    assert spent_on_all(store) == Accounts(2, 3.0)
    assert spent_on_all(Store(tmp_path / "elsewhere")) == Accounts()


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(queries=2), "the budget of 2 queries is used up: 2 queries and $0.50 spent, 7 more to ask of this victim"),
        (Budget(dollars=0.5), r"the budget of $0.50 is used up"),
        (Budget(queries=2, dollars=5.0), "the budget of 2 queries and $5.00 is used up"),
    ],
)
def test_who_runs_out_is_told_what_is_left(tmp_path: Path, budget: Budget, said: str) -> None:
    send(queries(2), Store(tmp_path), 0.25)
    with pytest.raises(HeistError) as caught:
        list(parts(queries(9)[2:], victim(), budget, Store(tmp_path)))
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith("the same command with a larger budget continues from here")
