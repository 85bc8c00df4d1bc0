"""Plugins that fail: one line with the plugin's file and line, the traceback in a log that it names, and never exit code 0."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ATTACK = """
import os, sys
from heistbench.bench import Attack, Prompt, attack

@attack("failing", version="1-A")
class Failing(Attack):
    def steal(self, target, questions, kit):
        {attack}
"""
DEFENSE = """
from heistbench.bench import Defense, defense

@defense("failing_defense", version="1-A", touches=("answer",))
class FailingDefense(Defense):
    def admit(self, prompt):
        {admit}

    def release(self, prompt, reply, rng):
        {release}
"""


@pytest.fixture
def run(suite_file: Callable[..., Path], tmp_path: Path, heist: Callable, own_plugins: None) -> Callable:
    def run(source: str, attack: str = "failing", defense: str = "none") -> tuple[int, str]:
        plugin = tmp_path / "plugin.py"
        plugin.write_text(source)
        suite = suite_file(attacks=[], controls=[])
        options = ["--attack", attack, "--defense", defense, "--plugin", plugin, "--out", tmp_path / "out"]
        ended = heist("run", suite, *options, "--fail-fast", "--executor", "here")
        assert not (tmp_path / "out" / "tiny" / "results").exists()
        (error,) = [line for line in ended.err.splitlines() if line.startswith("heist: error: ")]
        return ended.code, error

    return run


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ("1 / 0", r"plugin\.py:8: ZeroDivisionError: division by zero"),
        ("sys.exit(0)", r"plugin\.py:8: it called sys\.exit\(0\)"),
        ("os._exit(0)", r"plugin\.py: its process ended with exit status 0"),
        ("target.ask(['text'])", r"plugin\.py:8: TypeError: ask\(\) takes prompts: wrap the text in Prompt\.of"),
        ("return None", r"plugin\.py:\d+\): steal returned None; expected a list of Stolen"),
        ("raise ValueError('\\x1b[31mred')", r"plugin\.py:8: ValueError: \\x1b\[31mred"),
    ],
)
def test_an_attack_that_fails_is_one_line_with_its_place(run: Callable, attack: str, said: str) -> None:
    code, error = run(ATTACK.format(attack=attack))
    assert code == 2
    assert re.search(said, error), error
    assert "cell failing x none, seed 0" in error


def test_the_traceback_is_in_the_log_that_the_line_names(run: Callable) -> None:
    _, error = run(ATTACK.format(attack="1 / 0"))
    log = re.search(r"traceback in (\S+?)\)", error)
    assert log
    assert "ZeroDivisionError" in Path(log[1]).read_text()


@pytest.mark.parametrize(
    ("admit", "release", "said"),
    [
        ("pass", "return reply.exposed()", "admit returned None; expected the Prompt or a Refusal"),
        ("return prompt", "return None", "release returned None; expected an Exposure"),
        ("return prompt", "return [][0]", "IndexError: list index out of range"),
    ],
)
def test_a_defense_that_fails_is_one_line_with_its_place(run: Callable, admit: str, release: str, said: str) -> None:
    code, error = run(DEFENSE.format(admit=admit, release=release), attack="answer_only", defense="failing_defense")
    assert code == 2
    assert said in error
    assert "plugin.py:" in error
