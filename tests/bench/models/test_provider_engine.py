"""The engine for models behind an API, against a server on this machine that says what a test wants."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from servers import Faults, Query, Said, Server
from servers.dialects import CIPHER

from heistbench.bench import HeistError, Prompt, Tool
from heistbench.bench.contracts.nouns import Message, Reply, Usage
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.replies import tool_schema
from heistbench.bench.models import asking
from heistbench.bench.models.engine import Engine
from heistbench.bench.models.provider_engine import InspectEngine, check_api
from heistbench.bench.suites.settings import Api

KEY = "sk-planted-4f9a77c1e0"
MODEL = "openai-api/heist/victim"
GREEDY = Sampling(max_new_tokens=64)
TOOL = Tool("think", "Thinks.", (("thoughts", "all of them"), ("answer", "the last one")))
Ask = Callable[..., list[Reply]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come soon."""
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.02)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the provider `heist`, whose server this file is."""
    monkeypatch.setenv("HEIST_API_KEY", KEY)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that says the prompt backwards."""
    with Server(lambda asked: Said(asked.prompt[::-1])) as server:
        yield server


@pytest.fixture(params=[False, True], ids=["chat", "responses"])
def responses(request: pytest.FixtureRequest) -> bool:
    """Whether to ask in the Responses dialect."""
    return bool(request.param)


def engine(server: Server, **settings: Any) -> Engine:
    return InspectEngine(MODEL, Api(base_url=server.url, **settings))


def ask(server: Server, *prompts: str | Prompt, sampling: Sampling = GREEDY, **settings: Any) -> list[Reply]:
    whole = [Prompt.of(prompt) if isinstance(prompt, str) else prompt for prompt in prompts]
    return engine(server, **settings).reply(whole, sampling)


# the contract


def test_replies_come_in_order_and_are_what_the_server_said(server: Server, responses: bool) -> None:
    prompts = [f"question {n}" for n in range(30)]
    assert [reply.text for reply in ask(server, *prompts, responses=responses)] == [prompt[::-1] for prompt in prompts]
    assert set(server.requests.values()) == {1}


def test_each_reply_arrives_once_as_soon_as_it_is_there(server: Server) -> None:
    delays = {"slow": 0.6, "slower": 0.9, "fast": 0.0}
    server.says = lambda asked: Said(asked.prompt, delay=delays[asked.prompt])
    prompts = ["fast", "slower", "slow", "fast"]
    heard: list[tuple[int, str]] = []
    replies = engine(server).reply(
        [Prompt.of(p) for p in prompts], GREEDY, [0, 0, 0, 1], lambda at, r: heard.append((at, r.text))
    )
    assert heard == [(0, "fast"), (3, "fast"), (2, "slow"), (1, "slower")]
    assert [reply.text for reply in replies] == prompts
    assert server.requests["fast"] == 2  # asked again is sent again


def test_no_more_queries_are_under_way_than_the_suite_says(server: Server) -> None:
    server.says = lambda asked: Said("7", delay=0.02)
    ask(server, *map(str, range(20)), connections=3)
    assert server.most_at_once == 3


def test_the_first_query_goes_alone(server: Server) -> None:
    server.says = lambda asked: Said(str(server.delivered["first"]), delay=0.05 if asked.prompt == "first" else 0)
    assert [reply.text for reply in ask(server, "first", "second", "third")] == ["0", "1", "1"]


def test_nothing_to_ask_sends_nothing(server: Server) -> None:
    assert ask(server) == []
    assert not server.asked


def test_an_engine_can_be_asked_again(server: Server) -> None:
    one = engine(server)
    assert [one.reply([Prompt.of(text)], GREEDY)[0].text for text in ("ab", "cd")] == ["ba", "dc"]


def test_what_who_listens_raises_ends_the_batch(server: Server) -> None:
    def full(at: int, reply: Reply) -> None:
        if at == 2:
            raise HeistError("the disk is full")

    with pytest.raises(HeistError, match="the disk is full"):
        engine(server).reply([Prompt.of(str(n)) for n in range(5)], GREEDY, None, full)


def test_all_turns_of_a_prompt_are_sent(server: Server) -> None:
    turns = (Message("system", "Be brief."), Message("user", "3+4"), Message("assistant", "7"), Message("user", "why"))
    ask(server, Prompt(turns))
    assert [(turn["role"], turn["content"]) for turn in server.asked[0].body["messages"]] == [(t.role, t.content) for t in turns]


# settings


def test_sampling_is_sent(server: Server) -> None:
    ask(server, "q", sampling=Sampling(temperature=0.7, top_p=0.9, max_new_tokens=33, seed=5))
    body = server.asked[0].body
    assert (body["temperature"], body["top_p"], body["max_tokens"], "seed" in body) == (0.7, 0.9, 33, False)


def test_sampling_is_not_sent_to_those_who_refuse_it(server: Server, responses: bool) -> None:
    ask(server, "q", sampling=Sampling(temperature=0.7, top_p=0.9), takes_sampling=False, responses=responses)
    assert not {"temperature", "top_p"} & server.asked[0].body.keys()


def test_a_repetition_penalty_is_refused_before_anything_is_sent(server: Server) -> None:
    with pytest.raises(HeistError, match=f"^{MODEL}: repetition_penalty is 1.1, which providers do not take$"):
        ask(server, "q", sampling=Sampling(repetition_penalty=1.1))
    assert not server.asked


def test_effort_is_sent_where_the_suite_sets_it(server: Server) -> None:
    ask(server, "q")
    ask(server, "q", effort="high")
    assert [asked.body.get("reasoning_effort") for asked in server.asked] == [None, "high"]


def test_summaries_are_asked_for_in_the_responses_dialect(server: Server) -> None:
    ask(server, "q", responses=True, effort="low", summaries="detailed")
    assert server.asked[0].body["reasoning"] == {"effort": "low", "summary": "detailed"}
    assert server.asked[0].body["include"] == ["reasoning.encrypted_content"]
    assert server.asked[0].body["store"] is False


def test_thinking_can_be_turned_off(server: Server) -> None:
    ask(server, Prompt((Message("user", "q"),), think=False), effort="high")
    assert server.asked[0].body["reasoning_effort"] == "none"
    assert server.asked[0].body["chat_template_kwargs"] == {"enable_thinking": False}


# visibility, from the wire


@pytest.mark.parametrize(
    ("form", "trace", "summary"),
    [
        ("nothing", None, None),
        ("reasoning", "3 + 4", None),
        ("reasoning_content", "3 + 4", None),
        ("think", "3 + 4", None),
        ("details", None, "adds"),
        ("details_text", "3 + 4", None),
        ("details_summary", None, "adds"),
    ],
)
@pytest.mark.parametrize("shows", ["answer", "summary", "trace"])
def test_what_chat_completions_show(server: Server, form: Any, trace: str | None, summary: str | None, shows: str) -> None:
    server.says = lambda asked: Said("7", trace="3 + 4", summary="adds", form=form)
    (reply,) = ask(server, "q", shows=shows)
    assert (reply.trace, reply.summary, reply.text, reply.stop) == (trace, summary, "7", "stop")
    assert reply.usage.reasoning == (0 if form == "think" else 3)


@pytest.mark.parametrize(
    ("form", "sent", "trace", "summary"),
    [
        ("nothing", "adds", None, None),
        ("details", "adds", None, "adds"),
        ("details", "", None, None),
        ("reasoning", "", "3 + 4", None),
        ("reasoning", "adds", "3 + 4", "adds"),
    ],
)
def test_what_responses_show(server: Server, form: Any, sent: str, trace: str | None, summary: str | None) -> None:
    server.says = lambda asked: Said("7", trace="3 + 4", summary=sent, form=form)
    (reply,) = ask(server, "q", responses=True)
    assert (reply.trace, reply.summary, reply.text, reply.usage.reasoning) == (trace, summary, "7", 3)
    assert CIPHER not in repr(reply)


def test_the_bill_counts_all_prompt_tokens(server: Server, responses: bool) -> None:
    server.says = lambda asked: Said("7", usage=(120, 30, 20), cached=100)
    assert ask(server, "q", responses=responses)[0].usage == Usage(120, 30, 20)


# how replies end


@pytest.mark.parametrize(("stop", "ours"), [("stop", "stop"), ("length", "length"), ("content_filter", "refused")])
def test_stops_are_told_apart(server: Server, responses: bool, stop: Any, ours: str) -> None:
    server.says = lambda asked: Said("7", stop=stop)
    assert ask(server, "q", responses=responses)[0].stop == ours


def test_a_refusal_is_no_outage(server: Server, responses: bool) -> None:
    server.says = lambda asked: Said(refusal="I will not.")
    (reply,) = ask(server, "q", responses=responses)
    assert (reply.stop, reply.text) == ("refused", "I will not.")
    assert server.requests["q"] == 1


def test_thinking_that_never_ended_is_no_outage(server: Server) -> None:
    server.says = lambda asked: Said("", trace="3 + 4 +", form="reasoning", stop="length")
    (reply,) = ask(server, "q")
    assert (reply.stop, reply.trace, reply.text) == ("length", "3 + 4 +", "")
    assert server.requests["q"] == 1


# tools


def test_a_tool_is_forced_and_its_arguments_are_read(server: Server, responses: bool) -> None:
    server.says = lambda asked: Said(arguments=json.dumps({"thoughts": "3 + 4", "answer": 7, "more": [1]}))
    (reply,) = ask(server, Prompt((Message("user", "q"),), tool=TOOL), responses=responses)
    assert (reply.arguments, reply.text, reply.stop) == ({"thoughts": "3 + 4", "answer": "7"}, "", "stop")
    sent = server.asked[0].body["tools"][0]
    function = sent if responses else sent["function"]
    assert (function["name"], function["parameters"]["required"]) == ("think", ["thoughts", "answer"])
    assert server.asked[0].tool == "think"


@pytest.mark.parametrize("arguments", ['{"thoughts": "3 +', '{"a":' * 3000])
def test_arguments_that_cannot_be_read_are_an_empty_reply(server: Server, arguments: str) -> None:
    server.says = lambda asked: Said(arguments=arguments)
    (reply,) = ask(server, Prompt((Message("user", "q"),), tool=TOOL), retries=1)
    assert (reply.arguments, reply.stop) == ({}, "error")


def test_a_server_is_given_the_tool_that_engines_in_this_process_render(server: Server) -> None:
    server.says = lambda asked: Said("7")
    ask(server, Prompt((Message("user", "q"),), tool=TOOL))
    assert server.asked[0].body["tools"] == [tool_schema(TOOL)]


def test_no_tool_is_offered_where_none_is_wanted(server: Server, responses: bool) -> None:
    ask(server, "q", responses=responses)
    assert not server.asked[0].body.get("tools")


# outages


def test_an_empty_reply_is_asked_again_and_paid_for(server: Server, responses: bool) -> None:
    server.says = lambda asked: Said("7" if asked.before == 2 else "", usage=(10, 5, 2))
    (reply,) = ask(server, "q", responses=responses)
    assert (reply.text, reply.stop, reply.usage) == ("7", "stop", Usage(30, 15, 6))


def test_replies_that_stay_empty_are_lost_and_paid_for(server: Server) -> None:
    server.says = lambda asked: Said("", usage=(10, 5, 2)) if asked.prompt == "q" else Said("7")
    heard: list[int] = []
    lost, other = engine(server, retries=2).reply([Prompt.of("q"), Prompt.of("r")], GREEDY, None, lambda at, _: heard.append(at))
    assert lost == Reply(None, None, "", Usage(30, 15, 6), "error")
    assert (other.text, server.requests["q"], sorted(heard)) == ("7", 3, [0, 1])


@pytest.mark.parametrize("kind", ["truncated", "empty"])
def test_an_outage_that_lasts_is_an_error_not_an_exception(server: Server, kind: str) -> None:
    server.faults = Faults(1.0, (kind,))
    replies = ask(server, "q", "r", retries=1)
    assert [(reply.stop, reply.text) for reply in replies] == [("error", ""), ("error", "")]
    assert server.requests == {"q": 2, "r": 2}


@pytest.mark.parametrize("kind", ["429", "500", "cut", "truncated", "empty"])
def test_an_outage_that_passes_costs_no_reply(kind: str, monkeypatch: pytest.MonkeyPatch, responses: bool) -> None:
    monkeypatch.setattr(Faults, "draw", lambda self, prompt, before: kind if before == 0 else "")
    with Server(lambda asked: Said("7")) as server:
        assert [reply.text for reply in ask(server, "q", "r", responses=responses)] == ["7", "7"]
        assert server.requests == {"q": 2, "r": 2}


def test_silence_ends_after_the_time_out(server: Server) -> None:
    server.says = lambda asked: Said("7", delay=0 if asked.before or asked.prompt == "first" else 30)
    assert [reply.text for reply in ask(server, "first", "q", timeout=1)] == ["7", "7"]
    assert server.requests["q"] == 2


# what no retry mends


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "invalid_api_key"), (402, "no_credit"), (403, "forbidden"), (404, "model_not_found"), (400, "bad"), (422, "bad")],
)
def test_a_provider_that_will_not_answer_costs_one_query(server: Server, responses: bool, status: int, code: str) -> None:
    server.says = lambda asked: Said("it is not allowed", status=status, code=code)
    with pytest.raises(HeistError, match=rf"^{MODEL}: .*{status}.*it is not allowed") as caught:
        ask(server, *map(str, range(9)), responses=responses)
    assert "\n" not in str(caught.value)
    assert server.requests.total() == 1


def test_a_key_that_is_revoked_in_between_ends_the_batch(server: Server) -> None:
    server.says = lambda asked: Said("7") if asked.prompt == "first" else Said("no such key", status=401)
    with pytest.raises(HeistError, match="no such key"):
        ask(server, "first", *map(str, range(9)))


def test_one_query_that_is_refused_as_malformed_is_lost_alone(server: Server) -> None:
    server.says = lambda asked: Said("too odd", status=400) if asked.prompt == "odd" else Said("7")
    assert [reply.stop for reply in ask(server, "first", "odd", "last")] == ["stop", "error", "stop"]
    assert server.requests["odd"] == 1


def test_a_prompt_too_long_is_told_apart(server: Server) -> None:
    server.says = lambda asked: (
        Said("maximum context length", status=400, code="context_length_exceeded") if asked.prompt == "long" else Said("7")
    )
    assert [reply.stop for reply in ask(server, "first", "long")] == ["stop", "length"]


@pytest.mark.parametrize(
    ("model", "settings", "problem"),
    [
        ("nobody/model", {}, "Model API nobody of model 'nobody/model' not recognized"),
        ("gpt-5", {}, "should be in the format of <api_name>/<model_name>"),
        ("openai-api/keyless/model", {}, "No KEYLESS_API_KEY defined in the environment"),
        ("openai-api/heist/model", {}, "No HEIST_BASE_URL defined in the environment"),
        ("mockllm/model", {"responses": True}, "api.responses is for the providers openai and openai-api"),
        ("mockllm/model", {"effort": "heroic"}, "reasoning_effort"),
    ],
)
def test_what_cannot_work_is_said_before_any_query(model: str, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(HeistError) as caught:
        check_api(model, Api(**settings))
    assert str(caught.value).startswith(f"{model}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_provider_that_is_set_up_passes(server: Server) -> None:
    check_api(MODEL, Api(base_url=server.url))
    assert not server.asked


# keys and chatter


def leaks(asked: Query) -> str:
    """What a hostile server knows of us."""
    return f"you sent {asked.headers['authorization']}"


@pytest.mark.parametrize("form", ["reasoning", "think", "details"])
def test_a_key_the_server_sends_back_is_cut_out_of_replies(server: Server, form: Any) -> None:
    server.says = lambda asked: Said(leaks(asked), trace=leaks(asked), summary=leaks(asked), form=form)
    (reply,) = ask(server, "q")
    assert reply.text == "you sent Bearer [key]"
    assert KEY not in repr(reply)


def test_a_key_the_server_sends_back_is_cut_out_of_arguments_and_refusals(server: Server) -> None:
    server.says = lambda asked: (
        Said(arguments=json.dumps({"thoughts": leaks(asked)})) if asked.tool else Said(refusal=leaks(asked))
    )
    replies = ask(server, Prompt((Message("user", "q"),), tool=TOOL), "r")
    assert replies[0].arguments == {"thoughts": "you sent Bearer [key]"}
    assert KEY not in repr(replies)


@pytest.mark.parametrize("padding", range(0, 300, 7))
def test_a_key_the_server_sends_back_is_cut_out_of_errors_wherever_they_are_cut(padding: int) -> None:
    from heistbench.bench.models.secrets import LONGEST_LINE, one_line

    said = one_line(ValueError("x" * padding + KEY + "y" * 300))
    assert len(said) == LONGEST_LINE
    assert KEY[:8] not in said


@pytest.mark.parametrize("status", [400, 401, 404])
def test_errors_hold_no_key_nor_what_led_to_them(server: Server, status: int) -> None:
    server.says = lambda asked: Said(leaks(asked), status=status)
    with pytest.raises(HeistError) as caught:
        ask(server, "q")
    assert "[key]" in str(caught.value)
    links = [caught.value.__cause__, caught.value.__context__]
    assert KEY not in repr([caught.value, *links]) + "".join(map(str, links))


def test_a_key_that_starts_another_leaves_no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    from heistbench.bench.models.secrets import clear

    monkeypatch.setenv("LONGER_TOKEN", f"{KEY}-and-more")
    monkeypatch.setenv("SHORT_TOKEN", "word")
    assert clear(f"{KEY}-and-more, {KEY}, a word") == "[key], [key], a word"


def test_text_that_no_file_takes_is_mended(server: Server) -> None:
    server.says = lambda asked: Said("7 \ud800 8")
    assert ask(server, "q")[0].text == "7 ? 8"


def test_nothing_is_logged_warned_of_or_printed(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    server.faults = Faults(0.4, ("429", "truncated", "empty"))
    logging.root.addHandler(handler := logging.StreamHandler())
    before = logging.root.level
    logging.root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as warned:
            ask(server, *map(str, range(5)))
        logging.getLogger("heistbench").warning("still heard")
    finally:
        logging.root.setLevel(before)
        logging.root.removeHandler(handler)
    assert capfd.readouterr() == ("", "still heard\n")
    assert not warned
