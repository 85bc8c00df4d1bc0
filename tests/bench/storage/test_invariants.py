"""A record is refused, field by field, where it does not add up: by whoever makes it, the harness first."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sound_submission import QUERY, sound

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.invariants import faults_of
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_record, read_records, write_record
from heistbench.leaderboard.published import PUBLISHED

SOUND = sound()
FIRST = next(iter(SOUND["exam"]["verdicts"]))
LIES: list[tuple[str, object, str, str]] = [
    ("exam/accuracy", 0.95, "exam", "accuracy"),
    ("exam/score", 0.95, "exam", "score"),
    ("exam/counts/right", 16, "exam", "counts"),
    ("exam/traces", {}, "exam", "traces are not those of the questions"),
    (f"exam/traces/{FIRST}", "none 7", "exam.traces", "`none`"),
    ("exam/partial", {"nobody's": 0.0}, "exam.partial", "not examined"),
    ("loot/questions", 50, "loot.questions", "budget of 12"),
    ("loot/lost", QUERY + 1, "loot.lost", "more than was asked"),
    ("loot/traces", QUERY + 1, "loot.traces", "more than the rows"),
    ("loot/right_answers", 0.95, "loot.right_answers", "no share of 12"),
    ("loot/rows", 5, "loot.right_answers", "more than the 5"),
    ("loot/rows", 0, "provenance.models.student after", "if there are rows"),
    ("bill/queries", QUERY + 1, "bill.queries", "over the budget"),
    ("arm/threat", "none", "bill.queries", "arm.threat is none"),
    ("bill/queries", 0, "bill", "no queries"),
    ("bill/queries", 0, "provenance.data.prompts sent", "hash of no prompts"),
    ("utility/lost", 21, "utility.lost", "more than was asked"),
    ("utility/refused", 0.5, "utility.refused", "both right and refused"),
    ("overlap/words/n", 4, "overlap.words.n", "12 questions attacked"),
    ("overlap/words/stolen", {}, "overlap.words.stolen", "expected answer_agreement"),
    ("overlap/words/stolen/lcs_f", 1.5, "overlap.words.stolen", "out of [0, 1]"),
    ("exposure", {"signature": "r", "n": 2, "struct": 0.5, "all": {}, "struct_only": {}}, "exposure.struct_only", "if struct is"),
    ("exposure", {"signature": "r", "n": 99, "struct": 0.0, "all": {}, "struct_only": {}}, "exposure.n", "12 queries"),
    ("examples/0/score", 0.1, "examples", "order of scores"),
    ("examples/0/question", "x" * 2001, "examples", "2,000 characters"),
]  # fmt: skip


def changed(path: str, value: object) -> dict[str, Any]:
    """A sound record with one field replaced."""
    raw = at = deepcopy(SOUND)
    *parents, last = path.split("/")
    for parent in parents:
        at = at[int(parent) if isinstance(at, list) else parent]
    at[last] = value
    return raw


def faults(raw: dict[str, Any]) -> list[tuple[str, str]]:
    """Why a record is refused."""
    with pytest.raises(ValidationError) as caught:
        Record.model_validate(raw)
    return faults_of(caught.value)


def test_a_sound_record_is_one() -> None:
    assert Record.model_validate(SOUND).exam.n == 20


@pytest.mark.parametrize(("path", "value", "field", "reason"), LIES, ids=[f"{path}-{field}" for path, _, field, _ in LIES])
def test_a_record_that_does_not_add_up_cannot_be_made(path: str, value: object, field: str, reason: str) -> None:
    assert any(where == field and reason in why for where, why in faults(changed(path, value)))


def test_the_error_names_field_and_reason_of_every_rule_that_is_broken() -> None:
    raw = changed("exam/accuracy", 0.95)
    raw["bill"]["queries"], raw["utility"]["accuracy"] = QUERY + 1, 0.91
    with pytest.raises(ValidationError) as caught:
        Record.model_validate(raw)
    fields = [field for field, _ in faults_of(caught.value)]
    assert fields == ["exam", "bill.queries", "utility.accuracy"]
    assert all(f"{field}: {reason}" in str(caught.value) for field, reason in faults_of(caught.value))


def test_a_file_that_lies_is_named_with_its_field_on_one_line(tmp_path: Path) -> None:
    file = write_record(tmp_path, Record.model_validate(SOUND))
    raw = json.loads(file.read_text())
    raw["overlap"]["x\x1b[31m\n"] = raw["overlap"]["words"]
    file.write_text(json.dumps(raw))
    with pytest.raises(HeistError, match="overlap") as caught:
        read_record(file)
    assert str(caught.value).isprintable()


def test_the_published_results_add_up() -> None:
    assert len(read_records(PUBLISHED)) == len(list(PUBLISHED.rglob("seed-*.json")))
