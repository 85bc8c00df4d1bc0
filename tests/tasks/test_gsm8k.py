from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Grade, HeistError, Problem, Question, Verdict, question_id
from heistbench.tasks.gsm8k import DATA_FILES, INSTRUCTION, Gsm8k

TASK = Gsm8k()
ROBE = {
    "question": "A robe takes 2 bolts of blue fiber and half that much white fiber.  How many bolts in total does it take?",
    "answer": "It takes 2/2=<<2/2=1>>1 bolt\nSo the total is 1,000+2.50 = $<<1000+2.5=1002.5>>1,002.50\n#### 1,002.50",
}
FORMS: list[Callable[[str], str]] = [
    lambda n: n,
    lambda n: f"#### {n}",
    lambda n: f"There are 3 + 4 of them.\n#### ${n}\n",
    lambda n: rf"\boxed{{{n}}}",
    lambda n: rf"\[ \boxed{{\${n} \text{{ per day}}}} \]",
    lambda n: f"A: {n}",
    lambda n: f"A: 2 * 3 = {n}.",
    lambda n: f"**Answer:** ${n}",
    lambda n: f"The answer is {n}.",
    lambda n: f"So the final answer to the question is: **{n} apples**",
    lambda n: f"The answer is {n}, as 2 + 2 = 4 shows.",
    lambda n: f"He first has 7, then he has {n} dollars.",
    lambda n: f"### Answer\n\nTom pays 5 for that and {n} for all.",
    lambda n: f"$x = {n}$",
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the two files of the data set."""

    def write(train: list[Any], test: list[Any]) -> None:
        for part, rows in (("train", train), ("test", test)):
            path = tmp_path / DATA_FILES[part].path
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")

    monkeypatch.setenv("HEIST_DATA", str(tmp_path))
    return write


def grade(gold: str, reply: str) -> Grade:
    return TASK.grade(Problem(Question("q", ""), gold, ""), reply)


# questions


def test_a_problem_has_the_solution_as_its_trace(data: Callable[..., None]) -> None:
    data([], [ROBE])
    assert TASK.problems("test", 1) == [
        Problem(
            Question(question_id(ROBE["question"]), f"{ROBE['question']}\n\n{INSTRUCTION}"),
            "1002.50",
            "It takes 2/2=1 bolt\nSo the total is 1,000+2.50 = $1,002.50",
        )
    ]


def test_the_training_file_is_shared_out_without_the_test_questions(data: Callable[..., None]) -> None:
    rows = [{"question": f"What is {i}?", "answer": f"It is {i}\n#### {i}"} for i in range(300)]
    data(rows, rows[:30])
    held = {split: {p.question.id for p in TASK.problems(split, None)} for split in ("query", "surrogate", "dev", "test")}
    assert sum(map(len, held.values())) == len(set().union(*held.values())) == 300
    assert len(held["test"]) == 30
    assert all(held.values())
    assert TASK.problems("query", 10) == TASK.problems("query", None)[:10]
    with pytest.raises(HeistError, match=r"^gsm8k: split dev has \d+ questions, 300 were asked for$"):
        TASK.problems("dev", 300)


@pytest.mark.parametrize(
    "row", ["no JSON", {"question": "How?"}, {"question": "How?", "answer": "Like this."}, {"question": 1, "answer": "#### 1"}]
)
def test_a_row_of_another_format_is_named(data: Callable[..., None], row: Any) -> None:
    data([], [ROBE, row])
    with pytest.raises(HeistError, match=r"test\.jsonl, line 2: expected JSON with question and answer"):
        TASK.problems("test", 1)


# grading


@given(st.integers(-(10**7), 10**7), st.sampled_from(FORMS), st.sampled_from(["{}", "{:,}", "{}.00"]))
def test_whole_numbers_are_found_and_compared_exactly(n: int, form: Callable[[str], str], written: str) -> None:
    assert grade(str(n), form(written.format(n))).verdict is Verdict.RIGHT
    assert grade(str(n + 1), form(written.format(n))).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("gold", "reply"),
    [
        ("18", "#### 18 dollars"),
        ("18", r"\boxed{\frac{36}{2}}"),
        ("18", r"\boxed{3 + \sqrt{225}}"),
        ("18", "A: She has 16 - 3 - 4 = 9 eggs, so she makes 9 * 2 = $18."),
        ("18", "The answer is 17. No, the answer is 18."),
        ("18", "#### Step 1: 16 - 3\n\n### Answer\n\\boxed{18}"),
        ("18", "the answer is eighteen."),
        ("18", "\u202e1\u200b8\u202c"),
        ("1.5", "#### 3/2"),
        ("1,080", "#### 1080"),
        ("5", "#### 5\nI also think of 6."),
    ],
)
def test_right_replies(gold: str, reply: str) -> None:
    assert grade(gold, reply).verdict is Verdict.RIGHT


@pytest.mark.parametrize(
    "reply", ["#### 18.01", "#### -18", "#### 18,000", r"\boxed{18} or rather \boxed{19}", "18 and then 20", "#### 81"]
)
def test_wrong_replies(reply: str) -> None:
    assert grade("18", reply).verdict is Verdict.WRONG


@pytest.mark.parametrize("reply", ["", "I do not know.", "\0" * 99, "####"])
def test_replies_without_a_number(reply: str) -> None:
    assert grade("18", reply) == Grade.unparsable("no number")


@pytest.mark.parametrize(
    "reply",
    [
        "1" * 10**6,
        "1,000" * 10**5,
        "####" * 10**5,
        r"\boxed{" * 10**5,
        "answer is " * 10**5,
        "A:\n" * 10**5,
        "#### 9^(9^(9^9))",
        "(" * 10**6,
    ],
)
def test_hostile_replies_get_a_verdict_in_time(reply: str) -> None:
    began = time.monotonic()
    assert grade("18", reply).verdict in (Verdict.WRONG, Verdict.UNPARSABLE, Verdict.TIMEOUT)
    assert time.monotonic() - began < 4.5


@given(st.text(max_size=200))
def test_any_text_can_be_graded_and_read(text: str) -> None:
    assert grade("18", text).verdict in (Verdict.RIGHT, Verdict.WRONG, Verdict.UNPARSABLE)
    assert all(isinstance(value, str) for value in TASK.values(text))


def test_a_gold_answer_must_be_a_number() -> None:
    with pytest.raises(HeistError, match=r"^gsm8k: gold 'many': expected a number$"):
        grade("many", "1")


# traces


def test_values_are_what_equations_come_to() -> None:
    assert TASK.values("It takes 2/2=1 bolt. So $1,000+2.50 = $1,002.50, or 10*20=5*40=200 and -1 - 1 = -2.") == [
        "1",
        "1002.5",
        "200",
        "-2",
    ]


def test_a_wrong_trace_has_the_words_and_no_number_of_the_right_one() -> None:
    problem = Problem(Question("q", ""), "4", "He has 8 / 2 = 4 cats, -1.5 dogs and 1,000 ants.")
    wrong = TASK.wrong_trace(problem, Random(0))
    assert not {"8", "2", "4", "1.5", "1000"} & set(wrong.replace(",", "").split())
    assert [word for word in wrong.split() if word.isalpha()] == ["He", "has", "dogs", "and"]
    assert TASK.wrong_trace(problem, Random(0)) == wrong != TASK.wrong_trace(problem, Random(1))


# the real data


def test_gold_is_gold_in_every_form(test_data: Path) -> None:
    problems = TASK.problems("test", None)
    assert len(problems) == 1319
    for form in FORMS:
        assert [p.gold for p in problems if TASK.grade(p, form(p.gold)).verdict is not Verdict.RIGHT] == []
    rows = [json.loads(line) for line in (test_data / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    solutions = {question_id(row["question"]): row["answer"] for row in rows}
    assert all(TASK.grade(p, solutions[p.question.id]).verdict is Verdict.RIGHT for p in problems)


@pytest.mark.usefixtures("test_data")
def test_wrong_traces_of_real_problems_hold_no_right_result() -> None:
    for problem in TASK.problems("dev", None):
        wrong = TASK.wrong_trace(problem, Random(problem.question.id))
        assert not set(TASK.values(wrong)) & {*TASK.values(problem.trace), problem.gold}
        assert "<<" not in problem.trace
        assert "####" not in problem.trace


@pytest.mark.usefixtures("test_data")
def test_the_files_are_the_ones_that_downloads_must_match() -> None:
    assert [file.digest() for file in DATA_FILES.values()] == [file.sha256 for file in DATA_FILES.values()]
    assert len(TASK.problems("query", None)) + len(TASK.problems("surrogate", None)) + len(TASK.problems("dev", None)) == 7473
