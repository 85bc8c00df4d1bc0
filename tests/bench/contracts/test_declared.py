"""What decorators refuse: each mistake is one line with the plugin's file and line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from heistbench.bench import HeistError
from heistbench.bench.contracts.registry import load_plugin, registry

pytestmark = pytest.mark.usefixtures("own_plugins")
HEAD = "from typing import ClassVar\nfrom heistbench.bench import Attack, Defense, Task, attack, defense, task\n"
STEAL = "    def steal(self, target, questions, kit):\n        return []\n"
RELEASE = "    def release(self, prompt, reply, rng):\n        return reply.exposed()\n"


def written(folder: Path, decorator: str, body: str = "", base: str = "Attack") -> Path:
    """A plugin file whose decorator stands in line 3."""
    method = {"Attack": STEAL, "Defense": RELEASE}.get(base, STEAL)
    path = folder / "mine.py"
    path.write_text(f"{HEAD}{decorator}\nclass Mine{f'({base})' if base else ''}:\n{body}{method}")
    return path


def mistake(path: Path) -> str:
    with pytest.raises(HeistError) as caught:
        load_plugin(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("decorator", "base", "message"),
    [
        ('@attack("two words", version="1-A")', "Attack", "attack two words: name 'two words': expected small letters"),
        ('@attack("Mine", version="1-A")', "Attack", "name 'Mine': expected small letters"),
        ('@attack("mine\\x1b[31m", version="1-A")', "Attack", r"name 'mine\x1b[31m': expected"),
        ('@attack(7, version="1-A")', "Attack", "name 7: expected small letters"),
        ('@attack("mine", version="one")', "Attack", "attack mine: version 'one': expected a number, a hyphen and a capital"),
        ('@attack("mine", version="0-A")', "Attack", "version '0-A'"),
        ('@attack("mine", version=1)', "Attack", "version 1: expected"),
        (
            '@attack("mine", version="1-A", asks="answers")',
            "Attack",
            "asks 'answers': expected one of nothing, questions, prompts",
        ),
        ('@attack("mine", version="1-A", control="yes")', "Attack", "control 'yes': expected True or False"),
        ('@attack("mine", version="1-A", paper=None)', "Attack", "paper None: expected a text"),
        ('@attack("mine", version="1-A", privileged=True)', "Attack", "only a control may be privileged"),
        (
            '@defense("mine", version="1-A", touches="answer")',
            "Defense",
            "touches 'answer': expected a tuple, such as ('answer',)",
        ),
        (
            '@defense("mine", version="1-A", touches=("answers",))',
            "Defense",
            "touches 'answers': expected some of prompt, summary",
        ),
        ('@attack("mine", version="1-A")', "", "attack mine: expected a class that derives from Attack"),
        ('@attack("mine", version="1-A")', "Defense", "expected a class that derives from Attack"),
        ('@task("mine", version="1-A")', "Task", "task mine: expected a method grade()"),
    ],
)
def test_a_wrong_claim_is_named_with_file_and_line(tmp_path: Path, decorator: str, base: str, message: str) -> None:
    line = mistake(written(tmp_path, decorator, base=base))
    assert line.startswith(f"{tmp_path / 'mine.py'}:3: ")
    assert message in line


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('shots: int = "two"', "parameter shots: default 'two' is no int"),
        ("shots: int = 2.5", "parameter shots: default 2.5 is no int"),
        ("share: float = float('nan')", "parameter share: default nan is no float"),
        ("words: tuple[str, ...] = 'ab'", "parameter words: default 'ab' is no tuple"),
        ("kit: object() = None", "an annotation cannot be read|no text can give"),
        ("size: Missing = 3", "name 'Missing' is not defined"),
        ("shots = 3", "shots is no parameter without an annotation: write `shots: int = ...`"),
        ("words = ('a', 'b')", "words is no parameter without an annotation"),
    ],
)
def test_a_wrong_parameter_is_named(tmp_path: Path, field: str, message: str) -> None:
    line = mistake(written(tmp_path, '@attack("mine", version="1-A")', f"    {field}\n"))
    assert re.search(message.replace("(", r"\(") if "|" not in message else message, line) or message in line
    assert f"{tmp_path / 'mine.py'}:" in line


@pytest.mark.parametrize(
    "body",
    [
        "    share: float = 1\n",
        "    names: tuple[str, ...] = ()\n",
        "    maybe: int | None = None\n",
        "    _cache = 3\n",
        "    LIMIT: ClassVar[int] = 3\n",
        "    @property\n    def needs(self):\n        return 'answer'\n",
        "    @staticmethod\n    def helper():\n        return 1\n",
        "    class Inner:\n        size = 3\n",
    ],
)
def test_what_is_well_declared_passes(tmp_path: Path, body: str) -> None:
    load_plugin(written(tmp_path, '@attack("mine", version="12-B")', body))
    assert registry.build("attack", "mine").info.version == "12-B"


def test_a_class_variable_of_the_contract_needs_no_annotation(tmp_path: Path) -> None:
    body = (
        "    licence = 'MIT'\n    def problems(self, split, n):\n        return []\n    def grade(self, problem, answer): ...\n"
    )
    load_plugin(written(tmp_path, '@task("mine", version="1-A")', body, base="Task"))
    assert registry.get("task", "mine").licence == "MIT"


def test_a_parameter_of_a_base_plugin_is_changed_with_an_annotation_only(tmp_path: Path) -> None:
    path = written(tmp_path, '@attack("mine", version="1-A")', "    shots: int = 3\n")
    more = '\n@attack("more", version="1-A")\nclass More(Mine):\n    shots{} = 4\n'
    text = path.read_text()
    path.write_text(text + more.format(""))
    assert "attack more: shots is no parameter without an annotation" in mistake(path)
    path.write_text(text + more.format(": int"))
    load_plugin(path)
    assert registry.build("attack", "more").shots == 4


# the command line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", r"raises on import: .*mine\.py:1: ZeroDivisionError: division by zero \(traceback: .*\.log\)"),
        ("\nimport sys\nsys.exit(0)", r"raises on import: .*mine\.py:3: it called sys\.exit\(0\)"),
        ("def (", r"raises on import: .*mine\.py:1: SyntaxError"),
        (f"{HEAD}@attack('mine')\nclass Mine(Attack): ...", r"mine\.py:3: TypeError: .*'version'"),
        (f"{HEAD}@attack('Mine', version='1-A')\nclass Mine(Attack):\n{STEAL}", r"mine\.py:3: attack Mine: name"),
        (f"{HEAD}@attack('mine', version='1-A')\nclass Mine:\n    pass", r"mine\.py:3: attack mine: expected a class"),
        ("raise ValueError('\\x1b[31mred\\x07')", r"ValueError: \\x1b\[31mred\\x07"),
    ],
)
@pytest.mark.parametrize("verb", ["list", "grade"])
def test_a_broken_plugin_file_is_one_line_and_exit_code_2(
    heist: Callable, tmp_path: Path, verb: str, text: str, message: str
) -> None:
    (tmp_path / "mine.py").write_text(text)
    ended = heist(verb, *(["pocket", tmp_path / "replies"] if verb == "grade" else []), "--plugin", tmp_path / "mine.py")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert re.search(message, ended.err)


def test_the_log_that_is_named_holds_the_traceback_and_debug_prints_it(heist: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def divide():\n    return 1 / 0\ndivide()")
    plain = heist("list", "--plugin", tmp_path / "mine.py")
    log = Path(re.search(r"\(traceback: (.*)\)", plain.err)[1])
    assert "in divide" in log.read_text()
    assert "in divide" not in plain.err
    full = heist("list", "--plugin", tmp_path / "mine.py", "--debug")
    assert "in divide" in full.err
    assert full.err.splitlines()[-1] == plain.err.splitlines()[-1]
    log.unlink()


def test_a_plugin_file_that_failed_can_be_mended_and_loaded(tmp_path: Path) -> None:
    path = written(tmp_path, '@attack("mine", version="one")')
    mistake(path)
    written(tmp_path, '@attack("mine", version="1-A")  # mended')
    load_plugin(path)
    assert "mine" in registry.all("attack")
