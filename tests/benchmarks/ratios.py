"""Ratios of times, each measured side by side in one run: a machine's mood of the day falls on both sides."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long `other` takes as `ours`, once for each repetition; `note` is what both came to.

    Without values it says why there are none.
    """

    name: str
    ours: str
    other: str
    values: tuple[float, ...]
    note: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """For the table: the median and, as its noise, the least and the greatest."""
        if not self.values:
            return self.name, self.ours, self.other, "not measured", "", self.note
        noise = f"{min(self.values):.2f}-{max(self.values):.2f}" if len(self.values) > 1 else ""
        return self.name, self.ours, self.other, f"{median(self.values):.2f}", noise, self.note


Timed = Callable[[], float]
"""Does its work and returns the seconds of that part of it which counts."""


def side_by_side(ours: Timed, other: Timed, repetitions: int) -> tuple[float, ...]:
    """Seconds of the other per second of ours. Who goes first changes from one repetition to the next."""
    ratios = []
    for repetition in range(repetitions):
        if repetition % 2:
            theirs, mine = other(), ours()
        else:
            mine, theirs = ours(), other()
        ratios.append(theirs / mine)
    return tuple(ratios)


def timed(work: Callable[[], object]) -> Timed:
    """All of some work counts."""

    def run() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return run


def command(*words: object, threads: int = 1) -> Timed:
    """A command as a whole process, of so many threads. Raises CalledProcessError where it fails."""
    run = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return timed(lambda: run([*map(str, words)], env={**os.environ, "OMP_NUM_THREADS": str(threads)}))


def heist(*words: object) -> Timed:
    """A command of ours."""
    return command(Path(sys.executable).with_name("heist"), *words)


def show(ratios: Iterable[Ratio]) -> None:
    """Print the table, a row as soon as it is measured."""
    heads: Sequence[str] = ("what", "ours", "against", "times as fast", "noise", "both")
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|", flush=True)
    for ratio in ratios:
        print("| " + " | ".join(ratio.row) + " |", flush=True)
