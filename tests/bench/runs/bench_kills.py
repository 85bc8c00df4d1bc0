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
import yaml

from heistbench.bench.storage.result_files import read_records

SUITE: dict[str, Any] = {
    "name": "kills",
    "tasks": ["pocket"],
    "victims": [{"model": "pocket/victim-1", "decoding": {"temperature": 0.7, "max_new_tokens": 112}}],
    "surrogate": {"model": "pocket/surrogate", "decoding": {"temperature": 1.0, "max_new_tokens": 64}},
    "inverter": {
        "model": "pocket/surrogate",
        "recipe": {"epochs": 1, "batch_size": 32, "learning_rate": 3e-3, "max_length": 256},
        "decoding": {"max_new_tokens": 64},
    },
    "students": [
        {
            "model": "pocket/base",
            "recipe": {"epochs": 2, "batch_size": 16, "learning_rate": 2e-3, "max_length": 256},
            "decoding": {"max_new_tokens": 64},
        }
    ],
    "attacks": ["answer_only", "summary_answer", "trace_inversion", "rep(shots=2)"],
    "controls": ["untrained", "true_trace"],
    "defenses": ["none", "noise_answers"],
    "sizes": {"query": 24, "surrogate": 40, "test": 16},
}


def started(suite: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from heistbench.bench.cli import main; main()", "run", str(suite), "--out", str(out)]
    return subprocess.Popen([*command, "--jobs", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def numbers(out: Path) -> dict[str, Any]:
    records = read_records(out / "kills" / "results")
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
    suite = folder / "kills.yaml"
    suite.write_text(yaml.safe_dump(SUITE))
    began = time.monotonic()
    assert started(suite, folder / "calm").wait() == 0
    calm, runs, finished = time.monotonic() - began, 0, 0
    expected = numbers(folder / "calm")
    while hits.total() < kills:
        out = folder / f"out-{finished}"
        run, runs = started(suite, out), runs + 1
        while run.poll() is None and hits.total() < kills:
            time.sleep(luck.uniform(0.5, calm / 2))
            try:
                hits[hit(psutil.Process(run.pid), luck)] += 1
            except psutil.NoSuchProcess:
                continue
        if run.wait() == 0:
            assert numbers(out) == expected, out
            finished += 1
    while (code := started(suite, out).wait()) != 0:
        assert code == 3, code
    assert numbers(out) == expected
    shutil.rmtree(folder)
    print(f"{dict(hits)} in {runs} runs; {finished + 1} matrices of {len(expected)} cells came to their end, all identical")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
