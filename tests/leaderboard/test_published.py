"""The published results: their board as it was committed, their size, and life without them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from leaderboard.board_digest import FILE, digest, published

from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_records
from heistbench.leaderboard import published as where
from heistbench.leaderboard.board.build import build
from heistbench.leaderboard.board.measured import all_cells
from heistbench.leaderboard.board.panel import CellKey
from heistbench.leaderboard.published import PUBLISHED


def test_the_published_board_is_the_committed_one() -> None:
    committed, now = json.loads(FILE.read_text(encoding="utf-8")), published()
    assert committed.keys() == now.keys()
    for panel, lines in committed.items():
        assert now[panel] == lines, "if it is meant: python tests/leaderboard/board_digest.py"


def test_a_changed_verdict_shows_in_the_digest() -> None:
    records = read_records(PUBLISHED / "babi")
    exam = records[0].exam
    accuracy = exam.model_copy(update={"verdicts": dict.fromkeys(exam.verdicts, "wrong"), "accuracy": 0.0})
    changed = [records[0].model_copy(update={"exam": accuracy}), *records[1:]]
    assert digest(build(changed)) != digest(build(records))


def verdicts(records: Sequence[Record]) -> dict[tuple[object, ...], str]:
    panels = build(records).panels
    return {(*CellKey.of(panel, cell),): cell.gain.verdict for panel in panels for cell in all_cells(panel) if cell.gain}


def test_no_single_seed_decides_what_the_pocket_board_says() -> None:
    records = read_records(PUBLISHED / "pocket-full")
    whole, changed = verdicts(records), set[object]()
    for seed in range(5):
        without = verdicts([record for record in records if record.arm.seed != seed])
        moved = {place for place, verdict in whole.items() if without[place] != verdict}
        assert not [place for place in moved if {whole[place], without[place]} == {"steals", "below control"}]
        changed |= moved
    assert len(changed) <= 0.1 * len(whole)


def test_published_files_are_compact() -> None:
    sizes = {suite: [path.stat().st_size for path in suite.rglob("*.json")] for suite in PUBLISHED.iterdir()}
    assert sum(map(sum, sizes.values())) < 0.28 * 35_519_953, "bytes of the same results in the form of schema 4"
    assert all(len(list(suite.glob("questions/*.json"))) == 1 for suite in sizes)


# without them


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """heist as a wheel installs it: without published results."""
    monkeypatch.setattr(where, "PUBLISHED", tmp_path / "results")


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize(
    "verb",
    [
        ["leaderboard", "show"],
        ["leaderboard", "build"],
        ["leaderboard", "serve"],
        ["leaderboard", "verify", "."],
        ["leaderboard", "add", "."],
        ["compare", "1", "2"],
        ["compare", "--attack", "rep", "answer_only"],
    ],
)
def test_without_published_results_it_says_where_they_are(verb: list[str], heist: Callable[..., Any]) -> None:
    ended = heist(*verb)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "they are in leaderboard/results of HeistBench's repository" in ended.err


@pytest.mark.usefixtures("nothing")
def test_folders_are_compared_without_them(heist: Callable[..., Any]) -> None:
    ended = heist("compare", PUBLISHED / "babi", PUBLISHED / "babi")
    assert ended.code == 0, ended.err


def test_no_result_goes_into_the_wheel() -> None:
    import tomllib

    package = tomllib.loads((PUBLISHED.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    data = package["tool"]["setuptools"]["package-data"]["heistbench.leaderboard"]
    shipped = {path for pattern in data for path in PUBLISHED.parent.glob(pattern)}
    assert {path.name for path in shipped} == {"py.typed", "record.schema.json"}
