"""The published results: they are part of the repository, and not of an installed package."""

from __future__ import annotations

from pathlib import Path

from heistbench.bench.contracts.errors import HeistError

PUBLISHED = Path(__file__).with_name("results")


def published() -> Path:
    """The folder of the published results. Raises HeistError where it is not here."""
    if not PUBLISHED.is_dir():
        raise HeistError(
            "the published results are not installed: they are in leaderboard/results of HeistBench's repository; "
            "run heist from a checkout of it, or name a folder of result files"
        )
    return PUBLISHED
