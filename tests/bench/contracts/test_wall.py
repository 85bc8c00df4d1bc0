"""The wall between attacker and truth, walked by a spy that looks at all it can reach from what an attack is given."""

from __future__ import annotations

import functools
import pickle
import time
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest

from heistbench.bench import (
    Attack,
    BudgetExceeded,
    Defense,
    Exposure,
    Grade,
    HeistError,
    Problem,
    Prompt,
    Question,
    Reply,
    Split,
    Stolen,
    Task,
    TraceCheck,
    Usage,
    attack,
    defense,
    task,
)
from heistbench.bench.contracts.registry import registry
from heistbench.bench.contracts.wall import Desk, _Line, _serve, attacker
from heistbench.bench.stages.collect import Collect, Theft
from heistbench.bench.stages.pipeline import StoredCell
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.settings import Suite

GOLD, TRACE = "GOLD-7c1e", "TRACE-7c1e"
pytestmark = pytest.mark.usefixtures("own_plugins")


# the spy


def reachable(*roots: object) -> Iterator[object]:
    """Every object that can be reached from `roots`, without going through modules and the globals of functions."""
    seen: dict[int, object] = {}
    waiting = deque(roots)
    while waiting:
        found = waiting.popleft()
        if id(found) not in seen:
            seen[id(found)] = found
            yield found
            waiting.extend(inside(found))


def inside(thing: object) -> list[object]:
    """What one object holds: items, attributes, slots, closures, defaults, bound selves, frames, its own class's attributes."""
    if thing is None or isinstance(thing, (str, bytes, bytearray, int, float, complex, types.ModuleType)):
        return []
    held: list[object] = []
    if isinstance(thing, dict):
        held += [*thing.keys(), *thing.values()]
    elif isinstance(thing, (list, tuple, set, frozenset, deque)):
        held += thing
    if isinstance(thing, type):
        ours = thing.__module__.startswith(("heistbench", "test", "tests")) or "test_" in thing.__module__
        return held + (list(vars(thing).values()) if ours else [])
    held += attributes(thing)
    return held


INTERNALS = (
    *("__closure__", "__defaults__", "__kwdefaults__", "__self__", "__func__", "__wrapped__", "__dict__", "cell_contents"),
    *("func", "args", "keywords", "gi_frame", "gi_yieldfrom", "f_locals", "fget", "fset", "__exit_callbacks"),
)


def attributes(thing: object) -> Iterable[object]:
    slots = {slot for cls in type(thing).__mro__ for slot in names_of(vars(cls).get("__slots__", ()))}
    for name in (*INTERNALS, *slots):
        try:
            yield object.__getattribute__(thing, name)
        except (AttributeError, ValueError):
            continue
    yield type(thing)


def names_of(slots: str | Iterable[str]) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots


def texts(*roots: object) -> set[str]:
    """Every text that can be reached: strings, bytes, paths."""
    found = set()
    for thing in reachable(*roots):
        if isinstance(thing, (str, Path)):
            found.add(str(thing))
        elif isinstance(thing, (bytes, bytearray)):
            found.add(thing.decode(errors="replace"))
    return found


class Slotted:
    __slots__ = ("hidden",)

    def __init__(self, hidden: object) -> None:
        self.hidden = hidden


class Open:
    def __init__(self, hidden: object) -> None:
        self.__hidden = hidden

    def method(self) -> None: ...


def closing_over(hidden: object) -> Callable[[], object]:
    return lambda: hidden


def waiting_with(hidden: object) -> Iterator[object]:
    yield
    yield hidden


def started(generator: Iterator[object]) -> Iterator[object]:
    next(generator)
    return generator


def sub_classed(hidden: object) -> object:
    class Holder:
        shared: ClassVar[object] = hidden

    return Holder()


@pytest.mark.parametrize(
    "hide",
    [
        lambda s: s,
        lambda s: [1, {"a": ({s},)}],
        lambda s: {s: 1},
        Open,
        Slotted,
        lambda s: Open(s).method,
        lambda s: Slotted(deque([Open(s)])),
        closing_over,
        lambda s: functools.partial(print, s),
        lambda s: functools.partial(print, end=Open(s)),
        lambda s: started(waiting_with(s)),
        lambda s: lambda x=s: x,
        sub_classed,
        lambda s: Question("q", "t", {"note": s}),
        lambda s: Exposure("x", arguments={"a": s}),
        lambda s: Prompt.of("x", system=s),
        lambda s: s.encode(),
        lambda s: Path("/tmp") / s,
    ],
)
def test_the_spy_finds_what_is_hidden(hide: Callable[[str], object]) -> None:
    assert any("SECRET" in text for text in texts(Open([hide("SECRET")])))


def test_the_spy_finds_nothing_where_nothing_is() -> None:
    assert not any("SECRET" in text for text in texts(Open([1, "public"]), closing_over({})))


# the spy behind the wall


def use_world() -> None:
    """A task whose gold answers and traces cannot be mistaken, and a defense that shows neither."""

    @task("marked", version="1-A")
    class Marked(Task):
        licence: ClassVar[str] = "none"

        def problems(self, split: Split, n: int) -> list[Problem]:
            rows = [(f"{split}-{i}", f"question {split} {i}") for i in range(n)]
            return [Problem(Question(key, text), f"{GOLD}-{key}", f"{TRACE}-{key}") for key, text in rows]

        def grade(self, problem: Problem, answer: str) -> Grade:
            return Grade.of(answer == problem.gold)

        def summarize(self, trace: str) -> str | None:
            return f"recap of {trace}"

        def wrong_trace(self, problem: Problem, rng: Random) -> str:
            return f"WRONG-{problem.question.id}"

        def values(self, trace: str) -> list[str]:
            return trace.split()

        def check(self, problem: Problem, trace: str) -> TraceCheck:
            right = trace == problem.trace
            return TraceCheck(int(right), 1, right, right, len(trace.split()))

    @defense("curtain", version="1-A", touches=("answer", "summary"))
    class Curtain(Defense):
        """Shows that there was an answer and no more."""

        def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
            return Exposure("an answer", "a recap")

    @defense("sevens", version="1-A", touches=("answer",))
    class Sevens(Defense):
        """Lets any victim answer 7; what others rehearse passes."""

        def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
            return Exposure("7" if reply.text.startswith(GOLD) else reply.text)


@pytest.fixture
def context_of(tmp_path: Path) -> Callable[..., StoredCell]:
    use_world()
    raw = {
        "name": "spied",
        "tasks": ["marked"],
        "victims": [{"model": "recorded"}],
        "surrogate": {"model": "pocket/surrogate", "decoding": {"temperature": 0.0, "max_new_tokens": 4}},
        "inverter": {"model": "pocket/surrogate", "recipe": {"epochs": 1, "batch_size": 1}, "decoding": {"max_new_tokens": 4}},
        "students": [{"model": "pocket/base"}],
        "attacks": [],
        "controls": [],
    }

    def context(attack: str, defense: str = "curtain", size: int = 3) -> StoredCell:
        suite = Suite.model_validate({**raw, "sizes": {"query": size, "surrogate": 2, "test": 2}})
        cell = Cell(suite, suite.victims[0], defense, attack, "marked", "marked", suite.students[0], budget=size, seed=0)
        return StoredCell(cell, Store(tmp_path / "store"))

    return context


def theft_of(context: StoredCell) -> Theft:
    return context.result(Collect(context))


def test_an_attack_can_reach_neither_gold_nor_trace(context_of: Callable[..., StoredCell], tmp_path: Path) -> None:
    seen: set[str] = set()

    @attack("spy", version="1-A")
    class Spy(Attack):
        def steal(self, target: Any, questions: Any, kit: Any) -> list[Stolen]:
            exposures = target.ask([Prompt.of(q.text) for q in questions])
            own, replies = kit.questions(), kit.surrogate([Prompt.of("start 3 ; s1 plus 4")])
            others = kit.questions_of("marked", 1)
            models = kit.inverter(), kit.fine_tune([(Prompt.of("start 3"), "s1")])
            said = [model.generate([Prompt.of("start 3")]) for model in models]
            given = [exposures, own, others, replies, models, said]
            seen.update(texts(self, target, kit, questions, *given, kit.rehearse([], []), kit.rng.random))
            assert kit.truth is None
            return [Stolen(q.id, q.text, e.summary, e.text) for q, e in zip(questions, exposures, strict=True)]

    theft = theft_of(context_of("spy"))
    assert [query.reply.trace for query in theft.sealed] == [f"{TRACE}-query-{i}" for i in range(3)]  # it was there to be found
    assert "question query 2" in seen
    assert "question surrogate 1" in seen
    assert [text for text in seen if GOLD in text or TRACE in text] == []
    assert [text for text in seen if str(tmp_path) in text] == []
    assert [row.trace for row in theft.rows] == ["a recap"] * 3


def test_without_the_curtain_the_spy_sees_what_is_served_and_no_more(context_of: Callable[..., StoredCell]) -> None:
    seen: set[str] = set()

    @attack("spy", version="1-A")
    class Spy(Attack):
        def steal(self, target: Any, questions: Any, kit: Any) -> list[Stolen]:
            exposures = target.ask([Prompt.of(questions[0].text)])
            seen.update(texts(self, target, kit, questions, exposures))
            return []

    theft_of(context_of("spy", "none"))
    assert {text for text in seen if GOLD in text or TRACE in text} == {f"{GOLD}-query-0", f"recap of {TRACE}-query-0"}


def test_the_spy_has_walked_every_verb() -> None:
    """A verb that is added to the desk is to be walked above."""
    walked = {"ask", "surrogate", "own_questions", "questions_of", "untuned", "generate", "rehearse", "fine_tune"}
    assert {name for name in vars(Desk) if not name.startswith("_")} == walked | {
        f"truth_{what}" for what in ("gold", "replies", "wrong_traces")
    }


@pytest.mark.parametrize("verb", ["truth_gold", "truth_replies", "truth_wrong_traces"])
def test_the_truth_is_refused_to_attacks(context_of: Callable[..., StoredCell], verb: str) -> None:
    @attack("burglar", version="1-A")
    class Burglar(Attack):
        def steal(self, target: Any, questions: Any, kit: Any) -> list[Stolen]:
            with pytest.raises(PermissionError, match=verb):
                kit._line.call(verb, [questions[0].id])
            return []

    assert theft_of(context_of("burglar")).rows == []


@pytest.mark.parametrize("verb", ["bill", "sealed", "_api", "_problems", "__init__", "__class__", "_charge"])
@pytest.mark.parametrize("privileged", [False, True])
def test_only_the_desks_own_verbs_are_answered(verb: str, privileged: bool) -> None:
    with attacker(FakeDesk(), Random(0), privileged) as (target, _), pytest.raises(PermissionError, match="not for this attack"):
        target._line.call(verb)


def test_questions_of_other_tasks_are_of_the_attackers_own_split(context_of: Callable[..., StoredCell]) -> None:
    lent: list[Question] = []

    @attack("borrower", version="1-A")
    class Borrower(Attack):
        def steal(self, target: Any, questions: Any, kit: Any) -> list[Stolen]:
            lent.extend([*kit.questions_of("pocket", 2), *kit.questions_of("marked", 2)])
            with pytest.raises(HeistError, match="unknown task 'nowhere'"):
                kit.questions_of("nowhere", 2)
            return []

    theft_of(context_of("borrower"))
    pocket = [p.question for p in registry.build("task", "pocket").problems("surrogate", 2)]
    assert lent == [*pocket, Question("surrogate-0", "question surrogate 0"), Question("surrogate-1", "question surrogate 1")]


def test_a_privileged_control_gets_the_truth(context_of: Callable[..., StoredCell]) -> None:
    @attack("insider", version="1-A", control=True, privileged=True)
    class Insider(Attack):
        def steal(self, target: Any, questions: Any, kit: Any) -> list[Stolen]:
            gold, wrong = kit.truth.gold(questions), kit.truth.wrong_traces(questions)
            assert [r.trace for r in kit.truth.replies(questions)] == [f"{TRACE}-query-{i}" for i in range(3)]
            return [Stolen(q.id, q.text, w, g) for q, w, g in zip(questions, wrong, gold, strict=True)]

    theft = theft_of(context_of("insider"))
    assert [(row.trace, row.answer) for row in theft.rows] == [(f"WRONG-query-{i}", f"{GOLD}-query-{i}") for i in range(3)]
    assert theft.bill.queries == 3  # looking past the defense costs as much as asking


@pytest.mark.parametrize("how", ["how=uniform", "how=near", "how=uniform,fresh=true"])
def test_rehearsing_does_not_undo_noise(context_of: Callable[..., StoredCell], how: str) -> None:
    """Kerckhoffs: how the defense works is known, and what it draws for the victim's replies is not."""
    undone: list[bool] = []

    @attack("undoer", version="1-A")
    class Undoer(Attack):
        def steal(self, target: Any, questions: Any, kit: Any) -> list[Stolen]:
            prompts = [Prompt.of(q.text) for q in questions]
            for prompt, exposure in zip(prompts, target.ask(prompts), strict=True):
                guesses = [str(digit) for digit in range(10)]
                replies = [Reply("t", None, guess, Usage(), "stop") for guess in guesses]
                shown = kit.rehearse([prompt] * 10, replies)
                before = [guess for guess, noised in zip(guesses, shown, strict=True) if noised.text == exposure.text]
                undone.append(before == ["7"])
            return []

    theft_of(context_of("undoer", f"sevens+noise_answers(rate=1,{how})", size=20))
    assert sum(undone) < 18  # moved by one, a digit is guessed half the time


# the budget


def test_the_budget_is_held_and_what_is_over_it_is_not_billed(context_of: Callable[..., StoredCell]) -> None:
    @attack("greedy", version="1-A")
    class Greedy(Attack):
        def steal(self, target: Any, questions: Any, kit: Any) -> list[Stolen]:
            prompts = [Prompt.of(q.text) for q in questions]
            with pytest.raises(BudgetExceeded, match=r"0 \+ 4 .* budget of 3"):
                target.ask([*prompts, prompts[0]])
            target.ask(prompts[:2])
            with pytest.raises(BudgetExceeded, match=r"2 \+ 2"):
                target.ask(prompts[:2])
            target.ask(prompts[2:])
            with pytest.raises(BudgetExceeded):
                target.ask(prompts[:1])
            return []

    theft = theft_of(context_of("greedy"))
    assert theft.bill.queries == 3
    assert len(theft.sealed) == 3


def test_every_query_is_billed_by_its_tokens(context_of: Callable[..., StoredCell]) -> None:
    @attack("asker", version="1-A")
    class Asker(Attack):
        def steal(self, target: Any, questions: Any, kit: Any) -> list[Stolen]:
            for question in questions:
                target.ask([Prompt.of(question.text)])
            return []

    bill = theft_of(context_of("asker")).bill
    # A recorded victim counts words: three to a question, one to a trace, one to an answer.
    assert (bill.queries, bill.prompt_tokens, bill.completion_tokens) == (3, 9, 6)


@pytest.mark.parametrize("ids", [["query-0", "query-0"], ["query-0", "test-0"], ["nonsense"]])
def test_loot_of_other_questions_is_refused(context_of: Callable[..., StoredCell], ids: list[str]) -> None:
    @attack("forger", version="1-A")
    class Forger(Attack):
        def steal(self, target: Any, questions: Any, kit: Any) -> list[Stolen]:
            return [Stolen(key, "t", None, "1") for key in ids]

    with pytest.raises(HeistError, match="attack forger returned a question twice, or one that it neither was given nor owns"):
        theft_of(context_of("forger"))


def test_loot_may_hold_the_attackers_own_questions(context_of: Callable[..., StoredCell]) -> None:
    @attack("augmenter", version="1-A")
    class Augmenter(Attack):
        def steal(self, target: Any, questions: Any, kit: Any) -> list[Stolen]:
            return [Stolen(q.id, q.text, None, "1") for q in [*questions, *kit.questions()]]

    assert [row.id for row in theft_of(context_of("augmenter")).rows] == [f"query-{i}" for i in range(3)] + [
        f"surrogate-{i}" for i in range(2)
    ]


# the line


@dataclass
class FakeDesk:
    """Answers plainly, or raises what it is given."""

    error: BaseException | None = None

    def ask(self, prompts: list[Prompt]) -> list[Exposure]:
        if self.error:
            raise self.error
        return [Exposure(prompt.text.upper()) for prompt in prompts]

    def surrogate(self, prompts: list[Prompt], temperature: float | None) -> list[Reply]:
        return [Reply(f"at {temperature}", None, p.text, Usage(), "stop") for p in prompts]

    def own_questions(self) -> list[Question]:
        return [Question("own", "mine ?")]

    def questions_of(self, task: str, n: int) -> list[Question]:
        return [Question(f"{task} {i}", "theirs ?") for i in range(n)]

    def fine_tune(self, examples: list[tuple[Prompt, str]]) -> str:
        return f"model of {len(examples)}"

    def untuned(self) -> str:
        return "no model of ours"

    def generate(self, model: str, prompts: list[Prompt]) -> list[str]:
        return [f"{model}: {p.text}" for p in prompts]

    def rehearse(self, prompts: list[Prompt], replies: list[Reply]) -> list[Exposure]:
        return [Exposure(r.text) for r in replies]

    def truth_gold(self, ids: list[str]) -> list[str]:
        return ids

    truth_replies = truth_wrong_traces = truth_gold


def test_calls_reach_the_desk_and_answers_come_back() -> None:
    with attacker(FakeDesk(), Random(3), privileged=False) as (target, kit):
        assert target.ask([Prompt.of("a"), Prompt.of("b")]) == [Exposure("A"), Exposure("B")]
        assert kit.questions() == [Question("own", "mine ?")]
        assert [r.trace for r in kit.surrogate([Prompt.of("a")])] == ["at None"]
        assert [r.trace for r in kit.surrogate([Prompt.of("a")], temperature=0.5)] == ["at 0.5"]
        assert kit.fine_tune([(Prompt.of("a"), "b")]).generate([Prompt.of("c")]) == ["model of 1: c"]
        assert kit.inverter().generate([Prompt.of("c")]) == ["no model of ours: c"]
        assert kit.questions_of("gsm8k", 2) == [Question("gsm8k 0", "theirs ?"), Question("gsm8k 1", "theirs ?")]
        assert kit.rehearse([Prompt.of("a")], [Reply(None, None, "x", Usage(), "stop")]) == [Exposure("x")]
        assert kit.rng.random() == Random(3).random()


def test_truth_goes_by_question_ids() -> None:
    with attacker(FakeDesk(), Random(0), privileged=True) as (_, kit):
        assert kit.truth is not None
        assert kit.truth.gold([Question("a", "x"), Question("b", "y")]) == ["a", "b"]


@pytest.mark.parametrize(
    "error", [ValueError("odd"), BudgetExceeded("no"), HeistError("bad"), KeyError("k"), KeyboardInterrupt()]
)
def test_errors_of_the_desk_are_raised_in_the_attack(error: BaseException) -> None:
    with attacker(FakeDesk(error), Random(0), privileged=False) as (target, kit):
        with pytest.raises(type(error)) as caught:
            target.ask([Prompt.of("a")])
        assert caught.value.args == error.args
        assert kit.questions()  # the line still stands


class Wire:
    """A connection whose calls are written down before it is used, and that must pickle as a real one does."""

    def __init__(self, *calls: tuple[str, tuple[object, ...]]) -> None:
        self.calls, self.answers, self.closed = deque(calls), [], False

    def recv(self) -> tuple[str, tuple[object, ...]]:
        if not self.calls:
            raise EOFError
        return self.calls.popleft()

    def send(self, answer: object) -> None:
        pickle.dumps(answer)
        self.answers.append(answer)

    def close(self) -> None:
        self.closed = True


def test_what_cannot_be_sent_leaves_no_attack_waiting() -> None:
    wire = Wire(("ask", ([],)), ("own_questions", ()))
    _serve(wire, FakeDesk(ValueError(lambda: None)), {"ask", "own_questions"})
    (failed, told), (answered, _) = wire.answers
    assert not failed
    assert isinstance(told, Exception)
    assert "ask" in str(told)
    assert answered


def test_an_error_that_cannot_be_sent_is_told_of() -> None:
    wire = Wire(("ask", ([],)))
    _serve(wire, FakeDesk(ValueError("the reason", lambda: None)), {"ask"})
    assert "the reason" in repr(wire.answers[0][1])


class Awkward(Exception):
    """Cannot be unpickled: its constructor takes other arguments than it passes on."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")


def test_an_error_that_cannot_be_received_ends_the_call() -> None:
    with attacker(FakeDesk(Awkward(1, "x")), Random(0), privileged=False) as (target, kit):
        with pytest.raises(Exception, match="Awkward"):
            target.ask([Prompt.of("a")])
        assert kit.questions()


class Turns:
    """A connection that writes down whose turn it is, and takes its time."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def send(self, what: object) -> None:
        self.events.append("sent")
        time.sleep(0.002)

    def recv(self) -> tuple[bool, str]:
        self.events.append("received")
        return True, "answer"


def test_an_attack_may_ask_from_several_threads() -> None:
    turns = Turns()
    line = _Line(turns)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: line.call("ask"), range(12))) == ["answer"] * 12
    assert turns.events == ["sent", "received"] * 12


def test_serving_ends_with_the_line() -> None:
    wire = Wire(("own_questions", ()))
    _serve(wire, FakeDesk(), {"own_questions"})
    assert wire.answers == [(True, [Question("own", "mine ?")])]
    assert wire.closed


def test_nothing_is_answered_after_the_theft() -> None:
    with attacker(FakeDesk(), Random(0), privileged=False) as (target, _):
        pass
    with pytest.raises(OSError, match="closed"):
        target.ask([Prompt.of("a")])


def test_an_attack_that_raises_ends_the_service() -> None:
    def fail(questions: Sequence[Question]) -> None:
        raise RuntimeError("attack")

    with pytest.raises(RuntimeError, match="attack"), attacker(FakeDesk(), Random(0), privileged=False) as (_, kit):
        fail(kit.questions())
