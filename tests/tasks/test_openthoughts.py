from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import HeistError, Problem, Question, Split, Verdict, question_id
from heistbench.tasks.openthoughts import FILE_COUNT, INSTRUCTION, OpenThoughts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pyarrow.*")
TASK = OpenThoughts()
SPLITS: tuple[Split, ...] = ("query", "surrogate", "dev", "test")


def row(question: str, thought: str, solution: str) -> dict[str, Any]:
    """A row as the hub has it."""
    said = (
        f"<|begin_of_thought|>\n\n{thought}\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n{solution}\n\n<|end_of_solution|>"
    )
    asked = rf"Return your final response within \boxed{{}}. {question}"
    return {"system": "Think long.", "conversations": [{"from": "user", "value": asked}, {"from": "assistant", "value": said}]}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes one file of the data set."""
    from pyarrow import Table, parquet

    def write(rows: list[Any], part: int = 1) -> Path:
        path = tmp_path / f"openthoughts/data/train-{part:05d}-of-00006.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(Table.from_pylist(rows), path)
        return path

    monkeypatch.setenv("HEIST_DATA", str(tmp_path))
    return write


def everything(task: OpenThoughts = TASK) -> list[Problem]:
    return [problem for split in SPLITS for problem in task.problems(split, None)]


def test_a_row_is_a_recorded_victims_reply(data: Callable[..., Path]) -> None:
    solution = "Half of it.\n\n\\[ \\boxed{\\frac{1}{2}} \\]"
    data([row("What is $1/2$?", "Okay, so \\boxed{3}? Wait, no.", solution)])
    question = Question(question_id("What is $1/2$?"), f"What is $1/2$?\n\n{INSTRUCTION}")
    assert everything() == [Problem(question, r"\frac{1}{2}", "Okay, so \\boxed{3}? Wait, no.", solution)]


def test_what_r1_shows_is_right(data: Callable[..., Path]) -> None:
    data([row(f"What is {i} + 1?", "Hm.", rf"It is $\boxed{{{i + 1}}}$, as {i} + 1 shows.") for i in range(40)])
    problems = everything()
    assert len(problems) == 40
    assert {grade.verdict for grade in TASK.grade_all(problems, [p.shown for p in problems])} == {Verdict.RIGHT}
    assert {TASK.grade(p, f"{p.gold}1").verdict for p in problems[:2]} == {Verdict.WRONG}


def test_rows_without_a_boxed_answer_or_without_thinking_are_left_out(data: Callable[..., Path]) -> None:
    broken = row("Three?", "Hm.", r"\boxed{3}")
    broken["conversations"][1]["value"] = r"\boxed{3}"
    data(
        [row("One?", "Hm.", "```python\nprint(1)\n```"), row("Two?", "", r"\boxed{2}"), row("Four?", "Hm.", r"\boxed{4}"), broken]
    )
    assert [problem.gold for problem in everything()] == ["4"]


def test_splits_are_shares_by_the_question_alone(data: Callable[..., Path]) -> None:
    rows = [row(f"What is {i}?", "Hm.", rf"\boxed{{{i}}}") for i in range(300)]
    data(rows)
    held = {split: [p.question.id for p in TASK.problems(split, None)] for split in ("query", "surrogate", "dev", "test")}
    assert sum(map(len, held.values())) == len({i for ids in held.values() for i in ids}) == 300
    assert len(held["query"]) > len(held["test"]) > 0
    for other in rows:
        other["conversations"][0]["value"] = other["conversations"][0]["value"].partition("}. ")[2]
    data(rows[::-1])
    assert {split: [p.question.id for p in TASK.problems(split, None)] for split in held} == held
    with pytest.raises(HeistError, match=r"^openthoughts\(1\): split test has \d+ questions, 300 were asked for$"):
        TASK.problems("test", 300)


@pytest.mark.parametrize("rows", [[{"conversations": None}], [{"conversations": [{"from": "user", "value": "What?"}]}]])
def test_a_row_of_another_format_is_named(data: Callable[..., Path], rows: list[Any]) -> None:
    data([row("One?", "Hm.", r"\boxed{1}"), *rows])
    with pytest.raises(
        HeistError, match=r"train-00001-of-00006\.parquet, row 2: expected conversations with a question and a reply"
    ):
        TASK.problems("test", 1)


def test_a_file_of_another_format_is_named(data: Callable[..., Path]) -> None:
    path = data([{"text": "What?"}])
    with pytest.raises(HeistError, match=r"row 1: expected conversations with a question and a reply"):
        TASK.problems("test", 1)
    path.write_text("no parquet")
    with pytest.raises(HeistError, match=r"train-00001-of-00006\.parquet: not a parquet file"):
        TASK.problems("test", 1)


def test_a_missing_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEIST_DATA", str(tmp_path))
    with pytest.raises(HeistError, match=r"^openthoughts/data/train-00003-of-00006\.parquet is not in .*--data DIR"):
        OpenThoughts(3).problems("test", 1)


def test_each_part_has_a_digest_of_its_own(data: Callable[..., Path]) -> None:
    for part in (1, 2):
        data([row(f"What is {part}?", "Hm.", rf"\boxed{{{part}}}")], part)
    digests = [OpenThoughts(part).data_digest() for part in (1, 2)]
    assert len(set(digests)) == 2
    assert OpenThoughts("2+1").data_digest() == " ".join(digests)


def test_parts_are_joined_and_split_as_one(data: Callable[..., Path]) -> None:
    for part in range(FILE_COUNT):
        data([row(f"What is {part} + {i}?", "Hm.", rf"\boxed{{{part + i}}}") for i in range(30)], part)
    assert len(everything(OpenThoughts("1+3"))) == 60
    assert len(everything(OpenThoughts("all"))) == 30 * FILE_COUNT
    mine = {p.question.id for p in OpenThoughts(3).problems("query", None)}
    assert mine < {p.question.id for p in OpenThoughts("1+3").problems("query", None)}
    assert OpenThoughts("3+1+1") == OpenThoughts("1+3")
    assert OpenThoughts("3") == OpenThoughts(3)


@pytest.mark.parametrize("parts", [FILE_COUNT, "0+9", "one", "", "1+", "-1"])
def test_a_part_that_is_none_is_an_error(parts: int | str) -> None:
    with pytest.raises(ValueError, match=r"expected all, or numbers from 0 to 5 joined by \+"):
        OpenThoughts(parts)


def test_a_file_that_changed_is_read_again(data: Callable[..., Path]) -> None:
    path = data([row("What is 1?", "Hm.", r"\boxed{1}")])
    assert [p.gold for p in everything()] == ["1"]
    data([row("What is 1?", "Hm.", r"\boxed{2}")])
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert [p.gold for p in everything()] == ["2"]


# questions for code


def mixed() -> list[dict[str, Any]]:
    """As many questions for code as of mathematics."""
    return [
        asked
        for i in range(100)
        for asked in (
            row(f"Print {i}.", "A print will do.", f"Call it.\n\n```python\nprint({i})\n```"),
            row(f"What is {i}?", "Hm.", rf"\boxed{{{i}}}"),
        )
    ]


def test_questions_for_code_are_attacked_and_never_examined(data: Callable[..., Path]) -> None:
    data(mixed())
    both, held = OpenThoughts(domain="all"), dict[Split, int]()
    for split in SPLITS:
        problems = both.problems(split, None)
        code = [p for p in problems if not p.gold]
        assert [p for p in problems if p.gold] == TASK.problems(split, None)
        assert all(p.question.metadata == {"domain": "code"} and "```python" in p.shown for p in code)
        assert not any(INSTRUCTION in p.question.text for p in code)
        held[split] = len(code)
    assert min(held["query"], held["surrogate"]) > 20
    assert held["dev"] == held["test"] == 0
    assert all(p.gold for p in everything())


def test_answers_without_gold_are_unparsable_whatever_they_are(data: Callable[..., Path]) -> None:
    data(mixed())
    task = OpenThoughts(domain="all")
    problems = task.problems("query", None)
    grades = task.grade_all(problems, [p.shown for p in problems])
    assert {(bool(p.gold), grade.verdict, grade.reason) for p, grade in zip(problems, grades, strict=True)} == {
        (True, Verdict.RIGHT, ""),
        (False, Verdict.UNPARSABLE, "no gold answer"),
    }
    assert [task.grade(p, p.shown) for p in problems[:6]] == grades[:6]
