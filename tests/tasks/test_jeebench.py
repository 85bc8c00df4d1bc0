from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Grade, HeistError, Problem, Question, Verdict, question_id
from heistbench.bench.contracts.nouns import Split
from heistbench.bench.contracts.registry import registry
from heistbench.tasks.jeebench import FILE, INSTRUCTIONS, JeeBench

TASK = JeeBench()
ROW = {"description": "", "index": 1, "subject": "phy", "type": "MCQ", "question": "Which? (A) 1 (B) 2 (C) 3 (D) 4", "gold": "B"}
SETS = st.sets(st.sampled_from("ABCD"), min_size=1).map(lambda letters: "".join(sorted(letters)))
WRITTEN: list[Callable[[str], str]] = [
    lambda gold: gold,
    lambda gold: rf"\boxed{{{gold}}}",
    lambda gold: rf"Let us see.\n\n\[ \boxed{{\text{{{gold}}}}} \]",
    lambda gold: f"**Answer:** {gold}",
    lambda gold: f"The answer is **{gold}**.",
    lambda gold: f"A body of mass 3 kg moves.\n\n### Final Answer\n\n{gold}",
    lambda gold: f"Therefore, the correct answer is ${gold}$.",
]
"""Forms in which any gold answer may be written; letters are written in more of them below."""
LETTERS: list[Callable[[str], str]] = [
    lambda gold: " and ".join(f"({letter})" for letter in gold),
    lambda gold: f"The correct options are {', '.join(gold)}.",
    lambda gold: "\n".join(f"({letter}) is {'correct' if letter in gold else 'incorrect'}." for letter in "ABCD"),
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Writes the data set's file."""

    def write(content: Any) -> None:
        path = tmp_path / FILE.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    monkeypatch.setenv("HEIST_DATA", str(tmp_path))
    return write


def grade(kind: str, gold: str, reply: str) -> Grade:
    return TASK.grade(Problem(Question("q", "", {"type": kind}), gold, ""), reply)


# questions


def test_a_question_is_asked_with_how_to_answer_it(data: Callable[[Any], None]) -> None:
    data([ROW, {**ROW, "type": "Numeric", "question": "How much?", "gold": "4.47"}])
    problems = {problem.gold: problem for problem in TASK.problems("test", None)}
    asked = problems["B"].question
    assert asked == Question(question_id(ROW["question"]), f"{ROW['question']}\n\n{INSTRUCTIONS['MCQ']}", asked.metadata)
    assert asked.metadata == {"type": "MCQ", "subject": "phy"}
    assert problems["4.47"].question.text == f"How much?\n\n{INSTRUCTIONS['Numeric']}"
    assert TASK.problems("test", 1) == TASK.problems("test", None)[:1]


def test_too_few_questions_is_an_error(data: Callable[[Any], None]) -> None:
    data([ROW])
    with pytest.raises(HeistError, match="jeebench: split test has 1 questions, 2 were asked for"):
        TASK.problems("test", 2)


@pytest.mark.parametrize("split", sorted({*get_args(Split)} - {"test"}))
def test_it_is_for_examination_only(split: Split) -> None:
    with pytest.raises(HeistError, match="for examination only: name a task to attack under `tasks`"):
        TASK.problems(split, 1)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "dataset.json: not a JSON file"),
        ({}, "dataset.json: expected a list"),
        ([ROW, 7], "dataset.json, row 2: expected an object with texts question, subject, gold"),
        ([{**ROW, "type": "Essay"}], "row 1: .* type one of MCQ, MCQ\\(multiple\\), Integer, Numeric"),
        ([{**ROW, "gold": 7}], "row 1"),
        ([{key: value for key, value in ROW.items() if key != "subject"}], "row 1"),
    ],
)
def test_a_broken_file_is_named(data: Callable[[Any], None], content: Any, named: str) -> None:
    data(content)
    with pytest.raises(HeistError, match=named):
        TASK.problems("test", None)


# grading


@given(SETS, SETS)
def test_a_set_of_options_is_scored_as_its_authors_do(gold: str, chosen: str) -> None:
    """All right: 1; none wrong: a quarter for each; any wrong one: 0."""
    found = grade("MCQ(multiple)", gold, f"The correct options are {', '.join(chosen)}.")
    score = 1 if chosen == gold else 0.25 * len(chosen) if set(chosen) < set(gold) else 0
    assert (found.score, found.extracted) == (score, chosen)
    assert found.verdict is (Verdict.RIGHT if chosen == gold else Verdict.WRONG)


@given(st.sampled_from("ABCD"), SETS)
def test_a_single_choice_is_all_or_nothing(gold: str, chosen: str) -> None:
    assert grade("MCQ", gold, rf"\boxed{{{chosen}}}").score == (chosen == gold)


@given(st.integers(0, 10**6), st.integers(-2, 2))
def test_an_integer_is_exact(gold: int, off: int) -> None:
    for written in (str(gold + off), f"{gold + off}.00", f"{gold + off:,}"):
        assert grade("Integer", str(gold), f"The answer is {written}.").score == (off == 0)
    assert grade("Integer", str(gold), f"The answer is {gold}.01.").verdict is Verdict.WRONG


@given(st.decimals(-(10**4), 10**4, places=2), st.integers(-3, 3))
def test_a_number_may_be_off_by_a_hundredth(gold: Any, hundredths: int) -> None:
    reply = rf"Hence $x \approx \boxed{{{gold + type(gold)(hundredths) / 100}}}$"
    assert grade("Numeric", str(gold), reply).score == (abs(hundredths) <= 1)
    assert grade("Numeric", str(gold), reply + " kJ").score == (abs(hundredths) <= 1)


def test_what_is_missing_or_wrong_is_said() -> None:
    assert grade("MCQ(multiple)", "ABD", "A, D").reason == "missing options: B"
    assert grade("MCQ(multiple)", "AB", "A, C, D").reason == "wrong options: CD"
    assert grade("Numeric", "4.47", "4.5").reason == "expected 4.47"
    assert grade("Numeric", "4.47", "6.3e4000").verdict is Verdict.UNPARSABLE
    assert grade("Numeric", "4.47", "6.3e400").extracted == "beyond 1e308"


@pytest.mark.parametrize("kind", INSTRUCTIONS)
@pytest.mark.parametrize("reply", ["", "I do not know.", "A particle moves.", "x = y", "\0" * 10**6, "\\boxed{" * 10**5])
def test_a_reply_without_an_answer_is_unparsable(kind: str, reply: str) -> None:
    found = grade(kind, "A" if kind.startswith("MCQ") else "7", reply)
    assert (found.verdict, found.score) == (Verdict.UNPARSABLE, 0)


@pytest.mark.parametrize(
    ("kind", "gold", "named"),
    [
        ("", "A", "type ''"),
        ("mcq", "A", "type 'mcq'"),
        ("MCQ", "7", "gold '7'"),
        ("Numeric", "B", "gold 'B'"),
        ("Integer", "", "gold ''"),
    ],
)
def test_what_cannot_be_graded_is_named(kind: str, gold: str, named: str) -> None:
    with pytest.raises(HeistError, match=named):
        grade(kind, gold, "7")


def test_the_table_in_the_docstring_is_true() -> None:
    rows = re.findall(r"^ *\| (\S+) +\| (\S+) +\| `(.*?)`.*?\| (\w+) +\| ([\d.]+) +\|$", TASK.grade.__doc__ or "", re.MULTILINE)
    assert len(rows) == 9
    for kind, gold, reply, verdict, score in rows:
        found = grade(kind, gold, reply)
        assert (str(found.verdict), found.score) == (verdict, float(score)), reply


# the data set


def test_the_data_set_is_the_known_one(test_data: Path) -> None:
    problems = TASK.problems("test", None)
    assert TASK.data_digest() == FILE.sha256
    assert Counter(p.question.metadata["type"] for p in problems) == {
        "MCQ": 110,
        "MCQ(multiple)": 186,
        "Integer": 82,
        "Numeric": 137,
    }
    assert Counter(p.question.metadata["subject"] for p in problems) == {"math": 236, "chem": 156, "phy": 123}


@pytest.mark.parametrize("written", [*WRITTEN, *LETTERS])
def test_gold_against_gold(test_data: Path, written: Callable[[str], str]) -> None:
    problems = [p for p in TASK.problems("test", None) if written in WRITTEN or p.gold.isalpha()]
    assert len(problems) == (515 if written in WRITTEN else 296)
    wrong = [p.gold for p in problems if TASK.grade(p, written(p.gold)).verdict is not Verdict.RIGHT]
    assert wrong == []


def test_the_registry_builds_this_task() -> None:
    assert registry.build("task", "jeebench") == TASK
