"""Every attack against a desk that is all script: what it asks, what it takes, what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from direct import ends

from heistbench.bench import (
    WRAPPERS,
    Exposure,
    HeistError,
    Prompt,
    Question,
    Reply,
    Stolen,
    Usage,
    demonstration_prompt,
    inversion_prompt,
    request_prompt,
    show,
    tool_prompt,
)
from heistbench.bench.contracts.registry import registry

QUESTIONS = [Question(f"id-{i}", f"question {i}") for i in range(5)]
OWN = [Question(f"own-{i}", f"own {i}") for i in range(5)]
ATTACKS = registry.all("attack")
VARIANTS = [
    *ATTACKS,
    "rep(keep=valid)",
    "rep(keep=clean)",
    "rep(shots=0,wrapper=labels)",
    "rep(source=elsewhere)",
    "rep_request(request=stepwise)",
    "rep_inversion(share=0.5,use_summary=false)",
    "trace_inversion(use_summary=false)",
    "trace_inversion(adaptive=true)",
    "trace_inversion(gate=true)",
    "zero_shot_inversion(use_summary=false)",
    "answer_filtered(adaptive=true)",
]
"""All attacks and controls, and what changes their ways."""
PAST = ("true_trace", "other_trace")
"""Those that see the victim's replies past the defense."""
ASKING = [spec for spec in VARIANTS if ATTACKS[spec.partition("(")[0]].info.asks != "nothing" and spec not in PAST]
"""Those that query the victim through the defense."""


def answer(prompt: Prompt) -> Exposure:
    """A victim that refuses question 1, has no summary for question 3, and answers what it is asked."""
    number = prompt.text[-1]
    if number == "1":
        return Exposure("no", refused=True)
    return Exposure(f"answer {number}", None if number == "3" else f"recap {number}")


def asked_of(prompt: Prompt) -> str:
    """The question of an inversion prompt."""
    return prompt.messages[-1].content.splitlines()[-1].removeprefix("The problem is: ")


@dataclass
class ScriptedDesk:
    """Answers by rule; remembers every call."""

    expose: Callable[[Prompt], Exposure] = answer
    asked: list[Prompt] = field(default_factory=list)
    surrogate_calls: list[tuple[list[Prompt], float | None]] = field(default_factory=list)
    others: list[tuple[str, int]] = field(default_factory=list)
    trained: list[list[tuple[Prompt, str]]] = field(default_factory=list)
    inverted: list[tuple[str, list[Prompt]]] = field(default_factory=list)
    rehearsed: list[list[Prompt]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    rehearsal: Callable[[Reply], Exposure] = lambda reply: Exposure("noised", reply.summary)

    def ask(self, prompts: list[Prompt]) -> list[Exposure]:
        self.asked += prompts
        return [self.expose(prompt) for prompt in prompts]

    def surrogate(self, prompts: list[Prompt], temperature: float | None, summaries: bool) -> list[Reply]:
        self.surrogate_calls.append((prompts, temperature))
        return [self.think(prompt) for prompt in prompts]

    def think(self, prompt: Prompt) -> Reply:
        """Thinks about all; on its own question 2 it never comes to an end, on 3 it gives no recap."""
        name = prompt.text.splitlines()[0]
        if name == "own 2":
            return Reply(f"thought of {name}", f"own recap of {name}", "", Usage(), "length")
        return Reply(
            f"thought of {name}", None if name == "own 3" else f"own recap of {name}", f"guess of {name}", Usage(), "stop"
        )

    def own_questions(self) -> list[Question]:
        return OWN

    def questions_of(self, task: str, n: int) -> list[Question]:
        self.others.append((task, n))
        return [Question(f"{task}-{i}", f"{task} {i}") for i in range(n)]

    def fine_tune(self, examples: list[tuple[Prompt, str]]) -> str:
        self.trained.append(examples)
        return f"inverter {len(self.trained)}"

    def untuned(self) -> str:
        return "untuned"

    def generate(self, model: str, prompts: list[Prompt], temperature: float | None) -> list[str]:
        self.inverted.append((model, prompts))
        return [f" {model} rebuilt {asked_of(prompt)} " for prompt in prompts]

    def rehearse(self, prompts: list[Prompt], replies: list[Reply]) -> list[Exposure]:
        self.rehearsed.append(prompts)
        return [self.rehearsal(reply) for reply in replies]

    def truth_gold(self, ids: list[str]) -> list[str]:
        return [f"gold {i}" for i in ids]

    def truth_replies(self, ids: list[str]) -> list[Reply]:
        self.looked_up += ids
        return [Reply(f"true trace {i}", None, f"true answer {i}", Usage(), "stop") for i in ids]

    def truth_wrong_traces(self, ids: list[str]) -> list[str]:
        return [f"wrong trace {i}" for i in ids]


@pytest.fixture
def desk() -> ScriptedDesk:
    return ScriptedDesk()


Steal = Callable[..., list[Stolen]]


@pytest.fixture
def steal(desk: ScriptedDesk) -> Iterator[Steal]:
    """Runs an attack, by its spec, on the five questions."""

    def run(spec: str, on: ScriptedDesk = desk, seed: int = 0, questions: Sequence[Question] = QUESTIONS) -> list[Stolen]:
        plugin = registry.build("attack", spec)
        target, kit = ends(on, seed, plugin.info.privileged)
        return list(plugin.steal(target, questions, kit))

    return run


def ids(rows: list[Stolen]) -> list[str]:
    return [row.id for row in rows]


# what every attack keeps to


@pytest.mark.parametrize("spec", VARIANTS)
def test_loot_is_of_the_questions_given_each_at_most_once(steal: Steal, spec: str) -> None:
    rows = steal(spec)
    assert len(set(ids(rows))) == len(rows)
    assert set(ids(rows)) <= {q.id for q in QUESTIONS}
    assert all(row.question == QUESTIONS[int(row.id[-1])].text for row in rows)


@pytest.mark.parametrize("spec", VARIANTS)
def test_one_query_a_question_and_no_more(steal: Steal, desk: ScriptedDesk, spec: str) -> None:
    steal(spec)
    queries = [*desk.asked, *desk.looked_up]
    assert len(queries) == (0 if ATTACKS[spec.partition("(")[0]].info.asks == "nothing" else len(QUESTIONS))


@pytest.mark.parametrize("spec", ASKING)
def test_an_attack_asks_what_it_says_it_asks(steal: Steal, desk: ScriptedDesk, spec: str) -> None:
    """What asks the questions as they are is served by the same replies as all that do."""
    steal(spec)
    plain = [Prompt.of(q.text) for q in QUESTIONS]
    if ATTACKS[spec.partition("(")[0]].info.asks == "questions":
        assert desk.asked == plain
    else:
        assert set(desk.asked) - set(plain)
        assert all(prompt.text.endswith(q.text) for prompt, q in zip(desk.asked, QUESTIONS, strict=True))


@pytest.mark.parametrize("spec", VARIANTS)
def test_a_budget_of_nothing_asks_nothing_and_steals_nothing(steal: Steal, desk: ScriptedDesk, spec: str) -> None:
    assert steal(spec, questions=[]) == []
    assert desk.asked == desk.looked_up == desk.trained == []


@pytest.mark.parametrize("spec", ASKING)
def test_refused_questions_give_no_row(steal: Steal, spec: str) -> None:
    assert "id-1" not in ids(steal(spec))


@pytest.mark.parametrize(
    "exposure", [Exposure("no", refused=True), Exposure("", refused=True), Exposure(""), Exposure("", "recap")]
)
@pytest.mark.parametrize("spec", ASKING)
def test_refusals_and_outages_give_nothing(steal: Steal, spec: str, exposure: Exposure) -> None:
    assert steal(spec, ScriptedDesk(expose=lambda prompt: exposure)) == []


@pytest.mark.parametrize("spec", VARIANTS)
def test_no_row_is_without_an_answer(steal: Steal, spec: str) -> None:
    assert all(row.answer for row in steal(spec))


# plain SFT


def test_answer_only(steal: Steal) -> None:
    assert [(r.id, r.trace, r.answer) for r in steal("answer_only")] == [(f"id-{i}", None, f"answer {i}") for i in (0, 2, 3, 4)]


def test_summary_answer_puts_the_recap_where_the_trace_would_be(steal: Steal) -> None:
    assert [r.trace for r in steal("summary_answer")] == ["recap 0", "recap 2", None, "recap 4"]


# inversion


def test_zero_shot_inversion_asks_the_inverter_before_any_training(steal: Steal, desk: ScriptedDesk) -> None:
    rows = steal("zero_shot_inversion")
    assert desk.trained == desk.surrogate_calls == []
    ((model, prompts),) = desk.inverted
    assert model == "untuned"
    assert prompts == [inversion_prompt(f"question {i}", f"answer {i}", None if i == 3 else f"recap {i}") for i in (0, 2, 3, 4)]
    assert [r.trace for r in rows] == [f"untuned rebuilt question {i}" for i in (0, 2, 3, 4)]
    assert [r.answer for r in rows] == [f"answer {i}" for i in (0, 2, 3, 4)]


def test_zero_shot_inversion_may_leave_the_summary(steal: Steal, desk: ScriptedDesk) -> None:
    steal("zero_shot_inversion(use_summary=false)")
    assert desk.inverted[0][1][0] == inversion_prompt("question 0", "answer 0", None)


@pytest.mark.parametrize(
    ("said", "trace"),
    [
        ("<think>deep</think>shallow", "deep"),
        ("deep</think>shallow", "deep"),  # its template opens the thinking
        ("<think>\n\n</think>\n\nsaid", "said"),  # its thinking is off
        ("<think>without end", "without end"),
        ("just said", "just said"),
        ("", None),
    ],
)
@pytest.mark.parametrize("name", ["zero_shot_inversion", "trace_inversion"])
def test_inversion_takes_the_thoughts_or_else_the_reply(steal: Steal, name: str, said: str, trace: str | None) -> None:
    desk = ScriptedDesk()
    desk.generate = lambda model, prompts, temperature: [said] * len(prompts)
    assert {r.trace for r in steal(name, desk)} == {trace}


def test_trace_inversion_trains_one_inverter_with_summaries_and_one_without(steal: Steal, desk: ScriptedDesk) -> None:
    rows = steal("trace_inversion")
    with_recap, without = desk.trained
    # Question 2 of its own never came to an end, 3 has no recap to learn from.
    assert [prompt for prompt, _ in with_recap] == [
        inversion_prompt(f"own {i}", f"guess of own {i}", f"own recap of own {i}") for i in (0, 1, 4)
    ]
    assert [prompt for prompt, _ in without] == [inversion_prompt(f"own {i}", f"guess of own {i}", None) for i in (0, 1, 3, 4)]
    assert [trace for _, trace in without] == [f"thought of own {i}" for i in (0, 1, 3, 4)]
    assert dict(desk.inverted) == {
        "inverter 1": [inversion_prompt(f"question {i}", f"answer {i}", f"recap {i}") for i in (0, 2, 4)],
        "inverter 2": [inversion_prompt("question 3", "answer 3", None)],
    }
    assert ids(rows) == ["id-0", "id-2", "id-3", "id-4"]
    assert [r.trace for r in rows] == [f"inverter {2 if i == 3 else 1} rebuilt question {i}" for i in (0, 2, 3, 4)]
    assert [r.answer for r in rows] == [f"answer {i}" for i in (0, 2, 3, 4)]
    assert desk.surrogate_calls[0][1] is None  # the suite's temperature


def test_trace_inversion_without_summaries_trains_one_inverter(steal: Steal, desk: ScriptedDesk) -> None:
    steal("trace_inversion(use_summary=false)")
    assert len(desk.trained) == 1
    assert all("recap" not in prompt.text for _, prompts in desk.inverted for prompt in prompts)
    assert all("recap" not in prompt.text for prompt, _ in desk.trained[0])


def test_an_adaptive_inverter_is_trained_through_the_standing_defense(steal: Steal, desk: ScriptedDesk) -> None:
    steal("trace_inversion(adaptive=true)")
    assert desk.rehearsed[0] == [Prompt.of(q.text) for q in OWN]
    assert all("The final answer is: noised" in prompt.text for rows in desk.trained for prompt, _ in rows)


def test_an_inverter_that_does_not_adapt_never_rehearses(steal: Steal, desk: ScriptedDesk) -> None:
    steal("trace_inversion")
    assert desk.rehearsed == []


def test_what_the_defense_would_refuse_is_no_lesson_for_an_adaptive_inverter(steal: Steal) -> None:
    desk = ScriptedDesk(rehearsal=lambda reply: Exposure("no", refused="own 0" in reply.text))
    steal("trace_inversion(adaptive=true,use_summary=false)", desk)
    assert [trace for _, trace in desk.trained[0]] == ["thought of own 1", "thought of own 3", "thought of own 4"]


def test_augmentation_adds_the_surrogates_finished_replies_to_its_own_questions(steal: Steal) -> None:
    plain, augmented = steal("trace_inversion"), steal("trace_inversion(augment=true)")
    added = [Stolen(f"own-{i}", f"own {i}", f"thought of own {i}", f"guess of own {i}") for i in (0, 1, 3, 4)]
    assert [row.answer for row in augmented[: len(plain)]] == [row.answer for row in plain]
    assert augmented[len(plain) :] == added
    assert steal("trace_inversion(augment=true)", questions=[]) == added  # what a budget of nothing buys


def test_gating_leaves_the_trace_off_where_code_is_asked_for(steal: Steal) -> None:
    questions = [Question(q.id, q.text, {"domain": "code"} if q.id == "id-2" else {}) for q in QUESTIONS]
    gated = steal("trace_inversion(gate=true)", questions=questions)
    assert {row.id: row.trace is None for row in gated} == {"id-0": False, "id-2": True, "id-3": False, "id-4": False}
    assert [row.answer for row in gated] == [f"answer {i}" for i in (0, 2, 3, 4)]
    assert all(row.trace for row in steal("trace_inversion", questions=questions))


# reasoning exposure


def exposing(prompt: Prompt) -> Exposure:
    """A victim that shows its trace in a bash frame, but for questions 1 (refused), 2 (answer alone) and 3 (plain text)."""
    number = prompt.text[-1]
    shown = {"2": show(None, "answer 2", "bash"), "3": "Well.\nanswer 3", "4": ""}
    return Exposure(shown.get(number, show(f"trace {number}", f"answer {number}", "bash")), refused=number == "1")


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("all", [("id-0", "trace 0", "answer 0"), ("id-2", None, "answer 2"), ("id-3", None, "answer 3")]),
        ("valid", [("id-0", "trace 0", "answer 0")]),
        ("clean", []),
    ],
)
def test_rep_reads_what_is_shown(steal: Steal, keep: str, expected: list[object]) -> None:
    rows = steal(f"rep(keep={keep})", ScriptedDesk(expose=exposing))
    assert [(r.id, r.trace, r.answer) for r in rows] == expected


def test_rep_keeps_clean_what_its_surrogate_would_answer_too(steal: Steal) -> None:
    def expose(prompt: Prompt) -> Exposure:
        number = prompt.text[-1]
        said = f"guess of question {number}" if number in "03" else "9"
        return Exposure(show(None if number == "3" else "t", said, "bash"))

    desk = ScriptedDesk(expose=expose)
    assert ids(steal("rep(keep=clean)", desk)) == ["id-0"]
    prompts, temperature = desk.surrogate_calls[-1]
    assert (prompts, temperature) == ([Prompt.of(f"question {i}") for i in (0, 1, 2, 4)], 0.0)


def test_a_reply_cut_off_while_it_showed_its_trace_gives_no_row(steal: Steal) -> None:
    cut = "```bash\n$ cat reasoning_trace.txt\n3 is 3\nand so"
    assert steal("rep", ScriptedDesk(expose=lambda prompt: Exposure(cut))) == []


def shown_questions(prompt: Prompt) -> list[str]:
    """The questions of a prompt's demonstrations, in order."""
    return re.findall(r"^Question: (.*)$", prompt.text, re.MULTILINE)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("shots", [0, 1, 3])
def test_rep_asks_behind_demonstrations_of_its_surrogate(steal: Steal, desk: ScriptedDesk, shots: int, wrapper: str) -> None:
    steal(f"rep(shots={shots},wrapper={wrapper})")
    assert {temperature for _, temperature in desk.surrogate_calls} == {0.0}
    assert len({prompt.text.rpartition("\n")[0] for prompt in desk.asked}) == 1  # the same for every query
    for question, prompt in zip(QUESTIONS, desk.asked, strict=True):
        shown = shown_questions(prompt)
        assert len(set(shown)) == shots
        assert set(shown) <= {"own 0", "own 1", "own 3", "own 4"}  # it never finished 2
        assert all(show(f"thought of {name}", f"guess of {name}", wrapper) in prompt.text for name in shown)
        assert prompt.text.endswith(demonstration_prompt([], question.text, wrapper).text)


def drawn(steal: Steal, spec: str, seed: int) -> list[str]:
    desk = ScriptedDesk()
    steal(spec, desk, seed)
    return shown_questions(desk.asked[0])


@pytest.mark.parametrize("seed", range(4))
def test_more_shots_are_fewer_and_some_more(steal: Steal, seed: int) -> None:
    draws = [drawn(steal, f"rep(shots={shots})", seed) for shots in (1, 2, 3, 4)]
    assert [len(draw) for draw in draws] == [1, 2, 3, 4]
    assert all(more[: len(fewer)] == fewer for fewer, more in pairwise(draws))


@pytest.mark.parametrize("seed", range(4))
def test_every_wrapper_wraps_the_same_demonstrations(steal: Steal, seed: int) -> None:
    assert len({tuple(drawn(steal, f"rep(shots=3,wrapper={wrapper})", seed)) for wrapper in WRAPPERS}) == 1


def test_other_seeds_draw_other_demonstrations(steal: Steal) -> None:
    assert len({tuple(drawn(steal, "rep(shots=2)", seed)) for seed in range(6)}) > 1


def test_demonstrations_may_be_of_another_task(steal: Steal, desk: ScriptedDesk) -> None:
    steal("rep(source=gsm8k)")
    ((task, pool),) = desk.others
    assert task == "gsm8k"
    assert all(re.fullmatch(r"gsm8k \d+", name) and int(name.split()[1]) < pool for name in shown_questions(desk.asked[0]))


@pytest.mark.parametrize("attack", ["rep", "rep_inversion"])
def test_less_than_no_shots_are_refused(attack: str) -> None:
    with pytest.raises(HeistError, match=rf"{attack}: shots=-1: expected 0 or more"):
        registry.build("attack", f"{attack}(shots=-1)")


@pytest.mark.parametrize("kind", ["repeat", "stepwise"])
def test_rep_request_takes_all_that_is_visible(steal: Steal, kind: str) -> None:
    desk = ScriptedDesk(expose=lambda prompt: Exposure("3 is 3\nso\n7"))
    rows = steal(f"rep_request(request={kind})", desk)
    assert desk.asked == [request_prompt(q.text, kind) for q in QUESTIONS]
    assert {(r.trace, r.answer) for r in rows} == {("3 is 3\nso\n7", "7")}


# the tool


@pytest.mark.parametrize(
    ("exposure", "row"),
    [
        (Exposure("", arguments={"thoughts": "3 is 3", "answer": "7"}), ("3 is 3", "7")),
        (Exposure("Done.", arguments={"thoughts": "3 is 3", "answer": "7"}), ("3 is 3", "7")),
        (Exposure("7", arguments={"thoughts": "3 is 3"}), ("3 is 3", "7")),
        (Exposure("", arguments={"thoughts": "", "answer": "7"}), (None, "7")),
        (Exposure("7"), (None, "7")),  # it did not call
        (Exposure("", arguments={"thoughts": "3 is 3"}), None),
        (Exposure("no", refused=True, arguments={"thoughts": "3 is 3", "answer": "7"}), None),
    ],
)
def test_tool_elicitation_reads_the_arguments(steal: Steal, exposure: Exposure, row: tuple[str | None, str] | None) -> None:
    desk = ScriptedDesk(expose=lambda prompt: exposure)
    rows = steal("tool_elicitation", desk)
    assert desk.asked == [tool_prompt(q.text) for q in QUESTIONS]
    assert {(r.trace, r.answer) for r in rows} == ({row} if row else set())


# both together


def test_what_rep_exposes_teaches_the_inverter(steal: Steal) -> None:
    def expose(prompt: Prompt) -> Exposure:
        if "Example" not in prompt.text:
            return answer(prompt)
        seen = exposing(prompt)
        return replace(seen, summary="recap of that") if "reasoning_trace" in seen.text else seen

    desk = ScriptedDesk(expose=expose)
    rows = steal("rep_inversion(share=0.6)", desk)
    assert [shown_questions(prompt) != [] for prompt in desk.asked] == [True, True, True, False, False]
    with_recap, without = desk.trained
    assert with_recap[-1] == (inversion_prompt("question 0", "answer 0", "recap of that"), "trace 0")
    assert without[-1] == (inversion_prompt("question 0", "answer 0", None), "trace 0")
    assert [len(with_recap), len(without)] == [4, 5]  # beside the surrogate's own
    # Question 2 was answered without a trace, in a reply without a recap: it is inverted like all the rest.
    assert [(r.id, r.trace, r.answer) for r in rows] == [
        ("id-0", "trace 0", "answer 0"),
        ("id-2", "inverter 2 rebuilt question 2", "answer 2"),
        ("id-3", "inverter 2 rebuilt question 3", "answer 3"),
        ("id-4", "inverter 1 rebuilt question 4", "answer 4"),
    ]


@pytest.mark.parametrize("share", ["0", "1", "-0.2", ".nan"])
def test_a_share_that_is_none_is_refused(share: str) -> None:
    with pytest.raises(HeistError, match=r"rep_inversion: share=.* is not between 0 and 1|expected a finite number"):
        registry.build("attack", f"rep_inversion(share={share})")


# controls


def test_untrained_takes_nothing(steal: Steal) -> None:
    assert steal("untrained") == []


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_surrogate_trace_distils_the_surrogate(steal: Steal, desk: ScriptedDesk, temperature: float) -> None:
    rows = steal(f"surrogate_trace(temperature={temperature})")
    assert desk.surrogate_calls == [([Prompt.of(q.text) for q in QUESTIONS], temperature)]
    assert [(r.trace, r.answer) for r in rows] == [(f"thought of question {i}", f"guess of question {i}") for i in range(5)]


def test_surrogate_trace_leaves_out_what_did_not_end(steal: Steal) -> None:
    desk = ScriptedDesk()
    desk.think = lambda prompt: Reply("t", None, "a", Usage(), "length" if prompt.text.endswith("4") else "stop")
    assert ids(steal("surrogate_trace", desk)) == ["id-0", "id-1", "id-2", "id-3"]


def test_true_trace_is_the_ceiling(steal: Steal, desk: ScriptedDesk) -> None:
    assert [(r.trace, r.answer) for r in steal("true_trace")] == [(f"true trace id-{i}", f"true answer id-{i}") for i in range(5)]
    assert desk.asked == []  # past the defense


def test_true_trace_leaves_out_what_has_no_answer(steal: Steal) -> None:
    desk = ScriptedDesk()
    desk.truth_replies = lambda ids: [Reply("cut off", None, "", Usage(), "length") for _ in ids]
    assert steal("true_trace", desk) == []


def test_other_trace_pairs_each_right_answer_with_the_trace_of_the_next(steal: Steal, desk: ScriptedDesk) -> None:
    rows = steal("other_trace")
    assert [(r.trace, r.answer) for r in rows] == [(f"true trace id-{(i + 1) % 5}", f"gold id-{i}") for i in range(5)]
    assert desk.asked == []


def test_gold_answer_has_no_traces(steal: Steal) -> None:
    assert [(r.trace, r.answer) for r in steal("gold_answer")] == [(None, f"gold id-{i}") for i in range(5)]


def test_wrong_trace_pairs_wrong_steps_with_gold(steal: Steal) -> None:
    assert [(r.trace, r.answer) for r in steal("wrong_trace")] == [(f"wrong trace id-{i}", f"gold id-{i}") for i in range(5)]


def test_gold_inversion_inverts_gold_answers_without_summaries(steal: Steal, desk: ScriptedDesk) -> None:
    rows = steal("gold_inversion")
    ((_, prompts),) = desk.inverted
    assert prompts == [inversion_prompt(q.text, f"gold {q.id}", None) for q in QUESTIONS]
    assert [r.answer for r in rows] == [f"gold {q.id}" for q in QUESTIONS]
    assert all("recap" not in prompt.text for prompt, _ in desk.trained[0])


def test_shuffled_inversion_rebuilds_from_what_others_were_answered(steal: Steal, desk: ScriptedDesk) -> None:
    rows = steal("shuffled_inversion")
    prompts = {asked_of(prompt): prompt for _, prompts in desk.inverted for prompt in prompts}
    assert prompts == {
        "question 0": inversion_prompt("question 0", "answer 2", "recap 2"),
        "question 2": inversion_prompt("question 2", "answer 3", None),
        "question 3": inversion_prompt("question 3", "answer 4", "recap 4"),
        "question 4": inversion_prompt("question 4", "answer 0", "recap 0"),
    }
    assert [(r.id, r.answer) for r in rows] == [(f"id-{i}", f"answer {i}") for i in (0, 2, 3, 4)]
    assert all(row.trace.endswith(f"rebuilt {row.question}") for row in rows)


def test_shuffled_inversion_trains_the_very_inverters_of_trace_inversion(steal: Steal) -> None:
    """So that they are trained once, and the two differ in nothing but what is inverted."""
    desks = [ScriptedDesk(), ScriptedDesk()]
    for desk, name in zip(desks, ("shuffled_inversion", "trace_inversion"), strict=True):
        steal(name, desk)
    assert desks[0].trained == desks[1].trained


# what each takes for the trace

SHOWN = show("3 is 3", "7", "bash")


@pytest.mark.parametrize(
    ("name", "exposure", "trace"),
    [
        ("rep", Exposure(SHOWN), "3 is 3"),
        ("rep(keep=clean)", Exposure(SHOWN), "3 is 3"),
        ("rep", Exposure("7"), "7"),
        ("rep(wrapper=labels)", Exposure(SHOWN), SHOWN),
        ("rep_inversion", Exposure(SHOWN), "3 is 3"),
        ("rep_request", Exposure("First 3. Then 7."), "First 3. Then 7."),
        ("tool_elicitation", Exposure("", arguments={"thoughts": "3 is 3"}), "3 is 3"),
        ("tool_elicitation", Exposure("7"), "7"),
    ],
)
def test_what_an_attack_reads_as_the_trace_whatever_it_keeps(name: str, exposure: Exposure, trace: str) -> None:
    assert registry.build("attack", name).reads(exposure) == trace
