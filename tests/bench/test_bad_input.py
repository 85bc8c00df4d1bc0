"""Bad input to the command line: one line, exit code 2, nothing left behind; and how a command ends that is stopped."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heistbench.bench.contracts.registry import registry

MAIN = "from heistbench.bench.cli import main; main()"
pytestmark = pytest.mark.usefixtures("own_plugins")
TASK = '''"""A task."""
from heistbench.bench import Grade, Problem, Question, Task, task

@task("mine", version="1-A")
class Mine(Task):
    """Fails."""
    def problems(self, split, n):
        {problems}
    def grade(self, problem, answer):
        {grade}
'''
PROBLEMS, GRADE = 'return [Problem(Question("1", "q"), "7", "")]', "return Grade.of(True)"


def error(ended) -> str:
    """The single line of an error; exit code 2 and nothing else printed."""
    assert (ended.code, ended.out) == (2, ""), ended
    assert ended.err.startswith("heist: error: ")
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.rstrip("\n").isprintable()
    return ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget-usd", "nan"], "--budget-usd nan: expected an amount of dollars, 0 or more"),
        (["--budget-usd", "inf"], "--budget-usd inf: expected an amount of dollars"),
        (["--budget-usd=-inf"], "--budget-usd -inf: expected an amount of dollars"),
        (["--budget-usd=1e400"], "--budget-usd inf: expected an amount of dollars"),
        (["--budget-usd=lots"], "--budget-usd: unable to convert"),
        (["--budget-usd=-1"], "--budget-usd -1.0: expected an amount of dollars"),
        (["--budget-queries=-1"], "--budget-queries -1: expected 0 or more"),
        (["--budget-queries=nan"], "--budget-queries: unable to convert"),
        (["--budget-queries=inf"], "--budget-queries: unable to convert"),
        (["--seeds", ""], "--seeds '': expected whole numbers"),
        (["--attack", "rep(shots=2024-13-45)"], "cannot read the value of 'shots'"),
        (["--attack", "rep(shots=[" + "[" * 900 + "])"], "cannot read"),
        (["--attack", "rep" + " " * 100_000 + "!"], "attacks.0: String should have at most 1000 characters"),
        (["--seeds", ",".join(map(str, range(20_000)))], "suite tiny names 400,000 cells, and at most 100,000 are allowed"),
        (["--jobs", str(10**9)], "--jobs 1000000000: expected 1 to 1,024"),
        (["--jobs", "0"], "--jobs 0: expected 1 to 1,024"),
        (["--victim", "x" * 300], f"{'x' * 300}/card.json: File name too long"),
        (["--data", "x" * 300], f"{'x' * 300}: File name too long"),
    ],
)
def test_options_of_a_run_are_checked(
    heist: Callable, suite_file: Callable, tmp_path: Path, words: list[str], message: str
) -> None:
    assert message in error(heist("run", suite_file(), *words, "--out", tmp_path / "fresh"))
    assert not (tmp_path / "fresh").exists()


def test_a_surrogate_needs_a_suite_that_has_one(heist: Callable, suite_file: Callable, tmp_path: Path) -> None:
    path = suite_file(surrogate=None, inverter=None, attacks=["answer_only"], controls=["untrained"])
    ended = heist("run", path, "--surrogate", "pocket/surrogate", "--out", tmp_path / "fresh")
    assert "--surrogate pocket/surrogate: suite tiny has no surrogate to replace" in error(ended)


def test_data_that_is_not_utf8_is_named(heist: Callable, tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    for split in ("train", "test"):
        (tmp_path / "gsm8k" / f"{split}.jsonl").write_bytes(b'{"question": "caf\xe9"}\n')
    (tmp_path / "replies").write_text('{"id": "1", "reply": "7"}')
    message = error(heist("grade", "gsm8k", tmp_path / "replies", "--data", tmp_path))
    assert re.search(r"test\.jsonl: cannot be read: expected UTF-8, and byte 17 is not", message)


@pytest.mark.parametrize("verb", [["grade", "pocket"], ["overlap"]], ids=" ".join)
@pytest.mark.parametrize("content", [b"[" * 200_000, b'{"a":' * 200_000, b"\xff\xfe", b"9" * 5000], ids=["[", "{", "utf", "9"])
def test_a_file_of_anything_is_one_line(heist: Callable, tmp_path: Path, verb: list[str], content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert str(tmp_path / "file") in error(heist(*verb, tmp_path / "file"))


BLANKS = " " * 100_000


@pytest.mark.parametrize("spec", [f"pocket{BLANKS}!", f'pocket(a=1{BLANKS}"")', f'pocket(a={BLANKS}1"")', "(" * 100_000])
def test_a_spec_of_any_length_is_read_in_no_time(heist: Callable, spec: str) -> None:
    """Where a pattern can split a row of blanks in two ways, this takes a minute."""
    assert "cannot read" in error(heist("grade", spec, "nowhere"))


def test_a_huge_plugin_file_is_not_read(heist: Callable, tmp_path: Path) -> None:
    with (tmp_path / "huge.py").open("wb") as file:
        file.truncate(2**40)
    assert "huge.py: is larger than 1024 KiB" in error(heist("list", "--plugin", tmp_path / "huge.py"))


@pytest.mark.parametrize("words", [["leaderboard", "show"], ["run"], ["grade", "pocket"], ["list", "--plugin"]], ids=" ".join)
def test_a_name_that_no_file_can_have_is_one_line(heist: Callable, words: list[str]) -> None:
    assert "File name too long" in error(heist(*words, "x" * 300 + ".yaml"))


# plugins of a task


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problems": "return None"}, r"task mine \(.*mine\.py:4\): problems returned None; expected a list of Problem"),
        ({"problems": "return 1 / 0"}, r"mine\.py:8: ZeroDivisionError: division by zero \(traceback: .*\.log\)"),
        ({"grade": "return None"}, r"task mine \(.*mine\.py:4\): grade returned None; expected a Grade"),
        ({"grade": "raise SystemExit(0)"}, r"mine\.py:10: it called sys\.exit\(0\)"),
        ({"grade": "raise ValueError('\\x1b[31m' + answer)"}, r"mine\.py:10: ValueError: \\x1b\[31m7"),
    ],
)
def test_a_task_that_fails_is_named_with_its_line(heist: Callable, tmp_path: Path, changes: dict[str, str], message: str) -> None:
    (tmp_path / "mine.py").write_text(TASK.format(**{"problems": PROBLEMS, "grade": GRADE, **changes}))
    (tmp_path / "replies").write_text('{"id": "1", "reply": "7"}')
    ended = heist("grade", "mine", tmp_path / "replies", "--plugin", tmp_path / "mine.py")
    assert re.search(message, error(ended))
    for log in re.findall(r"\(traceback: (.*)\)", ended.err):
        Path(log).unlink()


# what is listed


@pytest.mark.parametrize("width", [80, 200])
def test_the_list_fits_the_terminal(heist: Callable, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = heist("list").out.splitlines()
    assert all(len(line) <= width for line in lines if "/" not in line.split()[-1])  # a path stays whole
    assert max(map(len, lines)) > width // 2
    for name in (*registry.all("attack"), *registry.all("defense"), *registry.all("task")):
        assert any(re.match(rf"\w+ +{name} \d+-[A-Z]$", line) for line in lines)


def test_the_list_shows_no_escape_sequences(heist: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from heistbench.bench import Attack, attack\n"
        '@attack("mine", version="1-A", threat="\\x9b31m", paper="\\x1b[31m")\n'
        'class Mine(Attack):\n    """Red \x1b[31m and \x07."""\n    def steal(self, target, questions, kit):\n        return []\n'
    )
    for how in ([], ["--json"]):
        ended = heist("list", "--plugin", tmp_path / "mine.py", *how)
        assert ended.code == 0
        assert not {"\x1b", "\x07", "\x9b"} & set(ended.out)


HOSTILE = "\x1b]8;;http://x\x07\x9b31m\u202e[link=http://x]y[/link][bold red][/]"


def test_defaults_of_a_plugin_are_listed_as_text(heist: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[31m\u202e"
    folder.mkdir()
    (folder / "mine.py").write_text(
        "from heistbench.bench import Attack, attack\n"
        '@attack("mine", version="1-A")\n'
        f'class Mine(Attack):\n    """Mine."""\n    word: str = {HOSTILE!r}\n'
        "    def steal(self, target, questions, kit):\n        return []\n"
    )
    shown, listed = (heist("list", *how, "--plugin", folder / "mine.py") for how in ([], ["--json"]))
    assert not unsafe(shown.out + listed.out)
    assert "[link=http://x]" in shown.out
    (mine,) = [row for row in json.loads(listed.out) if row["name"] == "mine"]
    assert mine["parameters"][0]["default"] == HOSTILE
    assert mine["origin"].startswith(str(folder))


def unsafe(text: str) -> set[str]:
    return {char for char in text if not char.isprintable() and char != "\n"}


def test_names_of_a_suite_are_shown_as_text(heist: Callable, suite_file: Callable, tmp_path: Path) -> None:
    """Before a run, while it runs, after it, and on its board."""
    path = suite_file(
        victims=[{"model": "pocket/victim-1", "name": HOSTILE, "decoding": {"max_new_tokens": 64}}],
        attacks=["answer_only"], controls=["untrained"], defenses=["none"], sizes={"query": 2, "surrogate": 2, "test": 2},
    )  # fmt: skip
    out = tmp_path / "[bold]\x9b31m\u202e[link=http://x]y[/link]"
    for words in (
        ["run", path, "--dry-run", "--out", out],
        ["run", path, "--jobs", 1, "--out", out],
        ["leaderboard", "show", out],
        ["leaderboard", "show", out, "--json"],
        ["leaderboard", "build", out / "tiny" / "results"],
        ["compare", out / "tiny", out / "tiny"],
    ):
        ended = heist(*words)
        assert ended.code == 0, ended.err
        assert not unsafe(ended.out + ended.err), words
        if words[0] == "run":
            assert "[bold red][/]" in ended.out


def test_the_doctor_says_how_to_get_what_the_signature_tia_needs(heist: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise LookupError(name)

    monkeypatch.setattr("nltk.data.find", missing)
    shown = heist("doctor", "--json").out
    assert '"signature tia"' in shown
    assert '"python -m nltk.downloader punkt_tab"' in shown


# being stopped


def test_sigterm_says_how_to_continue(tmp_path: Path, suite_file: Callable) -> None:
    plugin = tmp_path / "slow.py"
    plugin.write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path / 'ready')!r}).touch()\ntime.sleep(60)\n"
        "@defense('never', version='1-A', touches=())\nclass Never: ...\n"
    )
    command = [sys.executable, "-c", MAIN, "list", "--plugin", str(plugin)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30)[1] == "heist: stopped; the same command continues from here\n"
    assert process.returncode == 143


def test_a_child_of_a_command_ends_at_once_when_it_is_stopped() -> None:
    code = (
        "import os, signal, time\n"
        "from heistbench.bench.verbs.stopping import terminable\n"
        "with terminable():\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        time.sleep(60)\n"
        "        os._exit(7)\n"
        "    time.sleep(0.2)\n"
        "    os.kill(child, signal.SIGTERM)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"-{int(signal.SIGTERM)}\n", "")


def test_help_loads_neither_plugins_nor_what_reads_suites() -> None:
    """It takes a quarter of a second that way, nearly all of it the command line's own library."""
    report = "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))"
    done = subprocess.run([sys.executable, "-c", f"{report}; {MAIN}", "--help"], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.partition("LOADED")[2].split())
    assert "heistbench.bench.contracts.decorators" in loaded
    assert not {"yaml", "pydantic", "heistbench.attacks", "heistbench.bench.contracts.registry"} & loaded


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ray-address", "auto"], "--ray-address and --mirror are for --executor ray"),
        (["--mirror", "file:///tmp/x"], "--ray-address and --mirror are for --executor ray"),
        (["--executor", "here", "--cell-timeout", 1], "--executor here has none"),
        (["--executor", "here", "--worker-memory", 1], "--executor here has none"),
        (["--cell-timeout", "nan"], "--cell-timeout nan: expected a number above 0"),
        (["--max-hours", "-1"], "--max-hours -1.0: expected a number above 0"),
        (["--worker-memory", "inf"], "--worker-memory inf: expected a number above 0"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(heist: Callable, options: list, message: str) -> None:
    ended = heist("run", "pocket", *options)
    assert ended.code == 2
    assert message in ended.err
