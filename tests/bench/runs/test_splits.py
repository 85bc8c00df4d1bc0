"""Splits are proven before any work, strangers' too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from heistbench.bench.runs.splits import check_splits
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite

TASK = '''
from heistbench.bench import Grade, Problem, Question, Task, task

@task("sums", version="1-A")
class Sums(Task):
    """Sums whose splits are as wrong as told."""

    licence = "none"

    def problems(self, split, n):
        start = {{"query": 0, "surrogate": 1000, "dev": 2000, "test": 3000}}[split]
        numbers = [start + i for i in range(n)]
        {wrong}
        questions = [Question(f"{{split}}-{{at}}", f"what is {{i}} plus {{i}}") for at, i in enumerate(numbers)]
        return [Problem(question, "1", "") for question in questions]

    def grade(self, problem, answer):
        return Grade.of(answer.strip() == problem.gold, answer)

@task("sums_elsewhere", version="1-A")
class Elsewhere(Sums):
    """The same questions as another task."""
'''
SUITE = {
    "tasks": ["sums"],
    "victims": [{"model": "recorded", "name": "archive"}],
    "inverter": None,
    "attacks": ["answer_only"],
    "controls": ["untrained"],
    "defenses": ["none"],
    "sizes": {"query": 20, "surrogate": 10, "test": 12},
}
SHIFT = "numbers = [i - 2990 for i in numbers] if split == 'test' else numbers"
pytestmark = pytest.mark.usefixtures("own_plugins")


@pytest.fixture
def run(tmp_path: Path, suite_file: Callable, heist: Callable) -> Callable[..., tuple[int, str]]:
    """Runs a suite on a task that is wrong; returns exit code and error, and sees to it that nothing was computed."""

    def run(wrong: str, **changes: object) -> tuple[int, str]:
        plugin = tmp_path / "sums.py"
        plugin.write_text(TASK.format(wrong=wrong))
        suite = suite_file(**{**SUITE, **changes})
        ended = heist("run", suite, "--plugin", plugin, "--out", tmp_path / "out", "--executor", "here")
        assert not (tmp_path / "out" / "store" / "collect").exists()
        assert not (tmp_path / "out" / "tiny").exists()
        (line,) = ended.err.splitlines()
        return ended.code, line

    return run


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (SHIFT, "task sums: splits query and test share 10 questions, such as 'query-1"),
        ("numbers = list(range(n))", "task sums: splits query and surrogate share 10 questions, such as 'query-"),
        ("numbers = numbers[:5] if split == 'query' else numbers", "task sums: split query gave 5 questions, 20 were asked for"),
        ("numbers = [*numbers, 7] if split == 'query' else numbers", "task sums: split query gave 21 questions, 20 were asked"),
        (
            "numbers = [*numbers[:-1], numbers[0]] if split == 'test' else numbers",
            "task sums: split test holds 1 of its 12 questions twice",
        ),
    ],
    ids=["test is attacked", "all splits equal", "too few", "too many", "twice"],
)
def test_splits_that_are_wrong_end_a_run_before_any_work(run: Callable, wrong: str, message: str) -> None:
    code, line = run(wrong)
    assert code == 2
    assert line.startswith(f"heist: error: {message}")


def test_honest_users_questions_are_no_attacked_ones_either(run: Callable) -> None:
    wrong = "numbers = [i % 1000 for i in numbers] if split == 'dev' else numbers"
    code, line = run(wrong, exams=["sums_elsewhere"])
    assert code == 2
    assert line.startswith("heist: error: task sums: splits query and dev share 12 questions")
    assert line.endswith("no question may be both attacked and asked by honest users")


def test_an_exam_of_another_task_may_not_hold_attacked_questions(run: Callable) -> None:
    code, line = run(SHIFT, exams=["sums_elsewhere"])
    assert code == 2
    assert line.startswith("heist: error: task sums and sums_elsewhere: splits query and test share 10 questions")


def test_two_questions_of_one_id_are_named(run: Callable) -> None:
    code, line = run('return [Problem(Question("same", f"what is {i}"), "1", "") for i in numbers]')
    assert code == 2
    assert line == "heist: error: task sums: split query holds 19 of its 20 ids twice"


def test_the_pocket_tasks_splits_are_sound(suite_file: Callable) -> None:
    check_splits(cells(load_suite(str(suite_file()))))
