"""How many math pairs a second are graded with one worker and with two: `python bench_mathgrade.py DATA [N]`.

DATA is the folder of real data sets. The replies are MATH-500's solutions, and its gold answers dressed so that most must be
computed (on words and tuples some dresses make no sense); every third carries the answer to another question.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from unittest import mock

from heistbench.bench.scoring import mathematics as _mathgrade
from heistbench.bench.scoring.sandbox import Pool

DRESSES = (
    r"So we find \[ x = \boxed{%s}. \]",
    "**Final Answer:** $%s + 0$",
    r"Let us see. The answer is \( 1 \cdot %s \).",
    r"\boxed{\;%s\;}, which we check: $2 + 2 = 4$.",
    "Therefore the result is $%s$, as wanted.",
)


def pairs(folder: Path, n: int) -> list[tuple[str, str]]:
    """Gold answers with replies: every third carries the answer to another question."""
    rows = [json.loads(line) for line in (folder / "math500" / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    made = (
        (rows[i]["answer"], dress % rows[(i + (at % 3 == 0)) % len(rows)]["answer"] if dress else rows[i]["solution"])
        for at, (dress, i) in enumerate((dress, i) for dress in (*DRESSES * 2, None) for i in range(len(rows)))
    )
    return list(islice(made, n))


def main() -> None:
    """Grade the same pairs with one worker and with two, alternately, twice."""
    data = pairs(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5000)
    for workers in (1, 2, 1, 2):
        pool = Pool(f"{_mathgrade.__name__}:math_verifier", workers)
        with mock.patch.object(_mathgrade, "_pool", lambda process, pool=pool: pool):
            began = time.perf_counter()
            grades = _mathgrade.grade_math_all(data)
            seconds = time.perf_counter() - began
        pool.close()
        counts = dict(Counter(grade.verdict.value for grade in grades))
        rate = f"{len(data)} pairs in {seconds:.1f} s, {len(data) / seconds:.0f} a second"
        print(f"{workers} worker(s): {rate}, {counts}", flush=True)


if __name__ == "__main__":
    main()
