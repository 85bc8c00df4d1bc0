"""A submission that is sound: records of the pocket task whose ids, hashes and numbers are right, made without any model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from heistbench.bench.contracts.nouns import Problem
from heistbench.bench.contracts.plugins import Attack, Defense, Task
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.contracts.registry import identity, registry, spec_of
from heistbench.bench.contracts.replies import Parts
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.scoring.verdicts import judge_parts
from heistbench.bench.storage.exams import Exam
from heistbench.bench.storage.provenance import CONTAMINATION, contamination, harness_version
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import write_record
from heistbench.bench.storage.store import hash_of
from heistbench.bench.storage.student_replies import name_of, write_replies
from heistbench.bench.suites.cells import defenses_of
from heistbench.bench.suites.settings import Decoding, Inverter, Sizes, Student, Surrogate, Victim

QUERY, OWN, TEST = 12, 8, 20
SEEDS = (0, 1, 2)
ATTACKS, CONTROLS, DEFENSES = (
    ("answer_only", "rep(shots=2)"),
    ("untrained", "surrogate_trace", "gold_answer", "gold_inversion", "true_trace"),
    ("none", "noise_answers"),
)
COMMIT = "0" * 39 + "1"
METRICS = ("lcs_f", "token_f1_set", "token_f1", "bleu", "length_ratio", "value_recall", "answer_agreement")
Raw = dict[str, Any]


def places() -> Iterator[tuple[str, str, int]]:
    """Attack, defense and seed of every record."""
    for seed in SEEDS:
        yield from ((control, "none", seed) for control in CONTROLS)
        yield from ((attack, defense, seed) for attack in ATTACKS for defense in DEFENSES)


def sound(attack: str = "answer_only", defense: str = "none", seed: int = 0, release: str = "1") -> Raw:
    """One record, as the JSON of its file."""
    task = cast(Task, registry.build("task", "pocket"))
    plugin = cast(Attack, registry.build("attack", attack))
    tests, attacked = task.problems("test", TEST), task.problems("query", QUERY)
    splits = {"test": tests, "query": attacked, "surrogate": task.problems("surrogate", OWN)}
    student, settings = checkpoint("pocket/base").identity, _settings(release)
    asks, rows = plugin.info.threat != "none", 0 if attack == "untrained" else QUERY
    label = [attack, defense, seed, *([release] if asks else [])]
    means = {"stolen": 0.5, "floor_other_question": 0.25, "floor_surrogate": 0.5, "ceiling_victim_again": 1.0}
    overlap = {part: dict.fromkeys(METRICS, value) for part, value in means.items()}
    signature = "words|tokens:words and single signs|empty:0|v:1"
    return {
        "schema_version": 5,
        "arm": {
            "suite": "ours", "task": _plugin(task), "exam": _plugin(task), "victim": "pocket-victim", "release": release,
            "victim_model": f"pocket/victim-{release}", "defense": defense,
            "defenses": [_defense(d) for d in defenses_of(defense)], "attack": _plugin(plugin),
            "control": plugin.info.control, "privileged": plugin.info.privileged,
            "threat": plugin.info.threat, "student": "pocket/base", "recipe": Recipe().identity, "budget": QUERY, "seed": seed,
        },
        "exam": exam_of(replies(attack, seed)),
        "loot": {
            "questions": QUERY, "lost": 0, "rows": rows, "traces": rows, "whole_traces": 0.75 if rows else 0.0,
            "right_answers": 1.0 if rows else 0.0, "sha256": hash_of(["loot", *label] if rows else []),
        },
        "overlap": {"words": {"signature": signature, "n": QUERY, **overlap}} if rows else {},
        "exposure": None,
        "examples": [_example(p.question.id, p.question.text, score) for p, score in zip(attacked, (1.0, 0.25), strict=False)]
        if rows else [],
        "utility": {"n": TEST, "lost": 0, "accuracy": 0.9, "refused": 0.05, "summary_shown": 1.0, "summary_values_kept": 0.5},
        "bill": {
            "queries": QUERY if asks else 0, "prompt_tokens": 400 if asks else 0, "completion_tokens": 900 if asks else 0,
            "attacker_tokens_generated": 0, "attacker_tokens_trained": 0, "dollars": 0.0,
        },
        "provenance": {
            "harness": harness_version(), "commit": COMMIT, "dirty": False, "python": "3.12.1", "packages": {"torch": "2.13.0"},
            "engine": "transformers", "dtype": "float32", "device": "cpu",
            "models": {
                "victim": checkpoint(f"pocket/victim-{release}").identity, "surrogate": checkpoint("pocket/surrogate").identity,
                "inverter": checkpoint("pocket/surrogate").identity, "student before": student,
                "student after": f"student:{hash_of(label)[:24]}" if rows else student,
            },
            "data": {
                "task": "", "exam": "", "questions attacked": hash_of([p.question for p in attacked]),
                "questions examined": hash_of([(p.question, p.gold) for p in tests]),
                "prompts sent": hash_of(["prompts", *label] if asks else []), "theft": hash_of(["theft", *label])[:24],
            },
            "contamination": {
                name: contamination(*([p.question.text for p in splits[split]] for split in pair))
                for name, pair in CONTAMINATION.items()
            },
            "settings": settings,
        },
        "volatile": {"created": "2026-01-01T00:00:00+00:00", "seconds": 1.0, "attacker_seconds": 0.5, "hardware": "x86_64"},
    }  # fmt: skip


def write_sound(folder: Path, release: str = "1") -> Path:
    """A whole submission: two attacks and five controls, two defenses, three seeds."""
    for attack, defense, seed in places():
        put(folder, sound(attack, defense, seed, release))
    return folder


def replies(attack: str, seed: int) -> list[Parts]:
    """What the student of a record wrote: right traces, and three answers in four right; of weak controls one."""
    rights, seed = (1, 0) if attack == "untrained" else (1 if attack == "gold_answer" else 3, seed)
    return [answer(p, p.trace, right=(at + seed) % 4 < rights) for at, p in enumerate(examined())]


def answer(problem: Problem, trace: str | None, *, right: bool) -> Parts:
    """A reply whose answer is right or wrong."""
    return Parts(trace, problem.gold if right else str((int(problem.gold) + 1) % 10))


def examined() -> list[Problem]:
    """The exam's problems in the order of question lists."""
    problems = cast(Task, registry.build("task", "pocket")).problems("test", TEST)
    return sorted(problems, key=lambda problem: problem.question.id)


def exam_of(written: list[Parts]) -> Raw:
    """The exam of a student that wrote this."""
    task = cast(Task, registry.build("task", "pocket"))
    exam = Exam.of(judge_parts(task, examined(), written, ["stop"] * TEST))
    return {**exam.model_dump(mode="json"), "replies": name_of(written)}


def put(folder: Path, raw: Raw, written: list[Parts] | None = None) -> Path:
    """Write a record beside what its student wrote; its exam becomes that of `written`, if anything else is given."""
    if written is not None:
        raw = {**raw, "exam": exam_of(written)}
    write_replies(folder, written or replies(raw["arm"]["attack"]["name"], raw["arm"]["seed"]))
    return write_record(folder, Record.model_validate(raw))


def _settings(release: str) -> Raw:
    return {
        "victim": Victim(model=f"pocket/victim-{release}", decoding=Decoding(temperature=0.7)).model_dump(mode="json"),
        "surrogate": Surrogate(model="pocket/surrogate").model_dump(mode="json"),
        "compressor": None,
        "inverter": Inverter(model="pocket/surrogate").model_dump(mode="json"),
        "student": Student(model="pocket/base").model_dump(mode="json"),
        "sizes": Sizes(query=QUERY, surrogate=OWN, test=TEST).model_dump(mode="json"),
    }


def _plugin(plugin: Task | Attack | Defense) -> Raw:
    return {"spec": spec_of(plugin), "paper": plugin.info.paper, **identity(plugin)}


def _defense(plugin: Defense) -> Raw:
    info = plugin.info
    return {**_plugin(plugin), "touches": list(info.touches), "random": info.random}


def _example(name: str, question: str, score: float) -> Raw:
    return {
        "id": name, "question": question, "exposed": "7", "stolen": "s1 3 plus 4 is 7", "answer": "7",
        "hidden": "s1 3 plus 4 is 7", "score": score,
    }  # fmt: skip
