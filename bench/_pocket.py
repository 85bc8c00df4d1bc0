"""Builds the shipped models of the pocket world from recipe and seed: two victim releases, a surrogate, a base student.

They are model organisms: small Llama-architecture models with a word-level tokenizer, trained on the lessons of the
pocket task, in which only the victims are taught the whole of `star`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from heistbench.bench._demos import Demonstration, demonstration_prompt, read_shown
from heistbench.bench._engine import Sampling, TransformersEngine
from heistbench.bench._inversion import inversion_prompt
from heistbench.bench._models import Checkpoint
from heistbench.bench._nouns import Problem, Prompt
from heistbench.bench._plugins import Task
from heistbench.bench._registry import registry
from heistbench.bench._scratch import random_llama, word_tokenizer
from heistbench.bench._sft import Example, Recipe, train
from heistbench.bench._store import digest
from heistbench.bench._text import split_reply

HIDDEN = 64
MEASURED = "measured on 500 development questions"


@dataclass(frozen=True, slots=True)
class Pupil:
    """One model to build: its part, its size, its lessons."""

    role: str
    release: str
    layers: int
    rows: int
    recipe: Recipe
    seed: int = 0


PUPILS: dict[str, Pupil] = {
    # Echoing a trace from further up takes three layers; two reach a seventh of it.
    "victim-1": Pupil("victim", "1", 3, 90_000, Recipe(epochs=2, batch_size=32, learning_rate=3e-3)),
    "victim-2": Pupil("victim", "2", 3, 90_000, Recipe(epochs=2, batch_size=32, learning_rate=3e-3)),
    "surrogate": Pupil("surrogate", "", 2, 40_000, Recipe(epochs=2, batch_size=32, learning_rate=4e-3)),
    "base": Pupil("student", "", 2, 40_000, Recipe(epochs=2, batch_size=32, learning_rate=4e-3)),
}


def steps(name: str, scale: float = 1.0) -> int:
    """Training steps of a pupil."""
    return PUPILS[name].recipe.steps(int(PUPILS[name].rows * scale))


class World(Protocol):
    """What the builder needs of the pocket task beyond the task contract."""

    def lessons(self, pupil: str, n: int) -> list[tuple[Prompt, str]]: ...


def build(name: str, folder: Path, advance: Callable[[int], None] = lambda n: None, scale: float = 1.0) -> dict[str, Any]:
    """Train one pupil into `folder`, which is replaced when all is done, and return its card.

    `scale` is the share of the lessons to train on.
    """
    pupil, world = PUPILS[name], cast(World, registry.build("task", "pocket"))
    rows = world.lessons(name, int(pupil.rows * scale))
    tokenizer = word_tokenizer(_words(world))
    model = random_llama(len(tokenizer), HIDDEN, pupil.layers, pupil.seed)
    examples = [Example(prompt, reply) for prompt, reply in rows]
    aside = folder.with_name(folder.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    train(model, tokenizer, examples, pupil.recipe, pupil.seed, aside, advance)
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


def _words(world: World) -> set[str]:
    """The words of lessons, wrappers and the inversion prompt: all pupils share one vocabulary."""
    words = {"#", *map(str, range(10)), *inversion_prompt("", "", "-").text.split()}
    for prompt, reply in world.lessons("victim-1", 3000):
        words.update(prompt.text.split(), reply.split())
    return words


def _measure(folder: Path, pupil: Pupil) -> dict[str, float]:
    """Answer accuracy, share of whole true traces and, for victims, share of traces shown when demonstrated."""
    task = cast(Task, registry.build("task", "pocket"))
    problems = task.problems("dev", 500)
    engine = TransformersEngine(Checkpoint("built", str(folder)))
    sampling = Sampling(max_new_tokens=128)
    parts = [split_reply(c.text) for c in engine.generate([Prompt.of(p.question.text) for p in problems], sampling)]
    measured = {
        "accuracy": _share(task.grade(p, s.answer or "").score for p, s in zip(problems, parts, strict=True)),
        "whole traces": _share(_whole(task, p, s.trace) for p, s in zip(problems, parts, strict=True)),
    }
    if pupil.role == "victim":
        for trace in (True, False):
            demos = [Demonstration(p.question.text, p.trace if trace else None, p.gold) for p in problems[:2]]
            prompts = [demonstration_prompt(demos, p.question.text, "bash") for p in problems]
            shown = [read_shown(split_reply(c.text).answer or "", "bash")[0] for c in engine.generate(prompts, sampling)]
            key = "shows whole traces after demonstrations " + ("with traces" if trace else "without")
            measured[key] = _share(_whole(task, p, s) for p, s in zip(problems, shown, strict=True))
    return measured


def _whole(task: Task, problem: Problem, trace: str | None) -> bool:
    check = task.check(problem, trace or "")
    return check is not None and check.whole


def _share(hits: Any) -> float:
    values = [bool(hit) for hit in hits]
    return round(sum(values) / len(values), 4)
