from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from heistbench.bench import Defense, Exposure, HeistError, Prompt, Refusal, Reply, Usage
from heistbench.bench._engine import Completion
from heistbench.bench._plugins import Info
from heistbench.bench._registry import registry
from heistbench.bench._store import Store
from heistbench.bench._suite import Victim, defenses_of
from heistbench.bench._victim import DefendedApi, VictimModel, admit, read_reply, release, reply_from

PLAIN = Reply("3 is 3", "recap 3", "the answer is 41", Usage(2, 5, 3), "stop")


@dataclass(frozen=True)
class Marking(Defense):
    """Writes its mark on all that passes, in both directions."""

    mark: str = "x"
    info = Info("defense", "marking", "1-A")

    def admit(self, prompt: Prompt) -> Prompt | Refusal:
        return Prompt.of(prompt.text + self.mark)

    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        return Exposure(reply.text + self.mark, (reply.summary or "") + self.mark)


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
        return Exposure("no" if refused else reply.text, None if refused else reply.summary, refused)


@dataclass
class FakeVictim:
    """Repeats what it is asked; remembers it."""

    asked: list[tuple[Prompt, int]] = field(default_factory=list)
    trace: str = "hidden"

    def reply(self, asked: list[tuple[Prompt, int]]) -> list[Reply]:
        self.asked += asked
        return [Reply(self.trace, "recap", f"{prompt.text} = 7", Usage(1, 2, 1), "stop") for prompt, _ in asked]


def prompts(*texts: str) -> list[Prompt]:
    return [Prompt.of(text) for text in texts]


# composition


def test_defenses_compose_left_to_right() -> None:
    chain = [Marking("a"), Marking("b")]
    assert admit(chain, Prompt.of("q")) == Prompt.of("qab")
    assert release(chain, Prompt.of("q"), PLAIN, 0, "s") == Exposure("the answer is 41ab", "recap 3ab")
    victim = FakeVictim()
    assert DefendedApi(victim, chain).ask(prompts("q")) == [Exposure("qab = 7ab", "recapab")]


def test_no_defense_shows_answer_and_summary() -> None:
    assert release([], Prompt.of("q"), PLAIN, 0, "s") == Exposure("the answer is 41", "recap 3")


def test_a_later_defense_gets_what_the_former_let_through() -> None:
    chain = defenses_of("redact_summary(level=all)+none")
    assert release(chain, Prompt.of("q"), PLAIN, 0, "s").summary is None


def test_a_refused_prompt_never_reaches_the_victim() -> None:
    victim = FakeVictim()
    api = DefendedApi(victim, [Marking("a"), Refusing("bad"), Marking("b")])
    exposures = api.ask(prompts("good", "bad", "fine"))
    assert exposures == [
        Exposure("goodab = 7ab", "recapab"),
        Exposure("no bad", refused=True),
        Exposure("fineab = 7ab", "recapab"),
    ]
    assert [prompt.text for prompt, _ in victim.asked] == ["goodab", "fineab"]


def test_a_victim_is_not_asked_for_nothing() -> None:
    victim = FakeVictim()
    assert DefendedApi(victim, [Refusing("bad")]).ask(prompts("bad")) == [Exposure("no bad", refused=True)]
    assert DefendedApi(victim, []).ask([]) == []
    assert victim.asked == []


def test_a_refused_reply_stops_the_chain() -> None:
    chain = [Refusing("41", late=True), Marking("b")]
    assert release(chain, Prompt.of("q"), PLAIN, 0, "s") == Exposure("no", None, refused=True)


def test_what_the_victim_refuses_meets_no_defense() -> None:
    refused = Reply(None, None, "I cannot", Usage(), "refused")
    assert release([Marking("b")], Prompt.of("q"), refused, 0, "s") == Exposure("I cannot", None, refused=True)


def test_every_query_is_sealed_with_reply_and_exposure() -> None:
    api = DefendedApi(FakeVictim(), [Refusing("bad"), Marking("b")])
    exposures = api.ask(prompts("good", "bad"))
    assert [s.exposure for s in api.sealed] == exposures
    assert [s.prompt.text for s in api.sealed] == ["good", "bad"]
    assert [s.reply.trace for s in api.sealed] == ["hidden", None]
    assert [s.reply.stop for s in api.sealed] == ["stop", "refused"]


def test_coming_back_is_counted_prompt_by_prompt() -> None:
    victim = FakeVictim()
    api = DefendedApi(victim, [])
    api.ask(prompts("a", "b", "a"))
    api.ask(prompts("a", "c"))
    assert [(prompt.text, before) for prompt, before in victim.asked] == [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("c", 0)]


# noise, sticky and fresh


def served(spec: str, times: int, questions: int = 40) -> list[list[str]]:
    """What a defended victim serves each time all questions are asked."""
    api, asked = DefendedApi(FakeVictim(), defenses_of(spec)), prompts(*(f"question {i}" for i in range(questions)))
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


def test_fresh_noise_is_the_same_for_the_same_history() -> None:
    assert served("noise_answers(fresh=true)", 3) == served("noise_answers(fresh=true)", 3)


@pytest.mark.parametrize("fresh", ["true", "false"])
def test_noise_does_not_hang_on_what_else_is_asked(fresh: str) -> None:
    chain = defenses_of(f"noise_answers(fresh={fresh})")
    alone = [DefendedApi(FakeVictim(), chain).ask([prompt])[0] for prompt in prompts("a", "b", "c")]
    assert DefendedApi(FakeVictim(), chain).ask(prompts("c", "a", "b")) == [alone[2], alone[0], alone[1]]


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


@pytest.fixture
def recorded(tmp_path: Path) -> VictimModel:
    task = registry.build("task", "pocket")
    return VictimModel(Victim(model="recorded"), task, Store(tmp_path), task.problems("query", 4))


def test_a_recorded_victim_replays_the_data_set(recorded: VictimModel) -> None:
    problems = registry.build("task", "pocket").problems("query", 4)
    replies = recorded.reply([(Prompt.of(p.question.text), 0) for p in problems])
    assert [(r.trace, r.text, r.stop) for r in replies] == [(p.trace, p.gold, "stop") for p in problems]
    assert all("star gives" in (r.summary or "") for r in replies)
    assert [r.usage.reasoning for r in replies] == [len(p.trace.split()) for p in problems]


@pytest.mark.parametrize("text", ["what else ?", "start 1 ; s1 star 2 "])
def test_a_recorded_victim_knows_its_own_questions_only(recorded: VictimModel, text: str) -> None:
    with pytest.raises(HeistError, match="recorded victim answers the task's own questions only"):
        recorded.reply([(Prompt.of(text), 0)])


# a real one


class TestShippedVictim:
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., VictimModel]:
        def make(**decoding: float) -> VictimModel:
            victim = Victim(model="pocket/victim-1", decoding={"temperature": 0.0, "max_new_tokens": 64, **decoding})
            return VictimModel(victim, registry.build("task", "pocket"), Store(tmp_path))

        return make

    def test_it_thinks_and_answers(self, make: Callable[..., VictimModel]) -> None:
        task = registry.build("task", "pocket")
        problems = task.problems("dev", 8)
        replies = make().reply([(Prompt.of(p.question.text), 0) for p in problems])
        assert sum(task.check(p, r.trace or "").whole for p, r in zip(problems, replies, strict=True)) >= 7
        assert all(0 < r.usage.reasoning < r.usage.completion <= 64 for r in replies)
        assert [r.summary for r in replies] == [task.summarize(r.trace) for r in replies]

    def test_replies_are_kept(self, make: Callable[..., VictimModel], monkeypatch: pytest.MonkeyPatch) -> None:
        asked = [(Prompt.of("start 3 ; s1 plus 4 ; s2 star 9"), 0)]
        first = make().reply(asked)
        monkeypatch.setattr("heistbench.bench._victim.engine_for", lambda reference: pytest.fail("asked the model again"))
        assert make().reply(asked) == first

    def test_cut_off_thinking_shows_nothing(self, make: Callable[..., VictimModel]) -> None:
        reply = make(max_new_tokens=6).reply([(Prompt.of("start 3 ; s1 plus 4 ; s2 star 9"), 0)])[0]
        assert (reply.text, reply.stop, reply.usage.completion) == ("", "length", 6)
        assert reply.trace

    @pytest.mark.parametrize("change", [{"temperature": 0.5}, {"top_p": 0.9}, {"max_new_tokens": 63}])
    def test_decoding_is_part_of_its_identity(self, make: Callable[..., VictimModel], change: dict[str, float]) -> None:
        assert make(**change).identity != make().identity


# replies


def test_the_summary_is_of_the_trace_and_not_of_the_answer() -> None:
    task = registry.build("task", "pocket")
    found = read_reply(Completion("<think> s1 3 star 4 is 7 </think> s2 star gives 9", "stop", 4, 20), "", task)
    assert (found.trace, found.summary, found.text) == ("s1 3 star 4 is 7", "s1 star gives 7 .", "s2 star gives 9")
    assert found.usage.prompt == 4
    assert found.usage.completion == 20


def test_a_reply_without_thinking_has_no_trace() -> None:
    found = read_reply(Completion("7", "stop", 4, 1), "", registry.build("task", "pocket"))
    assert (found.trace, found.summary, found.text, found.usage.reasoning) == (None, None, "7", 0)


def test_replies_come_back_from_json() -> None:
    from dataclasses import asdict

    assert reply_from(asdict(PLAIN)) == PLAIN
