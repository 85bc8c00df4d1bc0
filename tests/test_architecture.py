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

import heistbench.bench
from heistbench.bench.contracts.registry import registry

ROOT = Path(heistbench.bench.__file__).parent.parent
FOLDERS = ("bench", "attacks", "defenses", "tasks", "leaderboard")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
ENGINES = (
    "models.engine",
    "models.fine_tuning",
    "models.pocket_models",
    "models.scratch",
    "runs.schedule",
    "stages.collect",
    "stages.context",
    "stages.desk",
    "stages.record",
    "stages.victim",
    "verbs.run",
)
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


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name in ("attacks", "defenses", "tasks")], ids=name_of)
def test_plugins_import_the_public_api_alone(path: Path) -> None:
    for module, names in imports(path):
        if module.startswith("heistbench"):
            assert module == "heistbench.bench"
            assert set(names) <= set(heistbench.bench.__all__)


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "leaderboard")], ids=name_of)
def test_the_leaderboard_imports_no_engine(path: Path) -> None:
    for module, _ in imports(path):
        assert module.split(".")[0] not in HEAVY
        assert module not in {f"heistbench.bench.{engine}" for engine in ENGINES}
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


def test_reading_a_board_loads_no_engine() -> None:
    names = [m.name for m in pkgutil.walk_packages([str(ROOT / "leaderboard")], "heistbench.leaderboard.")]
    assert "heistbench.leaderboard.board.build" in names
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)
    assert not {f"heistbench.bench.{engine}" for engine in ENGINES} & set(loaded)


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
