"""An edited plugin is computed again, and the run says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench.contracts.registry import identity
from heistbench.bench.runs.changes import edited_plugins
from heistbench.bench.runs.schedule import plan
from heistbench.bench.stages.record import cell_spec
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import Cell, cells
from heistbench.bench.suites.files import load_suite

Edit = Callable[..., None]


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Edits plugins by name: each has a source, the same until it is edited."""
    sources: dict[str, str] = {}
    monkeypatch.setattr(
        "heistbench.bench.stages.record.keyed",
        lambda plugin: {**identity(plugin), "source": sources.get(plugin.info.name, "as it was")},
    )
    return lambda **edited: sources.update(edited)


@pytest.fixture
def every(suite_file: Callable, edit: Edit) -> list[Cell]:
    """Two attacks on two defenses, and a control."""
    changes = {"attacks": ["answer_only", "rep"], "controls": ["untrained"], "defenses": ["none", "noise_answers"]}
    return cells(load_suite(str(suite_file(**changes))))


def kept(store: Store, of: list[Cell]) -> Store:
    """The store with a record of each cell."""
    for cell in of:
        store.once("record", cell_spec(cell), lambda folder: None)
    return store


def plugins_of(cell: Cell) -> set[str]:
    """The names of the plugins that a cell is made of."""
    plugins = (cell.build_attack(), *cell.build_defenses(), cell.build_task(), cell.build_exam())
    return {plugin.info.name for plugin in plugins}


@pytest.mark.parametrize(
    ("edited", "counts"),
    [
        ({}, {}),
        ({"rep": "new"}, {"rep": 2}),
        ({"noise_answers": "new"}, {"noise_answers": 2}),
        ({"rep": "new", "noise_answers": "new"}, {"rep": 2, "noise_answers": 2}),
        ({"untrained": "new"}, {"untrained": 1}),
        ({"pocket": "new"}, {"pocket": 5}),
        ({"redact_summary": "new"}, {}),
    ],
    ids=str,
)
def test_edited_plugins_are_counted_by_their_cells(
    every: list[Cell], edit: Edit, tmp_path: Path, edited: dict[str, str], counts: dict[str, int]
) -> None:
    store = kept(Store(tmp_path), every)
    edit(**edited)
    planned = plan(every, store)
    assert planned.work == [cell for cell in every if plugins_of(cell) & edited.keys()]
    assert edited_plugins(planned, store) == Counter(counts)


def test_new_cells_are_not_taken_for_edited_ones(every: list[Cell], edit: Edit, tmp_path: Path) -> None:
    store = kept(Store(tmp_path), every[:1])
    edit(rep="new")
    planned = plan(every, store)
    assert len(planned.missing) == 4
    assert edited_plugins(planned, store) == Counter()


def test_what_never_finished_is_no_earlier_record(every: list[Cell], edit: Edit, tmp_path: Path) -> None:
    store = kept(Store(tmp_path), every)
    for manifest in store.root.glob("record/*/manifest.json"):
        manifest.unlink()
    edit(rep="new")
    assert edited_plugins(plan(every, store), store) == Counter()


def test_sources_of_other_versions_are_no_edit(every: list[Cell], edit: Edit, tmp_path: Path, monkeypatch: Any) -> None:
    store = kept(Store(tmp_path), every)
    with monkeypatch.context() as patch:
        patch.setattr(
            "heistbench.bench.stages.record.keyed", lambda plugin: {**identity(plugin), "version": "9-A", "source": "new"}
        )
        planned = plan(every, store)
        assert len(planned.missing) == 5
        assert edited_plugins(planned, store) == Counter()


ECHO = '''
from heistbench.bench import Defense, Exposure, defense

@defense("echo_gate", version="1-A", touches=("answer",))
class EchoGate(Defense):
    """Says one word."""

    def release(self, prompt, reply, rng):
        return Exposure("{word}", None)
'''


@pytest.mark.usefixtures("own_plugins")
def test_an_edited_plugin_is_computed_again_and_the_run_says_so(tmp_path: Path, suite_file: Callable, heist: Callable) -> None:
    plugin, sizes = tmp_path / "echo.py", {"query": 4, "surrogate": 8, "test": 4}
    suite = suite_file(attacks=["answer_only"], controls=["untrained"], defenses=["none"], inverter=None, sizes=sizes)
    command = ["run", suite, "--plugin", plugin, "--out", tmp_path / "out", "--executor", "here", "--defense", "echo_gate"]
    shares = []
    for word, said in (("7", False), ("7  # a comment", False), ("no number", True)):
        plugin.write_text(ECHO.format(word=word) if "#" not in word else ECHO.format(word="7") + "# a comment\n")
        ended = heist(*command)
        assert ended.code == 0, ended.err
        assert ("echo_gate changed: 1 cell\n" in ended.out) is said
        shares.append(next((tmp_path / "out" / "tiny" / "results").rglob("answer_only/**/seed-0.json")).read_text())
    assert shares[0] == shares[1] != shares[2]
