"""All result files as one table, for those who load all of it: a row a record, with every question's verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heistbench.bench.storage.records import Record

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

WORDS = (
    *("suite", "task", "task_version", "exam", "exam_version", "victim", "release", "victim_model", "defense"),
    *("attack", "attack_version", "threat", "student", "harness", "commit", "engine", "dtype", "device", "hardware", "file"),
)
FLAGS = ("control", "privileged", "dirty")
COUNTS = (
    *("budget", "seed", "n", "loot_questions", "loot_lost", "loot_rows", "loot_traces", "utility_n", "utility_lost"),
    *("queries", "prompt_tokens", "completion_tokens", "attacker_tokens_generated", "attacker_tokens_trained"),
)
NUMBERS = (
    *("accuracy", "score", "loot_whole_traces", "loot_right_answers", "utility_accuracy", "utility_refused"),
    *("utility_summary_shown", "utility_summary_values_kept", "dollars"),
)
BATCH = 100
"""Rows that are in memory at a time."""


def write_part(path: Path, records: Sequence[Record], files: Sequence[str]) -> None:
    """Write the rows of some records; `files` are their paths under the results."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (_row(*pair) for pair in zip(records, files, strict=True))
    with pq.ParquetWriter(path, _schema()) as writer:
        while batch := [*islice(rows, BATCH)]:
            writer.write_table(pa.Table.from_pylist(batch, _schema()))


def join(path: Path, parts: Iterable[Path]) -> None:
    """One table of many, never all of them in memory."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, _schema(), compression="zstd") as writer:
        for part in parts:
            file = pq.ParquetFile(part)
            for at in range(file.num_row_groups):
                writer.write_table(file.read_row_group(at))


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {pa.string(): WORDS, pa.bool_(): FLAGS, pa.int64(): COUNTS, pa.float64(): NUMBERS}
    flat = [(name, kind) for kind, names in kinds.items() for name in names]
    repeated = pa.list_(pa.dictionary(pa.int32(), pa.string()))
    scores = pa.map_(pa.string(), pa.float64())
    return pa.schema([*flat, ("metrics", scores), ("overlap", scores), ("questions", repeated), ("verdicts", repeated)])


def _row(record: Record, file: str) -> dict[str, Any]:
    arm, exam, loot, utility, made = record.arm, record.exam, record.loot, record.utility, record.provenance
    questions = sorted(exam.verdicts)
    about = {name: getattr(arm, name) for name in ("suite", "victim", "release", "victim_model", "defense", "threat", "student")}
    about |= {name: getattr(arm, name) for name in ("control", "privileged", "budget", "seed")}
    about |= {name: getattr(made, name) for name in ("harness", "commit", "engine", "dtype", "device", "dirty")}
    for kind, plugin in (("task", arm.task), ("exam", arm.exam), ("attack", arm.attack)):
        about |= {kind: plugin.spec, f"{kind}_version": plugin.version}
    return {
        **about,
        **{f"loot_{name}": value for name, value in loot},
        **{f"utility_{name}": value for name, value in utility},
        **dict(record.bill),
        "n": exam.n,
        "accuracy": exam.accuracy,
        "score": exam.score,
        "metrics": [*exam.metrics.items()],
        "overlap": [*_overlap(record).items()],
        "hardware": record.volatile.hardware,
        "file": file,
        "questions": questions,
        "verdicts": [exam.verdicts[question] for question in questions],
    }


def _overlap(record: Record) -> dict[str, float]:
    """Scores by names such as `words.stolen.lcs_f`."""
    parts = ("stolen", "floor_other_question", "floor_surrogate", "ceiling_victim_again")
    return {
        f"{signature}.{part}.{metric}": value
        for signature, scores in record.overlap.items()
        for part in parts
        for metric, value in getattr(scores, part).items()
    }
