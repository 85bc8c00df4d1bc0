from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from heistbench.bench import Defense, Exposure, HeistError, Prompt, Refusal, Reply, Usage, tool_prompt
from heistbench.bench.contracts.errors import Busy, PluginFailure
from heistbench.bench.contracts.plugins import Info
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.breaker import Breaker
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.engine import Arrived, unheard
from heistbench.bench.models.loading import engine
from heistbench.bench.models.recorded import RecordedEngine
from heistbench.bench.stages.budget import NO_LIMIT, Budget
from heistbench.bench.stages.defended import DefendedApi, admit, release
from heistbench.bench.stages.victim import OUTAGE, TELLING, VictimModel
from heistbench.bench.storage.ledger import Ledger, spent_on_all
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import defenses_of
from heistbench.bench.suites.settings import Victim

PLAIN = Reply("3 is 3", "recap 3", "the answer is 41", Usage(2, 5, 3), "stop")


@dataclass(frozen=True)
class Marking(Defense):
    """Writes its mark on all that passes, in both directions."""

    mark: str = "x"
    info = Info("defense", "marking", "1-A")

    def admit(self, prompt: Prompt) -> Prompt | Refusal:
        return Prompt.of(prompt.text + self.mark)

    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        arguments = {name: value + self.mark for name, value in reply.arguments.items()}
        return reply.exposed(text=reply.text + self.mark, summary=(reply.summary or "") + self.mark, arguments=arguments)


@dataclass(frozen=True)
class Refusing(Defense):
    """Refuses prompts, or replies, that hold a word."""

    word: str = "bad"
    late: bool = False
    info = Info("defense", "refusing", "1-A")

    def admit(self, prompt: Prompt) -> Prompt | Refusal:
        return Refusal(f"no {self.word}") if self.word in prompt.text and not self.late else prompt

    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        refused = self.late and self.word in reply.text
        return Exposure("no", refused=True) if refused else reply.exposed()


USAGE = Usage(1, 2, 1)


@dataclass
class FakeVictim:
    """Repeats what it is asked; remembers it."""

    asked: list[tuple[Prompt, int]] = field(default_factory=list)

    def reply(self, queries: Sequence[tuple[Prompt, int]], arrived: Arrived = unheard, summaries: bool = True) -> list[Reply]:
        self.asked += queries
        return [Reply("hidden", "recap", f"{prompt.text} = 7", USAGE, "stop") for prompt, _ in queries]


def prompts(*texts: str) -> list[Prompt]:
    return [Prompt.of(text) for text in texts]


# composition


def test_defenses_compose_left_to_right() -> None:
    chain = [Marking("a"), Marking("b")]
    assert admit(chain, Prompt.of("q")) == Prompt.of("qab")
    assert release(chain, Prompt.of("q"), PLAIN, 0, "s") == Exposure("the answer is 41ab", "recap 3ab", usage=PLAIN.usage)
    victim = FakeVictim()
    assert DefendedApi(victim, chain, 0).ask(prompts("q")) == [Exposure("qab = 7ab", "recapab", usage=USAGE)]


def test_no_defense_shows_answer_and_summary() -> None:
    assert release([], Prompt.of("q"), PLAIN, 0, "s") == Exposure("the answer is 41", "recap 3", usage=PLAIN.usage)


def test_a_later_defense_gets_what_the_former_let_through() -> None:
    chain = defenses_of("redact_summary(level=all)+none")
    assert release(chain, Prompt.of("q"), PLAIN, 0, "s").summary is None


def test_a_refused_prompt_never_reaches_the_victim() -> None:
    victim = FakeVictim()
    api = DefendedApi(victim, [Marking("a"), Refusing("bad"), Marking("b")], 0)
    exposures = api.ask(prompts("good", "bad", "fine"))
    assert exposures == [
        Exposure("goodab = 7ab", "recapab", usage=USAGE),
        Exposure("no bad", refused=True, stop="refused"),
        Exposure("fineab = 7ab", "recapab", usage=USAGE),
    ]
    assert [prompt.text for prompt, _ in victim.asked] == ["goodab", "fineab"]


def test_a_victim_is_not_asked_for_nothing() -> None:
    victim = FakeVictim()
    assert DefendedApi(victim, [Refusing("bad")], 0).ask(prompts("bad")) == [Exposure("no bad", refused=True, stop="refused")]
    assert DefendedApi(victim, [], 0).ask([]) == []
    assert victim.asked == []


def test_a_refused_reply_stops_the_chain() -> None:
    chain = [Refusing("41", late=True), Marking("b")]
    assert release(chain, Prompt.of("q"), PLAIN, 0, "s") == Exposure("no", None, refused=True)


def test_what_the_victim_refuses_meets_no_defense() -> None:
    refused = Reply(None, None, "I cannot", Usage(), "refused")
    assert release([Marking("b")], Prompt.of("q"), refused, 0, "s") == Exposure("I cannot", None, refused=True, stop="refused")


def test_a_call_of_a_tool_passes_every_defense() -> None:
    called = replace(PLAIN, text="", arguments={"thoughts": "t", "answer": "41"})
    assert release([], Prompt.of("q"), called, 0, "s").arguments == called.arguments
    assert release([Marking("a"), Marking("b")], Prompt.of("q"), called, 0, "s").arguments == {
        "thoughts": "tab",
        "answer": "41ab",
    }
    shown = release(defenses_of("noise_answers(rate=1)+box_answers+redact_summary"), Prompt.of("q"), called, 0, "s")
    assert shown.arguments["thoughts"] == "t"
    assert shown.arguments["answer"] != "41"


def test_a_boundary_reaches_the_victim_and_the_record_shows_what_was_asked() -> None:
    victim = FakeVictim()
    api = DefendedApi(victim, defenses_of("boundary_prompt+noise_answers(rate=0)"), 0)
    api.ask(prompts("q"))
    assert victim.asked[0][0].messages[0].role == "system"
    assert [sealed.prompt for sealed in api.sealed] == prompts("q")


def test_what_an_outage_swallowed_meets_no_defense() -> None:
    lost = Reply(None, None, "", Usage(), "error")
    assert release([Marking("b")], Prompt.of("q"), lost, 0, "s") == Exposure("", stop="error")


def test_every_query_is_sealed_with_reply_and_exposure() -> None:
    api = DefendedApi(FakeVictim(), [Refusing("bad"), Marking("b")], 0)
    exposures = api.ask(prompts("good", "bad"))
    assert [s.exposure for s in api.sealed] == exposures
    assert [s.prompt.text for s in api.sealed] == ["good", "bad"]
    assert [s.reply.trace for s in api.sealed] == ["hidden", None]
    assert [s.reply.stop for s in api.sealed] == ["stop", "refused"]


def test_coming_back_is_counted_prompt_by_prompt() -> None:
    victim = FakeVictim()
    api = DefendedApi(victim, [], 0)
    api.ask(prompts("a", "b", "a"))
    api.ask(prompts("a", "c"))
    assert [(prompt.text, before) for prompt, before in victim.asked] == [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("c", 0)]


# noise, sticky and fresh


@dataclass(frozen=True)
class Gambling(Defense):
    """Draws and does not say so."""

    info = Info("defense", "gambling", "1-A")

    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        return reply.exposed(text=rng.choice(["heads", "tails"]))


def test_a_defense_that_draws_says_so() -> None:
    with pytest.raises(PluginFailure, match=r"test_victim\.py:\d+: .*declare it with random=True"):
        release([Gambling()], Prompt.of("q"), PLAIN, 0, "secret")


def served(spec: str, times: int, questions: int = 40) -> list[list[str]]:
    """What a defended victim serves each time all questions are asked."""
    api, asked = DefendedApi(FakeVictim(), defenses_of(spec), 0), prompts(*(f"question {i}" for i in range(questions)))
    return [[exposure.text for exposure in api.ask(asked)] for _ in range(times)]


def test_sticky_noise_tells_nothing_to_who_asks_again() -> None:
    first, *others = served("noise_answers(rate=0.5)", 5)
    assert all(other == first for other in others)
    assert 0 < sum(not text.endswith("= 7") for text in first) < len(first)


def test_fresh_noise_is_drawn_anew_for_a_prompt_that_comes_back() -> None:
    runs = served("noise_answers(rate=0.5,fresh=true)", 5)
    assert all(a != b for i, a in enumerate(runs) for b in runs[:i])
    often = [sum(run[i].endswith("= 7") for run in runs) for i in range(40)]
    assert any(0 < n < 5 for n in often)


def test_another_seed_is_other_noise() -> None:
    """What a defense draws is luck as well: who is lucky once need not be lucky with the next seed."""
    chain, asked = defenses_of("noise_answers(rate=0.5)"), prompts(*(f"question {i}" for i in range(40)))
    first, again, other = ([e.text for e in DefendedApi(FakeVictim(), chain, seed).ask(asked)] for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_fresh_noise_is_the_same_for_the_same_history() -> None:
    assert served("noise_answers(fresh=true)", 3) == served("noise_answers(fresh=true)", 3)


@pytest.mark.parametrize("fresh", ["true", "false"])
def test_noise_does_not_hang_on_what_else_is_asked(fresh: str) -> None:
    chain = defenses_of(f"noise_answers(fresh={fresh})")
    alone = [DefendedApi(FakeVictim(), chain, 0).ask([prompt])[0] for prompt in prompts("a", "b", "c")]
    assert DefendedApi(FakeVictim(), chain, 0).ask(prompts("c", "a", "b")) == [alone[2], alone[0], alone[1]]


@pytest.mark.parametrize("fresh", ["true", "false"])
def test_another_secret_is_other_noise(fresh: str) -> None:
    chain = defenses_of(f"noise_answers(rate=1,fresh={fresh})")
    drawn = {secret: [release(chain, Prompt.of(f"q{i}"), PLAIN, 0, secret) for i in range(20)] for secret in ("a", "b")}
    assert drawn["a"] != drawn["b"]
    assert drawn["a"] == [release(chain, Prompt.of(f"q{i}"), PLAIN, 0, "a") for i in range(20)]


def test_two_random_defenses_do_not_draw_alike() -> None:
    once, twice = (
        [release(defenses_of(spec), Prompt.of(f"q{i}"), PLAIN, 0, "s").text for i in range(60)]
        for spec in ("noise_answers(rate=0.5)", "noise_answers(rate=0.5)+noise_answers(rate=0.50001)")
    )
    struck_by_second_alone = sum(a == PLAIN.text != b for a, b in zip(once, twice, strict=True))
    assert struck_by_second_alone > 0


@pytest.mark.parametrize(("fresh", "same"), [("false", True), ("true", False)])
def test_a_sticky_defense_gets_the_same_generator_again(fresh: str, same: bool) -> None:
    chain = defenses_of(f"noise_answers(rate=0.5,fresh={fresh})")
    assert chain[0].sticky is same
    runs = [[release(chain, Prompt.of(f"q{i}"), PLAIN, before, "s") for i in range(30)] for before in range(2)]
    assert (runs[0] == runs[1]) is same


# the recorded victim

POCKET = registry.build("task", "pocket")


def by_the_task(traces: Sequence[str]) -> list[str | None]:
    """Summaries by the task's own rule."""
    return [POCKET.summarize(trace) for trace in traces]


@pytest.fixture
def recorded(tmp_path: Path) -> VictimModel:
    store = Store(tmp_path)
    records = RecordedEngine(POCKET.problems("query", 4))
    return VictimModel(Victim(model="recorded"), "recorded", lambda breaker: records, by_the_task, store)


def test_a_recorded_victim_replays_the_data_set(recorded: VictimModel, tmp_path: Path) -> None:
    problems = POCKET.problems("query", 4)
    replies = recorded.reply([(Prompt.of(p.question.text), 0) for p in problems])
    assert [(r.trace, r.text, r.stop) for r in replies] == [(p.trace, p.gold, "stop") for p in problems]
    assert all("star gives" in (r.summary or "") for r in replies)
    assert [r.usage.reasoning for r in replies] == [len(p.trace.split()) for p in problems]
    assert list(tmp_path.iterdir()) == []  # what a data set ships need not be kept


@pytest.mark.parametrize("text", ["what else ?", "start 1 ; s1 star 2 "])
def test_a_recorded_victim_knows_its_own_questions_only(recorded: VictimModel, text: str) -> None:
    with pytest.raises(HeistError, match="recorded model answers the task's own questions only"):
        recorded.reply([(Prompt.of(text), 0)])


# what is asked, and what is kept


@dataclass
class FakeEngine:
    """Replies by rule, one after the other; remembers every query, and may die before one."""

    rule: Callable[[Prompt, int], Reply] = lambda prompt, before: Reply(
        f"t{before}", None, prompt.text, Usage(100, 1000, 500), "stop"
    )
    dies_before: int | None = None
    asked: list[tuple[Prompt, int]] = field(default_factory=list)
    loaded: int = 0

    def __call__(self, breaker: Breaker) -> FakeEngine:
        self.loaded += 1
        return self

    def reply(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repetitions: Sequence[int] | None = None,
        arrived: Arrived = unheard,
    ) -> list[Reply]:
        replies = []
        for at, query in enumerate(zip(prompts, repetitions or [0] * len(prompts), strict=True)):
            if len(self.asked) == self.dies_before:
                raise KeyboardInterrupt
            self.asked.append(query)
            replies.append(self.rule(*query))
            arrived(at, replies[-1])
        return replies


LOCAL = Victim(model="pocket/victim-1")
API = Victim(
    model="inspect:fake/model",
    decoding={"max_new_tokens": 1000},
    api={"shows": "trace", "prices": {"input": 1.0, "output": 10.0}},
)
DOLLARS = 0.0101
"""What a fake reply costs at these prices."""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., VictimModel]:
    """A victim over a fake engine, all on one store."""

    def make(engine: FakeEngine, victim: Victim = LOCAL, budget: Budget = NO_LIMIT) -> VictimModel:
        store = Store(tmp_path)
        return VictimModel(victim, "m", engine, lambda traces: [f"recap of {t}" for t in traces], store, budget)

    return make


def test_no_summary_is_made_that_nobody_reads(tmp_path: Path) -> None:
    victim = VictimModel(LOCAL, "m", FakeEngine(), lambda traces: pytest.fail("summarized"), Store(tmp_path))
    (reply,) = victim.reply(asking("a"), summaries=False)
    assert (reply.trace, reply.summary) == ("t0", None)


def asking(*texts: str) -> list[tuple[Prompt, int]]:
    return [(Prompt.of(text), 0) for text in texts]


MANY = asking(*(f"q{i}" for i in range(60)))


@pytest.mark.parametrize("victim", [LOCAL, API], ids=["local", "api"])
class TestLedger:
    def test_only_what_is_missing_is_asked(self, make: Callable[..., VictimModel], victim: Victim) -> None:
        engine = FakeEngine()
        first = make(engine, victim).reply(asking("a", "b"))
        again = make(engine, victim).reply(asking("b", "c", "a"))
        assert [prompt.text for prompt, _ in engine.asked] == ["a", "b", "c"]
        assert [again[2], again[0]] == first
        assert [(r.text, r.summary) for r in again] == [("b", "recap of t0"), ("c", "recap of t0"), ("a", "recap of t0")]

    def test_a_model_is_not_loaded_to_be_asked_nothing(self, make: Callable[..., VictimModel], victim: Victim) -> None:
        make(FakeEngine(), victim).reply(asking("a"))
        engine = FakeEngine()
        assert make(engine, victim).reply(asking("a"))[0].text == "a"
        assert make(engine, victim).reply([]) == []
        assert engine.loaded == 0

    def test_equal_queries_are_asked_once(self, make: Callable[..., VictimModel], victim: Victim) -> None:
        engine = FakeEngine()
        replies = make(engine, victim).reply([*asking("a", "b", "a"), (Prompt.of("a"), 1)])
        assert engine.asked == [*asking("a", "b"), (Prompt.of("a"), 1)]
        assert [(r.text, r.trace) for r in replies] == [("a", "t0"), ("b", "t0"), ("a", "t0"), ("a", "t1")]

    def test_what_was_replied_before_a_death_is_not_asked_again(self, make: Callable[..., VictimModel], victim: Victim) -> None:
        dying, living = FakeEngine(dies_before=25), FakeEngine()
        with pytest.raises(KeyboardInterrupt):
            make(dying, victim).reply(MANY)
        replies = make(living, victim).reply(MANY)
        assert dying.asked + living.asked == MANY
        assert [r.text for r in replies] == [prompt.text for prompt, _ in MANY]

    def test_what_arrives_is_told_once_each(self, make: Callable[..., VictimModel], victim: Victim) -> None:
        told: list[str] = []
        model = make(FakeEngine(), victim)
        model.reply(asking("a"))
        model.reply(asking("a", "b", "c", "b"), lambda at, reply: told.append(reply.text))
        assert told == ["b", "c"]

    def test_one_process_at_a_time_asks_a_victim(self, make: Callable[..., VictimModel], victim: Victim, tmp_path: Path) -> None:
        engine, model = FakeEngine(), make(FakeEngine(), victim)
        model.reply(asking("a"))
        with Ledger(Store(tmp_path), model.identity).lock():
            assert make(engine, victim).reply(asking("a"))[0].text == "a"  # what is there may be read
            with pytest.raises(Busy):
                make(engine, victim).reply(asking("b"))
        assert engine.asked == []

    def test_summaries_of_providers_go_before_our_own(self, make: Callable[..., VictimModel], victim: Victim) -> None:
        told = FakeEngine(lambda prompt, before: Reply("t", "the provider's", "7", Usage(), "stop"))
        assert make(told, victim).reply(asking("a"))[0].summary == "the provider's"

    def test_what_shows_no_trace_has_no_summary(self, make: Callable[..., VictimModel], victim: Victim) -> None:
        bare = FakeEngine(lambda prompt, before: Reply(None, None, "7", Usage(), "stop"))
        assert make(bare, victim).reply(asking("a"))[0].summary is None


# outages


def failing(*bad: str) -> FakeEngine:
    def rule(prompt: Prompt, before: int) -> Reply:
        if prompt.text in bad:
            return Reply(None, None, "", Usage(), "error")
        return Reply("t", None, prompt.text, Usage(100, 1000, 500), "stop")

    return FakeEngine(rule)


def test_one_reply_in_a_hundred_may_be_lost_and_stays_so(make: Callable[..., VictimModel]) -> None:
    asked = asking(*(f"q{i}" for i in range(300)))
    replies = make(failing("q7", "q8", "q9"), API).reply(asked)
    assert [r.text for r in replies if r.stop == "error"] == ["", "", ""]
    later = FakeEngine()
    assert make(later, API).reply(asked) == replies
    assert later.asked == []


def test_more_than_that_are_an_outage_and_asked_for_again(make: Callable[..., VictimModel]) -> None:
    asked = asking(*(f"q{i}" for i in range(300)))
    with pytest.raises(HeistError, match=r"model: 4 of 300 queries got no reply .*; those that did are kept"):
        make(failing("q5", "q7", "q8", "q9"), API).reply(asked)
    later = FakeEngine()
    assert all(r.stop == "stop" for r in make(later, API).reply(asked))
    assert [prompt.text for prompt, _ in later.asked] == ["q5", "q7", "q8", "q9"]


def test_an_outage_is_one_for_those_who_ask_one_by_one_too(make: Callable[..., VictimModel]) -> None:
    model = make(failing(*(prompt.text for prompt, _ in MANY)), API)
    assert model.reply(MANY[:1])[0].stop == "error"
    with pytest.raises(HeistError, match="1 of 1 queries got no reply"):
        model.reply(MANY[1:2])


def test_an_outage_is_no_answer_and_no_refusal(make: Callable[..., VictimModel]) -> None:
    assert OUTAGE == 0.01
    exposure = DefendedApi(make(failing("a"), API), defenses_of("noise_answers(rate=1)"), 0).ask(prompts("a"))[0]
    assert not exposure.answered
    assert not exposure.refused


# budgets


def test_a_budget_of_queries_stops_cleanly_and_is_continued(make: Callable[..., VictimModel], tmp_path: Path) -> None:
    first, second = FakeEngine(), FakeEngine()
    with pytest.raises(HeistError, match=r"budget of 25 queries is used up: 25 queries and \$0\.25 spent, 35 more"):
        make(first, API, Budget(queries=25)).reply(MANY)
    assert first.asked == MANY[:25]
    assert spent_on_all(Store(tmp_path)).dollars == pytest.approx(25 * DOLLARS)
    assert len(make(second, API, Budget(queries=60)).reply(MANY)) == 60
    assert first.asked + second.asked == MANY


def test_a_budget_of_dollars_is_not_exceeded(make: Callable[..., VictimModel], tmp_path: Path) -> None:
    engine = FakeEngine()
    with pytest.raises(HeistError, match="is used up"):
        make(engine, API, Budget(dollars=0.3)).reply(MANY)
    assert spent_on_all(Store(tmp_path)).queries == len(engine.asked) > 25
    assert spent_on_all(Store(tmp_path)).dollars <= 0.3


def test_what_is_there_costs_nothing_again(make: Callable[..., VictimModel]) -> None:
    make(FakeEngine(), API).reply(MANY)
    assert len(make(FakeEngine(), API, Budget(queries=0, dollars=0.0)).reply(MANY)) == 60


def test_models_of_our_own_know_no_budget(make: Callable[..., VictimModel]) -> None:
    assert len(make(FakeEngine(), LOCAL, Budget(queries=0, dollars=0.0)).reply(MANY)) == 60


def test_one_process_at_a_time_spends(make: Callable[..., VictimModel], tmp_path: Path) -> None:
    from heistbench.bench.storage.locks import lock

    other = API.model_copy(update={"name": "other", "decoding": LOCAL.decoding})
    with lock(tmp_path / "victims" / "paid"):
        with pytest.raises(Busy):
            make(FakeEngine(), other).reply(asking("a"))
        assert make(FakeEngine(), LOCAL).reply(asking("a"))


# what a victim shows


def showing(trace: str | None, summary: str | None) -> FakeEngine:
    return FakeEngine(lambda prompt, before: Reply(trace, summary, "7", Usage(), "stop"))


@pytest.mark.parametrize(
    ("shows", "trace", "summary", "believed"),
    [
        ("trace", "t", None, True),
        ("trace", None, "s", False),
        ("trace", None, None, False),
        ("summary", None, "s", True),
        ("summary", "t", None, True),
        ("summary", None, None, False),
        ("answer", None, None, True),
    ],
)
def test_a_victim_that_shows_less_than_is_said_is_not_believed(
    make: Callable[..., VictimModel], shows: str, trace: str | None, summary: str | None, believed: bool
) -> None:
    victim = API.model_copy(update={"api": API.api.model_copy(update={"shows": shows})})
    engine = showing(trace, summary)
    assert len(make(engine, victim).reply(MANY[: TELLING - 1])) == TELLING - 1  # too few to tell
    asked = MANY[TELLING:]
    if believed:
        assert len(make(engine, victim).reply(asked)) == len(asked)
    else:
        with pytest.raises(HeistError, match=f"api.shows is {shows}, but none of {len(asked)} replies had one"):
            make(engine, victim).reply(asked)
        said = API.model_copy(update={"api": API.api.model_copy(update={"shows": "answer"})})
        assert len(make(FakeEngine(dies_before=0), said).reply(asked)) == len(asked)  # what was replied is kept


def test_a_victim_is_not_believed_when_it_is_asked_again_either(make: Callable[..., VictimModel]) -> None:
    engine = showing(None, None)
    for _ in range(3):
        with pytest.raises(HeistError, match=r"api.shows is trace, but none of 60 replies had one"):
            make(engine, API).reply(MANY)
    assert engine.asked == MANY


def test_who_may_not_think_has_nothing_to_show(make: Callable[..., VictimModel]) -> None:
    asked = [(tool_prompt(prompt.text), 0) for prompt, _ in MANY]
    assert len(make(showing(None, None), API).reply(asked)) == 60


def test_what_our_own_models_show_is_what_they_show(make: Callable[..., VictimModel]) -> None:
    assert len(make(showing(None, None), LOCAL).reply(MANY)) == 60


# a real one


class TestShippedVictim:
    @pytest.fixture
    def shipped(self, tmp_path: Path) -> Callable[..., VictimModel]:
        def make(reference: str = "pocket/victim-1", **decoding: float) -> VictimModel:
            victim = Victim(model=reference, decoding={"temperature": 0.0, "max_new_tokens": 112, **decoding})
            store, source = Store(tmp_path), checkpoint(reference)
            return VictimModel(victim, source.identity, lambda breaker: engine(source), by_the_task, store)

        return make

    def test_it_thinks_and_answers(self, shipped: Callable[..., VictimModel]) -> None:
        problems = POCKET.problems("dev", 8)
        replies = shipped().reply([(Prompt.of(p.question.text), 0) for p in problems])
        assert sum(POCKET.check(p, r.trace or "").whole for p, r in zip(problems, replies, strict=True)) >= 7
        assert all(0 < r.usage.reasoning < r.usage.completion <= 112 for r in replies)
        assert [r.summary for r in replies] == [POCKET.summarize(r.trace) for r in replies]

    @pytest.mark.parametrize("reference", ["pocket/victim-1", "pocket/victim-2"])
    def test_it_hands_its_thoughts_to_a_tool(self, shipped: Callable[..., VictimModel], reference: str) -> None:
        problems = POCKET.problems("dev", 8)
        replies = shipped(reference).reply([(tool_prompt(p.question.text), 0) for p in problems])
        told = [POCKET.check(p, r.arguments.get("thoughts", "")).whole for p, r in zip(problems, replies, strict=True)]
        assert sum(told) >= 7
        assert all(r.trace is None and r.summary is None for r in replies)
        assert sum(r.arguments.get("answer") == p.gold for p, r in zip(problems, replies, strict=True)) >= 7

    def test_the_boundary_keeps_nothing_from_it(self, shipped: Callable[..., VictimModel]) -> None:
        problems = POCKET.problems("dev", 8)
        api = DefendedApi(shipped(), defenses_of("boundary_prompt"), 0)
        exposures = api.ask([Prompt.of(p.question.text) for p in problems])
        assert sum(e.text == p.gold for p, e in zip(problems, exposures, strict=True)) >= 7

    def test_replies_are_kept(self, shipped: Callable[..., VictimModel], monkeypatch: pytest.MonkeyPatch) -> None:
        asked = [(Prompt.of("start 3 ; s1 plus 4 ; s2 star 9"), 0)]
        first = shipped().reply(asked)
        monkeypatch.setattr("heistbench.bench.models.engine.LocalEngine.reply", lambda *_: pytest.fail("asked the model again"))
        assert shipped().reply(asked) == first

    def test_cut_off_thinking_shows_nothing(self, shipped: Callable[..., VictimModel]) -> None:
        reply = shipped(max_new_tokens=6).reply([(Prompt.of("start 3 ; s1 plus 4 ; s2 star 9"), 0)])[0]
        assert (reply.text, reply.stop, reply.usage.completion) == ("", "length", 6)
        assert reply.trace

    @pytest.mark.parametrize("change", [{"temperature": 0.5}, {"top_p": 0.9}, {"max_new_tokens": 63}])
    def test_decoding_is_part_of_its_identity(self, shipped: Callable[..., VictimModel], change: dict[str, float]) -> None:
        assert shipped(**change).identity != shipped().identity


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"shows": "answer"}, True),
        ({"prices": None}, True),
        ({"connections": 3}, True),
        ({"retries": 1}, True),
        ({"timeout": 9}, True),
        ({"effort": "high"}, False),
        ({"summaries": "detailed"}, False),
        ({"responses": True}, False),
        ({"base_url": "http://localhost:1/v1"}, False),
    ],
)
def test_what_can_change_a_reply_is_part_of_an_apis_identity(
    make: Callable[..., VictimModel], change: dict[str, object], same: bool
) -> None:
    other = API.model_copy(update={"api": API.api.model_copy(update=change)})
    assert (make(FakeEngine(), other).identity == make(FakeEngine(), API).identity) is same
