from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import HeistError, Problem, Question, Verdict, question_id
from heistbench.tasks.openthoughts import HOW, OpenThoughts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pyarrow.*")
TASK = OpenThoughts()


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


def everything() -> list[Problem]:
    return [problem for split in ("query", "surrogate", "dev", "test") for problem in TASK.problems(split, None)]


def test_a_row_is_a_recorded_victims_reply(data: Callable[..., Path]) -> None:
    solution = "Half of it.\n\n\\[ \\boxed{\\frac{1}{2}} \\]"
    data([row("What is $1/2$?", "Okay, so \\boxed{3}? Wait, no.", solution)])
    question = Question(question_id("What is $1/2$?"), f"What is $1/2$?\n\n{HOW}")
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
    assert OpenThoughts(1).data_digest() != OpenThoughts(2).data_digest()
    with pytest.raises(HeistError, match=r"^openthoughts: part 6: expected 0 to 5$"):
        OpenThoughts(6).data_digest()
