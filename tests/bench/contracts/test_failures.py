"""What becomes of exceptions in plugins: one safe line with file and line, and a traceback in a log."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from direct import ends
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Attack, BudgetExceeded, HeistError, Prompt
from heistbench.bench.contracts.errors import LONGEST, Busy, PluginFailure, one_line, printable
from heistbench.bench.contracts.failures import plugin_code
from heistbench.bench.contracts.places import blame
from heistbench.bench.contracts.registry import load_plugin, registry

pytestmark = pytest.mark.usefixtures("own_plugins")
PLUGIN = '''"""A plugin."""
from heistbench.bench import Attack, attack

@attack("mine", version="1-A")
class Mine(Attack):
    """Fails."""
    def steal(self, target, questions, kit):
        {}
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Attack]:
    """An attack in `mine.py` of the current folder, whose `steal` has this body, in line 8."""
    monkeypatch.chdir(tmp_path)

    def load(body: str) -> Attack:
        Path("mine.py").write_text(PLUGIN.format(body))
        load_plugin(Path("mine.py"))
        return registry.build("attack", "mine")

    return load


def failure(attack: Attack, log: Path | None = None, *arguments: object) -> PluginFailure:
    with pytest.raises(PluginFailure) as caught, plugin_code(attack, log):
        attack.steal(*(arguments or (None, [], None)))
    return caught.value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return 1 / 0", "mine.py:8: ZeroDivisionError: division by zero"),
        ("raise KeyError('x')", "mine.py:8: KeyError: 'x'"),
        ("raise StopIteration", "mine.py:8: StopIteration"),
        ("import sys; sys.exit(0)", "mine.py:8: it called sys.exit(0)"),
        ("raise SystemExit", "mine.py:8: it called sys.exit()"),
        ("raise ValueError('a\\x1b[31m\\nb')", r"mine.py:8: ValueError: a\x1b[31m b"),
        ("import json; json.loads('{')", "mine.py:8: JSONDecodeError: Expecting property name"),
        ("raise ValueError('x' * 10**6)", "mine.py:8: ValueError: xxx"),
    ],
)
def test_a_failure_is_one_line_with_the_innermost_line_of_the_plugin(mine: Callable, body: str, reason: str) -> None:
    failed = failure(mine(body), Path("some.log"))
    assert failed.reason.startswith(reason)
    assert len(failed.reason) < LONGEST + 10
    assert str(failed) == f"{failed.reason} (traceback: some.log)"
    assert "steal" in Path("some.log").read_text()


def test_a_failure_outside_of_any_plugins_line_names_the_plugin(mine: Callable) -> None:
    attack = mine("return []")
    assert failure(attack, None, 1, 2, 3, 4).reason.startswith("mine.py:4: TypeError: ")


def test_without_a_plugin_a_failure_has_no_place() -> None:
    assert blame(ValueError("seven")) == "ValueError: seven"


@pytest.mark.parametrize(
    "error", [HeistError("a line"), BudgetExceeded("9 over 8"), PluginFailure("another's"), Busy(), KeyboardInterrupt()]
)
def test_what_is_not_the_plugins_fault_passes(mine: Callable, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, plugin_code(mine("return []")):
        raise error
    assert caught.value is error


def test_a_failure_crosses_processes() -> None:
    failed = pickle.loads(pickle.dumps(PluginFailure("mine.py:1: no", Path("log"))))
    assert (failed.reason, failed.log, str(failed)) == ("mine.py:1: no", Path("log"), "mine.py:1: no (traceback: log)")


def test_a_log_that_cannot_be_written_is_not_named(mine: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert failure(mine("return 1 / 0"), tmp_path / "file" / "log").log is None


def test_a_log_grows_and_holds_no_escape_sequences(mine: Callable, tmp_path: Path) -> None:
    attack = mine("raise ValueError('\\x1b[31m')")
    for _ in range(2):
        failure(attack, tmp_path / "log")
    assert (tmp_path / "log").read_text().count("Traceback") == 2
    assert "\x1b" not in (tmp_path / "log").read_text()


# slips at the wall


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("target.ask([q.text for q in questions] or ['a'])", "ask() takes prompts: wrap the text in Prompt.of"),
        ("target.ask('What is 2 + 2?')", "ask() takes a list of prompts: wrap the text in Prompt.of"),
        (
            "from heistbench.bench import Prompt; target.ask(Prompt.of('a'))",
            "ask() takes a list of prompts: put the prompt in a list",
        ),
        ("from heistbench.bench import Prompt; target.ask([Prompt('a')])", "a prompt's messages are a tuple of Message"),
        ("target.ask(None)", "ask() takes prompts"),
        ("kit.surrogate(['a'])", "surrogate() takes prompts: wrap the text in Prompt.of"),
        ("kit.surrogate([], 'hot')", "surrogate() takes a temperature"),
        ("kit.surrogate([], float('nan'))", "surrogate() takes a temperature"),
        ("kit.fine_tune([('a', 'b')])", "fine_tune() takes pairs of a prompt and a text"),
        ("kit.fine_tune(['ab'])", "fine_tune() takes pairs of a prompt and a text"),
        ("kit.inverter().generate(['a'])", "generate() takes prompts"),
        ("kit.rehearse([], [1])", "rehearse() takes replies"),
        (
            "from heistbench.bench import Prompt; kit.rehearse([Prompt.of('a')], [])",
            "rehearse() takes one reply per prompt: 0 for 1",
        ),
        ("kit.questions_of('gsm8k', 'all')", "questions_of() takes a task's name and a number"),
        ("kit.truth.gold(['id'])", "gold() takes questions"),
    ],
)
def test_a_slip_at_the_wall_says_what_was_expected(mine: Callable, body: str, message: str) -> None:
    class Desk:
        def untuned(self) -> str:
            return "model"

        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was reached")

    attack = mine(body)
    target, kit = ends(Desk(), privileged=True)
    reason = failure(attack, None, target, [], kit).reason
    assert reason.startswith("mine.py:8: TypeError: ")
    assert message in reason


def test_iterators_of_prompts_are_asked(mine: Callable) -> None:
    class Desk:
        def ask(self, prompts: list[Prompt]) -> list[str]:
            return [prompt.text for prompt in prompts]

    target, _ = ends(Desk())
    assert target.ask(Prompt.of(text) for text in "ab") == ["a", "b"]


# text from anywhere


@given(st.text())
def test_one_line_is_safe_to_print(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    line.encode()


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), max_size=50))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert one_line(text) == printable(text) == text
    assert not re.search(r"\\x", text) or "\\x" in text
