"""Verdicts: how a reply is graded, and that grading needs no model."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import heistbench.bench.scoring
from heistbench.bench import Problem, Question, Verdict
from heistbench.bench.contracts.registry import registry
from heistbench.bench.scoring.verdicts import judge

TASK = registry.build("task", "pocket")
PROBLEM = Problem(Question("q", "start 3 ; s1 plus 4"), "7", "s1 3 plus 4 is 7")
OPENED = "user: ...\nassistant: <think>\n"


@pytest.mark.parametrize(
    ("text", "stop", "prompt_text", "verdict", "answer"),
    [
        ("<think> 3 plus 4 is 7 </think> 7", "stop", "", Verdict.RIGHT, "7"),
        ("7", "stop", "", Verdict.RIGHT, "7"),
        ("3 plus 4 is 7 </think> 7", "stop", OPENED, Verdict.RIGHT, "7"),
        ("<think> 3 plus 4 is 7 </think> 8", "stop", "", Verdict.WRONG, "8"),
        ("<think> 7 </think> who knows", "stop", "", Verdict.UNPARSABLE, "who knows"),
        ("<think> 7 </think>", "stop", "", Verdict.UNPARSABLE, ""),
        ("<think> 3 plus 4 is 7", "stop", "", Verdict.TRUNCATED, None),
        ("7", "stop", OPENED, Verdict.TRUNCATED, None),
        ("", "stop", "", Verdict.UNPARSABLE, ""),
        ("<think> 3 plus 4 is 7", "length", "", Verdict.TRUNCATED, None),
        ("<think> 3 plus 4 is 7 </think> 7", "length", "", Verdict.TRUNCATED, None),
        ("7", "length", "", Verdict.TRUNCATED, None),
        ("7", "refused", "", Verdict.REFUSED, None),
        ("7", "error", "", Verdict.ERROR, None),
    ],
)
def test_verdicts(text: str, stop: str, prompt_text: str, verdict: Verdict, answer: str | None) -> None:
    found = judge(TASK, PROBLEM, text, stop, prompt_text)
    assert (found.id, found.grade.verdict, found.answer) == ("q", verdict, answer)


def test_a_verdict_keeps_the_trace_it_was_read_beside() -> None:
    assert judge(TASK, PROBLEM, "<think> 3 is 3 </think> 7", "stop", "").trace == "3 is 3"


def test_grading_loads_no_other_room() -> None:
    names = [f"heistbench.bench.scoring.{module.name}" for module in pkgutil.iter_modules(heistbench.bench.scoring.__path__)]
    assert "heistbench.bench.scoring.verdicts" in names
    # The package itself is the public API of plugins, so an empty one stands in for it.
    code = f"""
import sys, types
from importlib import import_module
import heistbench
from importlib.util import find_spec
bench = types.ModuleType("heistbench.bench")
bench.__path__ = {list(heistbench.bench.__path__)!r}
sys.modules["heistbench.bench"] = bench
for name in {names!r}:
    import_module(name)
print(*{{name.split(".")[2] for name in sys.modules if name.startswith("heistbench.bench.")}})
"""
    rooms = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(rooms) == {"contracts", "scoring"}
