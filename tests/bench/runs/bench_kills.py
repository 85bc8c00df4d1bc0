"""What random SIGKILLs cost: a run is killed again and again, and its results are compared with those of an undisturbed one.

    python tests/bench/runs/bench_kills.py [KILLS]

Whatever lives is hit: the driver with all that it started, one worker, or the process of a theft.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psutil

from heistbench.bench.storage.result_files import read_records


def started(out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from heistbench.bench.cli import main; main()", "run", "pocket", "--scale", "smoke"]
    return subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def numbers(out: Path) -> dict[str, Any]:
    records = read_records(out / "pocket-smoke" / "results")
    return {str(record.path()): json.loads(record.model_dump_json(exclude={"volatile"})) for record in records}


def hit(driver: psutil.Process, luck: random.Random) -> str:
    """Kill one process of a run, or its driver."""
    children = driver.children(recursive=True)
    kinds = {"driver": [driver], "worker": children[:], "theft": [c for c in children if "walls.thief" in " ".join(c.cmdline())]}
    kind = luck.choice([kind for kind, there in kinds.items() if there])
    luck.choice(kinds[kind]).send_signal(signal.SIGKILL)
    return kind


def main(kills: int) -> None:
    luck, folder, hits = random.Random(0), Path(mkdtemp(prefix="heist-kills-")), Counter[str]()
    os.environ["OMP_NUM_THREADS"] = "1"
    began = time.monotonic()
    assert started(folder / "calm").wait() == 0
    calm, runs, finished = time.monotonic() - began, 0, 0
    expected = numbers(folder / "calm")
    while hits.total() < kills:
        out = folder / f"out-{finished}"
        run, runs = started(out), runs + 1
        while run.poll() is None and hits.total() < kills:
            time.sleep(luck.uniform(0.5, calm / 2))
            try:
                hits[hit(psutil.Process(run.pid), luck)] += 1
            except psutil.NoSuchProcess:
                continue
        if run.wait() == 0:
            assert numbers(out) == expected, out
            finished += 1
    while (code := started(out).wait()) != 0:
        assert code == 3, code
    assert numbers(out) == expected
    shutil.rmtree(folder)
    print(f"{dict(hits)} in {runs} runs; {finished + 1} matrices of {len(expected)} cells came to their end, all identical")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
