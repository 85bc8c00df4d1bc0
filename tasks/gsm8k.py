r"""GSM8K: grade-school word problems with worked solutions.

    question   A robe takes 2 bolts of blue fiber and half that much white fiber.  How many bolts in total does it take?
    trace      It takes 2/2=1 bolt of white fiber
               So the total amount of fabric is 2+1=3 bolts of fabric
    answer     3

The trace is the data set's solution without its calculator annotations (`<<2/2=1>>`) and without its last line, the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from heistbench.bench import (
    DataFile,
    Grade,
    HeistError,
    Problem,
    Question,
    Split,
    Task,
    first,
    grade_math,
    hundredth,
    json_lines,
    question_id,
    read_number,
    task,
)

SOURCE = (
    "https://raw.githubusercontent.com/openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data"
)
DATA_FILES = {part: DataFile(f"gsm8k/{part}.jsonl", f"{SOURCE}/{part}.jsonl") for part in ("train", "test")}
INSTRUCTION = "Work it out step by step. End with a line that holds #### and the answer, a number without its unit."
_SHARES: dict[str, range] = {"query": range(0, 45), "surrogate": range(45, 90), "dev": range(90, 100)}
"""The hundredths of question hashes, in the training file, that belong to each split."""
_TAIL = 20_000
_QUANTITY = re.compile(r"(?:(?<![\w.)])-)?(?:[0-9]{1,3}(?:,[0-9]{3}){1,9}(?![0-9])|[0-9]+)(?:\.[0-9]+)?|(?<![\w.])-?\.[0-9]+")
_EQUATION_RESULT = re.compile(rf"=\s*[$€£]?\s*({_QUANTITY.pattern})(?![0-9]|[.,][0-9]|\s*[-+*/=x])")
_PLACES = [
    re.compile(r"(?m)^\s{0,9}####[ *]{0,9}(?=[-+$€£\\.0-9])(.{0,300})"),
    re.compile(r"(\\boxed ?\{.{0,300})"),
    re.compile(
        r"(?im)(?:^\W{0,9}(?:final answer|answer|a)\W{0,9}?:|\banswers?\b[^\n.:=]{0,60}?\b(?:is|are)\b:?)"
        r"[\s*]{0,9}(.{0,300}?)(?:,? (?:as|because|given|since|where|which)\b|$)"
    ),
]


@task("gsm8k", version="1-A", paper="arXiv:2110.14168")
class Gsm8k(Task):
    """7,473 training questions, 45% to attack, 45% for the surrogate and 10% for development; 1,319 test questions."""

    licence: ClassVar[str] = "MIT"
    citation: ClassVar[str] = "Cobbe et al., Training Verifiers to Solve Math Word Problems, 2021"

    def problems(self, split: Split, n: int | None) -> list[Problem]:
        problems = tests = dict(_read(DATA_FILES["test"].locate()))
        if split != "test":
            rows = _read(DATA_FILES["train"].locate())
            problems = {raw: problem for raw, problem in rows if raw not in tests and hundredth(raw) in _SHARES[split]}
        return first(problems.values(), n, f"gsm8k: split {split}")

    def data_digest(self) -> str:
        return " ".join(file.digest() for file in DATA_FILES.values())

    def grade(self, problem: Problem, answer: str) -> Grade:
        r"""Right if the number that the reply settles on equals gold exactly. It is looked for in this order:

        | place                                               | for the gold 1080        |
        |-----------------------------------------------------|--------------------------|
        | after the last `####`                               | `#### $1,080.00`         |
        | in the last box                                     | `\boxed{1{,}080}`        |
        | after the last `A:`, `Answer:`, `the answer is`     | `A: 9 * 120 = 1080.`     |
        | the last number of the reply                        | `She pays 1080 dollars.` |

        An expression there that is not a plain number, such as `\boxed{3 + \sqrt{4}}`, is left to `grade_math`.

        >>> replies = "A: $18.00.", r"\boxed{36/2}", "She makes 9 * 2 = 18 dollars", "16 - 3 is 13\n#### 13", "Nothing."
        >>> [Gsm8k().grade(Problem(Question("q", ""), "18", ""), reply).verdict.value for reply in replies]
        ['right', 'right', 'right', 'wrong', 'unparsable']
        """
        try:
            gold = Fraction(problem.gold.replace(",", ""))
        except ValueError:
            raise HeistError(f"gsm8k: gold {problem.gold!r}: expected a number") from None
        for place in _places("".join(c for c in answer[-_TAIL:] if c.isprintable() or c.isspace())):
            if (value := read_number(place)) is not None:
                return Grade.of(value == gold, str(value)[:200])
            if re.search("[0-9]", place):
                return grade_math(problem.gold, place)
        return Grade.unparsable("no number")

    def wrong_trace(self, problem: Problem, rng: Random) -> str:
        """The solution with every number replaced by one that is neither in it nor in the gold answer."""
        taken = {_plain(number) for number in (*_QUANTITY.findall(problem.trace), problem.gold)}

        def another(match: re.Match[str]) -> str:
            size = 10 ** min(len(match[0]) + 2, 9)
            return next(other for other in iter(lambda: str(rng.randrange(2, size)), "") if other not in taken)

        return _QUANTITY.sub(another, problem.trace)

    def values(self, trace: str) -> list[str]:
        """The results of the equations in a trace."""
        return [_plain(result) for result in _EQUATION_RESULT.findall(trace[-_TAIL:])]


def _places(answer: str) -> Iterator[str]:
    """The passages that may hold the answer of a reply, in falling order of authority."""
    for pattern in _PLACES:
        yield from pattern.findall(answer)[-1:]
    yield from _QUANTITY.findall(answer)[-1:] or [answer]


def _plain(number: str) -> str:
    """A number without thousands separators or trailing zeros after the point.

    >>> _plain("1,080.00"), _plain("-.50")
    ('1080', '-.5')
    """
    whole, point, part = number.replace(",", "").partition(".")
    return f"{whole}{point}{part}".rstrip("0").rstrip(".") if point else whole


@cache
def _read(path: Path) -> list[tuple[str, Problem]]:
    """The questions of a file, as they are in the file and as problems."""
    return json_lines(path, _problem, "JSON with question and answer, which ends with #### and a number")


def _problem(row: Any) -> tuple[str, Problem]:
    solution, gold = re.sub("<<[^<>]*>>", "", row["answer"]).split("####")
    question = Question(question_id(row["question"]), f"{row['question'].strip()}\n\n{INSTRUCTION}")
    return row["question"], Problem(question, gold.strip().replace(",", ""), solution.strip())
