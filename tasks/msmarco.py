"""MS MARCO question answering, version 1.1: questions that people typed, passages retrieved for them, answers that people wrote.

    question   Facts:
               - The assets of the bank include the gold and foreign exchange reserves of Australia ...
               - Results-Based Accountability (also known as RBA) is a disciplined way of thinking and taking action ...
               Question: what is rba
    trace      kind : description . facts : Results-Based Accountability (also known as RBA) is a disciplined way ...
    answer     Results-Based Accountability is a disciplined way of thinking and taking action ...

The kind is the type of the query; the right facts are the passages that the annotator marked. Questions without an answer or
without a marked passage are left out: 2 of the 50 in the sample have neither. Several answers to a question are alternatives,
one per line in the gold answer; a recorded victim shows the first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from heistbench.bench import (
    DataFile,
    Grade,
    HeistError,
    OpenBook,
    Problem,
    Question,
    Split,
    answer_scores,
    ask,
    bleu,
    first,
    graded,
    hundredth,
    question_id,
    readings,
    rouge_l,
    task,
    text_of,
    tidy,
    write_trace,
)

HUB = "https://huggingface.co/datasets/microsoft/ms_marco/resolve/a47ee7aae8d7d466ba15f9f0bfac3b3681087b3a/v1.1"
SAMPLE = "https://raw.githubusercontent.com/dmcgill92/IFN647-Project/b9ab3e01f9ba660589cae48cd035c444d60815f4/sample.json"
INSTRUCTION = "Answer from these facts alone, in as few words as will do."
_TRAIN, _TEST, _SAMPLE = (
    DataFile("msmarco/v1.1/train-00000-of-00001.parquet", f"{HUB}/train-00000-of-00001.parquet"),
    DataFile("msmarco/v1.1/validation-00000-of-00001.parquet", f"{HUB}/validation-00000-of-00001.parquet"),
    DataFile("msmarco/ifn647_sample_50.json", SAMPLE),
)
_SHARES: dict[str, range] = {"query": range(0, 60), "surrogate": range(60, 80), "dev": range(80, 100)}
"""The hundredths of question hashes, in the training file, that belong to each split."""
_SAMPLE_SHARES = {**_SHARES, "query": range(0, 40), "test": range(40, 60)}


@task("msmarco", version="1-A", paper="arXiv:1611.09268")
class MsMarco(OpenBook):
    """Questions, each with about ten passages.

    `source=v1.1` needs the training file (175 MB) and the validation file (21 MB), which is the test set here;
    `source=sample` is a file of 50 rows, for trying things out.
    """

    source: Literal["v1.1", "sample"] = "v1.1"
    between: ClassVar[str] = "\n"
    licence: ClassVar[str] = "MS MARCO's own terms: non-commercial research"
    citation: ClassVar[str] = "Bajaj et al., MS MARCO: A Human Generated MAchine Reading COmprehension Dataset, 2016"

    def kinds(self) -> Sequence[str]:
        return ("description", "numeric", "entity", "location", "person")

    def problems(self, split: Split, n: int | None) -> list[Problem]:
        if self.source == "sample":
            problems = _problems(_SAMPLE.locate(), _SAMPLE_SHARES[split])
        elif split == "test":
            problems = _problems(_TEST.locate(), range(100))
        else:
            problems = _problems(_TRAIN.locate(), _SHARES[split], without=_queries(_TEST.locate()))
        return first(problems, n, f"msmarco({self.source}): split {split}")

    def data_digest(self) -> str:
        files = [_TRAIN, _TEST] if self.source == "v1.1" else [_SAMPLE]
        return " ".join(file.digest() for file in files)

    def grade(self, problem: Problem, answer: str) -> Grade:
        """Right if the reply or its final answer is one of the gold answers, normalised; the score is the best token F1.

        | reply, for the golds `20-25 minutes` and `Half an hour.` | verdict | score |
        |----------------------------------------------------------|---------|-------|
        | `20-25 Minutes.`, `**Answer:** half an hour`             | right   | 1     |
        | `You need 20-25 minutes.`                                | wrong   | 0.67  |
        | nothing                                                  | unparsable | 0  |

        `metrics` hold F1, precision and recall of the best gold, and MS MARCO's ROUGE-L and BLEU-1 over all golds.

        >>> problem = Problem(Question("q", ""), "20-25 minutes\\nHalf an hour.", "")
        >>> MsMarco().grade(problem, "Answer: half an hour").verdict
        <Verdict.RIGHT: 'right'>
        """
        golds = problem.gold.strip().split(self.between)
        scores, candidates = answer_scores(answer, golds), readings(answer)
        overlap = {
            "rouge_l": max(rouge_l(text, golds) for text in candidates),
            "bleu_1": max(bleu([text], [golds], 1) for text in candidates),
        }
        return graded(answer, {**scores, **overlap}, scores["f1"])


def _problems(path: Path, share: range, without: Collection[str] = ()) -> Iterator[Problem]:
    """The problems of a file in some hundredths of its queries, except those whose query is in `without`.

    Raises HeistError naming the row for another format.
    """
    for at, row in enumerate(_rows(path, ["query", "query_type", "answers", "passages"]), 1):
        try:
            query = _flat(row["query"])
            if hundredth(query) in share and query not in without and (problem := _problem(row)):
                yield problem
        except (KeyError, TypeError, AttributeError):
            raise HeistError(f"{path}, row {at}: expected MS MARCO's query, query_type, answers and passages") from None


def _queries(path: Path) -> set[str]:
    return {_flat(row["query"]) for row in _rows(path, ["query"])}


def _rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of the hub's parquet files, or of a JSON array. Raises HeistError for a file that is neither."""
    if path.suffix == ".json":
        try:
            yield from json.loads(text_of(path))
        except (ValueError, TypeError, RecursionError) as error:
            raise HeistError(f"{path}: not a JSON file ({error})") from None
        return
    from pyarrow import ArrowException  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    try:
        for batch in ParquetFile(path).iter_batches(1000, columns=columns):
            yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise HeistError(f"{path}: not a parquet file ({error})") from None


def _problem(row: dict[str, Any]) -> Problem | None:
    """A row as a problem; None for one without an answer or without a marked passage."""
    answers = list(dict.fromkeys(filter(None, map(_flat, row["answers"]))))
    passages = [(tidy(text), marked) for text, marked in _passages(row["passages"]) if text.strip()]
    marked = [text for text, selected in passages if selected]
    if not answers or not marked:
        return None
    text = ask([text for text, _ in passages], _flat(row["query"]), INSTRUCTION)
    trace = write_trace(row["query_type"].lower(), marked)
    return Problem(Question(question_id(text), text), "\n".join(answers), trace, answers[0])


def _flat(text: str) -> str:
    return " ".join(text.split())


def _passages(passages: Any) -> list[tuple[str, int]]:
    """Texts and marks. The hub's files have a list of each; the original files have a list of passages."""
    if isinstance(passages, dict):
        return list(zip(passages["passage_text"], passages["is_selected"], strict=True))
    return [(passage["passage_text"], passage["is_selected"]) for passage in passages]
