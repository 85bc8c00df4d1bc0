"""Every attack against a desk that is all script: what it asks, what it takes, what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from heistbench.bench import (
    Exposure,
    Prompt,
    Question,
    Reply,
    Stolen,
    Usage,
    demonstration_prompt,
    inversion_prompt,
    read_shown,
    show,
)
from heistbench.bench._registry import registry
from heistbench.bench._wall import attacker

QUESTIONS = [Question(f"id-{i}", f"question {i}") for i in range(5)]
OWN = [Question(f"own-{i}", f"own {i}") for i in range(4)]


def answer(prompt: Prompt) -> Exposure:
    """A victim that refuses question 1, has no summary for question 3, and answers what it is asked."""
    number = prompt.text[-1]
    if number == "1":
        return Exposure("no", refused=True)
    return Exposure(f"answer {number}", None if number == "3" else f"recap {number}")


@dataclass
class ScriptedDesk:
    """Answers by rule; remembers every call."""

    expose: Callable[[Prompt], Exposure] = answer
    asked: list[Prompt] = field(default_factory=list)
    surrogate_calls: list[tuple[list[Prompt], float | None]] = field(default_factory=list)
    trained: list[list[tuple[Prompt, str]]] = field(default_factory=list)
    inverted: list[tuple[str, list[Prompt]]] = field(default_factory=list)
    rehearsed: list[list[Prompt]] = field(default_factory=list)
    rehearsal: Callable[[Reply], Exposure] = lambda reply: Exposure("noised", reply.summary)

    def ask(self, prompts: list[Prompt]) -> list[Exposure]:
        self.asked += prompts
        return [self.expose(prompt) for prompt in prompts]

    def surrogate(self, prompts: list[Prompt], temperature: float | None) -> list[Reply]:
        self.surrogate_calls.append((prompts, temperature))
        return [self.think(prompt) for prompt in prompts]

    def think(self, prompt: Prompt) -> Reply:
        """Thinks about all; on its own question 2 it never comes to an end, on 3 it gives no recap."""
        name = prompt.text.splitlines()[0]
        summary = None if name.endswith("3") else f"own recap of {name}"
        return Reply(f"thought of {name}", summary, f"guess of {name}", Usage(), "length" if name == "own 2" else "stop")

    def own_questions(self) -> list[Question]:
        return OWN

    def fine_tune(self, examples: list[tuple[Prompt, str]]) -> str:
        self.trained.append(examples)
        return f"inverter {len(self.trained)}"

    def generate(self, model: str, prompts: list[Prompt]) -> list[str]:
        self.inverted.append((model, prompts))
        return [f" {model} rebuilt {prompt.text.splitlines()[0]} " for prompt in prompts]

    def rehearse(self, prompts: list[Prompt], replies: list[Reply]) -> list[Exposure]:
        self.rehearsed.append(prompts)
        return [self.rehearsal(reply) for reply in replies]

    def truth_gold(self, ids: list[str]) -> list[str]:
        return [f"gold {i}" for i in ids]

    def truth_replies(self, ids: list[str]) -> list[Reply]:
        return [Reply(f"true trace {i}", None, f"true answer {i}", Usage(), "stop") for i in ids]

    def truth_wrong_traces(self, ids: list[str]) -> list[str]:
        return [f"wrong trace {i}" for i in ids]


@pytest.fixture
def desk() -> ScriptedDesk:
    return ScriptedDesk()


@pytest.fixture
def steal(desk: ScriptedDesk) -> Iterator[Callable[..., list[Stolen]]]:
    """Runs an attack, by its spec, on the five questions."""

    def run(spec: str, on: ScriptedDesk = desk, seed: int = 0) -> list[Stolen]:
        plugin = registry.build("attack", spec)
        with attacker(on, Random(seed), plugin.info.privileged) as (target, kit):
            return list(plugin.steal(target, QUESTIONS, kit))

    return run


def ids(rows: list[Stolen]) -> list[str]:
    return [row.id for row in rows]


# what every attack keeps to


@pytest.mark.parametrize("name", sorted(registry.all("attack")))
def test_loot_is_of_the_questions_given_each_at_most_once(steal: Callable[..., list[Stolen]], name: str) -> None:
    rows = steal(name)
    assert len(set(ids(rows))) == len(rows)
    assert set(ids(rows)) <= {q.id for q in QUESTIONS}
    assert all(row.question == QUESTIONS[int(row.id[-1])].text for row in rows)


@pytest.mark.parametrize("name", sorted(registry.all("attack")))
def test_one_query_a_question_at_most(steal: Callable[..., list[Stolen]], desk: ScriptedDesk, name: str) -> None:
    steal(name)
    assert len(desk.asked) <= len(QUESTIONS)


@pytest.mark.parametrize("name", ["untrained", "surrogate_trace", "gold_inversion", "wrong_trace", "true_trace"])
def test_controls_do_not_ask_the_defended_victim(steal: Callable[..., list[Stolen]], desk: ScriptedDesk, name: str) -> None:
    steal(name)
    assert desk.asked == []


@pytest.mark.parametrize("name", [n for n, cls in registry.all("attack").items() if not cls.info.control])
def test_refused_questions_give_no_row(steal: Callable[..., list[Stolen]], name: str) -> None:
    assert "id-1" not in ids(steal(name))


@pytest.mark.parametrize("name", [n for n, cls in registry.all("attack").items() if not cls.info.control])
def test_a_victim_that_refuses_all_gives_nothing(steal: Callable[..., list[Stolen]], name: str) -> None:
    assert steal(name, ScriptedDesk(expose=lambda prompt: Exposure("no", refused=True))) == []


# one by one


def test_answer_only(steal: Callable[..., list[Stolen]]) -> None:
    assert [(r.id, r.trace, r.answer) for r in steal("answer_only")] == [(f"id-{i}", None, f"answer {i}") for i in (0, 2, 3, 4)]


def test_summary_answer_puts_the_recap_where_the_trace_would_be(steal: Callable[..., list[Stolen]]) -> None:
    assert [r.trace for r in steal("summary_answer")] == ["recap 0", "recap 2", None, "recap 4"]


def test_zero_shot_inversion_takes_the_surrogates_thoughts(steal: Callable[..., list[Stolen]], desk: ScriptedDesk) -> None:
    rows = steal("zero_shot_inversion")
    ((prompts, temperature),) = desk.surrogate_calls
    assert prompts[0] == inversion_prompt("question 0", "answer 0", "recap 0")
    assert prompts[2] == inversion_prompt("question 3", "answer 3", None)
    assert temperature == 0.0
    assert [r.trace for r in rows] == [f"thought of Question : question {i}" for i in (0, 2, 3, 4)]
    assert [r.answer for r in rows] == [f"answer {i}" for i in (0, 2, 3, 4)]


def test_zero_shot_inversion_may_leave_the_summary(steal: Callable[..., list[Stolen]], desk: ScriptedDesk) -> None:
    steal("zero_shot_inversion(use_summary=false)")
    assert desk.surrogate_calls[0][0][0] == inversion_prompt("question 0", "answer 0", None)


def test_zero_shot_inversion_takes_the_reply_of_a_surrogate_that_does_not_think(steal: Callable[..., list[Stolen]]) -> None:
    desk = ScriptedDesk()
    desk.think = lambda prompt: Reply(None, None, "just said", Usage(), "stop")
    assert {r.trace for r in steal("zero_shot_inversion", desk)} == {"just said"}


def test_trace_inversion_trains_one_inverter_with_summaries_and_one_without(
    steal: Callable[..., list[Stolen]], desk: ScriptedDesk
) -> None:
    rows = steal("trace_inversion")
    with_recap, without = desk.trained
    # Question 2 of its own never came to an end, 3 has no recap to learn from.
    assert [prompt for prompt, _ in with_recap] == [
        inversion_prompt(f"own {i}", f"guess of own {i}", f"own recap of own {i}") for i in (0, 1)
    ]
    assert [prompt for prompt, _ in without] == [inversion_prompt(f"own {i}", f"guess of own {i}", None) for i in (0, 1, 3)]
    assert [trace for _, trace in without] == [f"thought of own {i}" for i in (0, 1, 3)]
    assert dict(desk.inverted) == {
        "inverter 1": [inversion_prompt(f"question {i}", f"answer {i}", f"recap {i}") for i in (0, 2, 4)],
        "inverter 2": [inversion_prompt("question 3", "answer 3", None)],
    }
    assert ids(rows) == ["id-0", "id-2", "id-3", "id-4"]
    assert [r.trace for r in rows][2] == "inverter 2 rebuilt Question : question 3"
    assert [r.answer for r in rows] == [f"answer {i}" for i in (0, 2, 3, 4)]
    assert desk.surrogate_calls[0][1] is None  # the suite's temperature


def test_trace_inversion_without_summaries_trains_one_inverter(steal: Callable[..., list[Stolen]], desk: ScriptedDesk) -> None:
    steal("trace_inversion(use_summary=false)")
    assert len(desk.trained) == 1
    assert all("Summary" not in prompt.text for _, prompts in desk.inverted for prompt in prompts)


def test_an_adaptive_inverter_is_trained_through_the_standing_defense(
    steal: Callable[..., list[Stolen]], desk: ScriptedDesk
) -> None:
    steal("trace_inversion(adaptive=true)")
    assert desk.rehearsed[0] == [Prompt.of(q.text) for q in OWN]
    assert all("Final answer : noised" in prompt.text for rows in desk.trained for prompt, _ in rows)


def test_an_inverter_that_does_not_adapt_never_rehearses(steal: Callable[..., list[Stolen]], desk: ScriptedDesk) -> None:
    steal("trace_inversion")
    assert desk.rehearsed == []


def test_what_the_defense_would_refuse_is_no_lesson_for_an_adaptive_inverter(steal: Callable[..., list[Stolen]]) -> None:
    desk = ScriptedDesk(rehearsal=lambda reply: Exposure("no", refused="own 0" in reply.text))
    steal("trace_inversion(adaptive=true,use_summary=false)", desk)
    assert [trace for _, trace in desk.trained[0]] == ["thought of own 1", "thought of own 3"]


# reasoning exposure


def exposing(prompt: Prompt) -> Exposure:
    """A victim that shows its trace in a bash frame, but for questions 1 (refused), 2 (answer alone) and 3 (plain text)."""
    number = prompt.text[-1]
    shown = {"2": show(None, "answer 2", "bash"), "3": "answer 3", "4": ""}
    return Exposure(shown.get(number, show(f"trace {number}", f"answer {number}", "bash")), refused=number == "1")


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("all", [("id-0", "trace 0", "answer 0"), ("id-2", None, "answer 2"), ("id-3", None, "answer 3")]),
        ("shown", [("id-0", "trace 0", "answer 0")]),
    ],
)
def test_rep_reads_what_is_shown(steal: Callable[..., list[Stolen]], keep: str, expected: list[object]) -> None:
    rows = steal(f"rep(keep={keep})", ScriptedDesk(expose=exposing))
    assert [(r.id, r.trace, r.answer) for r in rows] == expected


@pytest.mark.parametrize("shots", [0, 1, 3])
def test_rep_asks_behind_demonstrations_of_its_surrogate(
    steal: Callable[..., list[Stolen]], desk: ScriptedDesk, shots: int
) -> None:
    steal(f"rep(shots={shots},wrapper=jupyter)")
    assert len(desk.asked) == len(QUESTIONS)
    prompts, temperature = desk.surrogate_calls[0]
    assert len(set(prompts)) == shots
    assert set(prompts) <= {Prompt.of(q.text) for q in OWN}
    assert temperature == 0.0
    for question, prompt in zip(QUESTIONS, desk.asked, strict=True):
        assert prompt.text.endswith(question.text)
        assert prompt.text.count("thought of own") == 2 * shots  # thought, then shown
        assert prompt.text.count("!cat reasoning_trace.txt") == shots


def test_rep_draws_its_demonstrations_from_its_generator(steal: Callable[..., list[Stolen]]) -> None:
    drawn = []
    for seed in (1, 1, 2, 3, 4):
        desk = ScriptedDesk()
        steal("rep(shots=2)", desk, seed)
        drawn.append(desk.surrogate_calls[0][0])
    assert drawn[0] == drawn[1]
    assert len({tuple(prompts) for prompts in drawn}) > 1


def test_rep_shows_what_it_asks_for_in_the_wrapper_it_reads(steal: Callable[..., list[Stolen]], desk: ScriptedDesk) -> None:
    steal("rep(shots=1,wrapper=python)")
    demo = demonstration_prompt([], "x", "python")
    assert demo.text.endswith("Question : x")
    shown = desk.asked[0].text.split("</think>\n")[1].split("\n\nAnswer the next one")[0]
    trace, _ = read_shown(shown, "python")
    assert trace is not None
    assert trace.startswith("thought of own")


# controls


def test_untrained_takes_nothing(steal: Callable[..., list[Stolen]]) -> None:
    assert steal("untrained") == []


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_surrogate_trace_distils_the_surrogate(
    steal: Callable[..., list[Stolen]], desk: ScriptedDesk, temperature: float
) -> None:
    rows = steal(f"surrogate_trace(temperature={temperature})")
    assert desk.surrogate_calls == [([Prompt.of(q.text) for q in QUESTIONS], temperature)]
    assert [(r.trace, r.answer) for r in rows] == [(f"thought of question {i}", f"guess of question {i}") for i in range(5)]


def test_surrogate_trace_leaves_out_what_did_not_end(steal: Callable[..., list[Stolen]]) -> None:
    desk = ScriptedDesk()
    desk.think = lambda prompt: Reply("t", None, "a", Usage(), "length" if prompt.text.endswith("4") else "stop")
    assert ids(steal("surrogate_trace", desk)) == ["id-0", "id-1", "id-2", "id-3"]


def test_true_trace_is_the_ceiling(steal: Callable[..., list[Stolen]]) -> None:
    assert [(r.trace, r.answer) for r in steal("true_trace")] == [(f"true trace id-{i}", f"true answer id-{i}") for i in range(5)]


def test_wrong_trace_pairs_wrong_steps_with_gold(steal: Callable[..., list[Stolen]]) -> None:
    assert [(r.trace, r.answer) for r in steal("wrong_trace")] == [(f"wrong trace id-{i}", f"gold id-{i}") for i in range(5)]


def test_gold_inversion_inverts_gold_answers_without_summaries(steal: Callable[..., list[Stolen]], desk: ScriptedDesk) -> None:
    rows = steal("gold_inversion")
    ((_, prompts),) = desk.inverted
    assert prompts == [inversion_prompt(q.text, f"gold {q.id}", None) for q in QUESTIONS]
    assert [r.answer for r in rows] == [f"gold {q.id}" for q in QUESTIONS]
    assert all("Summary" not in prompt.text for prompt, _ in desk.trained[0])
