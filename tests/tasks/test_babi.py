from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import HeistError, Problem, Question, Verdict, read_trace
from heistbench.bench.contracts.registry import registry, spec_of
from heistbench.tasks.babi import PAPER, TYPES, Babi

PEOPLE, PLACES = ("Mary", "John", "Daniel", "Sandra"), ("office", "garden", "kitchen", "hallway", "bathroom")
NUMBERS = range(1, 21)


def story(rng: Random, moves: int = 3) -> list[str]:
    """A story in bAbI's format: moves, a question; more moves, a question."""
    lines, last = [], {}
    for _ in range(2):
        for _ in range(moves):
            who, where = rng.choice(PEOPLE), rng.choice(PLACES)
            lines.append(f"{len(lines) + 1} {who} went to the {where}.")
            last[who] = len(lines)
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
    kind = "kind : single supporting fact . facts :"
    assert found == {
        f"{facts} where is daniel ?": ("office", f"{kind} john and daniel travelled to the office"),
        f"{facts} mary went back to the garden . where is mary ?": (
            "garden , bathroom",
            f"{kind} mary went back to the garden ; mary and daniel travelled to the bathroom",
        ),
    }


def test_every_problem_answers_itself(made_up: Babi) -> None:
    for problem in made_up.problems("query", 80):
        assert made_up.grade(problem, problem.gold).verdict is Verdict.RIGHT
        assert made_up.check(problem, problem.trace).whole
        assert set(read_trace(problem.trace)[1]) <= set(made_up.facts(problem))
        assert made_up.summarize(problem.trace) == "a question of single supporting fact , answered from 1 fact ."


def test_a_shorter_list_is_the_beginning_of_a_longer_one(made_up: Babi) -> None:
    assert made_up.problems("query", 10) == made_up.problems("query", 60)[:10]


def test_a_split_that_is_too_small_is_an_error(made_up: Babi) -> None:
    n = len(everything(made_up, "dev"))
    assert n > 0
    with pytest.raises(HeistError, match=rf"babi\(1\): split dev has {n} questions, {n + 1} were asked for"):
        made_up.problems("dev", n + 1)


def everything(task: Babi, split: str) -> set[str]:
    """All questions of a split."""
    texts = [p.question.text for p in task.problems(split, None)]
    assert len(texts) == len(set(texts))
    return set(texts)


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
    assert sorted(map(len, held)) == [0, 0, 1 + len(PLACES)]


def test_no_examined_question_is_attacked_even_of_another_type(data: Callable[..., Path]) -> None:
    data(EXAMPLE, "", number=1)
    data("", EXAMPLE, number=2)
    assert everything(Babi("1+2"), "test")
    assert not any(everything(Babi("1+2"), split) for split in ("query", "surrogate", "dev"))


def test_types_are_asked_together(data: Callable[..., Path]) -> None:
    data("", EXAMPLE, number=1)
    data("", EXAMPLE.replace("Mary", "Sandra"), number=2)
    kinds = [read_trace(p.trace)[0] for p in Babi("1+2").problems("test", None)]
    assert sorted(kinds) == ["single supporting fact"] * 2 + ["two supporting facts"] * 2


# the parameter


@pytest.mark.parametrize(
    ("spec", "numbers", "shortest"),
    [
        ("babi", [12], "babi"),
        ("babi(types=12)", [12], "babi"),
        ("babi(types=3)", [3], "babi(types=3)"),
        ("babi(types=12+1+2+1)", [1, 2, 12], "babi(types=1+2+12)"),
        ("babi(types=paper)", [1, 2, 4, 7, 8, 12, 14, 15, 16, 17, 18], "babi(types=paper)"),
    ],
)
def test_types_are_numbers_in_any_order_or_the_papers(spec: str, numbers: list[int], shortest: str) -> None:
    task = registry.build("task", spec)
    assert isinstance(task, Babi)
    assert task.numbers == numbers
    assert spec_of(task) == shortest
    assert registry.build("task", shortest) == task


@pytest.mark.parametrize("types", ["0", "21", "1+", "1-2", "x", "-1", "1.5", "[1, 2]"])
def test_other_types_are_errors(types: str) -> None:
    with pytest.raises(HeistError, match="babi: types="):
        registry.build("task", f"babi(types={types})")


# grading


def test_a_wrong_twin_is_of_another_chosen_kind_where_there_is_one(made_up: Babi) -> None:
    [problem] = made_up.problems("query", 1)
    for types, kinds in (("1+2", {"two supporting facts"}), ("1", {name.replace("-", " ") for name in TYPES[1:]})):
        twins = {read_trace(Babi(types).wrong_trace(problem, Random(seed)))[0] for seed in range(300)}
        assert twins == kinds


def graded(gold: str, answer: str) -> Verdict:
    return Babi().grade(Problem(Question("q", ""), gold, ""), answer).verdict


@pytest.mark.parametrize(
    ("gold", "answers"),
    [
        (
            "garden",
            ["garden", " Garden.\n", "the garden", "The answer is: **garden**.", "She is in the garden.", "In the garden"],
        ),
        ("garden", [r"$\boxed{\text{garden}}$", "<answer>garden</answer>", "Mary: garden", "garden (she went there last)"]),
        ("garden", ["She took the milk to the kitchen, then left.\n\nTherefore, Mary is in the garden."]),
        ("two", ["two", "2", "Two.", "She is carrying 2 objects.", "Two: the apple and the milk"]),
        ("none", ["none", "0", "Zero", "nothing", "She carries none of them."]),
        ("nothing", ["nothing", "Mary is carrying nothing.", "none"]),
        ("wolf", ["wolf", "wolves", "Gertrude is afraid of wolves."]),
        ("gray", ["grey", "Lily is gray."]),
        ("yes", ["yes", "Yes, she is in the garden.", "YES!"]),
        ("no", ["no", "No, Mary is not in the garden.", "No. She isn't."]),
        ("hungry", ["Because he is hungry."]),
        (
            "apple , milk",
            ["apple , milk", "milk,apple", "The apple and the milk.", "1. milk\n2. apple", "She carries an apple, milk."],
        ),
        ("n , w", ["n , w", "n,w", "North, then west.", "First go north and then go west."]),
        ("e , e", ["east, east"]),
        ("red room", ["red room", " Red  ROOM .\n", "the red room"]),
    ],
)
def test_right_answers_as_models_write_them(gold: str, answers: list[str]) -> None:
    assert [answer for answer in answers if graded(gold, answer) is not Verdict.RIGHT] == []


@pytest.mark.parametrize(
    ("gold", "answers"),
    [
        ("garden", ["office", "garden or office", "garden, kitchen, office, hallway", "not the garden", "gardens of stone"]),
        ("garden", ["She moved from the kitchen to the garden.", "I do not know.", "garden\n\nThe answer is kitchen."]),
        ("two", ["three", "two or three", "1 2 3", "22"]),
        ("none", ["one"]),
        ("yes", ["no", "yes and no", "maybe", "Yes. No."]),
        ("apple , milk", ["apple", "apple , milk , football", "nothing"]),
        ("n , w", ["w , n", "n", "n , w , n", "north", "somewhere"]),
        ("red room", ["red", "room red", "red room and blue room"]),
    ],
)
def test_wrong_answers(gold: str, answers: list[str]) -> None:
    assert [answer for answer in answers if graded(gold, answer) is not Verdict.WRONG] == []


@pytest.mark.parametrize("answer", ["", "  ", "...", "?!"])
def test_no_word_is_no_answer(answer: str) -> None:
    assert graded("garden", answer) is Verdict.UNPARSABLE


def test_a_list_in_part_is_measured_but_has_no_score() -> None:
    grade = Babi().grade(Problem(Question("q", ""), "apple , milk", ""), "apple")
    assert grade.score == 0
    assert grade.metrics == {"f1": pytest.approx(2 / 3), "precision": 1.0, "recall": 0.5, "exact_match": 0.0}


@given(st.sampled_from(["garden", "n , w", "red room"]), st.text())
def test_any_text_can_be_graded(gold: str, text: str) -> None:
    assert graded(gold, text) in (Verdict.RIGHT, Verdict.WRONG, Verdict.UNPARSABLE)


# wrong twins


def test_a_wrong_twin_names_other_statements_of_the_story(made_up: Babi) -> None:
    for i, problem in enumerate(made_up.problems("query", 100)):
        wrong = made_up.wrong_trace(problem, Random(i))
        check = made_up.check(problem, wrong)
        assert (check.right, check.classified, check.retrieved) == (0, False, False)
        assert set(read_trace(wrong)[1]) <= set(made_up.facts(problem))


# the files


def test_the_digest_hangs_on_every_file(data: Callable[..., Path]) -> None:
    digests = set()
    for train, test, number in ((EXAMPLE, EXAMPLE, 1), (EXAMPLE * 2, EXAMPLE, 1), (EXAMPLE, EXAMPLE * 2, 1), (EXAMPLE, "", 2)):
        data(EXAMPLE, EXAMPLE, number=2)
        data(train, test, number=number)
        digests.add(Babi("1+2").data_digest())
    assert len(digests) == 4


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


# the real files


@pytest.mark.parametrize("number", NUMBERS)
def test_every_question_of_the_official_test_file(test_data: Path, number: int) -> None:
    task = Babi(number)
    problems = task.problems("test", None)
    assert len(problems) >= 602  # of 1000: types 15, 17 and 18 ask many questions twice
    for problem in problems:
        wrong = task.check(problem, task.wrong_trace(problem, Random(problem.question.id)))
        assert task.check(problem, problem.trace).whole
        assert (wrong.right, wrong.classified, wrong.retrieved) == (0, False, False)
        grade = task.grade(problem, problem.gold)
        assert (grade.verdict, grade.score) == (Verdict.RIGHT, 1.0)
        assert task.grade(problem, f"The answer is: **{problem.gold.replace(' , ', ' and ')}**.").verdict is Verdict.RIGHT


def test_the_papers_types_are_those_with_training_files(test_data: Path) -> None:
    found = {int(path.name[2:].partition("_")[0]) for path in (test_data / "babi" / "en-10k").glob("*_train.txt")}
    assert found == set(map(int, PAPER.split("+")))
    task = Babi("paper")
    kinds = {TYPES[number - 1].replace("-", " ") for number in found}
    assert {read_trace(p.trace)[0] for p in task.problems("query", 400)} == set(task.kinds()) == kinds
