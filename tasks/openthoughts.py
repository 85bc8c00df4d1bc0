r"""OpenThoughts-114k: questions answered by DeepSeek-R1, with its thinking. A recorded victim that needs no GPU.

    question   Given real numbers $a, b, c$ and a positive number $\lambda$ such that the polynomial ...
    trace      Okay, let me try to work through this problem. ...
    recorded   Let the three real roots be ... \[ \boxed{\frac{3\sqrt{3}}{2}} \]
    answer     \frac{3\sqrt{3}}{2}

The gold answer is the one that R1 boxed. Nobody has verified it here: right means "as R1 says". Questions without a boxed answer
are left out, except questions for code if these are wanted: they have no gold answer and can only be attacked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from heistbench.bench import (
    DataFile,
    Grade,
    HeistError,
    MathTask,
    Problem,
    Question,
    Split,
    boxed_answer,
    first,
    hundredth,
    question_id,
    task,
)

HUB = "https://huggingface.co/datasets/open-thoughts/OpenThoughts-114k/resolve/5c8af951ffb9688fe3e1a7f3ecd5a6e55154d0b5/data"
FILE_COUNT = 6
INSTRUCTION = r"Reason step by step, and end with the final answer in \boxed{}."
_ORIGINAL_INSTRUCTION = r"Return your final response within \boxed{}."
_FENCE = "```"
_SHARES: dict[str, range] = {"query": range(0, 40), "surrogate": range(40, 80), "dev": range(80, 90), "test": range(90, 100)}
"""The hundredths of question hashes that belong to each split."""


@task("openthoughts", version="1-A", paper="arXiv:2506.04178")
class OpenThoughts(MathTask):
    """Questions from some of the data set's six files (150 to 250 MB each): file numbers joined by `+`, or `all`.

    `domain=all` adds the questions for code, most of which are in part 0; their metadata name the domain. Those without a gold
    answer are only in the splits `query` and `surrogate`, and answers to them are not graded.
    """

    parts: int | str = 1
    domain: Literal["math", "all"] = "math"
    licence: ClassVar[str] = "Apache-2.0"
    citation: ClassVar[str] = "Guha et al., OpenThoughts: Data Recipes for Reasoning Models, 2025"

    def __post_init__(self) -> None:
        numbers = str(self.parts).split("+")
        if self.parts != "all":
            if not all(number.isdecimal() and int(number) < FILE_COUNT for number in numbers):
                raise ValueError(f"parts={self.parts}: expected all, or numbers from 0 to {FILE_COUNT - 1} joined by +")
            chosen = sorted(set(map(int, numbers)))
            object.__setattr__(self, "parts", chosen[0] if len(chosen) == 1 else "+".join(map(str, chosen)))

    def problems(self, split: Split, n: int | None) -> list[Problem]:
        paths = [file.locate() for file in self._files()]
        files = tuple((path, path.stat().st_mtime_ns) for path in paths)
        code = self.domain == "all" and split in ("query", "surrogate")
        return list(_first(files, split, code, n, f"openthoughts({self.parts}): split {split}"))

    def data_digest(self) -> str:
        return " ".join(file.digest() for file in self._files())

    def grade_all(self, problems: Sequence[Problem], answers: Sequence[str]) -> list[Grade]:
        """See `grade_math`; gold is the answer that R1 boxed. Unparsable if there is none."""
        pairs = [(problem, answer) for problem, answer in zip(problems, answers, strict=True) if problem.gold]
        graded = iter(super().grade_all([problem for problem, _ in pairs], [answer for _, answer in pairs]))
        return [next(graded) if problem.gold else Grade.unparsable("no gold answer") for problem in problems]

    def grade(self, problem: Problem, answer: str) -> Grade:
        """See `grade_all`."""
        return self.grade_all([problem], [answer])[0]

    def _files(self) -> list[DataFile]:
        numbers = range(FILE_COUNT) if self.parts == "all" else map(int, str(self.parts).split("+"))
        names = [f"train-{number:05d}-of-{FILE_COUNT:05d}.parquet" for number in numbers]
        return [DataFile(f"openthoughts/data/{name}", f"{HUB}/{name}") for name in names]


@lru_cache(maxsize=4)
def _first(files: tuple[tuple[Path, int], ...], split: Split, code: bool, n: int | None, of: str) -> list[Problem]:
    """See `first`. A process that runs many cells reads unchanged files once per split; hence the modification times."""
    return first((problem for path, _ in files for problem in _read(path, _SHARES[split], code)), n, of)


def _read(path: Path, share: range, code: bool) -> Iterator[Problem]:
    """The problems of a file in some hundredths of its questions.

    Raises HeistError naming the row for another format.
    """
    for at, row in enumerate(_rows(path), 1):
        try:
            prompt, reply = row["conversations"][0]["value"], row["conversations"][1]["value"]
            question = prompt.strip().removeprefix(_ORIGINAL_INSTRUCTION).strip()
            if hundredth(question) in share and (problem := _problem(question, reply, code)):
                yield problem
        except (KeyError, IndexError, TypeError, AttributeError):
            raise HeistError(f"{path}, row {at}: expected conversations with a question and a reply") from None


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import ArrowException  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    try:
        for batch in ParquetFile(path).iter_batches(500, columns=["conversations"]):
            yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise HeistError(f"{path}: not a parquet file ({error})") from None


def _problem(question: str, reply: str, code: bool) -> Problem | None:
    """A row as a problem; None if its thinking never ends, or if it has neither a boxed answer nor, with `code`, a program."""
    trace = _between(reply, "<|begin_of_thought|>", "<|end_of_thought|>")
    recorded = _between(reply, "<|begin_of_solution|>", "<|end_of_solution|>")
    gold = boxed_answer(recorded)
    if trace and gold:
        return Problem(Question(question_id(question), f"{question}\n\n{INSTRUCTION}"), gold, trace, recorded)
    if trace and code and _FENCE in recorded:
        return Problem(Question(question_id(question), question, {"domain": "code"}), "", trace, recorded)
    return None


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0].strip()
