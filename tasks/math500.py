r"""MATH-500: competition problems with exact answers, the 500 from MATH's test set on which reasoning models are compared.

    question   Convert the point $(0,3)$ in rectangular coordinates to polar coordinates. ...
    trace      We have that $r = \sqrt{0^2 + 3^2} = 3.$ ... \boxed{\left( 3, \frac{\pi}{2} \right)}.$
    answer     \left( 3, \frac{\pi}{2} \right)

For examination only. The problems come from arXiv:2103.03874 and were selected by arXiv:2305.20050.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench import DataFile, MathTask, Problem, Question, Split, examination_only, first, json_lines, question_id, task

FILE = DataFile(
    "math500/test.jsonl",
    "https://raw.githubusercontent.com/hkust-nlp/simpleRL-reason/cf1c7858bfc145a27aa733e75d930d34f0d318a6/"
    "examples/simplelr_math_eval/data/math500/test.jsonl",
)
INSTRUCTION = r"Reason step by step, and end with the final answer in \boxed{}."


@task("math500", version="1-A", paper="arXiv:2305.20050")
class Math500(MathTask):
    """500 questions from seven subjects and five levels, graded by math-verify."""

    licence: ClassVar[str] = "MIT"
    citation: ClassVar[str] = (
        "Hendrycks et al., Measuring Mathematical Problem Solving With the MATH Dataset, 2021; "
        "Lightman et al., Let's Verify Step by Step, 2023"
    )

    def problems(self, split: Split, n: int | None) -> list[Problem]:
        examination_only("math500", split)
        return first(_read(FILE.locate()), n, "math500: split test")

    def data_digest(self) -> str:
        return FILE.digest()


@cache
def _read(path: Path) -> list[Problem]:
    return json_lines(path, _problem, "JSON with problem, solution, answer, subject and level")


def _problem(row: Any) -> Problem:
    known = {"subject": str(row["subject"]), "level": str(row["level"])}
    question = Question(question_id(row["problem"]), f"{row['problem'].strip()}\n\n{INSTRUCTION}", known)
    return Problem(question, row["answer"].strip(), row["solution"].strip())
