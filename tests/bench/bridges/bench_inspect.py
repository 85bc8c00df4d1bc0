"""What our engine adds to a call through Inspect: `python bench_inspect.py [N [CONNECTIONS [ROUNDS]]]`.

Asks an instant server, in a process of its own, N questions (default 1000) at CONNECTIONS (default 100) at a time: bare, by
Inspect's `model.generate` in `asyncio.gather`, and by our engine, alternately. The first round warms both up and is not counted.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from heistbench.bench.contracts.nouns import Prompt
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.models.provider_engine import InspectEngine
from heistbench.bench.suites.settings import Api

TESTS = Path(__file__).parents[2]
MODEL = "openai-api/heist/victim"


async def bare(url: str, texts: list[str], connections: int) -> list[str]:
    """Inspect alone."""
    from inspect_ai.model import GenerateConfig, get_model

    config = GenerateConfig(max_connections=connections, max_tokens=512, temperature=0)
    async with get_model(MODEL, base_url=url, memoize=False) as model:
        return [output.completion for output in await asyncio.gather(*(model.generate(text, config=config) for text in texts))]


def ours(url: str, texts: list[str], connections: int) -> list[str]:
    """Our engine."""
    engine = InspectEngine(MODEL, Api(base_url=url, connections=connections))
    return [reply.text for reply in engine.reply([Prompt.of(text) for text in texts], Sampling())]


class Clocked(NamedTuple):
    """Milliseconds a call: on the wall, and of this process's own time, which other work on the machine changes less."""

    wall: float
    cpu: float


def clocked(what: Callable[[], list[str]], texts: list[str]) -> Clocked:
    """Ask once, and look at the answers."""
    began = time.perf_counter(), time.process_time()
    answers = what()
    ended = time.perf_counter(), time.process_time()
    assert answers == [f"The answer is {len(text.split())}." for text in texts]
    return Clocked(*((end - begin) / len(texts) * 1000 for begin, end in zip(began, ended, strict=True)))


def main() -> None:
    """Clock both in turns, and print the medians and their ratio."""
    n, connections, rounds = (int(sys.argv[at]) if len(sys.argv) > at else usual for at, usual in ((1, 1000), (2, 100), (3, 5)))
    os.environ["HEIST_API_KEY"] = "none is needed"
    texts = [f"question {at} " + "word " * (at % 50) for at in range(n)]
    command = [sys.executable, "-m", "servers"]
    alone: list[Clocked] = []
    within: list[Clocked] = []
    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        for _ in range(rounds + 1):
            alone.append(clocked(lambda: asyncio.run(bare(url, texts, connections)), texts))
            within.append(clocked(lambda: ours(url, texts, connections), texts))
        server.kill()
    print(f"{n} calls, {connections} at a time, median of {rounds} rounds, ms a call")
    for clock in Clocked._fields:
        inspect, heist = (median(getattr(times, clock) for times in rows[1:]) for rows in (alone, within))
        print(f"{clock:>4}: Inspect {inspect:.2f}, our engine {heist:.2f}, ratio {heist / inspect:.3f}")


if __name__ == "__main__":
    main()
