"""JEEBench: 515 questions of four types from the entrance examination JEE Advanced in mathematics, physics and chemistry.

    question   The increasing order of atomic radii of the following Group 13 elements is (A) Al < Ga < In < Tl (B) ...
    type       MCQ
    answer     B

For examination only: the data set has no training part, and its answers come without solutions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from heistbench.bench import (
    DataFile,
    Grade,
    HeistError,
    Problem,
    Question,
    Split,
    Task,
    Verdict,
    examination_only,
    first,
    question_id,
    read_number,
    read_options,
    task,
)

FILE = DataFile(
    "jeebench/dataset.json",
    "https://raw.githubusercontent.com/somethingdevs/cs678-jeebench/c640d56ad8fd0fad12e19cc0f86867fbb234b754/data/dataset.json",
)
"""A copy of the authors' file, which is inside an archive at github.com/dair-iitd/jeebench, at a fixed commit."""
TOLERANCE = Fraction(1, 100)
PARTIAL = 0.25
"""The score of each right option if others are missing and none is wrong."""
INSTRUCTIONS = {
    "MCQ": r"Exactly one option is right. End with its letter in \boxed{}.",
    "MCQ(multiple)": r"One or more options are right. End with the letters of all of them in \boxed{}, such as \boxed{AC}.",
    "Integer": r"The answer is a whole number and not negative. End with it in \boxed{}.",
    "Numeric": r"The answer is a number. End with it in \boxed{} as a decimal with two digits after the point, without a unit.",
}
_T = TypeVar("_T")


@task("jeebench", version="1-A", paper="arXiv:2305.15074")
class JeeBench(Task):
    """Options, sets of options with partial credit, integers and numbers, each type graded by its own rule."""

    licence: ClassVar[str] = "MIT"
    citation: ClassVar[str] = (
        "Arora et al., Have LLMs Advanced Enough? A Challenging Problem Solving Benchmark For Large Language Models, EMNLP 2023"
    )

    def problems(self, split: Split, n: int | None) -> list[Problem]:
        examination_only("jeebench", split)
        return first(_read(FILE.locate()), n, "jeebench: split test")

    def data_digest(self) -> str:
        return FILE.digest()

    def grade(self, problem: Problem, answer: str) -> Grade:
        r"""By the question's type, `problem.question.metadata["type"]`, as the data set's authors score it.

        | type          | gold | reply                                     | verdict    | score |
        |---------------|------|-------------------------------------------|------------|-------|
        | MCQ           | B    | `The correct option is (B) 6.4`           | right      | 1     |
        | MCQ           | B    | `Answer: B and C`                         | wrong      | 0     |
        | MCQ(multiple) | ABD  | `\boxed{\text{A, B and D}}`               | right      | 1     |
        | MCQ(multiple) | ABD  | `**Answer:** A, D`: none wrong, B missing | wrong      | 0.5   |
        | MCQ(multiple) | ABD  | `(A), (B), (C)`: one is wrong             | wrong      | 0     |
        | Integer       | 9    | `The value is 9.0`                        | right      | 1     |
        | Integer       | 9    | `\boxed{9.01}`                            | wrong      | 0     |
        | Numeric       | 4.47 | `x \approx 4.48 m`: within 0.01           | right      | 1     |
        | Numeric       | 4.47 | `between 4 and 5`                         | unparsable | 0     |

        Raises HeistError for an unknown type or an invalid gold answer.

        >>> def grade(kind, gold, reply):
        ...     grade = JeeBench().grade(Problem(Question("q", "", {"type": kind}), gold, ""), reply)
        ...     return str(grade.verdict), grade.score
        >>> grade("MCQ(multiple)", "ABD", r"\boxed{\text{A, B and D}}"), grade("MCQ(multiple)", "ABD", "**Answer:** A, D")
        (('right', 1.0), ('wrong', 0.5))
        >>> grade("Integer", "9", "The value is 9.0"), grade("Numeric", "4.47", r"Hence $x \approx 4.48$ m.")
        (('right', 1.0), ('right', 1.0))
        """
        kind, gold = problem.question.metadata.get("type", ""), problem.gold
        if kind not in INSTRUCTIONS:
            raise HeistError(f"jeebench: type {kind!r}: expected one of {', '.join(INSTRUCTIONS)}")
        if kind.startswith("MCQ"):
            return _options(_of(read_options, gold, kind), read_options(answer), partial=kind != "MCQ")
        return _number(_of(read_number, gold, kind), read_number(answer), Fraction(0) if kind == "Integer" else TOLERANCE)


def _of(read: Callable[[str], _T | None], gold: str, kind: str) -> _T:
    value = read(gold)
    if value is None:
        raise HeistError(f"jeebench: gold {gold!r}: not an answer of type {kind}")
    return value


def _options(gold: str, answer: str | None, partial: bool) -> Grade:
    if answer is None:
        return Grade.unparsable("no option is marked as the answer")
    missing, wrong = set(gold) - set(answer), set(answer) - set(gold)
    if wrong or not partial or not missing:
        return Grade.of(answer == gold, answer, f"wrong options: {''.join(sorted(wrong))}" if wrong else "")
    return Grade(Verdict.WRONG, PARTIAL * len(answer), answer, f"missing options: {''.join(sorted(missing))}")


def _number(gold: Fraction, answer: Fraction | None, tolerance: Fraction) -> Grade:
    if answer is None:
        return Grade.unparsable("no number is marked as the answer")
    right = abs(answer - gold) <= tolerance
    return Grade.of(right, _written(answer), "" if right else f"expected {_written(gold)}")


def _written(value: Fraction) -> str:
    try:
        return f"{float(value):.10g}"
    except OverflowError:
        return "beyond 1e308"


@cache
def _read(path: Path) -> list[Problem]:
    """All questions of the file. Raises HeistError naming the row and what it lacks."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise HeistError(f"{path}: not a JSON file ({error})") from None
    if not isinstance(rows, list):
        raise HeistError(f"{path}: expected a list of questions")
    return [_problem(row, f"{path}, row {number}") for number, row in enumerate(rows, 1)]


def _problem(row: Any, where: str) -> Problem:
    fields: list[Any] = [row.get(field) if isinstance(row, dict) else None for field in ("question", "type", "subject", "gold")]
    if not all(isinstance(field, str) for field in fields) or fields[1] not in INSTRUCTIONS:
        kinds = ", ".join(INSTRUCTIONS)
        raise HeistError(f"{where}: expected an object with texts question, subject, gold, and as type one of {kinds}")
    text, kind, subject, gold = fields
    prompt = f"{text.strip()}\n\n{INSTRUCTIONS[kind]}"
    return Problem(Question(question_id(text), prompt, {"type": kind, "subject": subject}), gold, "")
