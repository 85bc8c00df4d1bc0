"""Whole runs: against a plain script, against runs that are cached, smaller, or on one worker."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ratios import Ratio, Timed, command, heist, side_by_side
from suite import write_suite

from heistbench.bench.storage.result_files import read_records

PLAIN = Path(__file__).with_name("plain.py")
SOME = {"attacks": ["answer_only", "trace_inversion"], "controls": ["true_trace"]}


def start_up(repetitions: int) -> Iterator[Ratio]:
    """The command line, against the libraries underneath."""
    heavy = command(sys.executable, "-c", "import torch, trl, lm_eval")
    yield Ratio("start-up", "heist --help", "importing torch, TRL and lm-eval", side_by_side(heist("--help"), heavy, repetitions))


def plain_script(repetitions: int) -> Iterator[Ratio]:
    """The same matrix by the harness and by a plain script, accuracies compared."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        suite, numbers = write_suite(home / "quarter.yaml"), home / "plain.json"
        plain = command(sys.executable, PLAIN, suite, numbers, threads=os.cpu_count() or 1)  # as torch does by itself
        values = side_by_side(_fresh(suite, home / "out"), plain, repetitions)
        found, theirs = _accuracies(home / "out" / "quarter"), json.loads(numbers.read_text())
        alone = side_by_side(_fresh(suite, home / "out"), _fresh(suite, home / "out", "--jobs", 1), repetitions)
    apart = [abs(found[cell] - theirs["cells"][cell]["accuracy"]) for cell in theirs["cells"]]
    note = f"accuracies of {len(apart)} cells differ by {sum(apart) / len(apart):.3f} on average, {max(apart):.3f} at most"
    yield Ratio("whole run", "heist run", "a plain script, cell by cell", values, note)
    yield from _parts(values, theirs["spent"] / (theirs["spent"] - theirs["again"]), alone)


def _parts(whole: Sequence[float], sharing: float, workers: Sequence[float]) -> Iterator[Ratio]:
    """What the whole ratio is the product of."""
    yield Ratio("of that, sharing", "each thing once", "all that the script computes", (sharing,), "by the script's own clock")
    yield Ratio("of that, workers", "a worker a core", "one worker", tuple(workers), "the script has a thread a core")
    rest = median(whole) / sharing / median(workers)
    yield Ratio("of that, the rest", "training, generation, exams", "TRL, transformers, lm-eval", (rest,), "what is left")


def cached(repetitions: int) -> Iterator[Ratio]:
    """A run whose cells are all there, against the run that computed them."""
    with TemporaryDirectory() as folder:
        suite, out = write_suite(Path(folder, "quarter.yaml"), **SOME, defenses=["none"]), Path(folder, "out")
        first = _fresh(suite, out)()
        values = side_by_side(heist("run", suite, "--out", out), lambda: first, repetitions)
    yield Ratio("cached run", "heist run again", "the run before it", values)


def growth(repetitions: int) -> Iterator[Ratio]:
    """What four defenses cost of what one costs, and two seeds of one."""
    four = ["none", "redact_summary", "redact_summary(level=all)", "noise_answers"]
    with TemporaryDirectory() as folder:
        home, out = Path(folder), Path(folder, "out")
        one = _fresh(write_suite(home / "one.yaml", **SOME, defenses=["none"]), out)
        defenses = _fresh(write_suite(home / "four.yaml", **SOME, defenses=four), out)
        seeds = _fresh(write_suite(home / "two.yaml", **SOME, defenses=["none"], seeds=[0, 1]), out)
        yield Ratio("growth", "one defense", "four defenses", side_by_side(one, defenses, repetitions))
        yield Ratio("growth", "one seed", "two seeds", side_by_side(one, seeds, repetitions))


def _fresh(suite: Path, out: Path, *words: object) -> Timed:
    """A run that finds nothing computed."""
    run = heist("run", suite, "--out", out, *words)

    def clean() -> float:
        shutil.rmtree(out, ignore_errors=True)
        return run()

    return clean


def _accuracies(folder: Path) -> dict[str, float]:
    arms = ((record.arm, record.exam.accuracy) for record in read_records(folder / "results"))
    return {f"{arm.attack.spec} x {arm.defense}, seed {arm.seed}": accuracy for arm, accuracy in arms}
