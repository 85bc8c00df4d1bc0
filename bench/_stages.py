"""The stages between an attack and its record: collect, train, examine, overlap, utility.

Each is a pure function of what its spec names, and its files lie in the store under the spec's identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from pydantic import TypeAdapter

from heistbench.bench._desk import HarnessDesk, Progress, counter, quietly
from heistbench.bench._engine import engine
from heistbench.bench._errors import HeistError
from heistbench.bench._examine import Examined, examine
from heistbench.bench._models import Checkpoint
from heistbench.bench._nouns import Bill, Problem, Prompt, Reply, Stolen, Verdict
from heistbench.bench._overlap import SIGNATURES, mean, score
from heistbench.bench._plugins import Task
from heistbench.bench._registry import identity
from heistbench.bench._sft import Example, fine_tune
from heistbench.bench._store import canonical, hash_of, read_lines, write_json, write_lines
from heistbench.bench._text import render_reply
from heistbench.bench._victim import DefendedApi
from heistbench.bench._wall import attacker
from heistbench.bench._world import World, read_json

SIGNATURE = SIGNATURES["words"]


@dataclass(frozen=True, slots=True)
class Theft:
    """What `collect` leaves: the loot, its bill, sha256 of the prompts sent, and the identity of the sealed record."""

    rows: list[Stolen]
    bill: Bill
    prompts: str
    identity: str

    @property
    def digest(self) -> str:
        """sha256 of what the student sees of the loot."""
        return hash_of([(row.question, row.trace, row.answer) for row in self.rows])


def collect(world: World, progress: Progress = quietly) -> Theft:
    """Run the attack on the victim behind the defense.

    The cell's seed is the attacker's luck: its samples, its demonstrations, its inverter's training. The victim's luck is
    not in it: what it replied once to a prompt is paid for and kept.
    """
    cell = world.cell
    attack, defenses, questions = cell.build_attack(), cell.build_defenses(), [p.question for p in world.problems("query")]
    spec = {
        "attack": identity(attack),
        "defenses": [identity(d) for d in defenses],
        "victim": world.victim.identity,
        "surrogate": world.surrogate_spec,
        "inverter": world.inverter_spec,
        "questions": hash_of(questions),
        "own questions": hash_of([p.question.id for p in world.problems("surrogate")]),
        "budget": len(questions),
        "seed": cell.seed,
    }

    def build(path: Path) -> None:
        desk = HarnessDesk(world, defenses, budget=len(questions), progress=progress)
        rng = Random(canonical([spec["attack"], cell.seed]))
        with attacker(desk, rng, attack.info.privileged) as (target, kit):
            rows = attack.steal(target, questions, kit)
        write_lines(path / "loot.jsonl", _checked(rows, [q.id for q in questions], attack.info.name))
        write_lines(path / "sealed.jsonl", desk.sealed)
        write_json(path / "bill.json", desk.bill)

    folder = world.store.once("collect", spec, build)
    rows = [Stolen(**row) for row in read_lines(folder / "loot.jsonl")]
    prompts = hash_of([sealed["prompt"] for sealed in read_lines(folder / "sealed.jsonl")])
    return Theft(rows, Bill(**read_json(folder / "bill.json")), prompts, folder.name)


def train(world: World, theft: Theft, progress: Progress = quietly) -> Checkpoint:
    """Fine-tune the student on the loot; without loot it stays as it was. Equal loot is trained on once."""
    student, seed = world.cell.student, world.cell.seed
    base = world.resolve(student.model)
    if not theft.rows:
        return base
    spec = {"student": base.identity, "recipe": student.recipe.identity, "loot": theft.digest, "seed": seed}
    advance = counter(progress, "student", student.recipe.steps(len(theft.rows)))

    def build(path: Path) -> None:
        rows = [Example(Prompt.of(r.question), render_reply(r.trace, r.answer)) for r in theft.rows]
        write_json(path / "tuned.json", asdict(fine_tune(base, rows, student.recipe, seed, path / "model", advance)))

    folder = world.store.once("train", spec, build)
    return Checkpoint(f"student:{folder.name}", str(folder / "model"))


def take_exam(world: World, student: Checkpoint, progress: Progress = quietly) -> list[Examined]:
    """Examine a student on the exam's test split; one outcome a question."""
    problems, sampling = world.problems("test"), world.cell.student.decoding.sampling()
    spec = {
        "student": student.identity,
        "exam": identity(world.exam),
        "problems": hash_of([(p.question, p.gold) for p in problems]),
        "sampling": sampling,
    }
    advance = counter(progress, "exam", len(problems))

    def build(path: Path) -> None:
        write_lines(path / "examined.jsonl", examine(engine(student), world.exam, problems, sampling, advance))

    rows = read_lines(world.store.once("examine", spec, build) / "examined.jsonl")
    return [TypeAdapter(Examined).validate_python(row) for row in rows]


def measure_overlap(world: World, theft: Theft) -> dict[str, Any]:
    """Overlap of the loot with the victim's benign hidden traces, between its floors and its ceiling.

    A question without a stolen trace scores 0: what was not obtained stays in the denominator.
    """
    spec = {
        "loot": hash_of(theft.rows),
        "victim": world.victim.identity,
        "surrogate": world.surrogate_spec,
        "questions": hash_of([p.question.id for p in world.problems("query")]),
        "signature": str(SIGNATURE),
    }
    folder = world.store.once("overlap", spec, lambda path: write_json(path / "overlap.json", _overlap(world, theft)))
    found: dict[str, Any] = read_json(folder / "overlap.json")
    return found


def measure_utility(world: World) -> dict[str, Any]:
    """What an honest user, who asks the test questions plainly, gets through the defense."""
    defenses, problems = world.cell.build_defenses(), world.honest
    spec = {
        "defenses": [identity(d) for d in defenses],
        "victim": world.victim.identity,
        "problems": hash_of([(p.question, p.gold) for p in problems]),
    }
    folder = world.store.once("utility", spec, lambda path: write_json(path / "utility.json", _utility(world, problems)))
    found: dict[str, Any] = read_json(folder / "utility.json")
    return found


def loot_facts(world: World, theft: Theft) -> dict[str, Any]:
    """How much was carried off, and how much of it is true; `whole_traces` is None where the task cannot check traces."""
    problems = world.problems("query")
    spec = {
        "loot": hash_of(theft.rows),
        "task": identity(world.task),
        "problems": hash_of([(p.question, p.gold, p.trace) for p in problems]),
    }
    folder = world.store.once("loot", spec, lambda path: write_json(path / "facts.json", _facts(world.task, problems, theft)))
    found: dict[str, Any] = read_json(folder / "facts.json")
    return found


def _facts(task: Task, problems: Sequence[Problem], theft: Theft) -> dict[str, Any]:
    known, n = {p.question.id: p for p in problems}, len(problems)
    grades = task.grade_all([known[row.id] for row in theft.rows], [row.answer for row in theft.rows])
    checks = [task.check(known[row.id], row.trace) for row in theft.rows if row.trace is not None]
    checkable = task.check(problems[0], "") is not None
    return {
        "questions": n,
        "rows": len(theft.rows),
        "traces": len(checks),
        "whole_traces": sum(check is not None and check.whole for check in checks) / n if checkable else None,
        "right_answers": sum(grade.verdict is Verdict.RIGHT for grade in grades) / n,
        "sha256": theft.digest,
    }


def _checked(rows: Sequence[Stolen], asked: list[str], name: str) -> list[Stolen]:
    ids = [row.id for row in rows]
    if len(set(ids)) != len(ids) or not set(ids) <= set(asked):
        raise HeistError(f"attack {name} returned a question twice, or one it was not given")
    return list(rows)


def _overlap(world: World, theft: Theft) -> dict[str, Any]:
    questions = [p.question for p in world.problems("query")]
    prompts = [Prompt.of(q.text) for q in questions]
    reference = _traces(world.victim.reply([(p, 0) for p in prompts]))
    stolen = {row.id: row.trace or "" for row in theft.rows}
    compare = partial(_mean_overlap, world, reference)
    surrogate = {}
    if world.suite.surrogate:
        greedy = world.suite.surrogate.decoding.sampling(temperature=0.0)
        surrogate = compare(_traces(world.surrogate_replies(prompts, greedy)))
    return {
        "signature": str(SIGNATURE),
        "n": len(questions),
        "stolen": compare([stolen.get(q.id, "") for q in questions]),
        "floor_other_question": compare(reference[1:] + reference[:1]),
        "floor_surrogate": surrogate,
        "ceiling_victim_again": compare(_traces(world.victim.reply([(p, 1) for p in prompts]))),
    }


def _mean_overlap(world: World, reference: list[str], candidates: list[str]) -> dict[str, float]:
    values = world.task.values
    scores = [score(r, c, SIGNATURE, values) for r, c in zip(reference, candidates, strict=True)]
    found = {metric: round(value, 6) for metric, value in mean(scores).items()}
    agree = [bool(values(c)) and values(c)[-1:] == values(r)[-1:] for r, c in zip(reference, candidates, strict=True)]
    return {**found, "answer_agreement": round(sum(agree) / len(agree), 6)}


def _traces(replies: Sequence[Reply]) -> list[str]:
    return [reply.trace or "" for reply in replies]


def _utility(world: World, problems: Sequence[Problem]) -> dict[str, Any]:
    prompts = [Prompt.of(p.question.text) for p in problems]
    api = DefendedApi(world.victim, world.cell.build_defenses())
    served = api.ask(prompts)
    n = len(problems)
    kept = [score(s.reply.summary, s.exposure.summary or "", SIGNATURE)["value_recall"] for s in api.sealed if s.reply.summary]
    grades = world.task.grade_all(problems, [e.text for e in served])
    right = [not e.refused and grade.verdict is Verdict.RIGHT for e, grade in zip(served, grades, strict=True)]
    return {
        "n": n,
        "accuracy": sum(right) / n,
        "refused": sum(e.refused for e in served) / n,
        "summary_shown": sum(bool(e.summary) for e in served) / n,
        "summary_values_kept": sum(kept) / len(kept) if kept else 0.0,
    }
