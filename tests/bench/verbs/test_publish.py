"""Publishing deletes nothing: results of other runs stay, or are set aside and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import registry
from heistbench.bench.contracts.replies import Parts
from heistbench.bench.scoring.verdicts import judge_parts
from heistbench.bench.storage.exams import Exam
from heistbench.bench.storage.result_files import read_record
from heistbench.bench.storage.student_replies import read_replies, replies_path

SIZES = {"query": 4, "surrogate": 8, "test": 4}


def results(out: Path) -> dict[str, str]:
    """The result files of a run, by their place."""
    folder = out / "tiny" / "results"
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("seed-*.json")}


def attacks_of(out: Path) -> set[str]:
    """The attacks on the site's board."""
    (board,) = json.loads((out / "tiny" / "site" / "board.json").read_text()).values()
    return _names(board)


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(_names, value.values()), {value["attack"]} if isinstance(value.get("attack"), str) else set())
    return set().union(*map(_names, value)) if isinstance(value, list) else set()


@pytest.fixture
def run(suite_file: Callable, tmp_path: Path, heist: Callable) -> Callable[..., str]:
    """Runs a small suite on one `--out`; returns what it said."""

    def run(**changes: object) -> str:
        plain = {"controls": ["untrained"], "defenses": ["none"], "inverter": None, "sizes": SIZES}
        ended = heist("run", suite_file(**{**plain, **changes}), "--out", tmp_path / "out", "--executor", "here")
        assert ended.code == 0, ended.err
        return str(ended.out)

    return run


def test_two_runs_with_different_attacks_keep_each_others_results(run: Callable[..., str], tmp_path: Path) -> None:
    run(attacks=["answer_only"])
    first = results(tmp_path / "out")
    said = run(attacks=["summary_answer"])
    both = results(tmp_path / "out")
    assert first.items() <= both.items()
    assert {place.split("/")[-4] for place in both} == {"answer_only", "summary_answer", "untrained"}
    assert {"answer_only", "summary_answer", "untrained"} <= attacks_of(tmp_path / "out")
    assert "set aside" not in said
    assert not (tmp_path / "out" / "tiny" / "set-aside").exists()


def test_trying_one_attack_does_not_strip_a_full_runs_page(tiny_copy: Any, heist: Callable) -> None:
    before, shown = results(tiny_copy.out), attacks_of(tiny_copy.out)
    ended = heist(
        "run", tiny_copy.suite, "--out", tiny_copy.out, "--attack", "answer_only", "--defense", "none", "--executor", "here"
    )
    assert ended.code == 0, ended.err
    assert results(tiny_copy.out) == before
    assert attacks_of(tiny_copy.out) == shown
    assert len(shown) == 10


def written(folder: Path) -> dict[str, list[Parts]]:
    """What the student of each record wrote, by the record's place."""
    places = {path: read_record(path).exam.replies for path in folder.rglob("seed-*.json")}
    return {str(path.relative_to(folder)): read_replies(replies_path(folder, name)) for path, name in places.items()}


def test_what_students_wrote_lies_beside_the_results_and_is_graded_as_they_say(run: Callable[..., str], tmp_path: Path) -> None:
    run(attacks=["answer_only"])
    folder, task = tmp_path / "out" / "tiny" / "results", cast(Task, registry.build("task", "pocket"))
    problems = sorted(task.problems("test", SIZES["test"]), key=lambda problem: problem.question.id)
    for place, replies in written(folder).items():
        exam = Exam.of(judge_parts(task, problems, replies, ["stop"] * len(replies)))
        stated = read_record(folder / place).exam
        assert exam.model_copy(update={"replies": stated.replies}) == stated


def test_what_students_wrote_goes_along_when_results_are_set_aside(run: Callable[..., str], tmp_path: Path) -> None:
    run(attacks=["answer_only"])
    before = written(tmp_path / "out" / "tiny" / "results")
    run(attacks=["answer_only"], sizes={**SIZES, "test": 5})
    (aside,) = (tmp_path / "out" / "tiny" / "set-aside").iterdir()
    assert written(aside) == before


def test_results_of_other_sizes_are_set_aside_and_named(run: Callable[..., str], tmp_path: Path) -> None:
    run(attacks=["answer_only"])
    first = results(tmp_path / "out")
    said = run(attacks=["answer_only"], sizes={**SIZES, "test": 5})
    second = results(tmp_path / "out")
    assert len(first) == len(second) == 2
    assert not first.items() & second.items()
    aside = tmp_path / "out" / "tiny" / "set-aside"
    kept = {str(path.relative_to(aside).as_posix()).partition("/")[2]: path.read_text() for path in aside.rglob("seed-*.json")}
    assert kept == first
    (folder,) = aside.iterdir()
    assert str(folder) in said.replace("\n", "")


def test_a_site_that_stands_is_built_again_only_for_other_results(run: Callable[..., str], tmp_path: Path) -> None:
    site = tmp_path / "out" / "tiny" / "site"
    shown = run(attacks=["answer_only"])
    (site / "index.html").write_text("built before")
    assert run(attacks=["answer_only"]).splitlines()[1:] == shown.splitlines()[1:]
    assert (site / "index.html").read_text() == "built before"
    run(attacks=["summary_answer"])
    assert (site / "index.html").read_text() != "built before"
