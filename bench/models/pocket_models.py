"""Builds the shipped models of the pocket world from recipe and seed: victims, surrogate, compressor, base student.

They are model organisms: small models of the Llama architecture with a word-level tokenizer, trained on the lessons of the
pocket task. Only the lessons of the victims contain all of `star`.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast, get_args

from heistbench.bench.contracts.nouns import Problem, Prompt
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.recipes import Recipe, Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.contracts.replies import tool_schema
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import LocalEngine
from heistbench.bench.models.fine_tuning import Steps, TrainingRow, train, unseen
from heistbench.bench.models.scratch import random_llama, word_tokenizer
from heistbench.bench.models.transformers_engine import TransformersEngine
from heistbench.bench.prompting.compression import Style, compression_prompt
from heistbench.bench.prompting.demonstrations import Demonstration, demonstration_prompt, read_shown
from heistbench.bench.prompting.inversion import inversion_prompt
from heistbench.bench.prompting.requests import DEEP_THINK, tool_prompt
from heistbench.bench.storage.digests import digest

HIDDEN = 64
MEASURED = "measured on 500 development questions"
SAMPLING = Sampling(max_new_tokens=128)
STYLES: tuple[Style, ...] = get_args(Style)


@dataclass(frozen=True, slots=True)
class Pupil:
    """One model to build: its role, its size, its lessons."""

    role: str
    release: str
    layers: int
    rows: int
    recipe: Recipe
    seed: int = 0


PUPILS: dict[str, Pupil] = {
    # Copying a trace from earlier in the context takes three layers; models of two reach a seventh of that.
    "victim-1": Pupil("victim", "1", 3, 90_000, Recipe(epochs=2, batch_size=32, learning_rate=3e-3)),
    "victim-2": Pupil("victim", "2", 3, 90_000, Recipe(epochs=2, batch_size=32, learning_rate=3e-3)),
    "surrogate": Pupil("surrogate", "", 2, 40_000, Recipe(epochs=2, batch_size=32, learning_rate=4e-3)),
    # On development questions, students of this seed learn true traces whole; of seed 0, one in three does.
    "base": Pupil("student", "", 2, 40_000, Recipe(epochs=2, batch_size=32, learning_rate=4e-3), seed=1),
    "compressor": Pupil("compressor", "", 3, 30_000, Recipe(epochs=2, batch_size=32, learning_rate=3e-3)),
}


class LessonTask(Protocol):
    """The part of the pocket task that the builder needs beyond the task contract."""

    def lessons(self, pupil: str, n: int) -> list[tuple[Prompt, str]]: ...


def build(name: str, folder: Path, progress: Steps = unseen, scale: float = 1.0) -> dict[str, Any]:
    """Train one pupil and return its card. `folder` is replaced once everything is done.

    `scale` is the share of the lessons to train on.
    """
    pupil, world = PUPILS[name], cast(LessonTask, registry.build("task", "pocket"))
    rows = world.lessons(name, int(pupil.rows * scale))
    tokenizer = word_tokenizer(_words(world))
    model = random_llama(len(tokenizer), HIDDEN, pupil.layers, pupil.seed)
    examples = [TrainingRow(prompt, reply) for prompt, reply in rows]
    aside = folder.with_name(folder.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    train(model, tokenizer, examples, pupil.recipe, pupil.seed, aside, progress)
    card = {
        **{**asdict(pupil), "recipe": pupil.recipe.identity},
        "name": f"pocket-{pupil.role}",
        "rows": len(rows),
        MEASURED: _measure(aside, pupil),
        "sha256": {p.name: digest(p) for p in sorted(aside.iterdir())},
    }
    (aside / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    return card


def _words(world: LessonTask) -> set[str]:
    """The words of all prompts and replies in this world: all pupils share one vocabulary."""
    words = {"#", "<tools>", *map(str, range(10))}
    for summary in (None, "-"):
        words.update(inversion_prompt("", "", summary).text.split())
    for pupil in ("victim-1", "compressor"):
        for prompt, reply in world.lessons(pupil, 3000):
            words.update(prompt.text.split(), reply.split())
    words.update(json.dumps([tool_schema(DEEP_THINK)], ensure_ascii=False).split())
    return words


def _measure(folder: Path, pupil: Pupil) -> dict[str, float]:
    """Answer accuracy and the share of whole true traces. For victims also the share of traces shown after demonstrations, or
    passed to a tool; for the compressor, the share of right summaries instead."""
    task = cast(Task, registry.build("task", "pocket"))
    problems = task.problems("dev", 500)
    engine = TransformersEngine(Checkpoint("built", str(folder)))
    if pupil.role == "compressor":
        return _measure_summaries(engine, task, problems)
    replies = engine.reply([Prompt.of(p.question.text) for p in problems], SAMPLING)
    measured = {
        "accuracy": _share(task.grade(p, r.text).score for p, r in zip(problems, replies, strict=True)),
        "whole traces": _share(_whole(task, p, r.trace) for p, r in zip(problems, replies, strict=True)),
    }
    return {**measured, **_measure_exposure(engine, task, problems)} if pupil.role == "victim" else measured


def _measure_exposure(engine: LocalEngine, task: Task, problems: list[Problem]) -> dict[str, float]:
    measured = {}
    for trace in (True, False):
        demos = [Demonstration(p.question.text, p.trace if trace else None, p.gold) for p in problems[:2]]
        prompts = [demonstration_prompt(demos, p.question.text, "bash") for p in problems]
        traces = [read_shown(r.text, "bash")[0] for r in engine.reply(prompts, SAMPLING)]
        key = "shows whole traces after demonstrations " + ("with traces" if trace else "without")
        measured[key] = _share(_whole(task, p, s) for p, s in zip(problems, traces, strict=True))
    called = engine.reply([tool_prompt(p.question.text) for p in problems], SAMPLING)
    thoughts = [_whole(task, p, r.arguments.get("thoughts")) for p, r in zip(problems, called, strict=True)]
    return {**measured, "hands whole traces to a tool": _share(thoughts)}


def _measure_summaries(engine: LocalEngine, task: Task, problems: list[Problem]) -> dict[str, float]:
    measured = {}
    for style in STYLES:
        replies = engine.reply([compression_prompt(p.trace, style) for p in problems], SAMPLING)
        # A summary is right if, apart from numbers and titles, it reads like the task's own.
        right = [
            " ".join(w for w in r.text.split() if not w.startswith("**") and not re.fullmatch(r"\d\.", w))
            == task.summarize(p.trace)
            for p, r in zip(problems, replies, strict=True)
        ]
        measured[f"right summaries in {style}"] = _share(right)
    return measured


def _whole(task: Task, problem: Problem, trace: str | None) -> bool:
    check = task.check(problem, trace or "")
    return check is not None and check.whole


def _share(hits: Any) -> float:
    values = [bool(hit) for hit in hits]
    return round(sum(values) / len(values), 4)
