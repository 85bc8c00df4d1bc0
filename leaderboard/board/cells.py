"""Cells: the records of one arm, pooled over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Literal

from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.storage.blocks import ExposureScores, OverlapScores
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.statistics import Interval, Results, arm_interval
from heistbench.leaderboard.board.traces import Traces, traces

GainOutcome = Literal["steals", "tie", "same", "below control", "does not discriminate", "unranked"]
RANKED_SEEDS = 3
"""Fewer seeds than this are shown and not ranked."""


@dataclass(frozen=True, slots=True)
class Gain:
    """Student accuracy over the feasible controls, on the same questions: those that anyone could run, without victim or gold.

    `over` is the best of them, `mean` the difference from it; the interval is that of the difference from whichever is truly the
    best. p is that of "not above all of them"; `p_adjusted` is over all different students of the panel. Both are None where
    nothing is tested: the students are those of a control, or unranked. `detectable` is the smallest true gain that would be
    shown four times in five; None for a control's students.
    """

    over: str
    mean: float
    interval: Interval
    p: float | None
    p_adjusted: float | None
    detectable: float | None
    verdict: GainOutcome


@dataclass(frozen=True, slots=True)
class Distance:
    """Student accuracy minus that of the best control of a kind."""

    over: str
    mean: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class PooledOverlap:
    """Stolen traces against the victim's, metric by metric, between floors and ceiling."""

    stolen: dict[str, float]
    floor_other_question: dict[str, float]
    floor_surrogate: dict[str, float]
    ceiling_victim_again: dict[str, float]

    @property
    def parts(self) -> tuple[dict[str, float], ...]:
        """The scores of stolen traces, then of floors and ceiling."""
        return self.stolen, self.floor_other_question, self.floor_surrogate, self.ceiling_victim_again


@dataclass(frozen=True, slots=True)
class PooledExposure:
    """What an attack by prompting made the victim show, in the terms of arXiv:2606.00642.

    `struct` is the share of replies that are thinking and then an answer. The overlaps r01, r02 and r12 are over all
    questions, and over those replies alone; empty where there are none.
    """

    signature: str
    struct: float
    all: dict[str, float]
    struct_only: dict[str, float]


@dataclass(frozen=True, slots=True)
class PooledCell:
    """One attack or control behind one defense, pooled over seeds.

    `loot`, `overlap` (by name of signature), `exposed`, `bill`, `score` and `metrics` are means over seeds; `lost`, the queries
    that an outage swallowed, is summed over them. `beyond_gold` is the distance from the best control that knows gold answers.
    """

    attack: str
    version: str
    threat: str
    paper: str
    privileged: bool
    defense: str
    accuracy: float
    interval: Interval
    n: int
    seeds: tuple[int, ...]
    verdicts: dict[str, int]
    loot: dict[str, float]
    lost: int
    overlap: dict[str, PooledOverlap]
    exposed: PooledExposure | None
    bill: dict[str, float]
    score: float
    metrics: dict[str, float]
    traces: Traces | None
    ranked: bool
    gain: Gain | None = None
    beyond_gold: Distance | None = None


def results_of(records: Sequence[Record]) -> Results:
    """An arm's results, given in the order of seeds: questions in the order of their ids."""
    import numpy as np

    right = Verdict.RIGHT
    rows = [[verdict is right for _, verdict in sorted(r.exam.verdicts.items())] for r in records]
    return Results(np.array(rows, dtype=np.float64), tuple(r.arm.seed for r in records))


def students_of(records: Sequence[Record]) -> dict[int, str]:
    """Which student was examined, by seed: equal ones have the same weights, and so the same results."""
    return {record.arm.seed: record.provenance.models["student after"] for record in records}


def pool(records: Sequence[Record]) -> PooledCell:
    """The cell of records that differ in their seed only, given in the order of seeds."""
    arm, results = records[0].arm, results_of(records)
    return PooledCell(
        attack=arm.attack.spec,
        version=arm.attack.version,
        threat=arm.threat,
        paper=arm.attack.paper,
        privileged=arm.privileged,
        defense=arm.defense,
        accuracy=results.mean,
        interval=arm_interval(results.right),
        n=records[0].exam.n,
        seeds=tuple(r.arm.seed for r in records),
        verdicts={v.value: sum(r.exam.counts.get(v, 0) for r in records) for v in Verdict},
        loot=means(r.loot.model_dump(exclude={"sha256", "lost"}, exclude_none=True) for r in records),
        lost=sum(r.loot.lost for r in records),
        overlap=_overlaps(records),
        exposed=_exposed([r.exposure for r in records if r.exposure]),
        bill=means(r.bill.model_dump() for r in records),
        score=fsum(r.exam.score for r in records) / len(records),
        metrics=means(r.exam.metrics for r in records),
        traces=traces(records),
        ranked=len(records) >= RANKED_SEEDS,
    )


def means(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The mean of each field that all rows have, none of no rows; the order of rows makes no difference."""
    rows = list(rows)
    shared = sorted(set(rows[0]).intersection(*rows[1:])) if rows else []
    return {name: fsum(row[name] for row in rows) / len(rows) for name in shared}


def _overlaps(records: Sequence[Record]) -> dict[str, PooledOverlap]:
    names = sorted({name for record in records for name in record.overlap})
    return {name: _overlap([record.overlap[name] for record in records if name in record.overlap]) for name in names}


def _overlap(scores: Sequence[OverlapScores]) -> PooledOverlap:
    return PooledOverlap(
        stolen=means(s.stolen for s in scores),
        floor_other_question=means(s.floor_other_question for s in scores),
        floor_surrogate=means(s.floor_surrogate for s in scores),
        ceiling_victim_again=means(s.ceiling_victim_again for s in scores),
    )


def _exposed(exposures: Sequence[ExposureScores]) -> PooledExposure | None:
    if not exposures:
        return None
    return PooledExposure(
        signature=exposures[0].signature,
        struct=fsum(e.struct for e in exposures) / len(exposures),
        all=means(e.all for e in exposures if e.all),
        struct_only=means(e.struct_only for e in exposures if e.struct_only),
    )
