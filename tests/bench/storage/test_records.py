from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sound_submission import sound

from heistbench.bench import Grade, TraceCheck, Verdict
from heistbench.bench.scoring.verdicts import Examined
from heistbench.bench.storage.exams import Exam
from heistbench.bench.storage.invariants import faults_of
from heistbench.bench.storage.records import Record, slug
from heistbench.bench.storage.result_files import read_record, read_records, write_record

verdicts = st.dictionaries(st.text("abc", min_size=1, max_size=4), st.sampled_from(list(Verdict)), max_size=12)


@pytest.fixture
def raw(tiny_run) -> dict[str, Any]:
    """A real record, as JSON."""
    path = next((tiny_run.out / "tiny" / "results").rglob("answer_only/**/seed-0.json"))
    return read_record(path).model_dump(mode="json")


@pytest.fixture
def record(raw: dict[str, Any]) -> Record:
    return Record.model_validate(raw)


def examined(found: dict[str, Verdict]) -> list[Examined]:
    """Outcomes with these verdicts; a wrong answer has half a point, a trace is right where the answer is."""
    half = {Verdict.RIGHT: 1.0, Verdict.WRONG: 0.5}
    checks = {v: TraceCheck(int(v is Verdict.RIGHT), 1, True, v is Verdict.RIGHT, 7) for v in Verdict}
    return [Examined(i, Grade(v, half.get(v, 0.0), metrics={"f1": 0.5}), checks[v], "", "") for i, v in found.items()]


def changed(raw: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with one field replaced."""
    copy = deepcopy(raw)
    *parents, last = path.split(".")
    at = copy
    for parent in parents:
        at = at[parent]
    at[last] = value
    return copy


# examinations


@given(verdicts)
def test_an_exam_adds_up(found: dict[str, Verdict]) -> None:
    exam = Exam.of(examined(found))
    assert exam.n == len(found) == sum(exam.counts.values())
    assert set(exam.counts) == set(Verdict)
    right = sum(v is Verdict.RIGHT for v in found.values())
    wrong = sum(v is Verdict.WRONG for v in found.values())
    assert exam.accuracy == (right / len(found) if found else 0.0)
    assert exam.score == pytest.approx((right + wrong / 2) / len(found) if found else 0.0)
    assert exam.partial == {i: 0.5 for i, v in found.items() if v is Verdict.WRONG}
    assert exam.metrics == ({"f1": 0.5} if found else {})
    assert (exam.traces or {}) == {i: "right 7" if v is Verdict.RIGHT else "class 7" for i, v in found.items()}
    assert Exam.model_validate_json(exam.model_dump_json()) == exam


@given(verdicts.filter(bool), st.data())
def test_an_exam_that_does_not_add_up_is_refused(found: dict[str, Verdict], data: st.DataObject) -> None:
    raw = sound()
    exam = Exam.of(examined(found)).model_dump(mode="json")
    field = data.draw(st.sampled_from(["accuracy", "score", "n", "counts", "verdicts", "traces"]))
    if field in ("accuracy", "score"):
        exam[field] = data.draw(st.floats(0, 1).filter(lambda a: abs(a - exam[field]) * len(found) > 1e-5))
    elif field == "n":
        exam["n"] += data.draw(st.sampled_from([1, -1]))
    elif field == "counts":
        exam["counts"][data.draw(st.sampled_from(sorted(exam["counts"])))] += 1
    else:
        exam[field].pop(next(iter(exam[field])))
    Record.model_validate(changed(raw, "exam", Exam.of(examined(found)).model_dump(mode="json")))
    with pytest.raises(ValidationError, match=r"exam: (accuracy|score|counts|traces)"):
        Record.model_validate(changed(raw, "exam", exam))


def test_scores_of_other_questions_are_refused(raw: dict[str, Any]) -> None:
    exam = Exam.of(examined({"a": Verdict.RIGHT})).model_dump(mode="json")
    with pytest.raises(ValidationError, match="questions that were not examined"):
        Record.model_validate(changed(raw, "exam", {**exam, "partial": {"b": 1.0}}))


# round trips


def test_older_results_name_no_source_and_no_uncommitted_code(raw: dict[str, Any]) -> None:
    for plugin in (raw["arm"]["attack"], raw["arm"]["task"], raw["arm"]["exam"], *raw["arm"]["defenses"]):
        plugin.pop("source")
    raw["provenance"].pop("uncommitted")
    record = Record.model_validate(raw)
    assert (record.arm.attack.source, record.provenance.uncommitted) == ("", [])


# damaged files


def refused(raw: dict[str, Any]) -> str:
    """Why this is no record."""
    with pytest.raises(ValidationError) as caught:
        Record.model_validate_json(json.dumps(raw))
    return ": ".join(faults_of(caught.value)[0])


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("exam.accuracy", 0.99, "exam: .*accuracy is not that of the verdicts"),
        ("exam.n", 17, "exam: .*counts are not those of the verdicts"),
        ("exam.counts.right", 99, "exam: .*counts are not those"),
        ("exam.verdicts.x", "right", "exam: .*counts are not those"),
        ("exam.verdicts.x", "perfect", r"exam\.verdicts\.x: "),
        ("exam.accuracy", 1.5, r"exam\.accuracy: "),
        ("exam.accuracy", float("nan"), r"exam\.accuracy: "),
        ("loot.whole_traces", float("inf"), r"loot\.whole_traces: "),
        ("overlap.words.stolen.bleu", float("nan"), r"overlap\.words\.stolen\.bleu: "),
        ("overlap.words.floor_surrogate.bleu", "high", r"overlap\.words\.floor_surrogate\.bleu: "),
        ("volatile.seconds", float("nan"), r"volatile\.seconds: "),
        ("utility.refused", -0.1, r"utility\.refused: "),
        ("bill.queries", -1, r"bill\.queries: "),
        ("bill.queries", 1.5, r"bill\.queries: "),
        ("arm.seed", None, r"arm\.seed: "),
        ("arm.sede", 1, r"arm\.sede: Extra inputs"),
        ("arm.attack.source", 7, r"arm\.attack\.source: "),
        ("arm.attack.extra", 1, r"arm\.attack\.extra: Extra inputs"),
        ("extra", 1, "extra: Extra inputs"),
        ("schema_version", 4, "schema_version: "),
        ("provenance.commit", 7, r"provenance\.commit: "),
    ],
)
def test_a_tampered_record_is_refused_by_field(raw: dict[str, Any], path: str, value: object, field: str) -> None:
    assert re.match(field, refused(changed(raw, path, value)))


@pytest.mark.parametrize("path", ["arm.recipe.epochs", "arm.attack.parameters.x", "provenance.settings.x"])
def test_nan_is_refused_everywhere(raw: dict[str, Any], path: str) -> None:
    assert path.rpartition(".")[0] in refused(changed(raw, path, float("nan")))


@pytest.mark.parametrize("field", ["arm", "exam", "utility", "volatile"])
def test_a_missing_field_is_named(raw: dict[str, Any], field: str) -> None:
    assert refused({k: v for k, v in raw.items() if k != field}) == f"{field}: Field required"


# places


def test_a_path_reads_as_a_sentence(record: Record) -> None:
    assert str(record.path()) == "pocket/pocket-victim-1/none/answer_only/24-queries/pocket-base/seed-0.json"


NASTY = [
    "../../etc",
    "..",
    ".",
    "",
    "/etc/passwd",
    "a/../../b",
    "a\\..\\b",
    "~root",
    "a\0b",
    "a\nb",
    "...",
    "$(x)",
    "CON|?*",
    "\u202e",
]


@pytest.mark.parametrize("text", NASTY)
def test_a_slug_is_one_plain_file_name(text: str) -> None:
    found = slug(text)
    assert found not in ("", ".", "..")
    assert Path(found).name == found
    assert "/" not in found
    assert "\\" not in found
    assert "\0" not in found


@given(st.text())
def test_any_text_makes_a_file_name(text: str) -> None:
    found = slug(text)
    assert Path(found).parts == (found,)
    assert found.isascii()
    assert slug(found) == found


@given(st.text("abcXYZ019._=+,()-", min_size=1).filter(lambda text: text.strip(".") == text))
def test_plain_specs_stay_readable(text: str) -> None:
    assert slug(text) == text


@pytest.mark.parametrize("field", ["arm.task.spec", "arm.victim", "arm.release", "arm.defense", "arm.attack.spec", "arm.student"])
@pytest.mark.parametrize("text", NASTY[:9])
def test_no_record_is_written_outside_its_folder(raw: dict[str, Any], tmp_path: Path, field: str, text: str) -> None:
    record = Record.model_validate(changed(raw, field, text))
    path = write_record(tmp_path / "results", record)
    assert path.resolve().is_relative_to((tmp_path / "results").resolve())
    assert len(record.path().parts) == 7
    assert read_records(tmp_path) == [record]


def test_other_specs_are_other_paths(raw: dict[str, Any]) -> None:
    specs = ["mine(sep=|)", "mine(sep=/)"]
    paths = {Record.model_validate(changed(raw, "arm.attack.spec", spec)).path() for spec in specs}
    assert len(paths) == 2
