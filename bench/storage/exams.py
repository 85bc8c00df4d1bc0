"""The exam of a record: what became of each question that a student was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import fsum
from typing import TYPE_CHECKING, Annotated, get_args

from pydantic import Field

from heistbench.bench.contracts.nouns import TraceKind, Verdict
from heistbench.bench.storage.strict import Natural, Share, Strict

if TYPE_CHECKING:
    from heistbench.bench.scoring.verdicts import Examined

TraceSeen = Annotated[str, Field(pattern=rf"^({'|'.join(get_args(TraceKind))}) (0|[1-9][0-9]{{0,8}})$")]
"""Kind and length of a trace, such as `right 15`."""


class ExamSums(Strict):
    """An examination summed up; every question counts in the denominator.

    `accuracy` is the share of right verdicts, `score` the mean score, `metrics` the means of a task's further measures. `replies`
    names the file with what the student wrote; it is empty in results that are older than such files.
    """

    accuracy: Share
    score: Share
    n: Natural
    counts: dict[Verdict, Natural]
    metrics: dict[str, Share] = Field(default={})
    replies: Annotated[str, Field(pattern="^([0-9a-f]{16})?$")] = Field(default="")


class Exam(ExamSums):
    """The outcome of each question, by its id.

    `partial` holds the scores that a verdict does not tell. Where the task can check traces, `traces` says of each question what
    kind of trace the student wrote (`TraceKind`) and of how many words.
    """

    verdicts: dict[str, Verdict]
    partial: dict[str, Share] = Field(default={})
    traces: dict[str, TraceSeen] | None = None

    @classmethod
    def of(cls, examined: Sequence[Examined]) -> Exam:
        """Sum up the outcomes of an examination."""
        n, grades = max(1, len(examined)), {e.id: e.grade for e in examined}
        counts = Counter(grade.verdict for grade in grades.values())
        names = sorted({name for grade in grades.values() for name in grade.metrics})
        checks = {e.id: f"{e.check.kind} {e.check.words}" for e in examined if e.check}
        return cls(
            accuracy=counts[Verdict.RIGHT] / n,
            score=fsum(grade.score for grade in grades.values()) / n,
            n=len(examined),
            counts={v: counts[v] for v in Verdict},
            verdicts={i: grade.verdict for i, grade in grades.items()},
            partial={i: g.score for i, g in grades.items() if g.score != (g.verdict is Verdict.RIGHT)},
            metrics={name: fsum(grade.metrics.get(name, 0.0) for grade in grades.values()) / n for name in names},
            traces=checks or None,
        )
