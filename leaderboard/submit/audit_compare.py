"""The comparison of an audit: a stated record against the record of the same cell, run afresh.

Where the same code, packages and kind of machine made both, every bit must be the same. Where provenance says otherwise (a GPU,
another engine, other packages, another processor), sums are rounded in another order and texts drift apart. There, what no
model's arithmetic reaches must still be equal, and a test per cell stands in for the rest: verdicts paired by question, shares
of loot, queries and honest use beside each other. Which of the two applies hangs on provenance alone, never on results.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import hash_of
from heistbench.leaderboard.board.statistics import sign_flip_p

if TYPE_CHECKING:
    from heistbench.leaderboard.board.statistics import Matrix

Outcome = Literal["same", "consistent", "contradicted", "failed"]
EXACT = ("transformers", "cpu", "float32")
"""Engine, device and type of number whose results are the same, bit for bit, wherever packages and processor are."""
ALPHA = 0.05
LONGEST = 60
"""Characters of a value that a mismatch shows."""
COMPARED: dict[str, Any] = {
    "loot": True,
    "exam": {"accuracy", "score", "metrics"},
    "utility": True,
    "bill": {"queries", "prompt_tokens", "completion_tokens", "attacker_tokens_generated", "attacker_tokens_trained"},
    "overlap": True,
    "exposure": True,
    "provenance": {"models", "data"},
}
"""What a run of a cell determines, beside the outcomes of single questions."""
PER_QUESTION = ("verdicts", "partial", "traces")
FIXED = {
    "exam.questions",
    "loot.questions",
    *(f"provenance.models.{role}" for role in ("victim", "surrogate", "inverter", "student before")),
    *(f"provenance.data.{name}" for name in ("task", "exam", "questions attacked", "questions examined")),
}
"""Fields that are the same on any machine: no model's arithmetic reaches them."""
AFTER = "provenance.models.student after"
"""It names the loot that the student learnt from, and so is fixed where the loot is the same."""
_CORES = re.compile(r"\d+ cores, ")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A field that the fresh record has otherwise than the stated one."""

    field: str
    stated: str
    found: str


@dataclass(frozen=True, slots=True)
class AuditedCell:
    """What became of one record. `reasons` say why bits may differ, or why its cell failed; p-values are those of a test."""

    path: str
    outcome: Outcome
    reasons: list[str] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)
    p: float | None = None
    p_holm: float | None = None


def judge(pairs: Mapping[str, tuple[Record, Record]]) -> list[AuditedCell]:
    """Each stated record beside its fresh one, by path: judged bit by bit, or by a test with Holm's correction over the cells."""
    cells = [_compared(path, stated, fresh) for path, (stated, fresh) in pairs.items()]
    tested = [cell.p for cell in cells if cell.p is not None]
    adjusted = iter(_holm(tested))
    return [cell if cell.p is None else _tested(cell, next(adjusted)) for cell in cells]


def why_bits_may_differ(stated: Record, fresh: Record) -> list[str]:
    """What provenance says of two machines that round in different ways; nothing where every bit must be the same."""
    made, here = stated.provenance, fresh.provenance
    engines = [(each.engine, each.device, each.dtype) for each in (made, here)]
    reasons = [" ".join(engine) for engine in dict.fromkeys(engines) if engine != EXACT]
    packages = {*made.packages.items()} ^ {*here.packages.items()}
    if names := sorted({name for name, _ in packages}):
        reasons.append(f"packages: {', '.join(names)}")
    machines = [_CORES.sub("", each.volatile.hardware) for each in (stated, fresh)]
    if machines[0] != machines[1]:
        reasons.append(f"machines: {' and '.join(machines)}")
    return reasons


def mismatches(stated: Record, fresh: Record) -> list[Mismatch]:
    """Every field that a run determines and that the two do not share; outcomes of questions are summed up."""
    one, other = _facts(stated), _facts(fresh)
    fields = [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    plain = [Mismatch(name, _brief(one.get(name)), _brief(other.get(name))) for name in fields]
    return [*plain, *_of_questions(stated, fresh)]


def _compared(path: str, stated: Record, fresh: Record) -> AuditedCell:
    found, reasons = mismatches(stated, fresh), why_bits_may_differ(stated, fresh)
    if not reasons:
        return AuditedCell(path, "contradicted" if found else "same", mismatches=found)
    fixed = FIXED | ({AFTER} if stated.loot.sha256 == fresh.loot.sha256 else set())
    if any(mismatch.field in fixed for mismatch in found):
        return AuditedCell(path, "contradicted", reasons, found)
    return AuditedCell(path, "consistent" if found else "same", reasons, found, p=_p(stated, fresh))


def _tested(cell: AuditedCell, p_holm: float) -> AuditedCell:
    return replace(cell, p_holm=p_holm, outcome="contradicted" if p_holm < ALPHA else cell.outcome)


def _p(stated: Record, fresh: Record) -> float:
    """The p-value of a cell: the smallest of its tests', times their number."""
    tests = [sign_flip_p(_right(fresh), _right(stated)), *_share_tests(stated, fresh)]
    return min(1.0, min(tests) * len(tests))


def _right(record: Record) -> Matrix:
    """Which questions the student had right, as an arm of one seed."""
    import numpy as np

    return np.array([[float(v is Verdict.RIGHT) for _, v in sorted(record.exam.verdicts.items())]])


def _share_tests(stated: Record, fresh: Record) -> Iterator[float]:
    """Fisher's exact test of each share. Both are of the same questions, so that it errs on the side of the submitter."""
    import numpy as np
    from scipy.stats import fisher_exact

    one, other = _shares(stated), _shares(fresh)
    for name in one.keys() & other.keys():
        # Rows may be more than questions, as an attacker has some of its own.
        (a, n), (b, m) = one[name], other[name]
        yield float(fisher_exact(np.array([[a, max(n, a) - a], [b, max(m, b) - b]])).pvalue)


def _shares(record: Record) -> dict[str, tuple[int, int]]:
    """Counts, and what they are counts of."""
    loot, use = record.loot, record.utility
    answered, asked = loot.questions - loot.lost, use.n - use.lost
    shares = {"right answers": (loot.right_answers, answered), "whole traces": (loot.whole_traces, answered)}
    shares |= {name: (getattr(use, name), asked) for name in ("accuracy", "refused", "summary_shown")}
    counts = {name: (round(share * n), n) for name, (share, n) in shares.items() if share is not None}
    possible = record.arm.budget + int(record.provenance.settings["sizes"]["surrogate"])
    rows = {"rows": (loot.rows, possible), "traces": (loot.traces, loot.rows)}
    return {**counts, **rows, "queries": (record.bill.queries, record.arm.budget)}


def _holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given. Source: Holm 1979."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = least
    return adjusted


def _facts(record: Record) -> dict[str, Any]:
    questions = hash_of(sorted(record.exam.verdicts))
    return {**dict(_leaves("", record.model_dump(mode="json", include=COMPARED))), "exam.questions": questions}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield name, value
        return
    for key, inner in value.items():
        yield from _leaves(f"{name}.{key}" if name else key, inner)


def _of_questions(stated: Record, fresh: Record) -> Iterator[Mismatch]:
    """A line for verdicts, scores and traces each: on how many questions they differ, and the first of these."""
    for name in PER_QUESTION:
        one, other = getattr(stated.exam, name) or {}, getattr(fresh.exam, name) or {}
        differ = [question for question in sorted(one.keys() | other.keys()) if one.get(question) != other.get(question)]
        if differ:
            first = differ[0]
            where = f"exam.{name}, {len(differ)} of {stated.exam.n} questions, such as {_brief(first)}"
            yield Mismatch(where, _brief(one.get(first)), _brief(other.get(first)))


def _brief(value: Any) -> str:
    text = "missing" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
