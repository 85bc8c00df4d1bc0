"""Every shipped suite runs at smoke scale: the attacks, controls and prompts of the full one, with small models."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from heistbench.bench.contracts.registry import registry, spec_of
from heistbench.bench.runs.dry import work_of
from heistbench.bench.runs.estimate import outline
from heistbench.bench.storage.ledger import Ledger, ledgers
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_records
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite, smoke
from heistbench.tasks.gsm8k import DATA_FILES


class Ran(NamedTuple):
    """The records of a suite at smoke scale, by attack, defense and budget; the last also by task where there are several."""

    records: list[Record]

    def of(self, attack: str, defense: str = "none", budget: int | None = None, task: str | None = None) -> Record:
        """The one record of an arm."""
        found = [
            r
            for r in self.records
            if (r.arm.attack.spec, r.arm.defense) == (attack, defense)
            and budget in (None, r.arm.budget)
            and task in (None, r.arm.task.spec)
        ]
        (record,) = found
        return record


@pytest.fixture
def run_smoke(heist: Callable, tmp_path: Path) -> Callable[[str], Ran]:
    """Runs a suite at smoke scale, and checks what must hold of any."""

    def run(name: str) -> Ran:
        full, small = load_suite(name), smoke(load_suite(name))
        assert (small.attacks, small.controls) == (full.attacks, full.controls)
        ended = heist("run", name, "--scale", "smoke", "--out", tmp_path, "--executor", "here")
        assert ended.code == 0, ended.err
        records = read_records(tmp_path / small.name / "results")
        named = Counter((c.task, spec_of(c.build_attack()), c.defense, c.budget, c.student.model, c.seed) for c in cells(small))
        arms = [r.arm for r in records]
        assert Counter((a.task.spec, a.attack.spec, a.defense, a.budget, a.student, a.seed) for a in arms) == named
        for record in records:
            _check(record)
        _check_queries(Store(tmp_path / "store"), name)
        return Ran(records)

    return run


def _check(record: Record) -> None:
    asks = registry.build("attack", record.arm.attack.spec).info.asks
    assert record.bill.queries == (0 if asks == "nothing" else record.arm.budget)
    assert sum(record.exam.counts.values()) == record.exam.n > 0
    assert record.exam.counts["error"] == record.loot.lost == 0
    assert record.loot.questions == record.arm.budget
    assert record.loot.traces <= record.loot.rows
    if record.arm.attack.name == "untrained":
        assert record.loot.rows == 0


def _check_queries(store: Store, name: str) -> None:
    """A victim was asked just what the outline said, and no more than its bound."""
    found = smoke(load_suite(name))
    asked = sum(Ledger(store, json.loads((folder / "spec.json").read_text())).spent()[0] for folder in ledgers(store))
    assert asked == sum(work.queries for work in outline(found))
    if all(victim.model != "recorded" for victim in found.victims):
        assert asked <= work_of(cells(found)).most_queries


@pytest.fixture
def grade_school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GSM8K of our own making: one of REP's sources of demonstrations."""
    for part, n in (("train", 400), ("test", 1)):
        file = tmp_path / DATA_FILES[part].path
        file.parent.mkdir(exist_ok=True)
        texts = [(f"Tom has {at} {part} tickets and buys {at % 7} more. How many?", at, at + at % 7) for at in range(n)]
        rows = [{"question": text, "answer": f"It is {at}+{at % 7}={end}\n#### {end}"} for text, at, end in texts]
        file.write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv("HEIST_DATA", str(tmp_path))


def test_pocket(run_smoke: Callable[[str], Ran]) -> None:
    ran = run_smoke("pocket")
    assert ran.of("rep(shots=2)").loot.traces > 12
    assert ran.of("true_trace").loot.whole_traces == 1
    assert ran.of("wrong_trace").loot.whole_traces == 0
    defense = "redact_summary(level=all)+noise_answers"
    assert ran.of("summary_answer", defense).loot.traces == 0
    assert ran.of("answer_only", defense).loot.right_answers < ran.of("answer_only").loot.right_answers


def test_pocket_full(run_smoke: Callable[[str], Ran]) -> None:
    ran = run_smoke("pocket-full")
    assert ran.of("rep(shots=2)").loot.traces < 4, "release 2 was hardened"
    assert ran.of("trace_inversion").loot.sha256 == ran.of("trace_inversion(adaptive=true)").loot.sha256
    defense = "redact_summary+noise_answers"
    adaptive = ran.of("trace_inversion(adaptive=true)", defense)
    assert adaptive.loot.sha256 != ran.of("trace_inversion", defense).loot.sha256


def test_trace_inversion(run_smoke: Callable[[str], Ran]) -> None:
    ran = run_smoke("trace-inversion")
    _check_inversion(ran, budget=24)
    assert ran.of("true_trace", budget=24).loot.whole_traces == 1
    stolen = ran.of("trace_inversion", budget=24).overlap["words"]
    assert stolen.floor_surrogate
    assert stolen.ceiling_victim_again


def test_trace_inversion_behind_an_api(run_smoke: Callable[[str], Ran]) -> None:
    _check_inversion(run_smoke("trace-inversion-api"), budget=24)


def _check_inversion(ran: Ran, budget: int) -> None:
    """A row a query; none without queries, but for the surrogate's own; the arms differ in what they should."""
    untrained = ran.of("untrained", budget=0).exam.verdicts
    for record in ran.records:
        if record.arm.attack.name in ("untrained", "surrogate_trace"):
            continue
        own = record.loot.rows - record.arm.budget
        assert 30 < own <= 40 if "augment" in record.arm.attack.spec else own == 0, record.arm.attack.spec
        if not record.loot.rows:
            assert record.exam.verdicts == untrained
            assert record.bill.attacker_tokens_trained == 0
    plain, gated = (ran.of(f"trace_inversion{of}", budget=budget) for of in ("", "(gate=true)"))
    assert plain.loot.sha256 == gated.loot.sha256, "there is no code in the pocket world"
    loot = {
        ran.of(arm, budget=budget).loot.sha256
        for arm in ("trace_inversion", "trace_inversion(use_summary=false)", "zero_shot_inversion", "shuffled_inversion")
    }
    assert len(loot) == 4
    assert ran.of("summary_answer", budget=budget).loot.traces == budget
    assert ran.of("answer_only", budget=budget).loot.traces == 0


@pytest.mark.usefixtures("grade_school")
def test_rep(run_smoke: Callable[[str], Ran]) -> None:
    ran = run_smoke("rep")
    for record in ran.records:
        prompts = registry.build("attack", record.arm.attack.spec).info.asks == "prompts"
        assert (record.exposure is not None) == prompts
        assert record.exposure is None or record.exposure.n > 0
        assert set(record.overlap) == ({"words", "rep"} if record.loot.rows else set())
    for defense in ("none", "boundary_prompt"):
        for wrapper in ("plain", "shell", "python", "bash", "jupyter", "tool", "labels"):
            shown = ran.of("rep" if wrapper == "bash" else f"rep(wrapper={wrapper})", defense)
            assert shown.exposure
            assert min(shown.exposure.struct, shown.exposure.all["r02"], shown.exposure.all["r12"]) > 0.8, wrapper
        for request in ("rep_request", "rep_request(request=stepwise)"):
            assert ran.of(request, defense).exposure.all["r02"] < 0.4, "the pocket victims do not heed requests"  # type: ignore[union-attr]
        thoughts = ran.of("tool_elicitation", defense)
        assert thoughts.loot.traces > 12
        assert thoughts.exposure
        assert thoughts.exposure.struct == 0, "native thinking is off"
        every, valid, clean = (ran.of(f"rep{keep}", defense).loot for keep in ("", "(keep=valid)", "(keep=clean)"))
        assert every.rows >= valid.rows == valid.traces >= clean.rows == clean.traces > 0


def test_rep_students(run_smoke: Callable[[str], Ran]) -> None:
    ran = run_smoke("rep-students")
    valid, clean = ran.of("rep(keep=valid)"), ran.of("rep(keep=clean)")
    assert valid.loot.rows > clean.loot.rows > 0
    assert ran.of("true_trace").loot.whole_traces == 1
    assert ran.of("summary_answer").loot.traces == ran.of("trace_inversion").loot.traces == ran.of("answer_only").loot.rows


@pytest.mark.usefixtures("test_data")
@pytest.mark.parametrize("name", ["babi", "openbook-pocket", "openbook"])
def test_suites_of_real_text(run_smoke: Callable[[str], Ran], name: str) -> None:
    ran = run_smoke(name)
    for task in smoke(load_suite(name)).tasks:
        true, wrong, answers = (ran.of(arm, task=task).loot for arm in ("true_trace", "wrong_trace", "answer_only"))
        assert (true.whole_traces, wrong.whole_traces, answers.traces) == (1, 0, 0)
        assert true.rows == wrong.rows == answers.rows
