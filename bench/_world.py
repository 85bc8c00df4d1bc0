"""What the arms of a suite share: task, splits, victim, surrogate, model references, store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from heistbench.bench._engine import Sampling, engine
from heistbench.bench._models import Checkpoint, checkpoint
from heistbench.bench._nouns import Problem, Prompt, Reply, Split
from heistbench.bench._registry import identity
from heistbench.bench._scratch import is_scratch, make_scratch
from heistbench.bench._sft import Example, fine_tune
from heistbench.bench._store import Store, hash_of, read_lines, write_lines
from heistbench.bench._suite import RECORDED, Cell
from heistbench.bench._text import render_reply
from heistbench.bench._victim import VictimModel, read_reply, reply_from


class World:
    """One cell's surroundings. Everything it computes is kept in the store and shared by all cells that need it."""

    def __init__(self, cell: Cell, store: Store) -> None:
        self.cell, self.suite, self.store = cell, cell.suite, store
        self.task = cell.build_task()
        self._problems: dict[Split, list[Problem]] = {}

    def problems(self, split: Split) -> list[Problem]:
        """The problems of a split, as many as the suite asks for."""
        if split not in self._problems:
            sizes = {"query": self.suite.sizes.query, "surrogate": self.suite.sizes.surrogate, "test": self.suite.sizes.test}
            self._problems[split] = self.task.problems(split, sizes[split])
        return self._problems[split]

    @cached_property
    def victim(self) -> VictimModel:
        """The victim without a defense."""
        recorded = self.cell.victim.model == RECORDED
        records = [*self.problems("query"), *self.problems("test")] if recorded else []
        return VictimModel(self.cell.victim, self.task, self.store, records)

    def resolve(self, reference: str) -> Checkpoint:
        """A model reference as a checkpoint; `scratch/...` is made from the task's own words."""
        if not is_scratch(reference):
            return checkpoint(reference)
        words = self.problems("surrogate")
        spec = {"reference": reference, "task": identity(self.task), "text": hash_of(words)}
        folder = self.store.once("scratch", spec, lambda path: make_scratch(reference, words, path / "model"))
        return Checkpoint(f"scratch:{folder.name}", str(folder / "model"))

    @cached_property
    def surrogate(self) -> Checkpoint:
        """The attacker's model, taught on the surrogate split first where the suite says so."""
        settings = self.suite.surrogate
        base = self.resolve(settings.model)
        if not settings.lessons:
            return base
        problems = self.problems("surrogate")[: settings.lessons]
        rows = [Example(Prompt.of(p.question.text), render_reply(p.trace, p.gold)) for p in problems]
        spec = {"base": base.identity, "recipe": settings.recipe, "lessons": hash_of(rows), "seed": 0}
        folder = self.store.once("taught", spec, lambda path: _teach(base, rows, settings.recipe, path))
        return Checkpoint(f"taught:{folder.name}", str(folder / "model"))

    def surrogate_replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        """The attacker's model's replies, summarised in the provider's style."""
        source = self.surrogate
        spec = {"model": source.identity, "sampling": sampling, "task": identity(self.task), "prompts": hash_of(prompts)}

        def build(path: Path) -> None:
            running = engine(source)
            completions = running.generate(prompts, sampling)
            texts = map(running.render, prompts)
            write_lines(
                path / "replies.jsonl", [read_reply(c, text, self.task) for c, text in zip(completions, texts, strict=True)]
            )

        return [reply_from(row) for row in read_lines(self.store.once("surrogate", spec, build) / "replies.jsonl")]


def read_json(path: Path) -> Any:
    """Read one JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _teach(base: Checkpoint, rows: list[Example], recipe: Any, path: Path) -> None:
    fine_tune(base, rows, recipe, 0, path / "model")
