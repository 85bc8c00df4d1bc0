"""Result files: compact, the same record again, one question list per suite, and no harm from what else lies there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sound_submission import sound

from heistbench.bench import Grade, HeistError, TraceCheck, Verdict
from heistbench.bench.contracts.nouns import TraceKind
from heistbench.bench.scoring.verdicts import Examined
from heistbench.bench.storage.exams import Exam
from heistbench.bench.storage.packed_results import KINDS, LETTERS, name_of, pack, unpack
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import LARGEST, RecordReader, read_record, read_records, write_record
from heistbench.bench.verbs.publish import publish

Raw = dict[str, Any]


@pytest.fixture
def record() -> Record:
    """A record of 20 questions."""
    return Record.model_validate(sound())


def exam_of(outcomes: dict[str, tuple[Verdict, float]]) -> Exam:
    """An exam with these verdicts and scores, and traces of many lengths."""
    checks = [TraceCheck(int(at % 2), 1, True, False, at + 1) for at in range(len(outcomes))]
    examined = [
        Examined(name, Grade(verdict, score), check, "", "")
        for (name, (verdict, score)), check in zip(outcomes.items(), checks, strict=True)
    ]
    return Exam.of(examined)


# the compact form


@given(st.dictionaries(st.text(max_size=4), st.tuples(st.sampled_from(Verdict), st.floats(0, 1)), min_size=1, max_size=12))
def test_what_is_packed_comes_back(outcomes: dict[str, tuple[Verdict, float]]) -> None:
    record = Record.model_validate(sound()).model_copy(update={"exam": exam_of(outcomes)})
    assert unpack(pack(record), sorted(outcomes)) == record


def test_the_form_is_compact(record: Record, tmp_path: Path) -> None:
    held = json.loads(write_record(tmp_path, record).read_text())["exam"]
    ids = sorted(record.exam.verdicts)
    assert held["verdicts"] == "".join("r" if record.exam.verdicts[i] is Verdict.RIGHT else "w" for i in ids)
    traces = "".join(f"r{(record.exam.traces or {})[i].split()[1]}" for i in ids)
    assert (held["traces"], held["partial"], held["questions"]) == (traces, {}, name_of(ids))
    assert json.loads((tmp_path / "questions" / f"{held['questions']}.json").read_text()) == ids


def test_each_verdict_and_each_kind_of_trace_has_a_letter() -> None:
    assert LETTERS.keys() == set(Verdict)
    assert len({*LETTERS.values()}) == len(Verdict)
    assert {*KINDS.values()} == {*get_args(TraceKind)}


def test_partial_scores_stand_by_position(record: Record) -> None:
    exam = exam_of({"b": (Verdict.WRONG, 0.5), "a": (Verdict.RIGHT, 1.0), "c": (Verdict.RIGHT, 0.75)})
    packed = pack(record.model_copy(update={"exam": exam})).exam
    assert (packed.verdicts, packed.partial, packed.traces) == ("rwr", {"1": 0.5, "2": 0.75}, "r2c1c3")


# folders


def test_a_record_comes_back(record: Record, tmp_path: Path) -> None:
    path = write_record(tmp_path, record)
    assert path == tmp_path / record.path()
    assert read_record(path) == record
    assert read_records(tmp_path) == [record]


def test_writing_again_changes_no_byte(record: Record, tmp_path: Path) -> None:
    first = write_record(tmp_path, record).read_bytes()
    assert write_record(tmp_path, read_record(tmp_path / record.path())).read_bytes() == first


def test_records_come_in_the_order_of_their_paths_and_share_a_list(tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        write_record(tmp_path, Record.model_validate(sound(seed=seed)))
    records = read_records(tmp_path)
    assert [record.arm.seed for record in records] == [0, 1, 2]
    assert len(list((tmp_path / "questions").iterdir())) == 1
    (first, *_), (other, *_) = (list(record.exam.verdicts) for record in records[:2])
    assert first is other


@pytest.mark.parametrize("part", ["", "ours", "ours/pocket/pocket-victim-1", "ours/pocket/pocket-victim-1/none/answer_only"])
def test_any_folder_of_results_can_be_read(record: Record, tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(tmp_path / "ours", record)
    assert read_records(tmp_path / part) == [record]
    monkeypatch.chdir(tmp_path / part)
    assert read_records(Path()) == [record]


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(HeistError, match=f"no result files .* under {folder}"):
            read_records(folder)


# damage


def refusal(path: Path) -> str:
    """Why a result file is refused, in one line."""
    with pytest.raises(HeistError) as caught:
        read_record(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("verdicts", "r" * 19, r"exam\.verdicts: has 19 questions, the list [0-9a-f]{16} has 20"),
        ("verdicts", "x" * 20, r"exam\.verdicts: String should match"),
        ("verdicts", "r" * 20, "exam: counts are not those of the verdicts"),
        ("traces", "r1" * 21, r"exam\.traces: has 21 questions"),
        ("partial", {"20": 0.5}, r"exam\.partial\.20: the list [0-9a-f]{16} has 20 questions"),
        ("questions", "0" * 16, r"exam\.questions: expected the list questions/0{16}\.json in the folder of its suite"),
        ("questions", "../../list", r"exam\.questions: String should match"),
    ],
)
def test_a_damaged_exam_is_named_by_field(record: Record, tmp_path: Path, field: str, value: object, reason: str) -> None:
    path = write_record(tmp_path, record)
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "exam": {**raw["exam"], field: value}}))
    with pytest.raises(HeistError, match=f"^result file {path}: {reason}"):
        read_record(path)


@pytest.mark.parametrize("content", ["", "[", "{}", "[1]", '["b", "a"]', '["a", "a"]', '["a"]', "[" * 100_000, '"a"'])
def test_a_damaged_question_list_is_named(record: Record, tmp_path: Path, content: str) -> None:
    path = write_record(tmp_path, record)
    (questions,) = (tmp_path / "questions").iterdir()
    questions.write_text(content)
    assert refusal(path).startswith(f"question list {questions}: ")


def test_writing_again_mends_a_question_list(record: Record, tmp_path: Path) -> None:
    path = write_record(tmp_path, record)
    (questions,) = (tmp_path / "questions").iterdir()
    questions.write_text("[")
    assert read_record(write_record(tmp_path, record)) == record
    assert path.is_file()


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"7", b'{"arm": 1}', b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_record_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seed-0.json").write_bytes(content)
    assert refusal(tmp_path / "seed-0.json").startswith(f"result file {tmp_path / 'seed-0.json'}: ")


def test_results_of_another_schema_are_refused(record: Record, tmp_path: Path) -> None:
    path = write_record(tmp_path, record)
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 4}))
    assert "schema_version: 4 is not 5: run the suite again" in refusal(path)


# strangers' folders


def _link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARM: list[tuple[str, Callable[[Path], object], str]] = [
    ("pipe", lambda path: (path.unlink(), os.mkfifo(path)), "is not a file"),
    ("zeros", lambda path: _link(path, Path("/dev/zero")), "is a link"),
    ("link", lambda path: (path.rename(path.with_name("elsewhere")), path.symlink_to("elsewhere")), "is a link"),
    ("folder", _folder, "is not a file"),
    ("gigabyte", lambda path: os.truncate(path, 2**30), "has more than 4,194,304 bytes"),
]


VERBS = (("leaderboard", "show"), ("leaderboard", "build"), ("compare",))


def refusals(heist: Callable[..., Any], folder: Path) -> list[str]:
    """What each verb that reads strangers' folders says of one it refuses: a line, and exit code 2."""
    lines = []
    for verb in VERBS:
        ended = heist(*verb, folder, *([folder] if verb == ("compare",) else []))
        assert (ended.code, ended.out.strip(), ended.err.count("\n")) == (2, "", 1), ended
        lines.append(ended.err)
    return lines


@pytest.mark.parametrize(("harm", "reason"), [rest for _, *rest in HARM], ids=[name for name, *_ in HARM])
def test_what_is_no_file_does_no_harm(
    record: Record, tmp_path: Path, heist: Callable[..., Any], harm: Callable[[Path], object], reason: str
) -> None:
    path = write_record(tmp_path / "results", record)
    harm(path)
    for line in refusals(heist, tmp_path):
        assert str(path) in line
        assert reason in line


def with_text(old: str, new: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(path.read_text().replace(old, new, 1))


SETTINGS = '"settings": {'
CONTENT: list[tuple[str, Callable[[Path], object], str]] = [
    ("deep", with_text(SETTINGS, SETTINGS + '"x": ' + "[" * 5000 + "]" * 5000 + ","), "nests more than 32 objects and lists"),
    ("less deep", with_text(SETTINGS, SETTINGS + '"x": ' + "[" * 40 + "]" * 40 + ","), "nests more than 32 objects and lists"),
    ("a key twice", with_text("{", '{"schema_version": 5,'), "key 'schema_version' stands twice"),
    ("infinite", with_text(SETTINGS, SETTINGS + '"x": 1e999,'), "number 1e999 is too large"),
    ("digits", with_text('"seed": 0', f'"seed": {"9" * 400}'), "is too large"),
    ("half a character", with_text('"student": "pocket/base"', r'"student": "\ud800"'), "half of a surrogate pair"),
    ("a name without end", with_text('"victim": "pocket-victim"', f'"victim": "{"v" * 10_001}"'), "more than 10,000 characters"),
    ("a text for a number", with_text('"seed": 0', '"seed": "0"'), "arm.seed: Input should be a valid integer"),
]


@pytest.mark.parametrize(("harm", "reason"), [rest for _, *rest in CONTENT], ids=[name for name, *_ in CONTENT])
def test_content_is_read_with_the_care_of_verify(
    record: Record, tmp_path: Path, heist: Callable[..., Any], harm: Callable[[Path], object], reason: str
) -> None:
    path = write_record(tmp_path / "submission", record)
    harm(path)
    (tmp_path / "published").mkdir()
    verified = heist("leaderboard", "verify", tmp_path / "submission", "--results", tmp_path / "published")
    assert (verified.code, reason.partition(": ")[2] in verified.out) == (1, True)
    for line in refusals(heist, tmp_path / "submission"):
        assert reason in line


@pytest.mark.parametrize("name", ["pocket", "more", "seed-7.json"])
def test_links_are_neither_followed_nor_passed_over(record: Record, tmp_path: Path, heist: Callable[..., Any], name: str) -> None:
    write_record(tmp_path / "elsewhere", record)
    write_record(tmp_path / "results", record)
    if name == "pocket":
        (tmp_path / "results" / name).rename(tmp_path / "away")
    (tmp_path / "results" / name).symlink_to(tmp_path / "elsewhere")
    for line in refusals(heist, tmp_path / "results"):
        assert f"{tmp_path / 'results' / name}: is a link; expected files and folders" in line


def test_question_lists_are_not_looked_for_behind_a_link(record: Record, tmp_path: Path, heist: Callable[..., Any]) -> None:
    write_record(tmp_path / "results", record)
    (tmp_path / "results" / "questions").rename(tmp_path / "lists")
    (tmp_path / "results" / "questions").symlink_to(tmp_path / "lists")
    for line in refusals(heist, tmp_path / "results"):
        assert "is a link" in line


@pytest.mark.parametrize(("bound", "value"), [("MOST_FILES", 1), ("MOST_BYTES", 9000), ("MOST_ENTRIES", 5)])
def test_folders_without_end_are_refused(
    tmp_path: Path, heist: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    for seed in (0, 1):
        write_record(tmp_path, Record.model_validate(sound(seed=seed)))
    monkeypatch.setattr(f"heistbench.bench.storage.result_files.{bound}", value)
    for line in refusals(heist, tmp_path):
        assert f"{tmp_path}: more than" in line


def test_verdicts_without_end_are_refused(tmp_path: Path) -> None:
    paths = [write_record(tmp_path, Record.model_validate(sound(seed=seed))) for seed in (0, 1)]
    reader = RecordReader(most_verdicts=39)
    reader.read(paths[0])
    with pytest.raises(HeistError, match=r"seed-1\.json: exam\.verdicts: more than 39 in one folder"):
        reader.read(paths[1])


def test_a_folder_that_cannot_be_listed_is_named(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    write_record(tmp_path, record)
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(HeistError, match=f"{tmp_path}: cannot be read .Permission denied."):
        read_records(tmp_path)


def test_publishing_takes_no_harm_from_what_lies_there(tmp_path: Path, record: Record) -> None:
    (tmp_path / "results").mkdir()
    os.mkfifo(tmp_path / "results" / "seed-0.json")
    with pytest.raises(HeistError, match=r"seed-0\.json: is not a file"):
        publish(Console(), [], [], tmp_path)


@pytest.mark.parametrize("harm", [rest[0] for _, *rest in HARM], ids=[name for name, *_ in HARM])
def test_neither_does_what_is_no_question_list(record: Record, tmp_path: Path, harm: Callable[[Path], object]) -> None:
    path = write_record(tmp_path, record)
    (questions,) = (tmp_path / "questions").iterdir()
    harm(questions)
    assert questions.name in refusal(path)


def test_the_largest_file_holds_many_questions() -> None:
    ids = [f"{at:016x}" for at in range(100_000)]
    assert len(json.dumps(ids, indent=1)) < LARGEST
