from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import HeistError, Verdict, question_id
from heistbench.bench.contracts.nouns import Split
from heistbench.tasks.math500 import FILE, INSTRUCTION, Math500

TASK = Math500()
ROW = {
    "problem": "What is $6 \\cdot 7$? ",
    "solution": "It is $\\boxed{42}.$",
    "answer": "42",
    "subject": "Prealgebra",
    "level": 1,
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the data set's file belongs."""
    monkeypatch.setenv("HEIST_DATA", str(tmp_path))
    path = tmp_path / FILE.path
    path.parent.mkdir()
    return path


def test_a_question_is_asked_with_how_to_answer_it(file: Path) -> None:
    file.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    (problem,) = TASK.problems("test", None)
    assert problem.question.text == f"What is $6 \\cdot 7$?\n\n{INSTRUCTION}"
    assert problem.question.id == question_id(str(ROW["problem"]))
    assert problem.question.metadata == {"subject": "Prealgebra", "level": "1"}
    assert (problem.gold, problem.trace) == ("42", "It is $\\boxed{42}.$")


@pytest.mark.parametrize("split", ["query", "surrogate", "dev"])
def test_it_is_for_examination_only(split: Split) -> None:
    with pytest.raises(
        HeistError, match=r"^math500 is for examination only: name a task to attack under `tasks` and math500 under `exams`$"
    ):
        TASK.problems(split, 1)


@pytest.mark.parametrize("row", ["no JSON", "[]", json.dumps({**ROW, "answer": 42}), json.dumps({"problem": "What?"})])
def test_a_row_of_another_format_is_named(file: Path, row: Any) -> None:
    file.write_text(f"{json.dumps(ROW)}\n{row}\n", encoding="utf-8")
    with pytest.raises(HeistError, match=r"test\.jsonl, line 2: expected JSON with problem, solution, answer, subject and level"):
        TASK.problems("test", 1)


def test_many_answers_are_graded_like_one(file: Path) -> None:
    file.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    problems = TASK.problems("test", 1) * 3
    answers = [r"\boxed{6 \cdot 7}", r"\boxed{41}", ""]
    grades = TASK.grade_all(problems, answers)
    assert grades == [TASK.grade(problem, answer) for problem, answer in zip(problems, answers, strict=True)]
    assert [grade.verdict for grade in grades] == [Verdict.RIGHT, Verdict.WRONG, Verdict.UNPARSABLE]


@pytest.mark.usefixtures("test_data")
def test_the_real_file() -> None:
    problems = TASK.problems("test", None)
    assert len(problems) == 500
    assert Counter(p.question.metadata["level"] for p in problems) == {"1": 43, "2": 90, "3": 105, "4": 128, "5": 134}
    assert FILE.digest() == FILE.sha256 == TASK.data_digest()
    assert {grade.verdict for grade in TASK.grade_all(problems, [p.trace for p in problems])} == {Verdict.RIGHT}
