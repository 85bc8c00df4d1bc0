"""The stages between an attack and its record: collect, train, examine, overlap, utility.

Each is a pure function of what its spec names, and its files lie in the store under the spec's identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from pydantic import TypeAdapter

from heistbench.bench.bridges.lm_eval import examine
from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Bill, Problem, Prompt, Question, Stolen, Verdict
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import identity
from heistbench.bench.contracts.replies import render_reply
from heistbench.bench.contracts.wall import attacker
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import engine
from heistbench.bench.models.fine_tuning import Example
from heistbench.bench.scoring.overlap import SIGNATURES, score
from heistbench.bench.scoring.verdicts import Examined
from heistbench.bench.stages.context import World, read_json, tune
from heistbench.bench.stages.desk import HarnessDesk, Progress, counter, quietly
from heistbench.bench.stages.victim import DefendedApi
from heistbench.bench.storage.store import canonical, hash_of, read_lines, write_json, write_lines


@dataclass(frozen=True, slots=True)
class Theft:
    """What `collect` leaves: the loot, its bill, and the folder of the sealed record.

    `lost` is the number of queries that an outage swallowed.
    """

    rows: list[Stolen]
    bill: Bill
    folder: Path
    lost: int

    @property
    def sealed(self) -> list[dict[str, Any]]:
        """Every query: `prompt`, the whole `reply`, the `exposure`."""
        return read_lines(self.folder / "sealed.jsonl")

    def asked(self, questions: Sequence[Question]) -> list[dict[str, Any] | None]:
        """The sealed query about each question, in their order; None where there was none."""
        sealed = self.sealed
        texts = [last_message(query) for query in sealed]
        found: list[dict[str, Any] | None] = []
        for at, question in enumerate(questions):
            # Most attacks ask in order: look at the same place first.
            places = (i for i in (*range(at, min(at + 1, len(texts))), *range(len(texts))) if question.text in texts[i])
            found.append(sealed[place] if (place := next(places, None)) is not None else None)
        return found

    @property
    def digest(self) -> str:
        """sha256 of what the student sees of the loot."""
        return hash_of([(row.question, row.trace, row.answer) for row in self.rows])


def last_message(query: dict[str, Any]) -> str:
    """What a sealed query ends with: the question, and what the attack put around it."""
    return str(query["prompt"]["messages"][-1]["content"])


def collect(world: World, progress: Progress = quietly) -> Theft:
    """Run the attack on the victim behind the defense.

    The cell's seed is the attacker's luck: its samples, its demonstrations, its inverter's training. The victim's luck is
    not in it: what it replied once to a prompt is paid for and kept.
    """
    cell = world.cell
    attack, defenses, questions = cell.build_attack(), cell.build_defenses(), [p.question for p in world.attacked]
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
        # Variants of one attack draw the same: the same demonstrations for each wrapper.
        rng = Random(canonical([attack.info.name, cell.seed]))
        with attacker(desk, rng, attack.info.privileged) as (target, kit):
            rows = attack.steal(target, questions, kit)
        own = [p.question.id for p in world.problems("surrogate")]
        write_lines(path / "loot.jsonl", _checked(rows, [*own, *(q.id for q in questions)], attack.info.name))
        write_lines(path / "sealed.jsonl", desk.sealed)
        write_json(path / "bill.json", desk.bill)

    folder = world.store.once("collect", spec, build)
    rows = [Stolen(**row) for row in read_lines(folder / "loot.jsonl")]
    lost = sum(sealed["reply"]["stop"] == "error" for sealed in read_lines(folder / "sealed.jsonl"))
    return Theft(rows, Bill(**read_json(folder / "bill.json")), folder, lost)


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
        tune(base, rows, student.recipe, seed, path, advance)

    folder = world.store.once("train", spec, build)
    return world.made("student", folder)


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
    problems = world.attacked
    spec = {
        "loot": hash_of(theft.rows),
        "lost": theft.lost,
        "task": identity(world.task),
        "problems": hash_of([(p.question, p.gold, p.trace) for p in problems]),
    }
    folder = world.store.once("loot", spec, lambda path: write_json(path / "facts.json", _facts(world.task, problems, theft)))
    found: dict[str, Any] = read_json(folder / "facts.json")
    return found


def _facts(task: Task, problems: Sequence[Problem], theft: Theft) -> dict[str, Any]:
    known = {p.question.id: p for p in problems}
    stolen = [row for row in theft.rows if row.id in known]
    grades = task.grade_all([known[row.id] for row in stolen], [row.answer for row in stolen])
    checks = [task.check(known[row.id], row.trace) for row in stolen if row.trace is not None]
    # An outage moves no share: what it swallowed is in neither part of the fraction.
    n = max(1, len(problems) - theft.lost)
    checkable = bool(problems) and task.check(problems[0], "") is not None
    return {
        "questions": len(problems),
        "lost": theft.lost,
        "rows": len(theft.rows),
        "traces": sum(row.trace is not None for row in theft.rows),
        "whole_traces": min(1.0, sum(check is not None and check.whole for check in checks) / n) if checkable else None,
        "right_answers": min(1.0, sum(grade.verdict is Verdict.RIGHT for grade in grades) / n),
        "sha256": theft.digest,
    }


def _checked(rows: Sequence[Stolen], asked: list[str], name: str) -> list[Stolen]:
    ids = [row.id for row in rows]
    if len(set(ids)) != len(ids) or not set(ids) <= set(asked):
        raise HeistError(f"attack {name} returned a question twice, or one that it neither was given nor owns")
    return list(rows)


def _utility(world: World, problems: Sequence[Problem]) -> dict[str, Any]:
    prompts = [Prompt.of(p.question.text) for p in problems]
    api = DefendedApi(world.victim, world.cell.build_defenses())
    served = api.ask(prompts)
    lost = sum(sealed.reply.stop == "error" for sealed in api.sealed)
    n = max(1, len(problems) - lost)
    kept = [_kept(s.reply.summary, s.exposure.summary) for s in api.sealed if s.reply.summary]
    grades = world.task.grade_all(problems, [e.text for e in served])
    right = [not e.refused and grade.verdict is Verdict.RIGHT for e, grade in zip(served, grades, strict=True)]
    return {
        "n": len(problems),
        "lost": lost,
        "accuracy": sum(right) / n,
        "refused": sum(e.refused for e in served) / n,
        "summary_shown": sum(bool(e.summary) for e in served) / n,
        "summary_values_kept": sum(kept) / len(kept) if kept else 0.0,
    }


def _kept(made: str, shown: str | None) -> float:
    """Share of the values of a summary that are still in what was shown of it."""
    return score(made, shown or "", SIGNATURES["words"])["value_recall"]
