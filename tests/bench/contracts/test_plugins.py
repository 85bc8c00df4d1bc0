from __future__ import annotations

from random import Random

import pytest

from heistbench.bench import (
    Attack,
    Defense,
    Exposure,
    Grade,
    HeistError,
    Problem,
    Prompt,
    Question,
    Reply,
    Split,
    Task,
    Usage,
    attack,
    defense,
    task,
)
from heistbench.bench.contracts.plugins import Info
from heistbench.bench.contracts.registry import registry

pytestmark = pytest.mark.usefixtures("own_plugins")


@pytest.mark.parametrize(("contract", "methods"), [(Attack, {"steal"}), (Defense, {"release"})])
def test_a_plugin_must_write_one_method(contract: type, methods: set[str]) -> None:
    assert contract.__abstractmethods__ == methods
    with pytest.raises(TypeError, match=methods.copy().pop()):
        type("Empty", (contract,), {})()


def test_a_task_must_write_questions_and_grader() -> None:
    assert Task.__abstractmethods__ == {"problems", "grade"}


def test_a_task_without_checkable_traces_says_so() -> None:
    class Plain(Task):
        info = Info("task", "plain", "1-A")

        def problems(self, split: Split, n: int | None) -> list[Problem]:
            return []

        def grade(self, problem: Problem, answer: str) -> Grade:
            return Grade.of(answer == problem.gold)

    task, problem = Plain(), Problem(Question("q", "?"), "7", "")
    assert task.check(problem, "any") is None
    assert task.summarize("any") is None
    assert task.values("from 3.5 to -7") == ["3.5", "-7"]
    assert [grade.score for grade in task.grade_all([problem, problem], ["7", "8"])] == [1.0, 0.0]
    with pytest.raises(HeistError, match="task plain has no wrong traces: leave the control wrong_trace out"):
        task.wrong_trace(problem, Random(0))


def test_a_defense_lets_prompts_through_unless_it_says_otherwise() -> None:
    class Plain(Defense):
        def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
            return Exposure(reply.text)

    prompt = Prompt.of("q")
    assert Plain().admit(prompt) is prompt


def test_the_decorator_keeps_what_it_was_told() -> None:
    @attack("told", version="2-B", paper="arXiv:1", threat="grey-box")
    class Told(Attack):
        shots: int = 3

        def steal(self, target, questions, kit):
            return []

    info = Told.info
    assert (info.kind, info.name, info.version, info.paper, info.threat) == ("attack", "told", "2-B", "arXiv:1", "grey-box")
    assert (info.control, info.privileged) == (False, False)
    assert Told(shots=5).shots == 5
    assert Told() == Told(shots=3) != Told(shots=4)


def test_a_defense_says_what_it_touches() -> None:
    @defense("noisy", version="1-A", touches=("answer", "summary"), random=True)
    class Noisy(Defense):
        def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
            return Exposure(reply.text)

    assert (Noisy.info.touches, Noisy.info.random) == (("answer", "summary"), True)
    assert Noisy().release(Prompt.of("q"), Reply(None, None, "7", Usage(), "stop"), Random(0)) == Exposure("7")


def test_kinds_do_not_mix() -> None:
    @task("rep", version="1-A")
    class Rep(Task):
        def problems(self, split, n):
            return []

        grade = summarize = wrong_trace = values = check = problems

    assert registry.get("task", "rep") is Rep
    assert registry.get("attack", "rep") is not Rep


def test_a_task_that_makes_its_data_has_no_digest() -> None:
    assert registry.build("task", "pocket").data_digest() == ""
