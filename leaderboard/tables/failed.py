"""The cells that have no result: which they are, and why."""

from __future__ import annotations

from collections.abc import Sequence

from heistbench.bench.storage.failures import Failure
from heistbench.leaderboard.tables.table import Body, Entry, Table, entry, heading, name

HEADINGS = ("attack", "defense", "victim", "task", "queries", "seed", "step", "reason", "log")
NOTE = "the same command tries them again; no number above takes them into account"


def failed(failures: Sequence[Failure]) -> Table:
    """A row for each cell that failed."""
    rows = tuple(_row(failure) for failure in failures)
    return Table("Failed cells", "", (NOTE,), tuple(heading(label, text=True) for label in HEADINGS), (Body(rows),), labels=2)


def _row(failure: Failure) -> tuple[Entry, ...]:
    arm = failure.arm
    victim = "-".join(filter(None, (arm.victim, arm.release)))
    words = (victim, arm.task.spec, f"{arm.budget:,}", str(arm.seed), failure.step, failure.reason, failure.log)
    return name(arm.attack.spec), name(arm.defense), *map(entry, words)
