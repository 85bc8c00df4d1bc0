"""Answers against traces: how often a student is right for right reasons (arXiv:2505.13792, section 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.association import Association, association

CLASSIFIED, RETRIEVED = ("right", "class"), ("right", "facts")
"""The kinds of trace whose classification, and whose facts, are right."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What students wrote before their answers, summed over seeds.

    `table` counts questions by answer, then trace: {"right": {"right": .., "wrong": ..}, "wrong": {...}}; an answer that is
    not right counts as wrong, whatever the reason. The two shares are None where nothing is there to take a share of,
    `independence` where answers or traces are all alike.
    """

    table: dict[str, dict[str, int]]
    classified: float
    retrieved: float
    words: float
    wrong_given_right_trace: float | None
    right_trace_given_wrong: float | None
    independence: Association | None


def traces(records: Sequence[Record]) -> Traces | None:
    """The table of an arm's records, in the order of seeds; None unless all of them had their traces checked."""
    import numpy as np

    seen = [record.exam.traces for record in records if record.exam.traces]
    if len(seen) < len(records):
        return None
    right, ids = Verdict.RIGHT, sorted(seen[0])
    answers = np.array([[record.exam.verdicts[i] is right for i in ids] for record in records], dtype=np.float64)
    whole = np.array([[kind_of[i].startswith("right ") for i in ids] for kind_of in seen], dtype=np.float64)
    counted = {
        answer: {trace: int(((answers == a) & (whole == t)).sum()) for trace, t in (("right", 1), ("wrong", 0))}
        for answer, a in (("right", 1), ("wrong", 0))
    }
    kinds = Counter(text for kind_of in seen for text in kind_of.values())
    split = [(text.split(), n) for text, n in kinds.items()]
    return Traces(
        table=counted,
        classified=sum(n for (kind, _), n in split if kind in CLASSIFIED) / whole.size,
        retrieved=sum(n for (kind, _), n in split if kind in RETRIEVED) / whole.size,
        words=sum(int(words) * n for (_, words), n in split) / whole.size,
        wrong_given_right_trace=_share(counted["wrong"]["right"], counted["right"]["right"]),
        right_trace_given_wrong=_share(counted["wrong"]["right"], counted["wrong"]["wrong"]),
        independence=association(answers, whole),
    )


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None
