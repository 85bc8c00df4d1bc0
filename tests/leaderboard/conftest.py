"""Synthetic records: made without any model, so that boards can be built of whatever a test needs."""

from __future__ import annotations

import io
import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console
from sound_submission import write_sound

from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.scoring.overlap import SIGNATURES
from heistbench.bench.storage.invariants import NOTHING
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import hash_of
from heistbench.leaderboard.board.build import Board, build
from heistbench.leaderboard.pages.contest import Contest, ContestName, Release
from heistbench.leaderboard.pages.render import contest_page
from heistbench.leaderboard.terminal.show import tables

QUESTIONS = 120
DEFENSES = ("none", "redact_summary(level=all)", "noise_answers")
Make = Callable[..., Record]


def make_record(
    attack: str = "copy", defense: str = "none", accuracy: float = 0.5, seed: int = 0, n: int = QUESTIONS, **changes: Any
) -> Record:
    """A record whose student is right on about `accuracy` of `n` questions.

    `changes` replaces fields by path, as in `arm__student="big"`.
    """
    rng = Random(f"{attack} {defense} {seed}")
    right = {f"q{i:04}": Verdict.RIGHT if rng.random() < accuracy else Verdict.WRONG for i in range(n)}
    raw = _raw(attack, defense, seed, right)
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = raw
        for parent in parents:
            at = at[parent]
        at[last] = value
    _settle(raw, changes)
    return Record.model_validate(raw)


def _settle(raw: dict[str, Any], changes: dict[str, Any]) -> None:
    """Make what follows from changed fields follow from them: a record that does not add up is none."""
    loot, bill, use, budget = raw["loot"], raw["bill"], raw["utility"], raw["arm"]["budget"]
    bill["queries"] = min(bill["queries"], budget)
    if raw["arm"]["threat"] == "none" and "bill__queries" not in changes:
        bill["queries"] = 0
    if not bill["queries"]:
        bill.update(prompt_tokens=0, completion_tokens=0, dollars=0.0)
        raw["provenance"]["data"]["prompts sent"] = NOTHING
    answered = max(1, budget - loot["lost"])
    rows = budget - loot["lost"] if loot["rows"] else 0
    loot.update(questions=budget, rows=rows, traces=rows - rows // 20)
    loot["whole_traces"] = _share_of(loot["whole_traces"], answered) if rows else 0.0
    loot["right_answers"] = _share_of(loot["right_answers"], answered) if rows else 0.0
    for name in ("accuracy", "refused", "summary_shown"):
        use[name] = _share_of(use[name], use["n"] - use["lost"])
    use["refused"] = min(use["refused"], _share_of(1 - use["accuracy"], use["n"] - use["lost"]))
    for scores in raw["overlap"].values():
        scores["n"] = budget
        if "answer_agreement" in scores["stolen"]:
            scores["stolen"]["answer_agreement"] = _share_of(scores["stolen"]["answer_agreement"], answered)
    if not loot["rows"]:
        loot["sha256"], raw["overlap"], raw["examples"] = NOTHING, {}, []
        raw["provenance"]["models"]["student after"] = raw["provenance"]["models"].get("student before")
    elif not changes.keys() & {"provenance__models", "provenance__models__student after"}:
        raw["provenance"]["models"]["student after"] = _student(raw)
    raw["examples"] = raw["examples"][: loot["rows"]]


def _student(raw: dict[str, Any]) -> str:
    """The student of an arm and seed: another one where it gave other verdicts, or learnt from another release."""
    arm = raw["arm"]
    asked = "" if arm["threat"] == "none" else arm["release"]
    return "student:" + hash_of([arm["attack"]["spec"], arm["defense"], asked, arm["seed"], raw["exam"]["verdicts"]])[:24]


def _share_of(share: float, n: int) -> float:
    return round(share * n) / n


def make_control(attack: str = "untrained", accuracy: float = 0.2, queries: int = 0, **more: Any) -> Record:
    """A control's record; with `queries` it is one that asked the victim."""
    threat = "full-leak" if queries else "none"
    return make_record(attack, "none", accuracy, **{"arm__control": True, "arm__threat": threat, "bill__queries": queries} | more)


def plugin(spec: str, version: str = "1-A") -> dict[str, Any]:
    """A plugin's identity."""
    return {"spec": spec, "name": spec.partition("(")[0], "version": version, "parameters": {}, "paper": ""}


def defense_id(spec: str) -> dict[str, Any]:
    """A defense's identity, with what it declares."""
    return {**plugin(spec), "touches": ["answer"] if "noise" in spec else [], "random": "noise" in spec}


def overlap_by(signature: str, *metrics: str, **values: float) -> dict[str, Any]:
    """Overlap by a signature, the same for all of its metrics: those it has, or for a signature of nobody's the ones named."""
    metrics = (*SIGNATURES[signature].metrics, "answer_agreement") if signature in SIGNATURES else metrics
    usual = {"stolen": 0.61, "floor_other_question": 0.31, "floor_surrogate": 0.52, "ceiling_victim_again": 0.98}
    scores = {name: dict.fromkeys(metrics, value) for name, value in (usual | values).items()}
    return {"signature": f"{signature}|empty:0|v:1", "n": 200, **scores}


def exposure(n: int = 200, struct: float = 0.75, signature: str = "rep|v:1", **r: float) -> dict[str, Any]:
    """Exposure whose overlaps are a tenth higher over the whole replies."""
    whole = {name: value + 0.1 for name, value in r.items()} if struct else {}
    return {"signature": signature, "n": n, "struct": struct, "all": r, "struct_only": whole}


def example(name: str, score: float | None) -> dict[str, Any]:
    """A row of loot beside what it was made of."""
    return {
        "id": name, "question": f"What is {name}?", "exposed": f"It is {name}.", "stolen": f"I think {name}.", "answer": name,
        "hidden": f"I thought of {name}.", "score": score,
    }  # fmt: skip


def _raw(attack: str, defense: str, seed: int, verdicts: dict[str, Verdict]) -> dict[str, Any]:
    right, n = sum(v is Verdict.RIGHT for v in verdicts.values()), len(verdicts)
    return {
        "arm": {
            "suite": "made", "task": plugin("pocket"), "exam": plugin("pocket"), "victim": "oracle", "release": "1",
            "victim_model": "pocket/victim-1",
            "defense": defense, "defenses": [defense_id(part) for part in defense.split("+")], "attack": plugin(attack),
            "control": False, "privileged": False, "threat": "black-box", "student": "pocket/base",
            "recipe": {"epochs": 30}, "budget": 200, "seed": seed,
        },
        "exam": {
            "accuracy": right / n if n else 0.0, "score": right / n if n else 0.0, "n": n,
            "counts": {"right": right, "wrong": n - right}, "verdicts": verdicts,
        },
        "loot": {
            "questions": 200, "lost": 0, "rows": 200, "traces": 190, "whole_traces": 0.55, "right_answers": 0.93,
            "sha256": "0" * 64,
        },
        "overlap": {"words": overlap_by("words")},
        "exposure": None,
        "examples": [example("q0", 1.0), example("q1", 0.25)],
        "utility": {"n": 100, "lost": 0, "accuracy": 0.97, "refused": 0.01, "summary_shown": 1.0, "summary_values_kept": 0.5},
        "bill": {
            "queries": 200, "prompt_tokens": 4000, "completion_tokens": 12345, "attacker_tokens_generated": 9000,
            "attacker_tokens_trained": 0, "dollars": 0.0,
        },
        "provenance": {
            "harness": "0.1.0", "commit": "abc", "dirty": False, "python": "3.12", "packages": {}, "engine": "transformers",
            "dtype": "float32", "device": "cpu",
            "models": {"victim": "sha256:v", "surrogate": "sha256:s", "student before": "b", "student after": ""},
            "data": {"task": "t", "questions examined": "e", "theft": f"{attack}{defense}"}, "contamination": {},
            "settings": {"student": {"model": "pocket/base", "decoding": {"temperature": 0.0}}, "sizes": {"query": 200}},
        },
        "volatile": {"created": "2026-01-01", "seconds": 1.0, "attacker_seconds": 0.5, "hardware": "none"},
    }  # fmt: skip


def sample_records(defenses: tuple[str, ...] = DEFENSES, seeds: int = 3) -> list[Record]:
    """Two attacks and three controls against some defenses: one works, one does not, one pair is missing."""
    records = []
    for seed in range(seeds):
        records += [make_control("untrained", 0.1, seed=seed, overlap={}), make_control("surrogate_trace", 0.5, seed=seed)]
        records += [make_control("true_trace", 0.99, queries=200, seed=seed, arm__privileged=True)]
        for defense in defenses:
            strength = 0.95 if defense == "none" else 0.55
            records.append(make_record("trace_inversion(use_summary=false)", defense, strength, seed))
        records += [make_record("answer_only", defense, 0.48, seed) for defense in defenses[:-1]]
    return records


@pytest.fixture(scope="session")
def make() -> Make:
    """Makes an attack's record."""
    return make_record


@pytest.fixture(scope="session")
def control() -> Make:
    """Makes a control's record."""
    return make_control


@pytest.fixture(scope="session")
def overlap() -> Callable[..., dict[str, Any]]:
    """Makes what a record says of one signature."""
    return overlap_by


@pytest.fixture(scope="session")
def sample() -> list[Record]:
    """A small, whole board's records."""
    return sample_records()


@pytest.fixture(scope="session")
def board(sample: list[Record]) -> Board:
    """The board of `sample`."""
    return build(sample)


@pytest.fixture(scope="session")
def boards() -> Callable[..., Board]:
    """The board of `sample_records` with other defenses or seeds."""
    return lambda *args, **kwargs: build(sample_records(*args, **kwargs))


def print_board(board: Board, width: int) -> str:
    """The board as a terminal of some width shows it."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    for table in tables(board, width):
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


@pytest.fixture(scope="session")
def printed() -> Callable[[Board, int], str]:
    """What `print_board` returns."""
    return print_board


@pytest.fixture(scope="session")
def media() -> Callable[[Board], tuple[str, str]]:
    """The words of a wide terminal and of a contest's page, without markup and figures, one space between words."""

    def texts(board: Board) -> tuple[str, str]:
        contest = Contest(ContestName("t", "t", "v", "s"), (Release("1", board),), None, {}, defaultdict(str))
        page = re.sub(r"<wbr>|<figure.*?</figure>", "", contest_page(contest), flags=re.DOTALL)
        return " ".join(print_board(board, 250).split()), " ".join(re.sub("<[^>]*>", " ", page).split())

    return texts


@pytest.fixture(scope="session")
def sound_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound submission, to copy."""
    return write_sound(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def folder(sound_model: Path, tmp_path: Path) -> Path:
    """A sound submission, to change."""
    return Path(shutil.copytree(sound_model, tmp_path / "submission"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """No published results."""
    (tmp_path / "results").mkdir()
    return tmp_path / "results"
