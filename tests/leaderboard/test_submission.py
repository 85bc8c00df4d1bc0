"""Adding a submission to the published results, whole or not at all, and what `heist leaderboard verify | add` say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sound_submission import write_sound

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_record, read_records, write_record
from heistbench.leaderboard.board.build import build
from heistbench.leaderboard.submit.submission import add


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Published results: none so far."""
    (tmp_path / "published" / "results").mkdir(parents=True)
    return tmp_path / "published" / "results"


def files(folder: Path) -> dict[str, bytes]:
    """All files under a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lie(folder: Path) -> Path:
    """Raise one accuracy."""
    file = next(folder.rglob("seed-0.json"))
    file.write_text(file.read_text().replace('"accuracy": 0.75', '"accuracy": 0.95'))
    return file.relative_to(folder)


def test_a_sound_submission_is_added_file_for_file(folder: Path, results: Path) -> None:
    verification, target = add(folder, results)
    assert verification.sound
    assert target == results / "ours"
    assert files(target) == files(folder)
    assert build(read_records(results)).panels


def test_records_are_written_anew_and_not_copied(folder: Path, results: Path) -> None:
    before = files(folder)
    for file in folder.rglob("seed-*.json"):
        file.write_text(json.dumps(json.loads(file.read_text())) + " " * 1000)
    _, target = add(folder, results)
    assert target
    assert files(target) == before


def test_a_lie_leaves_the_results_as_they_were(folder: Path, results: Path) -> None:
    lie(folder)
    verification, target = add(folder, results)
    assert (verification.sound, target) == (False, None)
    assert not list(results.parent.rglob("*.*"))


def test_nothing_is_added_twice(folder: Path, results: Path) -> None:
    add(folder, results)
    before = files(results)
    verification, target = add(folder, results)
    assert target is None
    assert {problem.reason[:20] for problem in verification.problems} == {"is published already"}
    assert files(results) == before


def test_a_second_submission_of_a_suite_stands_beside_the_first(folder: Path, results: Path, tmp_path: Path) -> None:
    _, first = add(folder, results)
    second, target = add(write_sound(tmp_path / "second", release="2"), results)
    assert not second.problems
    assert first
    assert target
    assert target.parent == results
    assert target.name.startswith("ours-")
    assert len(read_records(results)) == 2 * len(read_records(first))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_stopped_half_way_nothing_is_there(
    folder: Path, results: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(target: Path, record: Record) -> Path:
        if record.arm.seed == 2:
            raise error
        return write_record(target, record)

    monkeypatch.setattr("heistbench.leaderboard.submit.submission.write_record", fail)
    with pytest.raises((HeistError, KeyboardInterrupt)):
        add(folder, results)
    assert list(results.parent.iterdir()) == [results]
    assert not list(results.iterdir())


def test_killed_half_way_no_reader_sees_it(folder: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "heistbench.leaderboard.submit.submission.Path.rename", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    monkeypatch.setattr("heistbench.leaderboard.submit.submission.shutil.rmtree", lambda *args, **kwargs: None)
    with pytest.raises(KeyboardInterrupt):
        add(folder, results)
    assert not list(results.iterdir())
    monkeypatch.undo()
    assert add(folder, results)[1] == results / "ours"


def test_results_that_cannot_be_written_are_an_error(folder: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(target: Path, record: Record) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("heistbench.leaderboard.submit.submission.write_record", refuse)
    with pytest.raises(HeistError, match="cannot be written"):
        add(folder, results)


# the command line

Heist = Callable[..., Any]


def test_verify_says_sound(heist: Heist, folder: Path, results: Path) -> None:
    ended = heist("leaderboard", "verify", folder, "--results", results)
    assert ended.code == 0
    assert "result files: 27, cells: 9, panels: 1; sound" in ended.out
    assert "only stated, and not checked" in ended.out


def test_verify_names_file_and_field_of_a_lie(heist: Heist, folder: Path, results: Path) -> None:
    file = lie(folder)
    ended = heist("leaderboard", "verify", folder, "--results", results)
    assert ended.code == 1
    assert "exam: accuracy is not that of the verdicts" in ended.out
    assert file.as_posix() in ended.out
    assert "refused, problems: 1" in ended.out


def test_verify_prints_json(heist: Heist, folder: Path, results: Path) -> None:
    file = lie(folder)
    ended = heist("leaderboard", "verify", folder, "--results", results, "--json")
    verification = json.loads(ended.out)
    assert ended.code == 1
    assert verification["sound"] is False
    assert [problem["path"] for problem in verification["problems"]] == [file.as_posix()]


def test_a_reason_that_many_files_share_is_said_once(heist: Heist, folder: Path, results: Path) -> None:
    add(folder, results)
    ended = heist("leaderboard", "verify", folder, "--results", results)
    assert ended.out.count("is published already") == 1
    assert ", and 24 more" in ended.out


def test_hostile_text_shows_itself_and_nothing_else(heist: Heist, folder: Path, results: Path) -> None:
    (folder / "\x1b[2J[red]\u202egnp").write_text("")
    ended = heist("leaderboard", "verify", folder, "--results", results)
    assert "\ufffd[2J[red]\ufffdgnp" in ended.out
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out


def test_add_says_where_and_what_next(heist: Heist, folder: Path, results: Path) -> None:
    ended = heist("leaderboard", "add", folder, "--results", results)
    assert ended.code == 0
    assert f"added as {results / 'ours'}" in ended.out
    assert "heist leaderboard build" in ended.out
    assert read_record(next((results / "ours").rglob("seed-0.json"))).arm.suite == "ours"


def test_add_refuses_a_lie(heist: Heist, folder: Path, results: Path) -> None:
    lie(folder)
    ended = heist("leaderboard", "add", folder, "--results", results)
    assert ended.code == 1
    assert "accuracy is not that of the verdicts" in ended.out
    assert not list(results.iterdir())


def test_a_missing_folder_is_bad_usage(heist: Heist, results: Path) -> None:
    for verb in ("verify", "add"):
        ended = heist("leaderboard", verb, results / "nowhere", "--results", results)
        assert ended.code == 2
        assert "no such folder" in ended.err
