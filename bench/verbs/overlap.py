"""`heist overlap`: the overlap of pairs of texts from anywhere, by a named signature.

The file is read as it is scored, by all cores where it is long, so that it may be larger than memory.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, TextIO

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.registry import suggest
from heistbench.bench.models.process import one_thread
from heistbench.bench.scoring.overlap import SIGNATURES, Scores, score
from heistbench.bench.storage.data_files import numbered_lines

if TYPE_CHECKING:
    from rich.table import Table

CHUNK = 100
"""Pairs that are scored at once. A file of fewer is scored by this process: to start others takes longer."""
AHEAD = 3
"""Chunks per core that are read before they are scored."""
Line = tuple[int, str]


@dataclass
class Summary:
    """The number of pairs and the sum of each metric."""

    signature: str
    n: int = 0
    sums: Scores = field(default_factory=dict)

    @property
    def mean(self) -> Scores:
        """Of each metric; none of no pairs."""
        return {metric: total / self.n for metric, total in self.sums.items()}

    def add(self, row: Scores) -> None:
        """Count one more pair."""
        self.n += 1
        for metric, value in row.items():
            self.sums[metric] = self.sums.get(metric, 0.0) + value


def overlap_json(path: Path, signature: str, out: TextIO) -> None:
    """Score a file of pairs and write an object with a row per pair, or nothing. Raises HeistError as `overlap_table` does."""
    with TemporaryFile("w+", encoding="utf-8") as rows:
        summary = _summarize(path, signature, rows)
        rows.seek(0)
        head = {"signature": summary.signature, "n": summary.n, "mean": summary.mean}
        out.write(f'{json.dumps(head)[:-1]}, "pairs": [')
        shutil.copyfileobj(rows, out)
        out.write("\n]}\n")


def overlap_table(path: Path, signature: str) -> Table:
    """The means over a file of pairs, with their signature. Raises HeistError that names file, line and field."""
    from rich.table import Table

    summary = _summarize(path, signature)
    table = Table("metric", "mean", title=f"overlap of {summary.n:,} pairs", caption=summary.signature)
    for metric, value in summary.mean.items():
        table.add_row(metric, f"{value:.4f}")
    return table


def _summarize(path: Path, signature: str, rows: TextIO | None = None) -> Summary:
    """Score a file, and write each row to `rows`."""
    if signature not in SIGNATURES:
        raise HeistError(f"unknown signature {signature!r}{suggest(signature, SIGNATURES)}")
    summary = Summary(str(SIGNATURES[signature]))
    for row in _scores(path, signature):
        if rows:
            rows.write(f"{',' if summary.n else ''}\n {json.dumps(row)}")
        summary.add(row)
    return summary


def _scores(path: Path, signature: str) -> Iterator[Scores]:
    """The scores of each pair of a file, in order."""
    lines, work = numbered_lines(path), partial(_score_lines, str(path), signature)
    chunks = iter(lambda: [*islice(lines, CHUNK)], list[Line]())
    if len(first := next(chunks, [])) < CHUNK:
        yield from work(first)
        return
    one_thread()
    cores, scored = os.cpu_count() or 1, deque[Future[list[Scores]]]()
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        for chunk in chain([first], chunks):
            scored.append(pool.submit(work, chunk))
            if len(scored) > AHEAD * cores:
                yield from scored.popleft().result()
        while scored:
            yield from scored.popleft().result()


def _score_lines(path: str, signature: str, lines: Sequence[Line]) -> list[Scores]:
    return [score(*_pair(line, f"{path}, line {number}"), SIGNATURES[signature]) for number, line in lines]


def _pair(line: str, where: str) -> tuple[str, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise HeistError(f"{where}: not JSON") from None
    for name in ("reference", "candidate"):
        if not isinstance(row, dict) or not isinstance(row.get(name), str):
            raise HeistError(f"{where}: expected an object with a text {name!r}")
    return row["reference"], row["candidate"]
