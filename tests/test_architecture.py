"""The house rules: who may import whom, what is public, what every plugin states about itself."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sound_submission import write_sound

import heistbench.bench
from heistbench.bench.contracts.registry import registry

ROOT = Path(heistbench.bench.__file__).parent.parent
FOLDERS = ("bench", "attacks", "defenses", "tasks", "leaderboard")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
ALLOWED: dict[str, set[str]] = {
    "contracts": set(),
    "scoring": {"contracts"},
    "storage": {"contracts", "scoring"},
    "prompting": {"contracts", "scoring"},
    "suites": {"contracts", "scoring", "storage", "prompting"},
    "models": {"contracts", "storage", "prompting", "suites"},
    "bridges": {"contracts", "scoring", "models"},
    "walls": {"contracts"},
    "stages": {"contracts", "scoring", "storage", "prompting", "suites", "models", "bridges", "walls"},
    "runs": {"contracts", "scoring", "storage", "prompting", "suites", "models", "bridges", "walls", "stages"},
    "verbs": {
        *("contracts", "scoring", "storage", "prompting", "suites", "models", "bridges", "walls", "stages", "runs"),
        "leaderboard",
    },
    "cli": {"contracts", "models", "walls", "stages", "runs", "verbs", "leaderboard"},
    "public": {"contracts", "scoring", "storage", "prompting"},
    "leaderboard": {"contracts", "storage", "suites", "scoring"},
}
"""Whom each room may import, at any depth of a file; `public` is what plugins see, `cli` all that names verbs and options."""
SCORING_OF_THE_LEADERBOARD = {"heistbench.bench.scoring.overlap", "heistbench.bench.scoring.verdicts"}
AT_START = {"heistbench.bench.models", "heistbench.bench.models.process"}
"""What `heist` itself loads of models: one thread per process must be said before anything else is."""
HEAVY = {"torch", "transformers", "trl", "peft", "vllm", "lm_eval", "inspect_ai", "datasets", "accelerate"}


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


PLUGINS = [(kind, name) for kind in ("attack", "defense", "task") for name in registry.all(kind)]


def imports(path: Path, top_only: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Every import of a file as (module, names); those of functions and of type checkers only if asked."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        hidden = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        if top_only and hidden:
            skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", [alias.name for alias in node.names]


# who imports whom


def module_of(path: Path) -> str:
    return ".".join(["heistbench", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


OURS = {module_of(path): path for path in MODULES}


def our_imports(path: Path) -> set[str]:
    """The modules of this project that a file imports anywhere, for type checkers too."""
    named = ((module, name) for module, names in imports(path) for name in names or [""])
    targets = {f"{module}.{name}" if f"{module}.{name}" in OURS else module for module, name in named}
    return targets & OURS.keys() - {module_of(path)}


IMPORTS = {module: our_imports(path) for module, path in OURS.items()}


def room_of(module: str) -> str:
    """The room of a module: a folder of `bench`, its command line or public API, or another part of the project."""
    _, part, *inside = module.split(".")
    if part != "bench":
        return part
    if not inside:
        return "public"
    return "cli" if inside[0].startswith("cli") else inside[0]


def test_every_folder_of_the_harness_is_a_room() -> None:
    assert {room_of(module) for module in OURS if module.startswith("heistbench.bench")} == ALLOWED.keys() - {"leaderboard"}


@pytest.mark.parametrize("module", [module for module in OURS if room_of(module) in ALLOWED])
def test_rooms_import_one_way(module: str) -> None:
    room = room_of(module)
    others = {other: room_of(other) for other in IMPORTS[module] if room_of(other) != room}
    assert {other for other, its_room in others.items() if its_room not in ALLOWED[room]} == set()


def test_levels_of_the_rooms_are_levels() -> None:
    """Nobody is allowed what is above him: the rooms can be put in one order."""
    order: list[str] = []
    while left := ALLOWED.keys() - order:
        free = sorted(room for room in left if ALLOWED[room] <= {*order})
        assert free, f"a circle among {sorted(left)}"
        order += free


def test_of_scoring_the_leaderboard_sees_overlap_and_verdicts() -> None:
    board = {other for module in OURS if room_of(module) == "leaderboard" for other in IMPORTS[module]}
    assert {other for other in board if room_of(other) == "scoring"} <= SCORING_OF_THE_LEADERBOARD


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan 1972)."""
    numbers, lowest, stack, found = dict[str, int](), dict[str, int](), list[str](), list[list[str]]()

    def visit(node: str) -> None:
        numbers[node] = lowest[node] = len(numbers)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in numbers:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], numbers[other])
        if lowest[node] == numbers[node]:
            at = stack.index(node)
            found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in numbers:
            visit(node)
    return [members for members in found if len(members) > 1]


def test_a_circle_is_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_two_files_import_each_other() -> None:
    assert circles(IMPORTS) == []


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name in ("attacks", "defenses", "tasks")], ids=name_of)
def test_plugins_import_the_public_api_alone(path: Path) -> None:
    for module, names in imports(path):
        if module.startswith("heistbench"):
            assert module == "heistbench.bench"
            assert set(names) <= set(heistbench.bench.__all__)


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "leaderboard")], ids=name_of)
def test_the_leaderboard_imports_neither_engines_nor_plugins(path: Path) -> None:
    for module, _ in imports(path):
        assert module.split(".")[0] not in HEAVY
        assert not module.startswith(("heistbench.attacks", "heistbench.defenses", "heistbench.tasks"))


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "bench")], ids=name_of)
def test_the_harness_imports_no_plugin(path: Path) -> None:
    for module, _ in imports(path):
        assert not module.startswith(("heistbench.attacks", "heistbench.defenses", "heistbench.tasks"))


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path) != "bridges/inspect.py"], ids=name_of)
def test_heavy_libraries_are_imported_where_they_are_needed(path: Path) -> None:
    assert not HEAVY & {module.split(".")[0] for module, _ in imports(path, top_only=True)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_builds_code_from_text(path: Path) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert not calls & {"eval", "exec", "sympify", "sympy.sympify", "yaml.load", "pickle.loads", "torch.load"}


def loaded_by(code: str, *words: object) -> set[str]:
    """The modules in a process that ran some code, with words on its command line."""
    tell = "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules))\n"
    command = [sys.executable, "-c", tell + code, *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("LOADED")]
    return set(line.split())


def upstairs(loaded: set[str]) -> set[str]:
    """What the leaderboard has no business with, of what is loaded."""
    rooms = {"models", "bridges", "stages", "runs"}
    ours = {module for module in loaded if module.startswith("heistbench.bench.") and room_of(module) in rooms}
    return ours | HEAVY & {module.partition(".")[0] for module in loaded}


def test_reading_a_board_loads_no_engine() -> None:
    names = [m.name for m in pkgutil.walk_packages([str(ROOT / "leaderboard")], "heistbench.leaderboard.")]
    assert "heistbench.leaderboard.board.build" in names
    assert upstairs(loaded_by(f"import {', '.join(names)}")) == set()


def test_verifying_a_submission_loads_no_engine(tmp_path: Path) -> None:
    write_sound(tmp_path / "submission")
    (tmp_path / "results").mkdir()
    words = ["leaderboard", "verify", tmp_path / "submission", "--results", tmp_path / "results", "--no-rerun"]
    loaded = loaded_by("from heistbench.bench.cli import main; main()", *words)
    assert {"heistbench.leaderboard.submit.known", "heistbench.tasks.pocket"} <= loaded
    assert upstairs(loaded) <= AT_START


# what is public


def test_all_is_sorted_and_is_what_is_exported() -> None:
    public = {name for name, value in vars(heistbench.bench).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert set(heistbench.bench.__all__) == public
    assert list(heistbench.bench.__all__) == sorted(
        heistbench.bench.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n)
    )


@pytest.mark.parametrize("name", heistbench.bench.__all__)
def test_what_is_public_says_what_it_is(name: str) -> None:
    value = getattr(heistbench.bench, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text()))
    assert doc
    assert doc.split("\n")[0].endswith((".", ":", "`"))


# what plugins state


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_plugin_states_what_it_is(kind: str, name: str) -> None:
    cls = registry.get(kind, name)
    assert re.fullmatch(r"[1-9]\d*-[A-Z]", cls.info.version)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{cls.__name__}(")  # a dataclass's own
    assert re.fullmatch(r"|arXiv:\d{4}\.\d{5}|doi:\S+|https://\S+", cls.info.paper)


@pytest.mark.parametrize("name", registry.all("attack"))
def test_every_attack_has_a_paper_or_is_a_control(name: str) -> None:
    info = registry.get("attack", name).info
    assert info.control or re.fullmatch(r"arXiv:\d{4}\.\d{5}", info.paper)
    assert info.threat
    assert info.control or not info.privileged


@pytest.mark.parametrize("name", registry.all("defense"))
def test_every_defense_states_what_it_touches(name: str) -> None:
    info = registry.get("defense", name).info
    assert info.touches or name == "none"


@pytest.mark.parametrize("name", registry.all("task"))
def test_every_task_has_a_licence(name: str) -> None:
    assert registry.get("task", name).licence


@pytest.mark.parametrize("folder", ["attacks", "defenses", "tasks"])
def test_one_file_a_plugin(folder: str) -> None:
    """Every module of a plugin folder registers something, and says so by its name or is the controls'."""
    package = importlib.import_module(f"heistbench.{folder}")
    kind = folder.removesuffix("s")
    homes = {registry.get(kind, name).__module__ for name in registry.all(kind)}
    ours = {f"heistbench.{folder}.{module.name}" for module in pkgutil.iter_modules(package.__path__)}
    assert ours <= homes


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name in ("attacks", "defenses")], ids=name_of)
def test_plugins_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 80
