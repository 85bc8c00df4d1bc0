"""Submissions that lie: each starts from a sound one, changes one thing, and is refused with its reason."""

from __future__ import annotations

import json
import lzma
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sound_submission import COMMIT, QUERY, SEEDS, TEST, put, replies, sound

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.packed_results import VERDICTS, Refused, pack
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import LARGEST, read_record, result_files, write_record
from heistbench.bench.storage.student_replies import REPLIES, replies_path, write_replies
from heistbench.leaderboard.published import PUBLISHED
from heistbench.leaderboard.submit.findings import Verification
from heistbench.leaderboard.submit.intake import Intake
from heistbench.leaderboard.submit.verify import verify

Raw = dict[str, Any]
CELL = Path("pocket/pocket-victim-1/none/answer_only/12-queries/pocket-base")
FILE = CELL / "seed-1.json"
UNTRAINED = Path("pocket/pocket-victim-1/none/untrained/12-queries/pocket-base/seed-1.json")


@pytest.fixture
def check(folder: Path, results: Path) -> Callable[[], Verification]:
    """Verifies the submission."""
    return lambda: verify(folder, results)


def change(file: Path, path: str, value: object) -> None:
    """Set a field of a result file, named by keys with `/` between them; `...` deletes it."""
    raw = at = json.loads(file.read_text())
    *parents, last = path.split("/")
    for parent in parents:
        at = at[int(parent) if isinstance(at, list) else parent]
    if value is ...:
        del at[last]
    else:
        at[int(last) if isinstance(at, list) else last] = value
    file.write_text(json.dumps(raw))


def says(verification: Verification, field: str, reason: str, path: str | None = None) -> bool:
    """Whether a problem has this field, a reason that matches, and this path where one is given."""
    return any(p.field == field and re.search(reason, p.reason) and path in (None, p.path) for p in verification.problems)


def test_a_sound_submission_is_sound(check: Callable[[], Verification]) -> None:
    verification = check()
    assert not verification.problems
    assert (verification.files, verification.cells, verification.panels) == (27, 9, 1)


def test_what_nobody_can_check_is_said(check: Callable[[], Verification]) -> None:
    statements = "\n".join(check().unchecked)
    assert "students wrote what they are said to have written" in statements
    assert f"commit {COMMIT}: not in this checkout" in statements
    assert "hardware" in statements


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    for folder, results in ((tmp_path / "no", tmp_path), (tmp_path, tmp_path / "no")):
        with pytest.raises(HeistError, match="no such folder"):
            verify(folder, results)


# one field of one record


def packed(raw: Raw) -> Raw:
    """The JSON of a record's file."""
    return pack(Record.model_validate(raw)).model_dump(mode="json")


SOUND = packed(sound())
LETTERS = packed(sound(seed=1))["exam"]["verdicts"]
LIST = f"questions/{SOUND['exam']['questions']}.json"
FIELDS: list[tuple[str, object, str, str]] = [
    # what follows from the verdicts
    ("exam/accuracy", 0.95, "exam", "accuracy is not that of the verdicts"),
    ("exam/score", 0.95, "exam", "score is not that of the questions"),
    ("exam/n", TEST + 1, "exam", "counts are not those of the verdicts"),
    ("exam/counts/right", 16, "exam", "counts are not those of the verdicts"),
    ("exam/verdicts", "t" + LETTERS[1:], "exam", "counts are not those of the verdicts"),
    ("exam/verdicts", LETTERS + "r", "exam.verdicts", "has 21 questions, the list [0-9a-f]{16} has 20"),
    ("exam/verdicts", LETTERS[1:], "exam.verdicts", "has 19 questions, the list [0-9a-f]{16} has 20"),
    ("exam/verdicts", "R" + LETTERS[1:], "exam.verdicts", "should match pattern"),
    ("exam/verdicts", LETTERS + "\n", "exam.verdicts", "should match pattern"),
    ("exam/verdicts", [*LETTERS], "exam.verdicts", "valid string"),
    ("exam/verdicts", {"ffffffffffffffff": "right"}, "exam.verdicts", "valid string"),
    ("exam/partial", {"20": 0.5}, "exam.partial.20", "has 20 questions"),
    ("exam/partial", {"07": 0.5}, "exam.partial.07.[key]", "should match pattern"),
    ("exam/partial", {"-1": 0.5}, "exam.partial.-1.[key]", "should match pattern"),
    ("exam/partial", {"7": 1.5}, "exam.partial.7", "less than or equal to 1"),
    ("exam/traces", "n7" + "r13" * 19, "exam.traces", "`none` of a trace with words"),
    ("exam/traces", "w0" + "r13" * 19, "exam.traces", "without"),
    ("exam/traces", "r13" * 19, "exam.traces", "has 19 questions"),
    ("exam/traces", "r013" + "r13" * 19, "exam.traces", "should match pattern"),
    ("exam/traces", "r" + "9" * 5000, "exam.traces", "should match pattern"),
    ("exam/traces", None, "exam.traces", "if the exam can check traces"),
    ("exam/questions", "0" * 16, "exam.questions", "names a list that is not here: expected questions/0000000000000000.json"),
    ("exam/questions", "../../../../etc/passwd", "exam.questions", "should match pattern"),
    ("exam/questions", ..., "exam.questions", "required"),
    # schema
    ("schema_version", 0, "schema_version", "run the suite again"),
    ("schema_version", 4, "schema_version", "run the suite again"),
    ("schema_version", 99, "schema_version", "older than the one that wrote it"),
    ("schema_version", "5", "schema_version", "expected 5"),
    ("schema_version", True, "schema_version", "expected 5"),
    ("schema_version", ..., "schema_version", "expected 5"),
    ("bonus", 1, "bonus", "Extra inputs"),
    ("arm/attack/bonus", 1, "arm.attack.bonus", "Extra inputs"),
    ("loot/rows", ..., "loot.rows", "required"),
    ("exam/partial", ..., "exam.partial", "required"),
    ("exam/metrics", ..., "", "a field that it always writes is missing"),
    ("loot/rows", "12", "loot.rows", "integer"),
    ("loot/rows", True, "loot.rows", "integer"),
    ("loot/rows", 12.5, "loot.rows", "integer"),
    ("arm/control", 0, "arm.control", "boolean"),
    ("exam/accuracy", "0.75", "exam.accuracy", "number"),
    ("exam/accuracy", 1.5, "exam.accuracy", "less than or equal to 1"),
    ("exam", [], "exam", "object"),
    # loot, bill, use, overlap, examples
    ("bill/queries", -1, "bill.queries", "greater than or equal to 0"),
    ("bill/dollars", -0.5, "bill.dollars", "greater than or equal to 0"),
    ("bill/queries", QUERY + 1, "bill.queries", "over the budget"),
    ("bill/queries", 0, "bill", "and no queries"),
    ("loot/rows", 1000, "loot.rows", "more than the 20 questions an attacker has"),
    ("loot/questions", 50, "loot.questions", "not the budget"),
    ("loot/traces", QUERY + 1, "loot.traces", "more than the rows"),
    ("loot/lost", QUERY + 1, "loot.lost", "more than was asked"),
    ("loot/right_answers", 0.95, "loot.right_answers", "no share of 12 questions"),
    ("loot/whole_traces", None, "loot.whole_traces", "if the task can check traces"),
    ("loot/rows", 0, "provenance.models.student after", "if there are rows"),
    ("loot/sha256", "0" * 63, "loot.sha256", "no sha256"),
    ("utility/accuracy", 0.91, "utility.accuracy", "no share of 20 questions"),
    ("utility/refused", 0.5, "utility.refused", "both right and refused"),
    ("utility/n", 500, "utility.n", "sizes.test"),
    ("overlap/words/stolen/lcs_f", 1.5, "overlap.words.stolen", r"out of \[0, 1\]"),
    ("overlap/words/n", 4, "overlap.words.n", "not the 12 questions attacked"),
    ("overlap/words/stolen/bleu", ..., "overlap.words.stolen", "expected answer_agreement, bleu"),
    ("overlap/words/signature", "rep|v:1", "overlap.words.signature", "not one of words"),
    ("examples/0/id", "ffffffffffffffff", "examples", "not attacked"),
    ("examples/0/score", 0.1, "examples", "not in the order"),
    ("examples/0/question", "x" * 2001, "examples", "2,000 characters"),
    ("examples/1/score", None, "examples", "some have none"),
    # who and how
    ("arm/task/version", "9-Z", "arm.task.version", "not comparable"),
    ("arm/attack/version", "9-Z", "arm.attack.version", "not comparable"),
    ("arm/attack/parameters", {"shots": 7}, "arm.attack.parameters", "no parameter 'shots'"),
    ("arm/attack/paper", "arXiv:0000.00000", "arm.attack.paper", "declares"),
    ("arm/control", True, "arm.control", "declares"),
    ("arm/threat", "full-leak", "arm.threat", "declares"),
    ("arm/threat", "none", "bill.queries", "the victim was asked, and arm.threat is none"),
    ("arm/privileged", True, "arm.privileged", "this is no attack"),
    ("arm/defenses/0/touches", ["answer"], "arm.defenses.0.touches", "declares"),
    ("arm/recipe/epochs", 99, "arm.recipe", "not the student's recipe"),
    ("arm/seed", 2, "arm", "is that of .*seed-2"),
    ("arm/attack/spec", "../../../../etc/passwd", "arm", "is that of"),
    ("arm/victim", "oracle", "arm.victim", "its card call it"),
    ("arm/suite", "../..", "arm.suite", "small letters"),
    ("arm/student", "pocket/victim-2", "arm.student", "not the student of provenance.settings"),
    ("arm/threat", "black\u202ebox", "arm.threat", "does not show"),
    ("provenance/packages", {"torch\x1b[31m": "1"}, "provenance.packages (a key)", "does not show"),
    # provenance
    ("provenance/dirty", True, "provenance.dirty", "commit it and run again"),
    ("provenance/uncommitted", ["attacks/mine.py"], "provenance.uncommitted", "stands in no commit"),
    ("arm/attack/source", "mine", "arm.attack.source", "16 hexadecimal digits"),
    ("arm/defenses/0/source", "0" * 17, "arm.defenses.0.source", "16 hexadecimal digits"),
    ("provenance/commit", "main", "provenance.commit", "no commit"),
    ("provenance/commit", "not a checkout", "provenance.commit", "run from a checkout"),
    ("provenance/packages", {}, "provenance.packages", "names none"),
    ("provenance/device", "tpu", "provenance.device", "expected cpu"),
    ("provenance/engine", "magic", "provenance.engine", "expected transformers or vllm"),
    ("volatile/created", "2999-01-01T00:00:00+00:00", "volatile.created", "future"),
    ("volatile/created", "yesterday", "volatile.created", "no ISO date"),
    ("volatile/seconds", -1.0, "volatile.seconds", "negative"),
    ("volatile/hardware", "", "volatile.hardware", "empty"),
    ("provenance/models/victim", ..., "provenance.models", "expected inverter"),
    ("provenance/models/victim", "shipped:pocket/victim-1:0000000000000000", "provenance.models.victim", "is not shipped:pocket"),
    ("provenance/models/student after", "better", "provenance.models.student after", "no hash of a model"),
    ("provenance/data/questions examined", "0" * 64, "provenance.data.questions examined", "not the hash of the exam"),
    ("provenance/data/questions attacked", "0" * 64, "provenance.data.questions attacked", "not the hash of the task"),
    ("provenance/data/prompts sent", "many", "provenance.data.prompts sent", "no sha256"),
    ("provenance/data/theft", "mine", "provenance.data.theft", "24 hexadecimal digits"),
    ("provenance/data/task files", "as pinned", "provenance.data.task files", "files' hashes"),
    ("provenance/data/task", "0" * 64, "provenance.data.task", "as it is here"),
    ("provenance/contamination", {}, "provenance.contamination", "expected test questions sharing"),
    ("provenance/settings", {}, "provenance.settings", "not the settings of a suite"),
    ("provenance/settings/sizes/test", 30, "exam.n", "sizes.test"),
    ("provenance/settings/sizes/query", 5, "arm.budget", "more than the 5 questions"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "field", "reason"), FIELDS, ids=[f"{path}={str(value)[:24]!a}" for path, value, *_ in FIELDS]
)
def test_a_changed_field_is_refused(
    folder: Path, check: Callable[[], Verification], path: str, value: object, field: str, reason: str
) -> None:
    change(folder / FILE, path, value)
    assert says(check(), field, reason, FILE.as_posix())


def test_a_verdict_changed_with_all_that_follows_from_it_is_refused_for_a_foreign_question(
    folder: Path, check: Callable[[], Verification]
) -> None:
    raw = sound(seed=1)
    verdicts, traces = raw["exam"]["verdicts"], raw["exam"]["traces"]
    first = next(iter(verdicts))
    verdicts["f" * 16], traces["f" * 16] = verdicts.pop(first), traces.pop(first)
    put(folder, raw)
    assert says(check(), "exam.verdicts", "first 20 questions of the test split", FILE.as_posix())


def test_another_letter_in_a_version_does_not_keep_the_questions_from_being_looked_up(
    folder: Path, check: Callable[[], Verification]
) -> None:
    change(folder / FILE, "arm/exam/version", "1-B")
    change(folder / FILE, "provenance/data/questions examined", "0" * 64)
    verification = check()
    assert says(verification, "provenance.data.questions examined", "not the hash of the exam")
    assert any("task pocket 1-B: not known here" in what for what in verification.unchecked)


def test_a_control_that_declares_no_threat_asks_nothing(folder: Path, check: Callable[[], Verification]) -> None:
    change(folder / UNTRAINED, "bill/queries", 3)
    assert says(check(), "bill.queries", "arm.threat is none", UNTRAINED.as_posix())


def test_loot_of_nothing_has_nothing_to_show(folder: Path, check: Callable[[], Verification]) -> None:
    change(folder / UNTRAINED, "loot/sha256", "0" * 64)
    change(folder / UNTRAINED, "examples", sound()["examples"])
    verification = check()
    assert says(verification, "loot.sha256", "hash of no rows")
    assert says(verification, "examples", "no rows to show")


def test_data_that_is_not_the_pinned_one_is_refused(folder: Path, check: Callable[[], Verification]) -> None:
    for name, value in (("task", "0" * 64), ("task files", "not as pinned")):
        change(folder / FILE, f"provenance/data/{name}", value)
    assert says(check(), "provenance.data.task", "tasks/data.sha256")


def test_one_theft_under_two_names_is_refused(folder: Path, check: Callable[[], Verification]) -> None:
    copied = sound("answer_only", "noise_answers", 1)["provenance"]
    change(folder / FILE, "provenance/data/theft", copied["data"]["theft"])
    change(folder / FILE, "provenance/models/student after", copied["models"]["student after"])
    verification = check()
    assert says(verification, "provenance.data.theft", "another cell")
    assert says(verification, "provenance.models.student after", "another cell")


def test_a_plugin_that_is_not_here_is_named_and_not_refused(folder: Path, check: Callable[[], Verification]) -> None:
    for seed in SEEDS:
        for defense in ("none", "noise_answers"):
            old = folder / f"pocket/pocket-victim-1/{defense}/answer_only/12-queries/pocket-base/seed-{seed}.json"
            raw = sound("answer_only", defense, seed)
            raw["arm"]["attack"].update(name="brand_new", spec="brand_new(depth=2)", version="1-A", parameters={"depth": 2})
            old.unlink()
            put(folder, raw)
    verification = check()
    assert not verification.problems
    assert any("attack brand_new 1-A: not known here" in what for what in verification.unchecked)


# JSON


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


CONTENTS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("NaN", lambda text: text.replace(b'"dollars": 0.0', b'"dollars": NaN'), "NaN is no number"),
    ("Infinity", lambda text: text.replace(b'"dollars": 0.0', b'"dollars": Infinity'), "Infinity is no number"),
    ("minus infinity", lambda text: text.replace(b'"dollars": 0.0', b'"dollars": -Infinity'), "-Infinity is no number"),
    ("huge float", lambda text: text.replace(b'"dollars": 0.0', b'"dollars": 1e999'), "1e999 is too large"),
    ("huge integer", lambda text: text.replace(b'"dollars": 0.0', b'"dollars": ' + b"9" * 5000), "too large"),
    ("duplicate key", lambda text: text.replace(b'"dollars": 0.0', b'"dollars": 0.0, "dollars": 0.0'), "'dollars' stands twice"),
    ("deep lists", lambda text: b"[" * 100_000, "nests more than 32"),
    ("deep settings", lambda text: text.replace(b'"lessons": 0', b'"lessons": ' + b"[" * 50 + b"]" * 50), "nests more than 32"),
    ("byte order mark", lambda text: b"\xef\xbb\xbf" + text, "BOM"),
    ("Latin-1", lambda text: text.replace(b'"ours"', b'"\xe9\xe9"'), "not UTF-8"),
    ("UTF-16", lambda text: text.decode().encode("utf-16"), "not UTF-8"),
    ("half a surrogate pair", lambda text: text.replace(b'"ours"', rb'"\ud800"'), "half of a surrogate pair"),
    ("truncated", lambda text: text[:-20], "not JSON"),
    ("two objects", lambda text: text + text, "not JSON"),
    ("empty", lambda text: b"", "not JSON"),
    ("list", lambda text: b"[" + text + b"]", "no object"),
    ("number", lambda text: b"7", "no object"),
    ("null", lambda text: b"null", "no object"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "reason"), [rest for _, *rest in CONTENTS], ids=[name for name, *_ in CONTENTS])
def test_a_file_that_is_not_strict_json_is_refused(
    folder: Path, check: Callable[[], Verification], damage: Callable[[bytes], bytes], reason: str
) -> None:
    before = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(damage(before))
    assert (folder / FILE).read_bytes() != before
    assert says(check(), "", reason, FILE.as_posix())


# files


def _link(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / FILE).symlink_to("/etc/passwd")


def _link_to_zeros(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / FILE).symlink_to("/dev/zero")


def _linked_folder(folder: Path) -> None:
    shutil.move(folder / CELL, folder.parent / "elsewhere")
    (folder / CELL).symlink_to(folder.parent / "elsewhere")


def _fifo(folder: Path) -> None:
    (folder / FILE).unlink()
    os.mkfifo(folder / FILE)


def _gigabyte(folder: Path) -> None:
    sparse(folder / FILE, 2**30)


def _swapped(folder: Path) -> None:
    (folder / CELL / "seed-9.json").write_bytes((folder / FILE).read_bytes())
    (folder / FILE).unlink()


def _other_cell(folder: Path) -> None:
    shutil.copy(folder / UNTRAINED, folder / FILE)


def _case(folder: Path) -> None:
    shutil.copytree(folder / "pocket", folder / "POCKET")


def _deep(folder: Path) -> None:
    (folder / "/".join("abcdefgh")).mkdir(parents=True)


FILES: list[tuple[Callable[[Path], object], str]] = [
    (_link, "is a link"),
    (_link_to_zeros, "is a link"),
    (_linked_folder, "is a link"),
    (_fifo, "neither a file nor a folder"),
    (_gigabyte, "has 1,073,741,824 bytes"),
    (_swapped, "is that of .*seed-1"),
    (_other_cell, "is that of .*untrained"),
    (_case, "upper and lower case"),
    (_deep, "deeper than result files"),
    (lambda folder: (folder / "run.sh").write_text("rm -r ~"), "no result file"),
    (lambda folder: (folder / "README.md").write_text("Best attack"), "no result file"),
    (lambda folder: (folder / ".hidden").write_text(""), "no result file"),
    (lambda folder: (folder / "a\\..\\b").write_text(""), "name that heist gives no file"),
    (lambda folder: (folder / "\u202egnp.exe").write_text(""), "name that heist gives no file"),
    (lambda folder: (folder / "a\nb").write_text(""), "name that heist gives no file"),
    (lambda folder: (folder / "\x1b[31mred").mkdir(), "name that heist gives no file"),
    (lambda folder: (folder / ("x" * 240)).mkdir(), "name that heist gives no file"),
    (lambda folder: (folder / FILE).write_bytes(b" " * (LARGEST + 1)), "at most 4,194,304"),
    (lambda folder: (folder / CELL / "seed-one.json").write_text("{}"), "no result file"),
    (lambda folder: (folder / "questions" / "mine.json").write_text("[]"), "no result file"),
    (lambda folder: (folder / CELL / f"{'0' * 16}.json").write_text("[]"), "no result file"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "reason"), FILES)
def test_what_is_no_result_file_is_refused(
    folder: Path, check: Callable[[], Verification], harm: Callable[[Path], object], reason: str
) -> None:
    harm(folder)
    assert any(re.search(reason, problem.reason) for problem in check().problems)


def test_a_name_that_is_no_text_is_refused(folder: Path, check: Callable[[], Verification]) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.json")).write_text("{}")
    except OSError:
        pytest.skip("this file system takes text alone")
    assert says(check(), "", "name that heist gives no file")


def test_too_many_files_are_refused(folder: Path, check: Callable[[], Verification], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heistbench.leaderboard.submit.intake.MOST_FILES", 20)
    assert says(check(), "", "more than 20 files")


def test_too_many_bytes_are_refused(folder: Path, check: Callable[[], Verification], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heistbench.leaderboard.submit.intake.MOST_BYTES", 50_000)
    assert says(check(), "", "50,000 bytes")


def test_an_empty_folder_is_refused(tmp_path: Path, results: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert says(verify(tmp_path / "empty", results), "", "no result files")


def test_a_file_swapped_for_a_link_while_it_is_read_is_refused(folder: Path) -> None:
    _link(folder)
    with pytest.raises(Refused, match="cannot be read"):
        Intake([]).read(folder / FILE)


# question lists


LISTS: list[tuple[str, Callable[[Path], object], str]] = [
    ("another list", lambda path: path.write_text('["a", "b"]'), "is not the list of this name, but [0-9a-f]{16}"),
    ("an id twice", lambda path: path.write_text('["a", "a"]'), "each question id once, in order"),
    ("out of order", lambda path: path.write_text('["b", "a"]'), "each question id once, in order"),
    ("numbers", lambda path: path.write_text("[1, 2]"), "expected a list of question ids"),
    ("an object", lambda path: path.write_text('{"a": 1}'), "expected a list of question ids"),
    ("a key twice", lambda path: path.write_text('{"a": 1, "a": 1}'), "'a' stands twice"),
    ("no JSON", lambda path: path.write_text("["), "not JSON"),
    ("no text", lambda path: path.write_bytes(b"\xff"), "not UTF-8"),
    ("half a surrogate pair", lambda path: path.write_text(r'["\ud800"]'), "half of a surrogate pair"),
    ("deep", lambda path: path.write_text("[" * 100_000), "nests more than 32"),
    ("too long", lambda path: path.write_bytes(b" " * (LARGEST + 1)), "at most 4,194,304"),
    ("a link", lambda path: (path.rename(path.parents[2] / "list"), path.symlink_to(path.parents[2] / "list")), "is a link"),
    ("a pipe", lambda path: (path.unlink(), os.mkfifo(path)), "neither a file nor a folder"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "reason"), [rest for _, *rest in LISTS], ids=[name for name, *_ in LISTS])
def test_a_question_list_that_is_none_is_refused(
    folder: Path, check: Callable[[], Verification], harm: Callable[[Path], object], reason: str
) -> None:
    harm(folder / LIST)
    found = check()
    assert says(found, "", reason, LIST)
    assert says(found, "exam.questions", "names a list that is not here", FILE.as_posix())


def test_a_list_of_too_many_questions_is_refused(
    folder: Path, check: Callable[[], Verification], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heistbench.bench.storage.result_files.MOST_QUESTIONS", 19)
    assert says(check(), "", "has 20 questions; expected at most 19", LIST)


def test_letters_are_not_unpacked_without_end(
    folder: Path, check: Callable[[], Verification], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heistbench.leaderboard.submit.intake.MOST_VERDICTS", 20 * 26)
    assert sum(problem.field == "exam.verdicts" for problem in check().problems) == 1


def test_a_list_that_no_record_names_does_no_harm(folder: Path, check: Callable[[], Verification]) -> None:
    write_record(folder.parent / "other", Record.model_validate(raw := sound()))
    raw["exam"]["verdicts"]["f" * 16] = raw["exam"]["verdicts"].pop(next(iter(raw["exam"]["verdicts"])))
    raw["exam"]["traces"] = dict.fromkeys(raw["exam"]["verdicts"], "right 1")
    write_record(folder.parent / "other", Record.model_validate(raw))
    for path in (folder.parent / "other" / "questions").iterdir():
        shutil.copy(path, folder / "questions")
    assert not check().problems


# what students wrote


WRITTEN = replies_path(Path(), SOUND["exam"]["replies"])
NO_REPLIES: list[tuple[str, Callable[[Path], object], str]] = [
    ("other text", lambda path: path.write_bytes(lzma.compress(b'["a", "b"]\n')), "is not the file of this name"),
    ("no archive", lambda path: path.write_bytes(b"["), "cannot be unpacked"),
    ("too long", lambda path: path.write_bytes(b" " * (LARGEST + 1)), "at most 4,194,304"),
    ("a link", lambda path: (path.rename(path.parents[2] / "list"), path.symlink_to(path.parents[2] / "list")), "is a link"),
    ("a pipe", lambda path: (path.unlink(), os.mkfifo(path)), "neither a file nor a folder"),
    ("no name", lambda path: path.with_name("mine.jsonl.xz").write_bytes(b""), "is no result file"),
    ("plain text", lambda path: path.with_suffix("").write_bytes(b""), "is no result file"),
    ("elsewhere", lambda path: path.rename(path.parents[1] / "pocket" / path.name), "is no result file"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "reason"), [rest for _, *rest in NO_REPLIES], ids=[name for name, *_ in NO_REPLIES])
def test_files_that_hold_no_replies_are_refused(
    folder: Path, check: Callable[[], Verification], harm: Callable[[Path], object], reason: str
) -> None:
    harm(folder / WRITTEN)
    assert any(re.search(reason, problem.reason) for problem in check().problems)


def test_results_without_what_students_wrote_are_refused(folder: Path, check: Callable[[], Verification]) -> None:
    change(folder / FILE, "exam/replies", "")
    assert says(check(), "exam.replies", "is empty: run the suite again", FILE.as_posix())
    change(folder / FILE, "exam/replies", "0" * 16)
    assert says(check(), "exam.replies", "names a file that is not here: expected replies/0{16}.jsonl.xz", FILE.as_posix())


def test_replies_of_fewer_questions_are_refused(folder: Path, check: Callable[[], Verification]) -> None:
    change(folder / FILE, "exam/replies", write_replies(folder, replies("answer_only", 1)[1:]))
    assert says(check(), "exam.replies", "names a file of 19 replies; expected 20", FILE.as_posix())


def test_students_are_not_graded_without_end(
    folder: Path, check: Callable[[], Verification], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heistbench.leaderboard.submit.replies.SECONDS", -1)
    assert any("left after -1 seconds of grading" in what for what in check().unchecked)


# what is left out


def remove(folder: Path, pattern: str) -> None:
    verification = list(folder.rglob(pattern))
    assert verification
    for path in verification:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("pattern", "field", "reason"),
    [
        ("none/answer_only/**/seed-2.json", "arm.seed", "seeds 0, 1; expected 0, 1, 2"),
        ("seed-1.json", "arm.seed", "seeds 0, 2; expected 0, 1, 2"),
        ("seed-[12].json", "arm.seed", "seeds 0; expected 0, 1, 2"),
        ("untrained", "", "control untrained is missing"),
        ("surrogate_trace", "", "control surrogate_trace is missing"),
        ("true_trace", "", "control true_trace is missing"),
        ("none/answer_only", "", "answer_only against none is missing"),
        ("noise_answers/answer_only", "", "answer_only against noise_answers is missing"),
    ],
)
def test_what_is_left_out_is_missed(
    folder: Path, check: Callable[[], Verification], pattern: str, field: str, reason: str
) -> None:
    remove(folder, pattern)
    assert says(check(), field, reason)


def test_seeds_are_not_picked(tmp_path: Path, results: Path) -> None:
    folder = tmp_path / "picked"
    for attack in ("answer_only", "untrained", "surrogate_trace", "true_trace"):
        for seed in (3, 14, 15):
            put(folder, sound(attack, "none", seed))
    assert says(verify(folder, results), "arm.seed", "seeds 3, 14, 15; expected 0, 1, 2")


def test_a_submission_is_of_one_suite(folder: Path, check: Callable[[], Verification]) -> None:
    change(folder / FILE, "arm/suite", "theirs")
    assert says(check(), "arm.suite", "expected one suite, found ours, theirs")


# beside the published results


@pytest.fixture
def published(sound_model: Path, results: Path) -> Path:
    """Results that hold all of the sound submission but one attack."""
    shutil.copytree(sound_model, results / "theirs")
    remove(results, "answer_only")
    return results


@pytest.fixture
def attack_alone(folder: Path) -> Path:
    """A submission of that attack alone."""
    for path in sorted(folder.rglob("seed-*.json")):
        if "answer_only" not in path.parts:
            path.unlink()
    return folder


def test_a_new_attack_stands_beside_published_controls(attack_alone: Path, published: Path) -> None:
    verification = verify(attack_alone, published)
    assert not verification.problems
    assert verification.files == 6


def test_without_them_it_does_not_stand(attack_alone: Path, results: Path) -> None:
    assert says(verify(attack_alone, results), "", "control true_trace is missing")


def test_published_cells_are_refused(folder: Path, published: Path) -> None:
    verification = verify(folder, published)
    assert {problem.path for problem in verification.problems} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("seed-*.json") if "answer_only" not in path.parts
    }
    assert says(verification, "", "is published already")


def test_an_attack_that_meets_some_defenses_is_said_to(attack_alone: Path, published: Path) -> None:
    remove(attack_alone, "noise_answers")
    verification = verify(attack_alone, published)
    assert not verification.problems
    assert "answer_only against noise_answers: not run; the board says so" in verification.unchecked


def test_results_made_in_another_way_are_refused(attack_alone: Path, published: Path) -> None:
    for file in attack_alone.rglob("seed-*.json"):
        change(file, "arm/recipe/epochs", 40)
        change(file, "provenance/settings/student/recipe/epochs", 40)
    assert says(verify(attack_alone, published), "", r"not comparable: arm\.recipe\.epochs")


def test_other_seeds_than_the_published_are_refused(attack_alone: Path, published: Path) -> None:
    for defense in ("none", "noise_answers"):
        put(attack_alone, sound("answer_only", defense, 3))
    assert says(verify(attack_alone, published), "arm.seed", "seeds 0, 1, 2, 3; expected 0, 1, 2")


def test_a_published_theft_under_a_new_name_is_refused(attack_alone: Path, published: Path) -> None:
    theirs = sound("rep(shots=2)", "none", 1)
    change(attack_alone / FILE, "provenance/data/theft", theirs["provenance"]["data"]["theft"])
    assert says(verify(attack_alone, published), "provenance.data.theft", r"that of .*rep\(shots=2\).*another cell")


def test_a_published_result_that_cannot_be_read_is_an_error(attack_alone: Path, published: Path) -> None:
    next(published.rglob("seed-0.json")).write_text("{")
    with pytest.raises(HeistError, match="result file"):
        verify(attack_alone, published)


@pytest.mark.parametrize("suite", sorted(path.name for path in PUBLISHED.iterdir() if path.is_dir()))
def test_published_results_are_sound_but_for_being_published(suite: str, tmp_path: Path) -> None:
    older = False
    for path in result_files(PUBLISHED / suite):
        write_record(tmp_path, record := read_record(path))
        older |= not record.exam.replies
    if not older:
        shutil.copytree(PUBLISHED / suite / REPLIES, tmp_path / REPLIES)
    verification = verify(tmp_path, PUBLISHED)
    reasons = {"is published already"} if not older else {"is empty: run the suite again"}
    assert [p for p in verification.problems if not p.reason.startswith((*reasons,))] == []
    assert len(verification.problems) == verification.files


def test_what_a_run_leaves_is_refused_for_its_one_seed_alone(tiny_run: Any, results: Path) -> None:
    verification = verify(tiny_run.out / "tiny" / "results", results)
    assert verification.files > 15
    assert {p.reason for p in verification.problems if not p.field.startswith("provenance.")} == {
        "has seeds 0; expected 0, 1, 2",
        "the control gold_answer is missing, here and among the published results",
    }
    # of a checkout that is being worked on, or of none
    assert {p.field for p in verification.problems} <= {"arm.seed", "", "provenance.dirty", "provenance.commit"}


# what holds for all


@given(st.integers(0, TEST - 1), st.sampled_from([*VERDICTS]))
def test_changing_any_one_verdict_is_refused(
    sound_model: Path, tmp_path_factory: pytest.TempPathFactory, position: int, letter: str
) -> None:
    file, reader = tmp_path_factory.mktemp("one") / "seed-0.json", Intake([replies_path(Path(), SOUND["exam"]["replies"])])
    reader.read_questions(sound_model / LIST)
    file.write_text(json.dumps(SOUND))
    before = SOUND["exam"]["verdicts"]
    change(file, "exam/verdicts", before[:position] + letter + before[position + 1 :])
    if letter == before[position]:
        reader.read(file)
        return
    with pytest.raises(Refused, match="counts are not those of the verdicts"):
        reader.read(file)


def _leaves(value: object, path: tuple[str, ...] = ()) -> list[str]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*path, key))]
    return ["/".join(path)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(path=st.sampled_from([leaf for leaf in _leaves(SOUND) if "/" in leaf]), value=json_values)
def test_no_field_of_any_value_raises(tmp_path_factory: pytest.TempPathFactory, path: str, value: object) -> None:
    folder = tmp_path_factory.mktemp("any")
    put(folder, sound())
    (folder / FILE).write_text(json.dumps(SOUND))
    change(folder / FILE, path, value)
    (folder / "results").mkdir()
    assert not verify(folder, folder / "results").sound


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_content_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "seed-0.json").write_bytes(content)
    assert not verify(folder, folder).sound


def test_nothing_is_looked_for_online(folder: Path, check: Callable[[], Verification], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HEIST_DATA", str(folder))
    monkeypatch.setattr("heistbench.bench.storage.data_files.urlopen", lambda *args, **kwargs: pytest.fail("went online"))
    change(
        folder / FILE,
        "arm/exam",
        {"spec": "gsm8k", "name": "gsm8k", "version": "1-A", "parameters": {}, "paper": "arXiv:2110.14168", "source": ""},
    )
    assert any("gsm8k: its data is not in the data folder" in what for what in check().unchecked)
    assert "HF_HUB_OFFLINE" not in os.environ
