from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import HeistError, Problem, Question, Verdict, read_trace
from heistbench.bench.contracts.nouns import Split
from heistbench.bench.contracts.registry import registry
from heistbench.tasks.msmarco import INSTRUCTION, MsMarco

SPLITS = get_args(Split)
SAMPLE = "msmarco/ifn647_sample_50.json"
TRAIN, TEST = (f"msmarco/v1.1/{part}-00000-of-00001.parquet" for part in ("train", "validation"))


def a_row(query: str = "what is rba", **changes: Any) -> dict[str, Any]:
    """A row as the original files have it."""
    passages = [
        {"is_selected": 0, "passage_text": "RBA is a bank; it is in Sydney.", "url": "u"},
        {"is_selected": 1, "passage_text": "Results-Based\n Accountability (RBA) is a way of thinking.", "url": "v"},
    ]
    row = {"query": query, "query_type": "description", "query_id": 1, "answers": ["A way;  of thinking."], "passages": passages}
    return {**row, **changes}


def columns(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the hub's parquet files have it."""
    return {**row, "passages": {key: [passage[key] for passage in row["passages"]] for key in row["passages"][0]}}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes a data file, by its path."""

    def write(path: str, *rows: Any) -> None:
        import pyarrow
        from pyarrow import parquet

        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".json":
            file.write_text(json.dumps(rows))
        else:
            parquet.write_table(pyarrow.Table.from_pylist([columns(row) for row in rows]), file)
        monkeypatch.setenv("HEIST_DATA", str(tmp_path))

    return write


def everything(task: MsMarco) -> list[Problem]:
    return [problem for split in SPLITS for problem in task.problems(split, None)]


def test_a_row_as_a_problem(data: Callable[..., None]) -> None:
    data(SAMPLE, a_row(answers=["A way;  of thinking.", "", "Thinking", "Thinking"], query_type="DESCRIPTION"))
    [problem] = everything(MsMarco("sample"))
    assert problem.question.text.splitlines() == [
        "Facts:",
        "- RBA is a bank, it is in Sydney.",
        "- Results-Based Accountability (RBA) is a way of thinking.",
        "Question: what is rba",
        INSTRUCTION,
    ]
    assert problem.trace == "kind : description . facts : Results-Based Accountability (RBA) is a way of thinking."
    assert (problem.gold, problem.recorded) == ("A way; of thinking.\nThinking", "A way; of thinking.")


def test_both_layouts_are_read_alike(data: Callable[..., None]) -> None:
    rows = [a_row(f"question {i}") for i in range(30)]
    data(SAMPLE, *rows)
    data(TRAIN, *rows)
    data(TEST, a_row("another question"))
    hub = [p for split in ("query", "surrogate", "dev") for p in MsMarco().problems(split, None)]
    assert sorted(p.question.id for p in hub) == sorted(p.question.id for p in everything(MsMarco("sample")))


@pytest.mark.parametrize(
    "changes",
    [
        {"answers": []},
        {"answers": ["", " "]},
        {"passages": [{"is_selected": 0, "passage_text": "RBA is a bank.", "url": "u"}]},
        {"passages": [{"is_selected": 1, "passage_text": " ", "url": "u"}]},
    ],
)
def test_rows_without_an_answer_or_a_marked_passage_are_left_out(data: Callable[..., None], changes: dict[str, Any]) -> None:
    data(SAMPLE, a_row("who is there"), a_row(**changes))
    [problem] = everything(MsMarco("sample"))
    assert "who is there" in problem.question.text


def test_the_test_file_is_examined_and_none_of_its_queries_attacked(data: Callable[..., None]) -> None:
    others = [{"is_selected": 1, "passage_text": "Another passage.", "url": "w"}]
    data(TRAIN, *(a_row(f"question {i}") for i in range(50)))
    data(TEST, *(a_row(f"question {i}", passages=others) for i in range(40, 60)))
    task = MsMarco()
    held = {split: {p.question.text.split("\n")[-2] for p in task.problems(split, None)} for split in SPLITS}
    assert held["test"] == {f"Question: question {i}" for i in range(40, 60)}
    assert held["query"] | held["surrogate"] | held["dev"] == {f"Question: question {i}" for i in range(40)}
    assert sum(map(len, held.values())) == 60


# grading


GOLDS = Problem(Question("q", ""), "20-25 minutes\nHalf an hour.", "")


@pytest.mark.parametrize(
    ("answer", "verdict", "score"),
    [
        ("20-25 Minutes.", "right", 1),
        ("the half hour", "right", 1),  # articles do not count
        ("**Answer:** half an hour", "right", 1),
        ("You need 20-25 minutes.", "wrong", 0.67),
        ("An hour", "wrong", 0.67),
        ("a day", "wrong", 0),
        ("", "unparsable", 0),
    ],
)
def test_grades(answer: str, verdict: str, score: float) -> None:
    grade = MsMarco().grade(GOLDS, answer)
    assert (grade.verdict.value, round(grade.score, 2)) == (verdict, score)
    assert set(grade.metrics) == {"f1", "precision", "recall", "exact_match", "rouge_l", "bleu_1"}


@given(st.text())
def test_any_text_can_be_graded(text: str) -> None:
    grade = MsMarco().grade(GOLDS, text)
    assert all(0 <= value <= 1 for value in (grade.score, *grade.metrics.values()))


# files


def test_the_source_is_a_parameter() -> None:
    assert registry.build("task", "msmarco(source=sample)") == MsMarco("sample")
    assert registry.build("task", 'msmarco(source="v1.1")') == MsMarco()
    with pytest.raises(HeistError, match=r"source='v2'"):
        registry.build("task", "msmarco(source=v2)")


def test_a_missing_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEIST_DATA", str(tmp_path))
    with pytest.raises(HeistError, match=rf"^{TEST} is not in .*microsoft/ms_marco/resolve/a47ee7aa\w{{32}}/v1.1/.*--data DIR"):
        MsMarco().problems("test", 1)


@pytest.mark.parametrize("row", [{}, 3, {**a_row(), "passages": 3}, {**a_row(), "query": None}, {**a_row(), "answers": [1]}])
def test_a_row_of_another_format_is_named(data: Callable[..., None], row: Any) -> None:
    data(SAMPLE, a_row(), row)
    with pytest.raises(HeistError, match=r"ifn647_sample_50\.json, row 2: expected MS MARCO's query"):
        everything(MsMarco("sample"))


def test_the_digest_hangs_on_the_files(data: Callable[..., None]) -> None:
    data(SAMPLE, a_row())
    one = MsMarco("sample").data_digest()
    data(SAMPLE, a_row("another"))
    assert one != MsMarco("sample").data_digest()


# the real sample


def test_every_question_of_the_sample(test_data: Path) -> None:
    task = MsMarco("sample")
    problems = everything(task)
    assert len({problem.question.id for problem in problems}) == len(problems) == 48  # of 50: two have no answer
    assert {read_trace(problem.trace)[0] for problem in problems} == set(task.kinds())
    for problem in problems:
        twin = task.check(problem, task.wrong_trace(problem, Random(problem.question.id)))
        assert task.check(problem, problem.trace).whole
        assert (twin.right, twin.classified, twin.retrieved) == (0, False, False)
        assert set(read_trace(problem.trace)[1]) <= set(task.facts(problem))
        for gold in problem.gold.split("\n"):
            for form in (gold, f"The answer is: {gold}", f"**Answer:** {gold.upper()}"):
                grade = task.grade(problem, form)
                assert (grade.verdict, grade.score) == (Verdict.RIGHT, 1.0)
                assert grade.metrics["rouge_l"] == pytest.approx(1)
                assert grade.metrics["bleu_1"] == pytest.approx(1)
