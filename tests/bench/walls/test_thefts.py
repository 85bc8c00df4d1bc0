"""The process of a theft: calls reach the desk and answers come back, and whatever the attack does, it fails alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from heistbench.bench import BudgetExceeded, Exposure, HeistError, Prompt, Question, Reply, Stolen, Usage
from heistbench.bench.contracts.errors import Busy, PluginFailure
from heistbench.bench.contracts.registry import registry
from heistbench.bench.walls.confinement import WALLS, strongest, wall
from heistbench.bench.walls.line import Haul
from heistbench.bench.walls.thefts import Thief, Thieves, order_of

QUESTIONS = [Question(f"q{i}", f"question {i}", {"domain": "code"}) for i in range(3)]
Mine = Callable[..., Path]
Steal = Callable[..., Haul]


@dataclass
class FakeDesk:
    """Answers plainly, or raises what it is given."""

    error: BaseException | None = None

    def ask(self, prompts: list[Prompt]) -> list[Exposure]:
        if self.error:
            raise self.error
        return [Exposure(prompt.text.upper(), arguments={"tool": "called"} if prompt.tool else {}) for prompt in prompts]

    def surrogate(self, prompts: list[Prompt], temperature: float | None, summaries: bool) -> list[Reply]:
        return [Reply(f"at {temperature}", None, p.text, Usage(1, 2, 3), "stop") for p in prompts]

    def own_questions(self) -> list[Question]:
        return [Question("own", "mine ?", {"k": "v"})]

    def questions_of(self, task: str, n: int) -> list[Question]:
        return [Question(f"{task} {i}", "theirs ?") for i in range(n)]

    def fine_tune(self, examples: list[tuple[Prompt, str]]) -> str:
        return f"model of {len(examples)}"

    def untuned(self) -> str:
        return "no model of ours"

    def generate(self, model: str, prompts: list[Prompt], temperature: float | None) -> list[str]:
        return [f"{model}: {p.text}" for p in prompts]

    def rehearse(self, prompts: list[Prompt], replies: list[Reply]) -> list[Exposure]:
        return [Exposure(r.text, refused=True) for r in replies]

    def truth_gold(self, ids: list[str]) -> list[str]:
        return ids

    def truth_replies(self, ids: list[str]) -> list[Reply]:
        return [Reply("hidden", "recap", i, Usage(), "stop") for i in ids]

    truth_wrong_traces = truth_gold


@pytest.fixture
def steal(tmp_path: Path) -> Steal:
    """Runs the attack `mine`, behind the strongest wall that stands here or the one that is named."""

    def run(desk: Any = None, seconds: float = 60, behind: str = "") -> Haul:
        attack = registry.build("attack", "mine")
        order = order_of(attack, "mine", QUESTIONS, "luck")  # type: ignore[arg-type]
        with Thief(order.home, behind or strongest(), hidden=[tmp_path / "store"]) as thief:
            return thief.steal(attack, order, desk or FakeDesk(), tmp_path / "log", seconds)  # type: ignore[arg-type]

    return run


every_wall = pytest.mark.parametrize("behind", [name for name in WALLS if not wall(name).obstacle()])


@every_wall
def test_calls_reach_the_desk_and_answers_come_back(mine: Mine, steal: Steal, behind: str) -> None:
    mine("""
        assert target.ask(prompts[:2]) == [Exposure("QUESTION 0"), Exposure("QUESTION 1")]
        tool = Tool("f", "d", (("a", "what"),))
        offer = Prompt((Message("system", "s"), Message("user", "u")), tool, False)
        assert target.ask([offer])[0].arguments == {"tool": "called"}
        assert kit.questions() == [Question("own", "mine ?", {"k": "v"})]
        assert kit.surrogate(prompts[:1]) == [Reply("at None", None, "question 0", Usage(1, 2, 3), "stop")]
        assert kit.surrogate(prompts[:1], temperature=0.5)[0].trace == "at 0.5"
        assert kit.surrogate(prompts[:1], temperature=1)[0].trace == "at 1.0"
        assert kit.fine_tune([(prompts[0], "b")]).generate(prompts[:1]) == ["model of 1: question 0"]
        assert kit.inverter().generate(prompts[:1]) == ["no model of ours: question 0"]
        assert kit.questions_of("gsm8k", 1) == [Question("gsm8k 0", "theirs ?")]
        assert kit.rehearse(prompts[:1], [Reply(None, None, "x", Usage(), "stop")]) == [Exposure("x", refused=True)]
        assert kit.truth is None
        return [Stolen(q.id, q.metadata["domain"], None, str(kit.rng.random())) for q in questions]
    """)
    rng, haul = Random("luck"), steal(behind=behind)
    assert haul.rows == [Stolen(q.id, "code", None, str(rng.random())) for q in QUESTIONS]
    assert haul.readings[:2] == ["QUESTION 0", "QUESTION 1"]


def test_the_truth_goes_by_question_ids(mine: Mine, steal: Steal) -> None:
    mine(
        """
        assert kit.truth.gold(questions) == ["q0", "q1", "q2"] == kit.truth.wrong_traces(questions)
        assert [reply.trace for reply in kit.truth.replies(questions)] == ["hidden"] * 3
        return []
        """,
        ", control=True, privileged=True",
    )
    assert steal().rows == []


@pytest.mark.parametrize("error", [BudgetExceeded("no more"), PermissionError("not you"), KeyError("k")])
def test_refusals_are_raised_in_the_attack(mine: Mine, steal: Steal, error: Exception) -> None:
    mine("""
        try:
            target.ask(prompts)
        except (BudgetExceeded, PermissionError, LookupError) as error:
            kit.questions()
            return [Stolen("q0", "", None, f"{type(error).__name__}: {error}")]
    """)
    kind = "LookupError" if isinstance(error, KeyError) else type(error).__name__
    assert steal(FakeDesk(error)).rows[0].answer == f"{kind}: {error}"


@pytest.mark.parametrize("error", [HeistError("the disk is full"), Busy("elsewhere"), KeyboardInterrupt(), RuntimeError("odd")])
def test_trouble_of_the_harness_ends_the_theft_and_no_attack_can_swallow_it(
    mine: Mine, steal: Steal, error: BaseException
) -> None:
    mine("""
        try:
            target.ask(prompts)
        finally:
            return []
    """)
    with pytest.raises(type(error)) as raised:
        steal(FakeDesk(error))
    assert raised.value is error


def test_an_attack_may_ask_from_several_threads(mine: Mine, steal: Steal) -> None:
    mine("""
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda i: target.ask([Prompt.of(f"p{i}")])[0].text, range(40)))
        return [Stolen("q0", "", None, " ".join(answers))]
    """)
    haul = steal()
    assert haul.rows[0].answer.split() == [f"P{i}" for i in range(40)]
    assert len(haul.readings) == 40


# an attack that fails fails alone, with its reason


@every_wall
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("1 / 0", r"mine\.py:9: ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(0)", r"mine\.py:9: it called sys\.exit\(0\)"),
        ("import os; os._exit(0)", r"mine\.py: its process ended with exit status 0"),
        ("import os; os._exit(7)", r"mine\.py: its process ended with exit status 7"),
        ("import ctypes; ctypes.string_at(0)", r"mine\.py: its process was killed by SIG"),
        ("target._line._connection.close()\nimport time; time.sleep(60)", r"mine\.py: its process "),
        ("x = bytearray(2**40)", r"mine\.py:9: MemoryError"),
        ("return None", r"steal returned None; expected a list of Stolen"),
        ("return [Stolen(1, 'q', None, 'a')]", r"steal returned row 1 whose id is a value of type int; expected str"),
        ("target.ask(['text'])", r"mine\.py:9: TypeError: ask\(\) takes prompts: wrap the text in Prompt\.of"),
        ("return [Stolen('q0', '\\ud800', None, 'a')]", r"mine\.py|utf-8"),
        ("raise ValueError('\\x1b[31mred')", r"mine\.py:9: ValueError: \\x1b\[31mred"),
    ],
)
def test_an_attack_that_fails_says_why(mine: Mine, steal: Steal, body: str, reason: str, behind: str) -> None:
    mine(body)
    with pytest.raises(PluginFailure, match=reason) as failure:
        steal(behind=behind)
    assert failure.value.reason.isprintable()


def test_what_it_printed_is_in_the_log(mine: Mine, steal: Steal, tmp_path: Path) -> None:
    mine("print('about to fail \\x1b[31m'); 1 / 0")
    with pytest.raises(PluginFailure):
        steal()
    log = (tmp_path / "log").read_text()
    assert "about to fail \\x1b[31m" in log
    assert "ZeroDivisionError" in log


@every_wall
@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(60)", "import signal; signal.pause()"])
def test_an_attack_that_hangs_is_ended(mine: Mine, steal: Steal, body: str, behind: str) -> None:
    mine(body)
    with pytest.raises(PluginFailure, match=r"mine\.py: it computed for more than 2 s"):
        steal(seconds=2, behind=behind)


def test_waiting_for_the_harness_is_not_the_attacks_own_time(mine: Mine, steal: Steal) -> None:
    class Slow(FakeDesk):
        def ask(self, prompts: list[Prompt]) -> list[Exposure]:
            time.sleep(2.5)
            return super().ask(prompts)

    mine("target.ask(prompts)\nreturn []")
    assert steal(Slow(), seconds=2).rows == []


def test_half_a_message_does_not_keep_the_harness_waiting(mine: Mine, steal: Steal) -> None:
    mine("""
        import os, struct, time
        os.write(target._line._connection.fileno(), struct.pack("!i", 1000) + b"ask")
        time.sleep(60)
    """)
    with pytest.raises(PluginFailure, match="more than 2 s"):
        steal(seconds=2)


@pytest.mark.parametrize(
    "message", ["b'result\\n{}'", "b'result\\n' + b'[' * 100_000", "b'result'", "b'failure\\n3'", "b'result\\n{\"rows\": [1]}'"]
)
def test_messages_that_are_none_end_the_theft(mine: Mine, steal: Steal, message: str) -> None:
    mine(f"target._line._connection.send_bytes({message})\nimport time; time.sleep(60)")
    with pytest.raises(PluginFailure, match="its process sent what it should not"):
        steal()


@pytest.mark.parametrize("verb", ["bill", "sealed", "_api", "__init__", "__class__", "truth_gold", "truth_replies", "nonsense"])
def test_only_the_desks_own_verbs_are_answered(mine: Mine, steal: Steal, verb: str) -> None:
    mine(f"""
        from heistbench.bench.walls.line import receive, send
        send(target._line._connection, {verb!r}, b"[[]]")
        return [Stolen("q0", "", None, str(receive(target._line._connection)))]
    """)
    answer = steal().rows[0].answer
    assert "word='refusal'" in answer
    assert "is not for this attack" in answer


def test_a_message_that_is_too_long_ends_the_theft(mine: Mine, steal: Steal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heistbench.bench.walls.line.LONGEST", 10_000)
    mine("return [Stolen('q0', 'x' * 20_000, None, 'a')]")
    with pytest.raises(PluginFailure, match="closed the line"):
        steal()


# dry runs keep processes


@pytest.fixture
def thieves() -> Iterator[Thieves]:
    with Thieves() as kept:
        yield kept


def test_a_kept_process_serves_again_and_is_replaced_after_a_failure(mine: Mine, thieves: Thieves) -> None:
    mine("""
        import os
        if questions[0].text == "question 2":
            os._exit(1)
        return [Stolen(questions[0].id, "", None, str(os.getpid()))]
    """)
    attack = registry.build("attack", "mine")

    def run(at: int) -> str:
        order = order_of(attack, "mine", QUESTIONS[at:], "luck")  # type: ignore[arg-type]
        haul = thieves.steal(attack, order, FakeDesk(), None, 60)  # type: ignore[arg-type]
        return haul.rows[0].answer

    first = run(0)
    assert run(1) == first
    with pytest.raises(PluginFailure):
        run(2)
    assert run(0)
