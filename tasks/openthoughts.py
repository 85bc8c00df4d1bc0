r"""OpenThoughts-114k: questions that DeepSeek-R1 answered, with its thinking: a recorded reasoning model, replayed without a GPU.

    question   Given real numbers $a, b, c$ and a positive number $\lambda$ such that the polynomial ...
    trace      Okay, let me try to work through this problem. ...
    recorded   Let the three real roots be ... \[ \boxed{\frac{3\sqrt{3}}{2}} \]
    answer     \frac{3\sqrt{3}}{2}

The gold answer is what R1 boxed. Nobody has verified it here: right means "as R1 says". Questions without a boxed answer, such as
those that ask for code, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench import (
    DataFile,
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
PARTS = 6
HOW = r"Reason step by step, and end with the final answer in \boxed{}."
_HOW_THERE = r"Return your final response within \boxed{}."
_SHARES: dict[str, range] = {"query": range(0, 40), "surrogate": range(40, 80), "dev": range(80, 90), "test": range(90, 100)}
"""Which hundredths of the question hashes belong to which split."""


@task("openthoughts", version="1-A", paper="arXiv:2506.04178")
class OpenThoughts(MathTask):
    """The mathematics of one of the data set's six files (150 to 250 MB each; `part=0` holds code)."""

    part: int = 1
    licence: ClassVar[str] = "Apache-2.0"
    citation: ClassVar[str] = "Guha et al., OpenThoughts: Data Recipes for Reasoning Models, 2025"

    def problems(self, split: Split, n: int | None) -> list[Problem]:
        return first(_read(self._file().locate(), _SHARES[split]), n, f"openthoughts({self.part}): split {split}")

    def data_digest(self) -> str:
        return self._file().digest()

    def _file(self) -> DataFile:
        if not 0 <= self.part < PARTS:
            raise HeistError(f"openthoughts: part {self.part}: expected 0 to {PARTS - 1}")
        name = f"train-{self.part:05d}-of-{PARTS:05d}.parquet"
        return DataFile(f"openthoughts/data/{name}", f"{HUB}/{name}")


def _read(path: Path, share: range) -> Iterator[Problem]:
    """The problems of a file in some hundredths of its questions, as they are read.

    Raises HeistError that names the row for another format.
    """
    for at, row in enumerate(_rows(path), 1):
        try:
            asked, said = row["conversations"][0]["value"], row["conversations"][1]["value"]
            question = asked.strip().removeprefix(_HOW_THERE).strip()
            if hundredth(question) in share and (problem := _problem(question, said)):
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


def _problem(question: str, said: str) -> Problem | None:
    """A row as a problem; None without a boxed answer, or with thinking that does not end."""
    trace = _between(said, "<|begin_of_thought|>", "<|end_of_thought|>")
    recorded = _between(said, "<|begin_of_solution|>", "<|end_of_solution|>")
    gold = boxed_answer(recorded)
    if not (trace and gold):
        return None
    return Problem(Question(question_id(question), f"{question}\n\n{HOW}"), gold, trace, recorded)


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0].strip()
