from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import Grade, Problem, Question, Verdict
from heistbench.bench.contracts.registry import registry
from heistbench.bench.scoring.verdicts import judge, judge_all
from heistbench.bench.verbs.grade import SHOWN
from heistbench.tasks.pocket import Pocket

POCKET = Pocket()


@pytest.fixture
def replies(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of replies."""

    def write(*rows: Any) -> Path:
        path = tmp_path / "replies.jsonl"
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def jeebench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Problem]:
    """JEEBench with two questions, by their gold answers."""
    row = {"subject": "phy", "type": "MCQ(multiple)", "question": "Which?", "gold": "AC"}
    folder = tmp_path / "data"
    (folder / "jeebench").mkdir(parents=True)
    (folder / "jeebench/dataset.json").write_text(
        json.dumps([row, {**row, "type": "Numeric", "question": "How much?", "gold": "2"}])
    )
    monkeypatch.setenv("HEIST_DATA", str(folder))
    return {problem.gold: problem for problem in registry.build("task", "jeebench").problems("test", None)}


def report(heist: Callable, *words: object) -> dict[str, Any]:
    ended = heist("grade", *words, "--json")
    assert (ended.code, ended.err) == (0, "")
    return json.loads(ended.out)


# what is graded


def test_replies_are_graded_by_their_own_gold(heist: Callable, replies: Callable) -> None:
    path = replies(
        {"gold": "ABD", "type": "MCQ(multiple)", "reply": "<think>B, surely.</think>\n\n**Answer:** A, D"},
        {"id": "mine", "gold": "4.47", "type": "Numeric", "reply": r"\boxed{4.48}"},
        "",
        {"gold": "4.47", "type": "Numeric", "reply": "<think>It is 4.47"},
        {"gold": "4.47", "type": "Numeric", "reply": "4.47", "stop": "length"},
        {"gold": "B", "type": "MCQ", "reply": "no idea"},
        {"gold": "B", "type": "MCQ", "reply": "", "stop": "refused"},
    )
    found = report(heist, "jeebench", path)
    assert [(row["id"], row["verdict"], row["score"], row["extracted"]) for row in found["rows"]] == [
        ("1", "wrong", 0.5, "AD"),
        ("mine", "right", 1.0, "4.48"),
        ("4", "truncated", 0.0, ""),
        ("5", "truncated", 0.0, ""),
        ("6", "unparsable", 0.0, ""),
        ("7", "refused", 0.0, ""),
    ]
    assert [row["reason"] for row in found["rows"][:4]] == [
        "missing options: B",
        "",
        "the thinking never closed",
        "cut off at the token budget",
    ]
    assert (found["n"], found["mean_score"]) == (6, 0.25)
    assert found["counts"] == {"right": 1, "wrong": 1, "truncated": 2, "unparsable": 1, "timeout": 0, "refused": 1, "error": 0}


def test_replies_are_graded_by_question_id(heist: Callable, replies: Callable, jeebench: dict[str, Problem]) -> None:
    ids = {gold: problem.question.id for gold, problem in jeebench.items()}
    path = replies({"id": ids["2"], "reply": "It is 2.005"}, {"id": ids["AC"], "reply": "(A)"}, {"id": ids["2"], "reply": "3"})
    found = report(heist, "jeebench", path)
    assert [(row["id"], row["score"]) for row in found["rows"]] == [(ids["2"], 1.0), (ids["AC"], 0.25), (ids["2"], 0.0)]


def test_the_data_folder_can_be_named(
    heist: Callable, replies: Callable, jeebench: dict[str, Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEIST_DATA", str(tmp_path / "elsewhere"))
    path = replies({"id": jeebench["AC"].question.id, "reply": "AC"})
    assert report(heist, "jeebench", path, "--data", tmp_path / "data")["mean_score"] == 1
    assert "no such folder" in heist("grade", "jeebench", path, "--data", tmp_path / "nowhere").err


@pytest.mark.usefixtures("own_plugins")
def test_a_task_of_a_file_grades(heist: Callable, replies: Callable, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from heistbench.bench import Grade, Task, task\n"
        '@task("parrot", version="1-A")\n'
        "class Parrot(Task):\n"
        '    """Repeats."""\n'
        '    licence = "none"\n'
        "    strict: bool = False\n"
        "    def problems(self, split, n):\n        raise AssertionError('no data set is needed')\n"
        "    def grade(self, problem, answer):\n        return Grade.of(answer == problem.gold or not self.strict, answer)\n"
    )
    path = replies({"gold": "Polly", "reply": "polly"})
    assert report(heist, "parrot", path, "--plugin", plugin)["mean_score"] == 1
    assert report(heist, "parrot(strict=true)", path, "--plugin", plugin)["mean_score"] == 0


# what is printed


def test_the_table_ends_with_the_mean_and_the_counts(heist: Callable, replies: Callable) -> None:
    ended = heist("grade", "pocket", replies({"gold": "7", "reply": "7"}, {"gold": "7", "reply": "8"}))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.strip().split("\n")[-1].strip() == "2 replies, mean score 0.5000: 1 right, 1 wrong"
    assert all(word in ended.out for word in ("id", "verdict", "score", "extracted", "reason"))


@pytest.mark.usefixtures("own_plugins")
@pytest.mark.parametrize("how", [[], ["--json"]])
def test_what_models_write_can_only_show_itself(heist: Callable, replies: Callable, tmp_path: Path, how: list[str]) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from heistbench.bench import Grade, Task, task\n"
        '@task("parrot", version="1-A")\n'
        "class Parrot(Task):\n"
        '    """Repeats."""\n'
        '    licence = "none"\n'
        "    def problems(self, split, n):\n        return []\n"
        "    def grade(self, problem, answer):\n        return Grade.of(True, answer, answer)\n"
    )
    hostile = "[bold]b[/] \x1b[31m\u202e\x00\ud800"
    path = replies({"id": f"id{hostile}", "gold": "", "reply": hostile}, {"gold": "", "reply": "x" * 10**6})
    ended = heist("grade", "parrot", path, "--plugin", plugin, *how)
    assert ended.code == 0
    assert "[bold]b[/]" in ended.out
    assert not {"\x1b", "\u202e", "\x00", "\ud800"} & set(ended.out)
    assert len(ended.out) < 100 * SHOWN


def test_numbers_count_as_they_are_written(heist: Callable, replies: Callable) -> None:
    assert report(heist, "pocket", replies({"gold": 7, "reply": 7}, {"gold": 7, "reply": "8", "id": 3}))["mean_score"] == 0.5


@pytest.mark.parametrize(
    ("spec", "golds", "reply"),
    [
        ("cotempqa", ["NKT", "Dell Inc."], "Dell Inc. and NKT"),
        ("msmarco", ["20 minutes", "half an hour"], "Half an hour."),
        ("babi(types=8)", ["milk", "apple"], "apple, milk"),
        ("babi(types=8)", "milk,apple", "apple, milk"),
    ],
)
def test_a_gold_may_be_a_list(heist: Callable, replies: Callable, spec: str, golds: str | list[str], reply: str) -> None:
    assert report(heist, spec, replies({"gold": golds, "reply": reply}))["counts"]["right"] == 1


# what cannot be graded


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", "replies.jsonl, line 2: not JSON"),
        ("[]", "line 2: expected an object with a text 'reply' and a text 'id' or 'gold'"),
        ({"gold": "7"}, "line 2: expected an object"),
        ({"reply": "7"}, "line 2: expected an object"),
        ({"gold": "7", "reply": ["7"]}, "line 2: expected an object"),
        ({"gold": [], "reply": "7"}, "line 2: gold []: expected a text or a list of texts"),
        ({"gold": ["a", None], "reply": "7"}, "line 2: gold ['a', None]: expected a text or a list of texts"),
        ({"gold": "7", "reply": "7", "type": None}, "line 2: type None: expected a text"),
        ({"id": ["q"], "reply": "7"}, "line 2: id ['q']: expected a text"),
        ({"gold": "7", "reply": "7", "stop": "eos"}, "line 2: stop 'eos': expected one of stop, length, refused, error"),
        ({"gold": "7", "reply": "7", "stop": ["stop"]}, "line 2: stop ['stop']: expected"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(heist: Callable, replies: Callable, line: Any, named: str) -> None:
    ended = heist("grade", "pocket", replies({"gold": "7", "reply": "7"}, line))
    assert ended.code == 2
    assert ended.err.startswith("heist: error: ")
    assert ended.err.count("\n") == 1
    assert named in ended.err


def test_an_unknown_id_is_named(heist: Callable, replies: Callable, jeebench: dict[str, Problem]) -> None:
    ended = heist("grade", "jeebench", replies({"gold": "B", "type": "MCQ", "reply": "B"}, {"id": "q7", "reply": "B"}))
    assert (ended.code, ended.out) == (2, "")
    assert "replies.jsonl, line 2: no question 'q7' in the test split of jeebench" in ended.err


@pytest.mark.parametrize(
    ("task", "rows", "named"),
    [
        ("jeebnch", [{"gold": "7", "reply": "7"}], "did you mean 'jeebench'?"),
        ("jeebench(x=1)", [{"gold": "7", "reply": "7"}], "no parameter 'x'"),
        ("jeebench", [{"gold": "7", "reply": "7"}], "replies.jsonl: jeebench: type ''"),
        ("jeebench", [{"gold": "7", "type": "MCQ", "reply": "7"}], "replies.jsonl: jeebench: gold '7'"),
        ("pocket", [], "replies.jsonl: holds no replies"),
    ],
)
def test_other_mistakes_are_named(heist: Callable, replies: Callable, task: str, rows: list[Any], named: str) -> None:
    ended = heist("grade", task, replies(*rows))
    assert ended.code == 2
    assert named in ended.err


def test_a_file_that_cannot_be_read_is_named(heist: Callable, tmp_path: Path) -> None:
    ended = heist("grade", "pocket", tmp_path / "none.jsonl")
    assert ended.code == 2
    assert "none.jsonl: cannot be read" in ended.err


# judge_all


@dataclass(frozen=True)
class Counting(Pocket):
    """The pocket task, which remembers what it graded together."""

    asked: list[int] = field(default_factory=list)

    def grade_all(self, problems: Any, answers: Any) -> list[Grade]:
        self.asked.append(len(answers))
        return super().grade_all(problems, answers)


def test_all_replies_are_judged_as_one_is() -> None:
    problem = Problem(Question("q", "start 3 ; s1 plus 4"), "7", "s1 3 plus 4 is 7")
    texts = ["7", "<think>7", "<think>s1 3 plus 4 is 7</think>8", "7", "", "7", "x"]
    stops: list[Any] = ["stop", "stop", "stop", "length", "stop", "error", "stop"]
    task = Counting()
    found = judge_all(task, [problem] * len(texts), texts, stops)
    assert found == [judge(POCKET, problem, text, stop) for text, stop in zip(texts, stops, strict=True)]
    assert task.asked == [4]
    assert [one.grade.verdict for one in found[:3]] == [Verdict.RIGHT, Verdict.TRUNCATED, Verdict.WRONG]
    assert judge_all(task, [], [], []) == []


# real data


def test_real_gold_replies_by_id(heist: Callable, replies: Callable, test_data: Path) -> None:
    problems = registry.build("task", "jeebench").problems("test", None)
    path = replies(*({"id": p.question.id, "reply": f"<think>?</think>**Answer:** {p.gold}"} for p in problems))
    found = report(heist, "jeebench", path)
    assert (found["n"], found["mean_score"], found["counts"]["right"]) == (515, 1, 515)
