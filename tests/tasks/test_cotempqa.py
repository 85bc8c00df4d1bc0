from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import HeistError, Problem, Question, Verdict, read_trace
from heistbench.bench.contracts.nouns import Split
from heistbench.bench.contracts.registry import registry, spec_of
from heistbench.tasks.cotempqa import INSTRUCTION, RELATIONS, CoTempQA, right_facts

HERE = "equal+overlap+mix"
"""The relations whose files are among the test data."""
SPLITS = get_args(Split)
ROW = {
    "question": "While Jan Trøjborg was working for Billund Airport, which employer did Jan Trøjborg work for simultaneously?",
    "facts": [
        "Jan Trøjborg works for Billund Airport from January 2, 2007 to December 3, 2010.",
        "Jan Trøjborg holds the position of mayor from January 1, 2007 to May 6, 2012.",
        "Jan Trøjborg works for NKT from March 25, 2010 to May 6, 2012.",
        "Jan Trøjborg worked for Bauman Moscow State Technical University in March, 2012.",
    ],
    "answer": ["NKT"],
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the file of a relation."""

    def write(*rows: Any, relation: str = "overlap") -> None:
        (tmp_path / "cotempqa").mkdir(exist_ok=True)
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / "cotempqa" / f"{relation}.json").write_text("\n".join(lines))
        monkeypatch.setenv("HEIST_DATA", str(tmp_path))

    return write


def everything(task: CoTempQA) -> list[Problem]:
    return [problem for split in SPLITS for problem in task.problems(split, None)]


def test_a_row_as_a_problem(data: Callable[..., None]) -> None:
    data({**ROW, "answer": ["NKT", "NKT", "Colleges; and\xa0more"]})
    [problem] = everything(CoTempQA("overlap"))
    assert problem.question.text.splitlines() == [
        "Facts:",
        *(f"- {fact}" for fact in ROW["facts"]),
        f"Question: {ROW['question']}",
        INSTRUCTION,
    ]
    assert problem.gold == "NKT ; Colleges, and more"
    assert problem.trace == f"kind : overlap . facts : {ROW['facts'][0]} ; {ROW['facts'][2]}"


# which facts are right


@pytest.mark.parametrize(
    ("question", "answers", "right"),
    [
        ("While A B was working for X, which position did A B hold concurrently?", ["mayor"], [0, 1]),
        ("While A B was working for X, which position did A B hold concurrently?", ["mayor", "Greens"], [0, 1, 6]),
        ("While A B was working for X, which employer did C D work for at the same time?", ["Y, Z and Co."], [0, 4]),
        ("While A B was working for X, who also worked for X simultaneously?", ["C D"], [0, 5]),
        ("While A B attended X, who also attended X during the same time span?", ["C D"], [3, 7]),
        ("While A B was a member of Greens, which school did C D attend concurrently?", ["X"], [6, 7]),
        ("While P was owned by Q, who was also owned by Q simultaneously?", ["R"], [8, 9]),
        ("While P was owned by Q, who was the owner of R simultaneously?", ["Q"], [8, 9]),
        ("While A B was holding the position of clerk in the Court, which team did C D play for?", ["FC 1999"], [10, 11]),
        ("While nobody did anything, which team did C D play for?", ["mayor"], [1]),
    ],
)
def test_the_facts_that_state_clause_and_answers_are_right(question: str, answers: list[str], right: list[int]) -> None:
    facts = [
        "A B works for X from 2001 to 2003.",
        "A B holds the position of mayor in May, 2002.",
        "A B works for Y in 2002.",
        "A B attended X in 1980.",
        "C D worked for Y, Z and Co. in May 3, 2002.",
        "C D works for X in 2002.",
        "A B is a member of the Greens from May, 1979 to June 1, 1980.",
        "C D attended X in 1980.",
        "P is owned by Q in 1990.",
        "R is owned by Q in 1990.",
        "A B holds the position of clerk in the Court from 1901 to 1902.",
        "C D plays for FC 1999 in 1901.",
    ]
    assert right_facts(question, facts, answers) == [facts[i] for i in right]


def test_what_is_stated_twice_is_named_twice() -> None:
    facts = ["A B works for X in 2001.", "A B works for X in 2007.", "A B attended Y in 2001."]
    assert right_facts("While A B was working for X, which school did A B attend?", facts, ["Y"]) == facts


# grading


def graded(answer: str, gold: str = "NKT ; Dell Inc.", text: str = "") -> tuple[str, float]:
    grade = CoTempQA().grade(Problem(Question("q", text), gold, ""), answer)
    assert grade.score == grade.metrics["f1"]
    return grade.verdict.value, round(grade.score, 2)


@pytest.mark.parametrize(
    ("answer", "verdict", "score"),
    [
        ("NKT ; Dell Inc.", "right", 1),
        ("The answers are Dell Inc. and NKT.", "right", 1),
        ("- **NKT**\n- **Dell Inc**", "right", 1),
        ("['NKT', 'Dell Inc.']", "right", 1),
        ("NKT", "wrong", 0.67),
        ("NKT, Dell Inc. and Vestas", "wrong", 0.8),
        ("Vestas", "wrong", 0),
        ("I do not know", "wrong", 0),
        ("", "unparsable", 0),
        (" ; ", "unparsable", 0),
    ],
)
def test_grades(answer: str, verdict: str, score: float) -> None:
    assert graded(answer) == (verdict, score)


def test_the_context_tells_names_inside_sentences(data: Callable[..., None]) -> None:
    data(ROW)
    [problem] = everything(CoTempQA("overlap"))
    text, wrong = problem.question.text, "Bauman Moscow State Technical University"
    assert graded("While he was working for Billund Airport, Jan Trøjborg worked for NKT.", "NKT", text) == ("right", 1)
    assert graded(f"Jan Trøjborg worked for NKT and then for {wrong}.", "NKT", text) == ("wrong", 0.67)
    assert graded(f"Jan Trøjborg worked for {wrong}.", "NKT", text) == ("wrong", 0)
    assert graded("Billund Airport ; NKT", "NKT", text) == ("right", 1)
    assert graded("Billund Airport", "NKT", text) == ("wrong", 0)


@given(st.text())
def test_any_text_can_be_graded(text: str) -> None:
    assert 0 <= graded(text)[1] <= 1


# files and parameters


def test_relations_are_chosen(data: Callable[..., None]) -> None:
    data(ROW, relation="overlap")
    data({**ROW, "question": ROW["question"].replace("simultaneously", "concurrently")}, relation="mix")
    assert [read_trace(p.trace)[0] for p in everything(CoTempQA("mix"))] == ["mix"]
    assert sorted(read_trace(p.trace)[0] for p in everything(CoTempQA("mix+overlap"))) == ["mix", "overlap"]


def test_the_relations_are_a_parameter() -> None:
    assert registry.build("task", "cotempqa") == CoTempQA()
    built = registry.build("task", "cotempqa(relations=equal+mix)")
    assert built == CoTempQA("equal+mix")
    assert registry.build("task", spec_of(built)) == built
    with pytest.raises(HeistError, match=r"cotempqa: relations=equal\+before: expected some of equal\+overlap\+during\+mix"):
        registry.build("task", "cotempqa(relations=equal+before)")


def test_a_missing_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEIST_DATA", str(tmp_path))
    with pytest.raises(HeistError, match=r"^cotempqa/equal\.json is not in .*Trace_Check_QA/fa84bdc5\w{32}/.*--data DIR"):
        CoTempQA().problems("test", 1)


@pytest.mark.parametrize("row", ["{", "[]", "7", '{"question": "Who?"}', {**ROW, "question": "Who?"}, {**ROW, "facts": 3}])
def test_a_row_of_another_format_is_named(data: Callable[..., None], row: Any) -> None:
    data(ROW, row)
    with pytest.raises(HeistError, match=r"overlap\.json, line 2: expected a JSON object with question, facts and answer"):
        CoTempQA("overlap").problems("test", 1)


def test_the_digest_hangs_on_the_chosen_files(data: Callable[..., None]) -> None:
    data(ROW, relation="mix")
    data(ROW, ROW, relation="equal")
    digests = {CoTempQA(relations).data_digest() for relations in ("mix", "equal", "equal+mix")}
    assert len(digests) == 3


# the real data


@pytest.fixture
def problems(test_data: Path) -> list[Problem]:
    return everything(CoTempQA(HERE))


def test_every_question_is_in_one_split(problems: list[Problem]) -> None:
    assert len({problem.question.id for problem in problems}) == len(problems) == 436 + 653 + 563


def test_splits_have_their_shares(test_data: Path) -> None:
    sizes = {split: len(CoTempQA(HERE).problems(split, None)) for split in SPLITS}
    assert {split: round(size / 1652, 2) for split, size in sizes.items()} == pytest.approx(
        {"query": 0.7, "surrogate": 0.05, "dev": 0.05, "test": 0.2}, abs=0.03
    )


def test_every_trace_is_right_and_every_twin_wrong(problems: list[Problem]) -> None:
    task = CoTempQA(HERE)
    for problem in problems:
        check, twin = (
            task.check(problem, problem.trace),
            task.check(problem, task.wrong_trace(problem, Random(problem.question.id))),
        )
        assert check.whole
        assert (twin.right, twin.classified, twin.retrieved) == (0, False, False)


def test_right_facts_state_the_clause_and_name_all_answers(problems: list[Problem]) -> None:
    clauses = Counter[int]()
    for problem in problems:
        kind, facts = read_trace(problem.trace)
        assert kind in RELATIONS
        assert set(facts) <= set(CoTempQA().facts(problem))
        assert all(any(answer in fact for fact in facts) for answer in problem.gold.split(" ; "))
        names = [fact for fact in facts if not any(answer in fact for answer in problem.gold.split(" ; "))]
        clauses[len(names)] += 1
    # A clause of its own in nearly all; none where clause and answer share a name, as "president" and "vice president".
    assert clauses.most_common(1)[0][0] == 1
    assert clauses[1] > 0.95 * len(problems)


def test_gold_is_right_however_it_is_written(problems: list[Problem]) -> None:
    task = CoTempQA(HERE)
    for problem in problems:
        names = problem.gold.split(" ; ")
        forms = [problem.gold, ", ".join(names) + ".", str(names), "The answer is " + " and ".join(names) + "."]
        forms += ["\n".join(f"{i}. **{name}**" for i, name in enumerate(names, 1))]
        for form in forms:
            grade = task.grade(problem, form)
            assert (grade.verdict, grade.score) == (Verdict.RIGHT, 1.0), form


def test_naming_everything_is_not_right(problems: list[Problem]) -> None:
    task = CoTempQA(HERE)
    for problem in problems:
        assert task.grade(problem, "\n".join(task.facts(problem))).verdict is Verdict.WRONG
        assert task.grade(problem, f"{problem.gold} ; Nobody Knows").verdict is Verdict.WRONG
