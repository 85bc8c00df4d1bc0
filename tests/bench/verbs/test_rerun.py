"""Running again what is cheap of real results: those of a run come out as they are, lies about them do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_record
from heistbench.bench.verbs import rerun as module
from heistbench.bench.verbs.rerun import rerun
from heistbench.leaderboard.submit.findings import Fault, Unchecked

Raw = dict[str, Any]


def record_of(run: Any, attack: str, defense: str = "none") -> tuple[str, Raw]:
    """One record of the tiny run: its path and its fields."""
    results = run.out / "tiny" / "results"
    (path,) = results.rglob(f"{defense}/{attack}/**/seed-0.json")
    return path.relative_to(results).as_posix(), read_record(path).model_dump(mode="json")


def outcome(*raws: tuple[str, Raw]) -> tuple[list[tuple[str, Fault]], list[str]]:
    """Faults by path, and what could not be run again."""
    records = {path: Record.model_validate(raw) for path, raw in raws}
    found = [*rerun(records)]
    faults = [(path, finding) for path, finding in found if isinstance(finding, Fault)]
    return faults, [finding.what for _, finding in found if isinstance(finding, Unchecked)]


def test_what_a_run_left_comes_out_again(tiny_run: Any) -> None:
    cells = [("untrained", "none"), ("answer_only", "noise_answers"), ("summary_answer", "none"), ("wrong_trace", "none")]
    cells += [("true_trace", "none"), ("trace_inversion", "none")]
    faults, unchecked = outcome(*(record_of(tiny_run, *cell) for cell in cells))
    assert faults == []
    assert unchecked == ["loot of trace_inversion: not run again (suite rerun names no surrogate, and trace_inversion needs one)"]


def untrained_that_fails_all(raw: Raw) -> None:
    """The student as it was answers nothing at all."""
    exam = raw["exam"]
    exam["verdicts"] = dict.fromkeys(exam["verdicts"], "refused")
    exam.update(accuracy=0.0, score=0.0, counts={**dict.fromkeys(exam["counts"], 0), "refused": exam["n"]})


def noise_that_nobody_notices(raw: Raw) -> None:
    """Honest users are always right behind noise."""
    raw["utility"].update(accuracy=1.0, refused=0.0)


def richer_loot(raw: Raw) -> None:
    """Every stolen trace is right."""
    raw["loot"].update(traces=raw["loot"]["rows"], whole_traces=1.0)


def other_loot(raw: Raw) -> None:
    """The same numbers of other rows."""
    raw["loot"]["sha256"] = "0" * 64


def cheaper_theft(raw: Raw) -> None:
    """The victim wrote less."""
    raw["bill"]["completion_tokens"] //= 2


def control_of_wrong_traces_made_stronger(raw: Raw) -> None:
    """An attack's loot stands under a control's name."""
    raw["loot"]["whole_traces"] = 0.5


LIES: list[tuple[Callable[[Raw], None], str, str, str, str]] = [
    (untrained_that_fails_all, "untrained", "none", "exam.verdicts", "are not those of the student without training"),
    (noise_that_nobody_notices, "answer_only", "noise_answers", "utility.accuracy", "is 1, and 0."),
    (richer_loot, "answer_only", "none", "loot.traces", "is 24, and 0 when stolen again"),
    (other_loot, "answer_only", "none", "loot.sha256", "is not that of the loot when stolen again"),
    (cheaper_theft, "summary_answer", "none", "bill.completion_tokens", "when stolen again"),
    (control_of_wrong_traces_made_stronger, "wrong_trace", "none", "loot.whole_traces", "is 0.5, and 0 when stolen again"),
]


@pytest.mark.parametrize(("lie", "attack", "defense", "field", "reason"), LIES, ids=[lie.__name__ for lie, *_ in LIES])
def test_a_lie_comes_out_otherwise(
    tiny_run: Any, lie: Callable[[Raw], None], attack: str, defense: str, field: str, reason: str
) -> None:
    path, raw = record_of(tiny_run, attack, defense)
    lie(raw)
    faults, _ = outcome((path, raw))
    assert any(at == path and fault.field == field and reason in fault.reason for at, fault in faults)


def set_field(raw: Mapping[str, Any], path: str, value: object) -> None:
    """Set a field, named by keys with `/` between them."""
    at: Any = raw
    *parents, last = path.split("/")
    for parent in parents:
        at = at[parent]
    at[last] = value


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("provenance/engine", "vllm", "that were not made by transformers on a CPU"),
        ("provenance/device", "cuda", "that were not made by transformers on a CPU"),
        ("provenance/settings/victim/model", "org/name@0123456", "of models that do not ship"),
        ("arm/attack/source", "0" * 16, "of plugins whose code is not the code here"),
        ("arm/attack/name", "brand_new", "of plugins whose code is not the code here"),
        ("provenance/settings/sizes/test", 100_000, "of more questions than the shipped suites have"),
        ("provenance/settings/victim/decoding/max_new_tokens", 100_000, "with replies of more than 512 tokens"),
        ("provenance/packages/torch", "1.0", "made with other versions of torch"),
    ],
)
def test_what_cannot_be_run_again_is_named(tiny_run: Any, path: str, value: object, why: str) -> None:
    at, raw = record_of(tiny_run, "answer_only")
    set_field(raw, path, value)
    faults, (unchecked,) = outcome((at, raw))
    assert faults == []
    assert unchecked.startswith(f"nothing was run again of results {why}")


def test_other_hardware_may_round_otherwise_but_not_lie(tiny_run: Any) -> None:
    at, raw = record_of(tiny_run, "answer_only")
    raw["volatile"]["hardware"] = "another machine"
    other_loot(raw)
    assert outcome((at, raw))[0] == []
    richer_loot(raw)
    assert {fault.field for _, fault in outcome((at, raw))[0]} == {"loot.traces", "loot.whole_traces"}


def test_time_is_bounded(tiny_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", -1)
    faults, unchecked = outcome(record_of(tiny_run, "untrained"), record_of(tiny_run, "answer_only", "noise_answers"))
    assert faults == []
    assert [line.partition(":")[0] for line in unchecked] == ["exams of untrained students", "honest use", "loot"]


def test_nothing_is_left_behind(tiny_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    outcome(record_of(tiny_run, "untrained"))
    assert not list(tmp_path.iterdir())
