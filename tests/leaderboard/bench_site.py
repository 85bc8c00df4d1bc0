"""Building a large site: `python bench_site.py [FILES [FOLDER]]`.

Makes FILES result files (default 20,000) of 500 questions under FOLDER (default a temporary one, removed afterwards), each like
a published one: ten tasks, four victims of two releases each, nine attacks on nine defenses and three controls, three seeds.
Builds the site of them and prints seconds, the peak memory of this process and of the largest worker, and the largest pages.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from itertools import islice, product
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from heistbench.bench.models.process import one_thread
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_record, write_record
from heistbench.leaderboard.pages.site import build_site

PUBLISHED = Path(__file__).parents[2] / "leaderboard" / "results" / "pocket-full"
QUESTIONS = [f"q{i:04}" for i in range(500)]
ATTACKS = [f"attack(shots={i})" for i in range(9)]
CONTROLS = ["untrained", "surrogate_trace", "true_trace"]
DEFENSES = ["none", *(f"wall(level={i})" for i in range(8))]


def plugin(identity: dict[str, Any], spec: str) -> dict[str, Any]:
    """An identity like this one, of another spec."""
    return {**identity, "spec": spec, "name": spec.partition("(")[0]}


def records(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Records like this one, contest by contest."""
    arms = [*product(ATTACKS, DEFENSES), *((control, "none") for control in CONTROLS)]
    for task, victim, release, (attack, defense), seed in product(range(10), range(4), "12", arms, range(3)):
        rng = Random(f"{task} {victim} {release} {attack} {defense} {seed}")
        raw = deepcopy({**template, "exam": {}})
        old, strength = raw["arm"], Random(f"{task} {victim} {release} {attack} {defense}").random()
        raw["arm"] = {
            **old,
            "task": plugin(old["task"], f"task{task}"),
            "exam": plugin(old["exam"], f"task{task}"),
            "victim": f"victim{victim}",
            "release": release,
            "defense": defense,
            "defenses": [{**plugin(old["task"], defense), "touches": [], "random": False}],
            "attack": plugin(old["attack"], attack),
            "control": attack in CONTROLS,
            "threat": "none" if attack in CONTROLS else "black-box",
            "seed": seed,
        }
        raw["bill"]["queries"] *= attack not in CONTROLS
        raw["exam"] = exam([rng.random() < strength for _ in QUESTIONS])
        yield raw


def exam(right: list[bool]) -> dict[str, Any]:
    """The exam of these questions, with a trace each."""
    share = sum(right) / len(right)
    return {
        "accuracy": share,
        "score": share,
        "n": len(right),
        "counts": {"right": sum(right), "wrong": len(right) - sum(right)},
        "verdicts": dict(zip(QUESTIONS, ("right" if each else "wrong" for each in right), strict=True)),
        "traces": dict(zip(QUESTIONS, ("right 40" if each else "class 40" for each in right), strict=True)),
    }


def make(folder: Path, files: int) -> None:
    """Write so many result files."""
    template = read_record(next(PUBLISHED.rglob("**/none/trace_inversion/**/seed-0.json"))).model_dump(mode="json")
    for raw in islice(records(template), files):
        write_record(folder / "bench", Record.model_validate(raw))


def bench(folder: Path, files: int) -> None:
    """Build the site and say what it took."""
    if not (folder / "results").exists():
        make(folder / "results", files)
    began, used = time.perf_counter(), os.times()
    build_site(folder / "results", folder / "site")
    wall, now = time.perf_counter() - began, os.times()
    cpu = sum(now[:4]) - sum(used[:4])
    own, worker = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{files} files in {wall:.1f} s ({cpu:.1f} s of processors), {own:.0f} MB here, {worker:.0f} MB in the largest worker")
    pages = sorted((folder / "site").rglob("*.*"), key=lambda path: -path.stat().st_size)
    for path in [folder / "site" / "index.html", *pages[:8]]:
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path.relative_to(folder / 'site')}")


def main() -> None:
    """Bench in the folder named, or in a temporary one."""
    one_thread()
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    if len(sys.argv) > 2:
        bench(Path(sys.argv[2]), files)
    else:
        with TemporaryDirectory() as folder:
            bench(Path(folder), files)


if __name__ == "__main__":
    main()
