"""bAbI: short stories, each with a question and the statements that answer it.

    question   mary and daniel travelled to the bathroom . john and daniel travelled to the office . where is daniel ?
    trace      kind : conjunction . facts : john and daniel travelled to the office
    answer     office

The kind is the name of the type; the right facts are the data set's own supporting facts. Splits are by the beginnings of
stories, so that no question is in two of them. Test questions come from the official test files and are in no other split.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, NamedTuple

from heistbench.bench import (
    DataFile,
    Grade,
    HeistError,
    OpenBook,
    Problem,
    Question,
    Split,
    final_answer,
    first,
    graded,
    hundredth,
    list_scores,
    question_id,
    task,
    text_of,
    write_trace,
)

TYPES = (
    "single-supporting-fact", "two-supporting-facts", "three-supporting-facts", "two-arg-relations", "three-arg-relations",
    "yes-no-questions", "counting", "lists-sets", "simple-negation", "indefinite-knowledge", "basic-coreference", "conjunction",
    "compound-coreference", "time-reasoning", "basic-deduction", "basic-induction", "positional-reasoning", "size-reasoning",
    "path-finding", "agents-motivations",
)  # fmt: skip
PAPER = "1+2+4+7+8+12+14+15+16+17+18"
"""The 11 types of arXiv:2505.13792."""
ARCHIVE = "https://raw.githubusercontent.com/siddk/entity-network/b18fbb7c749e98192a77132af9e537e399ac24c7/tasks/en-10k"
"""A copy of the official archive, which is no longer at its own address, at a fixed commit."""
_SHARES: dict[str, range] = {"query": range(0, 60), "surrogate": range(60, 80), "dev": range(80, 100)}
"""The hundredths of story-beginning hashes, in the official training file, that belong to each split."""
_STORY_TOKEN = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
_REPLY_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?", re.IGNORECASE)
_NUMBERS = "none one two three four five six seven eight nine ten"
_CHOICES = (
    _NUMBERS,
    "bathroom bedroom cinema garden hallway kitchen office park school",
    "apple football milk none",
    "bill daniel fred jeff john julie mary sandra",
    "cat mouse sheep wolf",
    "gray green white yellow",
    "bored hungry thirsty tired",
    "yes no maybe",
)
"""All answers of the 20 types except directions: a reply that names two from one line has not chosen."""
_SAME = {
    **{str(number): word for number, word in enumerate(_NUMBERS.split())},
    **{"zero": "none", "nothing": "none", "mice": "mouse", "cats": "cat", "wolves": "wolf", "grey": "gray"},
}
_ELSEWHERE = {word for line in _CHOICES for word in line.split()} - {"no", "none"}
_DIRECTIONS = {"n": "n", "e": "e", "s": "s", "w": "w", "north": "n", "east": "e", "south": "s", "west": "w"}


@task("babi", version="2-A", paper="arXiv:1502.05698")
class Babi(OpenBook):
    """One or more of the 20 types, from the `en-10k` files of release 1.2: numbers joined by `+`, or `paper`."""

    types: int | str = 12
    between: ClassVar[str] = " , "
    licence: ClassVar[str] = "CC BY 3.0"
    citation: ClassVar[str] = "Weston et al., Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks, ICLR 2016"

    def __post_init__(self) -> None:
        numbers = str(self.types).split("+")
        if self.types != "paper":
            if not all(number.isdecimal() and 1 <= int(number) <= len(TYPES) for number in numbers):
                raise ValueError(f"types={self.types}: expected paper, or numbers from 1 to {len(TYPES)} joined by +")
            chosen = sorted(set(map(int, numbers)))
            object.__setattr__(self, "types", chosen[0] if len(chosen) == 1 else "+".join(map(str, chosen)))

    @property
    def numbers(self) -> list[int]:
        """The numbers of the chosen types."""
        return [int(number) for number in (PAPER if self.types == "paper" else str(self.types)).split("+")]

    def kinds(self) -> Sequence[str]:
        """The names of the chosen types; all 20 if only one is chosen."""
        numbers = self.numbers if len(self.numbers) > 1 else range(1, len(TYPES) + 1)
        return [_kind(number) for number in numbers]

    def problems(self, split: Split, n: int | None) -> list[Problem]:
        tests = [row.problem for number in self.numbers for row in _read(_file(number, "test").locate(), number)]
        problems = tests
        if split != "test":
            ids = {problem.question.id for problem in tests}
            rows = (row for number in self.numbers for row in _read(_file(number, "train").locate(), number))
            mine = (row.problem for row in rows if hundredth(row.beginning) in _SHARES[split])
            problems = [problem for problem in mine if problem.question.id not in ids]
        return first(problems, n, f"babi({self.types}): split {split}")

    def data_digest(self) -> str:
        return " ".join(_file(number, part).digest() for number in self.numbers for part in ("train", "test"))

    def facts(self, problem: Problem) -> list[str]:
        """The statements of the story."""
        return [fact.strip() for fact in re.split(r" \.(?: |$)", problem.question.text)[:-1]]

    def grade(self, problem: Problem, answer: str) -> Grade:
        """Right for the gold answer and no other; lists are compared as sets, directions as sequences.

        | gold        | right                                                            | wrong              |
        |-------------|------------------------------------------------------------------|--------------------|
        | `garden`    | `Garden.`, `The answer is: **garden**`, `She is in the garden.`  | `garden or office` |
        | `two`       | `2`, `She has two objects: the apple and the milk.`              | `two or three`     |
        | `none`      | `0`, `nothing`; so for the gold `nothing`                        | `one`              |
        | `wolf`      | `wolves`                                                         | `not wolves`       |
        | `yes`       | `Yes, she is.`                                                   | `yes and no`       |
        | `apple , milk` | `milk and apple`, `- milk` and `- apple` on lines             | `apple`            |
        | `n , w`     | `north, west`, `First go north, then west.`                      | `w, n`             |

        A reply without a word is unparsable.

        >>> Babi().grade(Problem(Question("q", ""), "garden", ""), "Mary is in the **garden**.").verdict
        <Verdict.RIGHT: 'right'>
        """
        golds = [_SAME.get(gold, gold) for gold in re.split(r"\s*,\s*", problem.gold.lower().strip())]
        if set(golds) <= set("nesw"):
            scores = dict.fromkeys(("f1", "precision", "recall", "exact_match"), float(_way(answer) == golds))
        else:
            others = [word for line in _CHOICES if not set(golds).isdisjoint(line.split()) for word in line.split()]
            reply = final_answer(answer)
            reply = _REPLY_WORD.sub(lambda word: _choice(word[0], others), reply) if others else reply
            scores = list_scores(reply, golds, others)
        return graded(answer, scores, scores["exact_match"])


class StoryProblem(NamedTuple):
    """A problem, and the text of its story up to the first question, which determines the split."""

    beginning: str
    problem: Problem


def _choice(word: str, choices: Sequence[str]) -> str:
    """The choice that a word means; empty for a word that answers other questions (`Mary: garden`, `two: apple, milk`)."""
    meant = _SAME.get(word.lower(), word.lower())
    if meant in choices:
        return meant
    return "" if meant in _ELSEWHERE else word


def _way(answer: str) -> list[str]:
    words = map(str.lower, _REPLY_WORD.findall(final_answer(answer)))
    return [_DIRECTIONS[word] for word in words if word in _DIRECTIONS]


def _kind(number: int) -> str:
    return TYPES[number - 1].replace("-", " ")


def _file(number: int, part: str) -> DataFile:
    name = f"qa{number}_{TYPES[number - 1]}_{part}.txt"
    return DataFile(f"babi/en-10k/{name}", f"{ARCHIVE}/{name}")


@cache
def _read(path: Path, number: int) -> list[StoryProblem]:
    """All questions of a file. Raises HeistError naming the line for anything but bAbI's format."""
    problems: list[StoryProblem] = []
    story: _Story | None = None
    for at, line in enumerate(text_of(path).splitlines(), 1):
        try:
            place, rest = line.split(" ", 1)
            if place == "1":
                story = _Story(_kind(number))
            if story is None:
                raise ValueError("no story has begun")
            problems.extend(story.read(int(place), rest.split("\t")))
        except (ValueError, KeyError):
            raise HeistError(
                f"{path}, line {at}: expected `number statement` or `number question<TAB>answer<TAB>numbers of statements above`"
            ) from None
    return problems


class _Story:
    """A story while it is read: its statements so far, by number."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.facts: dict[int, str] = {}
        self.beginning = ""

    def read(self, number: int, cells: list[str]) -> list[StoryProblem]:
        """Read one line of cells, and return its question if it has one."""
        if len(cells) == 1:
            self.facts[number] = _words(cells[0])
            return []
        question, answer, support = cells
        text = " ".join([*self.facts.values(), _words(question)])
        self.beginning = self.beginning or text
        trace = write_trace(self.kind, (self.facts[int(i)].rstrip(" .") for i in support.split()))
        return [StoryProblem(self.beginning, Problem(Question(question_id(text), text), _words(answer), trace))]


def _words(text: str) -> str:
    return " ".join(_STORY_TOKEN.findall(text.lower()))
