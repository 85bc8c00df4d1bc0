"""A circuit breaker: a provider that does not answer is left alone, by every process of a run.

What is known of a provider's last failures lies in a file beside the victim's ledger. Only the process that holds the ledger's
lock asks a victim, so that the file has one writer. A failure that an earlier run met says nothing to a later one.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.store import write_json

LOST_IN_A_ROW = 5
"""Queries in a row without a reply that mean an outage. Where a fifth of all requests fail at random, each query is lost once in
78,000 times (six retries): five in a row are no chance, while four odd prompts do not stop a run."""
COOL_DOWN = 300.0
"""Seconds after an outage in which other cells of the run send nothing; later, one query is sent to see."""
FILE = "outage.json"


@dataclass(frozen=True, slots=True)
class _Failures:
    """When the last of so many queries in a row was lost, why, and whether that was an outage."""

    when: float = 0.0
    in_a_row: int = 0
    outage: bool = False
    trouble: str = ""


class Breaker:
    """Counts the queries in a row that a victim's provider did not answer; a reply makes all well."""

    def __init__(self, who: str, file: Path | None = None, began: float = 0.0) -> None:
        """`began` is when the run began; without a file, what is known dies with this object."""
        self._who, self._file, self._began = who, file, began
        self._failures = _Failures()
        self.alive = False
        """Whether there was a reply since this object was made."""
        self.trouble = ""
        """The reason why an attempt failed last, in one line without secrets."""

    @property
    def in_a_row(self) -> int:
        """How many queries in a row got no reply."""
        return self._failures.in_a_row

    @property
    def left(self) -> int:
        """How many more may be lost before nothing is sent any more; after an outage, one."""
        return 1 if self._failures.outage else LOST_IN_A_ROW - self.in_a_row

    def check(self) -> None:
        """Take over what other processes of this run know. Raises HeistError within a short time of an outage."""
        if self._file:
            self._failures = self._read(self._file)
        ago = time.time() - self._failures.when
        if self._failures.outage and ago < COOL_DOWN:
            self._stop(f", {ago:.0f} s ago")

    def replied(self) -> None:
        """Note a reply. The first clears away what an earlier run left, too."""
        if self._file and (self.in_a_row or not self.alive):
            self._file.unlink(missing_ok=True)
        self._failures, self.alive = _Failures(), True

    def lost(self, outage: bool = False) -> None:
        """Note a query that got no reply. Raises HeistError when nothing more shall be sent.

        `outage` says that this one query proves it, as does one that could never connect.
        """
        failures = _Failures(time.time(), self.in_a_row + 1, outage or self.left <= 1, self.trouble)
        self._failures = failures
        if self._file:
            write_json(self._file, asdict(failures))
        if failures.outage:
            self._stop()

    def _stop(self, when: str = "") -> NoReturn:
        n = self.in_a_row
        queries = "1 query" if n == 1 else f"{n} queries in a row"
        raise HeistError(
            f"victim {self._who}: {queries} got no reply ({self._failures.trouble}){when};"
            " what was replied is kept, and the same command asks again"
        )

    def _read(self, file: Path) -> _Failures:
        """What the file says, where this run wrote it; nothing where it is damaged."""
        try:
            known = json.loads(file.read_bytes())
            failures = _Failures(float(known["when"]), int(known["in_a_row"]), known["outage"] is True, str(known["trouble"]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return _Failures()
        return failures if self._began <= failures.when <= time.time() else _Failures()
