"""A small world behind the wall: gold answers and traces that cannot be mistaken, and attacks written for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent

import pytest

from heistbench.bench.contracts.registry import load_plugin
from heistbench.bench.stages.pipeline import StoredCell
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.settings import Suite

GOLD, TRACE = "GOLD-7c1e", "TRACE-7c1e"
WORLD = f'''
from typing import ClassVar
from heistbench.bench import Defense, Exposure, Grade, Problem, Question, Task, TraceCheck, defense, task


@task("marked", version="1-A")
class Marked(Task):
    licence: ClassVar[str] = "none"

    def problems(self, split, n):
        rows = [(f"{{split}}-{{i}}", f"question {{split}} {{i}}") for i in range(n)]
        return [Problem(Question(key, text), f"{GOLD}-{{key}}", f"{TRACE}-{{key}}") for key, text in rows]

    def grade(self, problem, answer):
        return Grade.of(answer == problem.gold)

    def summarize(self, trace):
        return f"recap of {{trace}}"

    def wrong_trace(self, problem, rng):
        return f"WRONG-{{problem.question.id}}"

    def check(self, problem, trace):
        right = trace == problem.trace
        return TraceCheck(int(right), 1, right, right, len(trace.split()))


@defense("curtain", version="1-A", touches=("answer", "summary"))
class Curtain(Defense):
    """Shows that there was an answer and no more."""

    def release(self, prompt, reply, rng):
        return Exposure("an answer", "a recap")


@defense("sevens", version="1-A", touches=("answer",))
class Sevens(Defense):
    """Lets any victim answer 7; what others rehearse passes."""

    def release(self, prompt, reply, rng):
        return Exposure("7" if reply.text.startswith("{GOLD}") else reply.text)
'''
ATTACK = """
from heistbench.bench import *


@attack("mine", version="1-A"{claims})
class Mine(Attack):
    def steal(self, target, questions, kit):
        prompts = [Prompt.of(q.text) for q in questions]
{body}
"""
SUITE = {
    "name": "walled",
    "tasks": ["marked"],
    "victims": [{"model": "recorded"}],
    "surrogate": {"model": "pocket/surrogate", "decoding": {"temperature": 0.0, "max_new_tokens": 4}},
    "inverter": {"model": "pocket/surrogate", "recipe": {"epochs": 1, "batch_size": 1}, "decoding": {"max_new_tokens": 4}},
    "students": [{"model": "pocket/base"}],
    "attacks": [],
    "controls": [],
}


@pytest.fixture
def cell_of(tmp_path: Path, own_plugins: None) -> Callable[..., StoredCell]:
    """A cell of that world: an attack against a defense, behind a wall."""
    (tmp_path / "world.py").write_text(WORLD)
    load_plugin(tmp_path / "world.py")

    def context(attack: str = "mine", defense: str = "curtain", size: int = 3, wall: str | None = None) -> StoredCell:
        suite = Suite.model_validate({**SUITE, "sizes": {"query": size, "surrogate": 2, "test": 2}})
        cell = Cell(suite, suite.victims[0], defense, attack, "marked", "marked", suite.students[0], budget=size, seed=0)
        return StoredCell(cell, Store(tmp_path / "store"), wall=wall)

    return context


@pytest.fixture
def mine(tmp_path: Path, own_plugins: None) -> Callable[..., Path]:
    """Writes and loads an attack called `mine` whose theft is these lines."""

    def write(body: str, claims: str = "") -> Path:
        path = tmp_path / "mine.py"
        path.write_text(ATTACK.format(body=indent(dedent(body), " " * 8), claims=claims))
        load_plugin(path)
        return path

    return write
