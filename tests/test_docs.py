"""The documents are true: the example in CONTRIBUTING runs; the verbs, links, rooms and files that they name exist."""

from __future__ import annotations

import doctest
import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from heistbench.bench import Exposure, Prompt, Question
from heistbench.bench.cli import app
from heistbench.bench.contracts.registry import load_plugin, registry

ROOT = Path(__file__).parent.parent
FOLDERS = ("bench", "attacks", "defenses", "tasks", "leaderboard")
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "attacks/PROTOCOLS.md")]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = {
    ".".join(("heistbench", *path.relative_to(ROOT).with_suffix("").parts)): path.read_text(encoding="utf-8")
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
}


class Echo:
    """A target that answers with a question's last word, and once with something else."""

    def __init__(self) -> None:
        self.asked = 0

    def ask(self, prompts: Sequence[Prompt]) -> list[Exposure]:
        self.asked += len(prompts)
        answers = [prompt.text.split()[-1] for prompt in prompts]
        if self.asked > len(prompts):
            answers[0] = "changed"
        return [Exposure(answer) for answer in answers]


@pytest.mark.usefixtures("own_plugins")
def test_the_attack_in_contributing_runs_as_it_stands(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    source = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert source is not None
    assert source[1].count("\n") <= 30
    file = tmp_path / "asked_twice.py"
    file.write_text(source[1], encoding="utf-8")
    load_plugin(file)
    attack, target = cast(Any, registry.build("attack", "asked_twice(times=2)")), Echo()
    rows = attack.steal(target, [Question(f"q{i}", f"question {i}") for i in range(8)], None)
    assert [(row.id, row.trace, row.answer) for row in rows] == [(f"q{i}", None, str(i)) for i in (1, 2, 3)]
    assert target.asked == 8


@pytest.mark.parametrize("verb", re.findall(r"^heist (\w+(?: (?:show|build)\b)?)", README, re.MULTILINE))
def test_the_verbs_of_the_readme_exist(verb: str) -> None:
    assert app.parse_commands(verb.split())[0] == tuple(verb.split())


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_the_links_of_the_readme_lead_to_files(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize("room", sorted(path.parent.name for path in (ROOT / "bench").glob("*/__init__.py")))
def test_the_readme_says_what_every_room_is_for(room: str) -> None:
    assert re.search(rf"^  {room}/ +\w.{{20}}", README, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_documents_name_files_that_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(rf"`((?:{'|'.join(FOLDERS)}|tests)/[\w./-]+\.[a-z0-9]+)`", text))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("document", [*DOCUMENTS, *ROOT.glob("bench/suites/*.yaml"), *ROOT.glob("tasks/lm_eval/*.yaml")], ids=str)
def test_no_document_or_suite_names_a_private_module(document: Path) -> None:
    assert not re.findall(r"\b(?:bench|leaderboard)[./](?:\w+[./])*_(?!_)\w+", document.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["attack", "defense", "task"])
def test_the_readme_names_every_plugin_of_ours(kind: Any) -> None:
    ours = [name for name, cls in registry.all(kind).items() if cls.__module__.startswith("heistbench.")]
    assert [name for name in ours if f"`{name}`" not in README] == []


@pytest.mark.parametrize("name", [name for name, text in EXAMPLES.items() if re.search(r"^ +>>> ", text, re.MULTILINE)])
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(name)
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.attempted
    assert not found.failed
