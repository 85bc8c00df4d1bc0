from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import HeistError, Problem, Question, Verdict
from heistbench.bench._registry import registry
from heistbench.tasks.babi import TYPES, Babi

PEOPLE, PLACES = ("Mary", "John", "Daniel", "Sandra"), ("office", "garden", "kitchen", "hallway", "bathroom")
GRADED = Problem(Question("q", "mary went to the red room . where is mary ?"), "red room", "mary went to the red room")


def story(rng: Random, moves: int = 3) -> list[str]:
    """A story in bAbI's format: two moves, a question; more moves, a question."""
    lines, last, places = [], {}, []
    for _ in range(2):
        for _ in range(moves):
            who, where = rng.choice(PEOPLE), rng.choice(PLACES)
            lines.append(f"{len(lines) + 1} {who} went to the {where}.")
            last[who] = len(lines)
            places.append(where)
        who = rng.choice(sorted(last))
        where = lines[last[who] - 1].rstrip(".").split()[-1]
        lines.append(f"{len(lines) + 1} Where is {who}? \t{where}\t{last[who]}")
    return lines


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the two files of a type and says where they are."""

    def write(train: str, test: str = "", number: int = 1) -> Path:
        folder = tmp_path / "babi" / "en-10k"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"qa{number}_{TYPES[number - 1]}_train.txt").write_text(train)
        (folder / f"qa{number}_{TYPES[number - 1]}_test.txt").write_text(test)
        monkeypatch.setenv("HEIST_DATA", str(tmp_path))
        return folder

    return write


@pytest.fixture
def made_up(data: Callable[..., Path]) -> Babi:
    rng = Random(5)
    train, test = ("\n".join(line for _ in range(n) for line in story(rng)) + "\n" for n in (150, 20))
    data(train, test)
    return Babi(1)


EXAMPLE = """1 Mary and Daniel travelled to the bathroom.
2 John and Daniel travelled to the office.
3 Where is Daniel? \toffice\t2
4 Mary went back to the garden.
5 Where is Mary? \tgarden,bathroom\t4 1
"""


def test_the_formats_own_example(data: Callable[..., Path]) -> None:
    data(EXAMPLE, EXAMPLE)
    found = {p.question.text: (p.gold, p.trace) for p in Babi(1).problems("test", 2)}
    facts = "mary and daniel travelled to the bathroom . john and daniel travelled to the office ."
    assert found == {
        f"{facts} where is daniel ?": ("office", "john and daniel travelled to the office"),
        f"{facts} mary went back to the garden . where is mary ?": (
            "garden , bathroom",
            "mary went back to the garden ; mary and daniel travelled to the bathroom",
        ),
    }


def test_every_problem_answers_itself(made_up: Babi) -> None:
    for problem in made_up.problems("query", 80):
        assert problem.trace in problem.question.text
        assert made_up.grade(problem, problem.gold) is Verdict.RIGHT
        assert made_up.check(problem, problem.trace).whole
        assert made_up.values(problem.trace) == [problem.gold]
        assert made_up.summarize(problem.trace) == f"{problem.gold} ."


def test_a_shorter_list_is_the_beginning_of_a_longer_one(made_up: Babi) -> None:
    assert made_up.problems("query", 10) == made_up.problems("query", 60)[:10]


def test_questions_are_asked_once(made_up: Babi) -> None:
    ids = [p.question.id for p in made_up.problems("query", 100)]
    assert len(set(ids)) == len(ids)


def test_a_split_that_is_too_small_is_an_error(made_up: Babi) -> None:
    n = len(everything(made_up, "dev"))
    assert n > 0
    assert len(made_up.problems("dev", n)) == n
    with pytest.raises(HeistError, match=rf"babi\(1\): split dev has {n} questions, {n + 1} were asked for"):
        made_up.problems("dev", n + 1)


def everything(task: Babi, split: str) -> set[str]:
    """All questions of a split."""
    for n in range(1000, -1, -1):
        try:
            return {p.question.text for p in task.problems(split, n)}
        except HeistError:
            continue
    raise AssertionError


def test_splits_of_the_training_file_share_no_question(made_up: Babi) -> None:
    held = [everything(made_up, split) for split in ("query", "surrogate", "dev")]
    assert all(held)
    assert not held[0] & held[1]
    assert not held[1] & held[2]
    assert not held[0] & held[2]


def test_stories_that_begin_alike_share_a_split(data: Callable[..., Path]) -> None:
    begin = "1 Mary went to the office.\n2 Where is Mary? \toffice\t1\n"
    data("".join(f"{begin}3 John went to the {place}.\n4 Where is John? \t{place}\t3\n" for place in PLACES))
    held = [everything(Babi(1), split) for split in ("query", "surrogate", "dev")]
    assert sum("mary went to the office . where is mary ?" in texts for texts in held) == 1


def test_no_examined_question_is_attacked(data: Callable[..., Path]) -> None:
    data(EXAMPLE, EXAMPLE)
    test = everything(Babi(1), "test")
    assert not any(everything(Babi(1), split) & test for split in ("query", "surrogate", "dev"))


# grading and checking


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("red room", Verdict.RIGHT),
        (" Red  ROOM\n", Verdict.RIGHT),
        ("red", Verdict.WRONG),
        ("room red", Verdict.WRONG),
        ("the red room", Verdict.WRONG),
        ("red room .", Verdict.WRONG),
        ("", Verdict.UNPARSABLE),
        ("  ", Verdict.UNPARSABLE),
    ],
)
def test_grades(answer: str, verdict: Verdict) -> None:
    assert Babi().grade(GRADED, answer) is verdict


@given(st.text())
def test_any_text_can_be_graded_checked_and_read(text: str) -> None:
    task = Babi()
    assert task.grade(GRADED, text) in (Verdict.RIGHT, Verdict.WRONG, Verdict.UNPARSABLE)
    assert 0 <= task.check(GRADED, text).right <= task.check(GRADED, text).steps
    assert all(isinstance(value, str) for value in task.values(text))


def test_a_wrong_trace_has_the_form_and_nothing_right(made_up: Babi) -> None:
    for i, problem in enumerate(made_up.problems("query", 100)):
        wrong = made_up.wrong_trace(problem, Random(i))
        check = made_up.check(problem, wrong)
        assert (check.right, check.steps) == (0, 1)
        assert wrong in problem.question.text


def test_a_story_without_other_facts_gives_shuffled_words() -> None:
    assert Babi().wrong_trace(GRADED, Random(0)) == "room red the to went mary"


# the files


def test_the_digest_hangs_on_both_files(data: Callable[..., Path]) -> None:
    digests = set()
    for train, test in ((EXAMPLE, EXAMPLE), (EXAMPLE * 2, EXAMPLE), (EXAMPLE, EXAMPLE * 2)):
        data(train, test)
        digests.add(Babi(1).data_digest())
    assert len(digests) == 3


@pytest.mark.parametrize("split", ["test", "query"])
def test_a_missing_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str) -> None:
    monkeypatch.setenv("HEIST_DATA", str(tmp_path))
    with pytest.raises(HeistError, match=r"^babi/en-10k/qa12_conjunction_(test|train)\.txt is not in .*--data DIR"):
        Babi().problems(split, 1)


@pytest.mark.parametrize("line", ["Mary went.", "x Mary went.", "7"])
def test_a_line_that_is_none_of_the_formats_is_named(data: Callable[..., Path], line: str) -> None:
    data(EXAMPLE, EXAMPLE + line + "\n")
    with pytest.raises(HeistError, match=r"qa1_single-supporting-fact_test\.txt, line 6"):
        Babi(1).problems("test", 1)


@pytest.mark.parametrize(
    "text",
    ["2 Mary went to the office.\n", "1 Where is Mary? \toffice\t9\n", "1 Where is Mary? \toffice\tx\n"],
    ids=["no beginning", "support that is not there", "support that is no number"],
)
def test_a_file_that_breaks_the_format_is_named(data: Callable[..., Path], text: str) -> None:
    data(EXAMPLE, text)
    with pytest.raises(HeistError, match=r"qa1_single-supporting-fact_test\.txt, line 1"):
        Babi(1).problems("test", 1)


def test_the_number_is_a_parameter() -> None:
    assert registry.build("task", "babi(number=3)") == Babi(3)
    with pytest.raises(HeistError, match="number 21: expected 1 to 20"):
        Babi(21).data_digest()
