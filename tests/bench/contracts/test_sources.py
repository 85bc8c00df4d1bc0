"""The hash of a plugin's code: what changes it, and what does not."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench.contracts.registry import identity, load_plugin, registry
from heistbench.bench.contracts.sources import code_digest, keyed, source_of

PLUGIN = '''"""A plugin."""
from heistbench.bench import Attack, Stolen, attack

SHARE = 0.5  # of all questions


@attack("mine", version="1-A")
class Mine(Attack):
    """Steals nothing."""

    shots: int = 3
    """Of demonstrations."""

    def steal(self, target, questions, kit):
        "Return no rows."
        return [] if SHARE else list(questions)
'''
SAME = {
    "a comment": ("SHARE = 0.5  # of all questions", "# why\nSHARE = 0.5"),
    "a docstring": ("Steals nothing.", "Steals nothing at all."),
    "no docstring": ('        "Return no rows."\n', ""),
    "the module's docstring": ("A plugin.", "The plugin."),
    "a text under a field": ("Of demonstrations.", "How many."),
    "blank lines": ("\n\n\n@attack", "\n@attack"),
    "quotes": ('"mine"', "'mine'"),
    "brackets": ("[] if SHARE else list(questions)", "(\n            [] if SHARE else list(questions)\n        )"),
    "a float": ("0.5", "5e-1"),
}
OTHER = {
    "a constant": ("0.5", "0.25"),
    "a type of constant": ("shots: int = 3", "shots: int = 3.0"),
    "a name": ("SHARE", "PART"),
    "a version": ("1-A", "2-A"),
    "a condition": ("if SHARE else", "if not SHARE else"),
    "an order": ('"Return no rows."\n', "questions = questions\n"),
    "a text that counts": ('"Return no rows."', 'note = "Return no rows."'),
}


@pytest.mark.parametrize("edit", SAME.values(), ids=SAME)
def test_form_and_words_do_not_count(edit: tuple[str, str]) -> None:
    assert edit[0] in PLUGIN
    assert code_digest(PLUGIN.replace(*edit).encode()) == code_digest(PLUGIN.encode())


@pytest.mark.parametrize("edit", OTHER.values(), ids=OTHER)
def test_code_counts(edit: tuple[str, str]) -> None:
    assert edit[0] in PLUGIN
    assert code_digest(PLUGIN.replace(*edit).encode()) != code_digest(PLUGIN.encode())


names = st.sampled_from(["a", "b", "c"])
expressions = st.recursive(
    names | st.integers(0, 9).map(str) | st.text(max_size=3).map(repr) | st.sampled_from(["None", "True", "1.0", "b''", "..."]),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "if c else"]), inner)
        | st.builds("f({}, x={})".format, inner, inner)
        | st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    ),
    max_leaves=5,
)
statements = st.builds("{} = {}".format, names, expressions) | st.builds("def f(a, b=1):\n    return {}".format, expressions)
modules = st.lists(statements, min_size=1, max_size=4)


@given(modules, st.text(alphabet="xyz ", max_size=6))
def test_formatting_comments_and_docstrings_never_count(lines: list[str], words: str) -> None:
    code = "\n".join(lines)
    commented = f'"""{words}"""\n' + "\n\n".join(line.replace(":\n", f":  # {words}\n    'doc {words}'\n") for line in lines)
    for other in (commented, ast.unparse(ast.parse(code)), f"{code}  # {words}\n\n"):
        assert code_digest(other.encode()) == code_digest(code.encode())


@given(modules, modules)
def test_modules_are_equal_where_their_trees_are(one: list[str], other: list[str]) -> None:
    first, second = "\n".join(one), "\n".join(other)
    trees_are_equal = ast.dump(ast.parse(first)) == ast.dump(ast.parse(second))  # no statement here is a bare text
    assert (code_digest(first.encode()) == code_digest(second.encode())) == trees_are_equal


def test_deep_code_is_hashed() -> None:
    assert code_digest(("x = " + " + ".join(["1"] * 900)).encode())


# plugins


@pytest.fixture
def edited(tmp_path: Path, own_plugins: None) -> Callable[..., str]:
    """Loads the plugin with one piece of its text replaced; returns its source."""

    def load(old: str = "", new: str = "") -> str:
        (tmp_path / "mine.py").write_text(PLUGIN.replace(old, new) if old else PLUGIN)
        load_plugin(tmp_path / "mine.py")
        return source_of(registry.get("attack", "mine"))

    return load


def test_an_edited_plugin_has_another_source_and_the_same_identity(edited: Callable) -> None:
    before, name = edited(), identity(registry.build("attack", "mine"))
    assert edited(*SAME["a docstring"]) == before
    assert edited(*OTHER["a condition"]) != before
    assert identity(registry.build("attack", "mine")) == name


def test_what_the_store_keys_on_is_identity_and_source(edited: Callable) -> None:
    source, plugin = edited(), registry.build("attack", "mine(shots=2)")
    assert keyed(plugin) == {"name": "mine", "version": "1-A", "parameters": {"shots": 2}, "source": source}
    assert len(source) == 16
    assert int(source, 16) >= 0


def test_a_source_is_that_of_the_code_that_was_loaded(edited: Callable, tmp_path: Path) -> None:
    before, cls = edited(), registry.get("attack", "mine")
    (tmp_path / "mine.py").write_text("")
    assert source_of(cls) == before


def test_plugins_of_one_file_share_a_source_and_others_do_not() -> None:
    sources = {name: source_of(cls) for name, cls in registry.all("attack").items()}
    assert sources["untrained"] == sources["surrogate_trace"]
    assert sources["true_trace"] != sources["untrained"]
    assert all(sources.values())


def test_a_class_without_a_file_has_no_source() -> None:
    assert source_of(int) == ""


def test_the_version_of_an_installed_package_is_part_of_the_source(tmp_path: Path) -> None:
    sources = set()
    for version in ("1.0", "1.1"):
        folder = tmp_path / version
        info = folder / f"spare-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: spare\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("[heistbench.attacks]\nspare = spare_attacks\n")
        (folder / "spare_attacks.py").write_text(PLUGIN)
        code = (
            "from heistbench.bench.contracts.registry import registry\n"
            "from heistbench.bench.contracts.sources import source_of\n"
            "from heistbench.bench.walls.foreign import find_packages\n"
            "find_packages()\n"
            "print(source_of(registry.get('attack', 'mine')))"
        )
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True)
        sources.add(done.stdout.strip())
    assert len(sources) == 2
