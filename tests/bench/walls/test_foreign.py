"""Attacks that are not ours: whatever their files do when they are imported or described, nothing of it reaches the harness."""

from __future__ import annotations

import dataclasses
import json
import pickle
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from heistbench.bench import HeistError
from heistbench.bench.contracts.described import DescribedAttack, stand_in
from heistbench.bench.contracts.registry import construct, identity, module_of, registry, spec_of
from heistbench.bench.contracts.sources import code_of, keyed
from heistbench.bench.storage.result_files import read_record
from heistbench.bench.verbs.plugins import _describe as row_of
from heistbench.bench.walls import foreign
from heistbench.bench.walls.confinement import strongest
from heistbench.bench.walls.foreign import know, known, load_plugins
from heistbench.bench.walls.line import HOLDINGS, Holdings
from heistbench.bench.walls.thief import Plan as Building
from heistbench.bench.walls.thief import _build, _description

pytestmark = pytest.mark.usefixtures("own_plugins")
ATTACK = '''
from heistbench.bench import *

@attack("mine", version="1-A", paper="arXiv:2203.11171", asks="questions")
class Mine(Attack):
    """Asks, and keeps the answers."""

    size: int = 2
    words: tuple[str, ...] = ("a", "b")
    maybe: float | None = None

    def __post_init__(self):
        if self.size < 0:
            raise ValueError(f"size={self.size} is below 0")

    @property
    def needs(self):
        return "summary" if self.maybe else "answer"

    def steal(self, target, questions, kit):
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        return [Stolen(q.id, q.text, None, e.text) for q, e in zip(questions, exposures)]
'''
GRADER = """
try:
    from heistbench.bench import Grade, Task
    Task.grade_all = lambda self, problems, answers: [Grade.of(True) for _ in answers]
    from heistbench.tasks import pocket
    pocket.Pocket.grade = lambda self, problem, answer: Grade.of(True)
except ImportError:
    pass
"""
confined = pytest.mark.skipif(strongest() == "process", reason="no wall stands here")


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., tuple[Path, ...]]:
    """Loads a file as `--plugin` does."""

    def write(text: str, name: str = "mine.py") -> tuple[Path, ...]:
        (tmp_path / name).write_text(text)
        return load_plugins([tmp_path / name])

    return write


def mistake(load: Callable, text: str) -> str:
    """The one line that a file is refused with; nothing of it is known then."""
    before = registry.loaded()
    with pytest.raises(HeistError) as caught:
        load(text)
    assert registry.loaded() == before
    assert str(caught.value).isprintable()
    return str(caught.value)


# what such a file does stays where it is


def test_an_attack_is_described_and_never_imported(load: Callable, tmp_path: Path) -> None:
    assert load(ATTACK) == ()
    cls = registry.get("attack", "mine")
    assert issubclass(cls, DescribedAttack)
    assert module_of(tmp_path / "mine.py") not in sys.modules
    row = row_of(cls)
    assert row["about"] == "Asks, and keeps the answers."
    assert row["origin"] == f"{tmp_path / 'mine.py'}:4"
    assert [(p["name"], p["type"], p["default"]) for p in row["parameters"]] == [
        ("size", "int", 2),
        ("words", "tuple[str, ...]", ["a", "b"]),
        ("maybe", "float | None", None),
    ]


def test_a_grader_that_it_replaces_is_not_the_harnesss(load: Callable) -> None:
    load(GRADER + ATTACK)
    task: Any = registry.build("task", "pocket")
    problem = task.problems("dev", 1)[0]
    assert [grade.score for grade in task.grade_all([problem], ["nonsense"])] == [0.0]


def test_it_sees_no_key(load: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "KEY-7c1e-planted")
    load(f"import os\nABOUT = repr(dict(os.environ))\n{ATTACK}\nMine.__doc__ = ABOUT\n")
    about = row_of(registry.get("attack", "mine"))["about"]
    assert "OMP_NUM_THREADS" in about
    assert "7c1e" not in about


@confined
def test_it_writes_no_file_and_reads_none(load: Callable, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("secret")
    tries = "try:\n    {}\nexcept OSError:\n    pass\n"
    write = tries.format(f"open({str(tmp_path / 'written')!r}, 'w').write('here')")
    read = tries.format(f"Mine.__doc__ = open({str(tmp_path / 'private')!r}).read()")
    load(f"{write}{ATTACK}{read}")
    assert not (tmp_path / "written").exists()
    assert row_of(registry.get("attack", "mine"))["about"] == "Asks, and keeps the answers."


@confined
def test_it_reaches_no_network(load: Callable) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        call = f"    socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), timeout=2)\n"
        load(f"import socket\ntry:\n{call}except OSError:\n    pass\n{ATTACK}")
        with pytest.raises(BlockingIOError):
            server.accept()
    assert registry.get("attack", "mine")


def test_a_flood_of_prints_is_nobodys(load: Callable, capfd: pytest.CaptureFixture[str]) -> None:
    load(f"for _ in range(1000):\n    print('x' * 10_000)\n{ATTACK}")
    assert registry.get("attack", "mine")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("top", "reason"),
    [
        ("import time; time.sleep(1000)", "mine.py: it computed for more than 3 s"),
        ("while True: pass", "mine.py: it computed for more than 3 s"),
        ("import os; os._exit(0)", "mine.py: its process ended with exit status 0"),
        ("import sys; sys.exit(0)", "mine.py:1: it called sys.exit(0)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "mine.py: its process was killed by SIGKILL"),
        ("raise ValueError('\\x1b[31mred')", r"raises on import: .*mine.py:1: ValueError: \x1b[31mred"),
        ("raise KeyboardInterrupt", "raises on import: .*mine.py:1: KeyboardInterrupt"),
        ("x = 3", "mine.py: holds no attack, and no class in its text is decorated"),
        ("from heistbench.bench import Defense, defense as d\n@d('hidden', version='1-A', touches=())\nclass H(Defense):\n"
         "    release = None", "mine.py: holds defense hidden, and no class in its text is decorated by @defense"),
    ],
)  # fmt: skip
def test_a_file_that_fails_is_one_line(load: Callable, monkeypatch: pytest.MonkeyPatch, top: str, reason: str) -> None:
    if "more than 3 s" in reason:
        monkeypatch.setattr(foreign, "SECONDS", 3.0)
    line = mistake(load, f"{top}\n")
    assert all(part in line for part in reason.split(".*")), line


def test_texts_are_safe_to_print(heist: Callable, tmp_path: Path) -> None:
    odd = "\x1b]8;;http://x\x07\x9b31m\u202e"
    (tmp_path / "mine.py").write_text(ATTACK.replace("Asks, and", odd).replace('"arXiv:2203.11171"', repr(odd)))
    for how in ([], ["--json"]):
        ended = heist("list", "--plugin", tmp_path / "mine.py", *how)
        assert ended.code == 0, ended.err
        assert not {char for char in ended.out + ended.err if not char.isprintable() and char != "\n"}


CALL = """
import os, sys
from multiprocessing.connection import Connection
LINE = Connection(os.dup(int(sys.argv[1])))
LINE.send_bytes(b"truth_gold\\n[[]]")
ANSWER = LINE.recv_bytes().decode()
"""


def test_nobody_answers_calls_while_it_is_described(load: Callable) -> None:
    load(f"{CALL}{ATTACK}\nMine.__doc__ = ANSWER\n")
    about = row_of(registry.get("attack", "mine"))["about"]
    assert about.startswith("refusal")
    assert "nobody is there to ask" in about


def test_its_process_ends_with_a_command_that_is_stopped(load: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(foreign, "_refused", stopped)
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(KeyboardInterrupt):
        load(f"{CALL}{ATTACK}")
    assert {child.pid for child in psutil.Process().children()} <= before


# lies


TRUE: dict[str, Any] = {
    "info": {"kind": "attack", "name": "mine", "version": "1-A", "paper": "", "threat": "", "asks": "prompts",
             "control": False, "privileged": False, "touches": [], "random": False},
    "about": "Honest.", "file": "/nowhere", "line": 1,
    "parameters": [{"name": "size", "type": "__import__('os').abort()", "default": 2, "required": False}],
}  # fmt: skip
"""What a process may say that says what it likes."""
LIAR = """
import json, sys, time
from multiprocessing.connection import Connection
Connection(int(sys.argv[1])).send_bytes(b"result\\n" + {body!r})
time.sleep(1000)
"""


def lie(load: Callable, body: bytes) -> None:
    load(LIAR.format(body=body))


def told(**changes: Any) -> bytes:
    description = {**TRUE, **{name: value for name, value in changes.items() if name in TRUE}}
    description["info"] = {**TRUE["info"], **{name: value for name, value in changes.items() if name in TRUE["info"]}}
    return json.dumps({"attacks": [description], "others": []}).encode()


def parameter(**changes: Any) -> dict[str, Any]:
    return {**TRUE["parameters"][0], **changes}


def test_what_a_process_says_is_believed_where_it_may_be(load: Callable, tmp_path: Path) -> None:
    lie(load, told())
    row = row_of(registry.get("attack", "mine"))
    assert row["parameters"] == [{"name": "size", "type": "__import__('os').abort()", "default": 2}]
    assert row["origin"] == f"{tmp_path / 'mine.py'}:1"  # of a file given, no other is believed


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (told(name="two words"), "name 'two words': expected small letters"),
        (told(name="mine\x1b[31m"), "expected small letters"),
        (told(version="best"), "version 'best'"),
        (told(privileged=True), "only a control may be privileged"),
        (told(asks="answers"), "its process sent what it should not: Input should be"),
        (told(kind="defense"), "expected an attack"),
        (told(name="rep"), "attack 'rep' is defined twice"),
        (told(parameters=[parameter(name="__init__")]), "__init__"),
        (told(parameters=[parameter(name="steal")]), "every attack has something else of that name"),
        (told(parameters=[parameter(name="a=0):\n import os\n def f(b")]), "expected a name"),
        (told(parameters=[parameter(), parameter()]), "a parameter is there twice"),
        (told(parameters=[parameter(default=float("nan"))]), "expected a finite number"),
        (told(line="one"), "its process sent what it should not"),
        (b"[" * 100_000, "its process sent what it should not"),
        (b"", "its process sent what it should not"),
    ],
)
def test_a_lie_is_refused(load: Callable, body: bytes, reason: str) -> None:
    assert reason in mistake(load, LIAR.format(body=body))


def test_a_description_of_any_length_is_not_read(load: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "LONGEST", 10_000)
    assert "its process closed the line" in mistake(load, LIAR.format(body=told(about="x" * 10_000)))


def test_values_that_it_does_not_have_are_refused() -> None:
    description = HOLDINGS.read(told()).attacks[0]
    values: dict[str, Any] = {"other": 1}
    cls = stand_in(description, "nowhere", "", lambda arguments, where: foreign.Built(values, "answer"))
    with pytest.raises(HeistError, match="mine: its process gave other parameters than it has"):
        construct(cls, {}, "mine")
    values = {"size": float("inf")}
    with pytest.raises(HeistError, match="mine: size=inf: expected a finite number"):
        construct(cls, {}, "mine")


# a stand-in is what the class itself would be


@pytest.mark.parametrize("name", list(registry.all("attack")))
def test_a_stand_in_of_one_of_ours_is_listed_built_and_keyed_as_it_is(name: str) -> None:
    """Our own attacks are the referee: described over the line as if they were strangers."""
    own = registry.get("attack", name)
    home = foreign.Home(own.__module__)
    description = HOLDINGS.read(HOLDINGS.write(Holdings([_description(own)], []))).attacks[0]
    cls = stand_in(description, own.__module__, code_of(own), lambda text, where: _build(Building(home, name, text, where)))
    assert row_of(cls) == json.loads(json.dumps(row_of(own)))
    built: list[Any] = [construct(one, {}, name) for one in (own, cls)]
    assert keyed(built[0]) == keyed(built[1])
    assert built[0].needs == built[1].needs
    for field in dataclasses.fields(own):  # type: ignore[arg-type]
        if field.type in ("int", int):
            changed = [construct(one, {field.name: 1}, name) for one in (own, cls)]
            assert spec_of(changed[0]) == spec_of(changed[1])


@pytest.mark.parametrize(
    ("spec", "expected", "needs"),
    [
        ("mine", "mine", "answer"),
        ("mine( size = 2, maybe = null )", "mine", "answer"),
        ("mine(size=-0)", "mine(size=0)", "answer"),
        ("mine(maybe=1)", "mine(maybe=1.0)", "summary"),
        ('mine(words=["x", "\\u001b"])', 'mine(words=["x", "\\u001b"])', "answer"),
    ],
)
def test_it_is_built_where_its_code_is(load: Callable, spec: str, expected: str, needs: str) -> None:
    load(ATTACK)
    plugin: Any = registry.build("attack", spec)
    assert (spec_of(plugin), plugin.needs) == (expected, needs)
    assert registry.build("attack", expected) == plugin
    json.dumps(identity(plugin))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("mine(sise=1)", "attack mine has no parameter 'sise'; did you mean 'size'?"),
        ("mine(size=many)", "attack mine: size='many': Input should be a valid integer"),
        ("mine(size=-1)", "attack mine: size=-1 is below 0"),
        ("mine(maybe=.inf)", "attack mine: maybe=inf: expected a finite number"),
        ("mine(size=2024-01-13)", "attack mine: expected texts, numbers"),
    ],
)
def test_a_wrong_value_is_one_line(load: Callable, spec: str, reason: str) -> None:
    load(ATTACK)
    with pytest.raises(HeistError) as caught:
        registry.build("attack", spec)
    assert reason in str(caught.value)


def test_an_attack_that_ends_its_process_when_it_is_built_is_one_line(load: Callable) -> None:
    load(ATTACK.replace("if self.size < 0:", "if self.size < 0:\n            import os; os._exit(3)"))
    assert registry.build("attack", "mine")
    with pytest.raises(HeistError, match="attack mine: its process ended with exit status 3"):
        registry.build("attack", "mine(size=-1)")


def test_what_one_process_knows_others_are_given(load: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    load(ATTACK)
    plugin, attacks = registry.build("attack", "mine(size=3)"), pickle.loads(pickle.dumps(known()))
    monkeypatch.setattr(registry, "_classes", {k: v for k, v in registry._classes.items() if k[1] != "mine"})
    monkeypatch.setattr(foreign, "Confined", None)  # no process is started for what is known
    know(attacks)
    assert keyed(registry.build("attack", "mine(size=3)")) == keyed(plugin)


def test_a_file_is_described_anew_after_an_edit(load: Callable) -> None:
    load(ATTACK)
    before = keyed(registry.build("attack", "mine"))
    load(ATTACK.replace("size: int = 2", "size: int = 5"))
    after = keyed(registry.build("attack", "mine"))
    assert after["parameters"]["size"] == 5
    assert after["source"] != before["source"]


# what is part of the harness


@pytest.mark.parametrize("decorator", ["@defense(", "@heistbench.bench.defense("])
def test_a_file_with_a_defense_is_imported_with_its_attacks(load: Callable, tmp_path: Path, decorator: str) -> None:
    text = (
        f"import heistbench.bench\n{ATTACK}\n{decorator}'curtain', version='1-A', touches=())\n"
        "class Curtain(Defense):\n    def release(self, prompt, reply, rng):\n        return reply.exposed()\n"
    )
    assert load(text) == (tmp_path / "mine.py",)
    assert not issubclass(registry.get("attack", "mine"), DescribedAttack)
    assert registry.get("defense", "curtain").__module__ in sys.modules


def install(folder: Path, text: str, *groups: str) -> str:
    """A package with one module, registered under these groups, as pip would leave it; the path to put on PYTHONPATH."""
    info = folder / "spare-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spare\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[heistbench.{group}]\nspare = spare.deep\n" for group in groups))
    (folder / "spare").mkdir()
    (folder / "spare" / "deep.py").write_text(text)
    (folder / "spare" / "__init__.py").write_text("")
    return str(folder)


def test_a_package_may_hold_attacks_and_defenses(tmp_path: Path, heist_process: Callable) -> None:
    curtain = "class Curtain(Defense):\n    def release(self, prompt, reply, rng):\n        return reply.exposed()\n"
    text = f"{ATTACK}\n@defense('curtain', version='1-A', touches=())\n{curtain}"
    ended = heist_process("list", "--json", PYTHONPATH=install(tmp_path, text, "attacks", "defenses"))
    assert (ended.code, ended.err) == (0, "")
    assert {"mine", "curtain"} <= {row["name"] for row in json.loads(ended.out)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 0", "plugin spare (spare.deep): raises on import: ZeroDivisionError: division by zero"),
        ("x = 1", "plugin spare (spare.deep): holds no attack"),
        (ATTACK.replace('"mine"', '"rep"'), "attack 'rep' is defined twice"),
        (ATTACK + "Mine.__module__ = 'spare.nowhere'", "is no file of its own"),
        (LIAR.format(body=told(file="/dev/zero")), "/dev/zero: is no file of its own"),
        (LIAR.format(body=told(file="\0" * 50)), "is no file of its own"),
    ],
)
def test_a_package_that_fails_only_warns(tmp_path: Path, heist_process: Callable, text: str, reason: str) -> None:
    ended = heist_process("list", "--json", PYTHONPATH=install(tmp_path, text, "attacks"))
    assert ended.code == 0
    assert ended.err.startswith("heist: warning: ")
    assert reason in ended.err
    assert "mine" not in {row["name"] for row in json.loads(ended.out)}


# whole runs


def records(out: Path) -> dict[str, Any]:
    """The result files of a run by their place, without what may differ between two runs."""
    folder = out / "tiny" / "results"
    found = {str(path.relative_to(folder)): read_record(path).model_dump(mode="json") for path in folder.rglob("seed-*.json")}
    for record in found.values():
        del record["volatile"]
    return found


def test_beside_hostile_attacks_others_have_the_same_records(
    tiny_run: Any, tmp_path: Path, suite_file: Callable, heist_process: Callable
) -> None:
    """A file and an installed package, whose code would change every grade if it ran here or in a worker."""
    package, plugin = install(tmp_path / "package", GRADER + ATTACK.replace('"mine"', '"spare"'), "attacks"), tmp_path / "mine.py"
    plugin.write_text(GRADER + ATTACK)
    suite = suite_file(attacks=["answer_only", "mine(size=3)", "spare"], controls=[], defenses=["none"])
    options = ["--plugin", plugin, "--jobs", 2, "--out", tmp_path / "out"]
    ended = heist_process("run", suite, *options, PYTHONPATH=package)
    assert ended.code == 0, ended.err
    found, expected = records(tmp_path / "out"), records(tiny_run.out)
    shared = {place: record for place, record in found.items() if record["arm"]["attack"]["name"] == "answer_only"}
    assert len(found) == 3
    assert len(shared) == 1
    assert shared == {place: expected[place] for place in shared}
    others = [record for place, record in found.items() if place not in shared]
    assert {record["arm"]["attack"]["spec"] for record in others} == {"mine(size=3)", "spare"}
    assert {record["loot"]["rows"] for record in others} == {24}
