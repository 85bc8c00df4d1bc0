"""What the arms of a suite share: task, splits, victim, surrogate, model references, store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from heistbench.bench._engine import Sampling, engine
from heistbench.bench._errors import HeistError
from heistbench.bench._models import Checkpoint, checkpoint
from heistbench.bench._nouns import Problem, Prompt, Reply, Split
from heistbench.bench._registry import identity
from heistbench.bench._scratch import is_scratch, make_scratch
from heistbench.bench._sft import Example, fine_tune
from heistbench.bench._store import Store, hash_of, read_lines, write_lines
from heistbench.bench._suite import RECORDED, Cell, Inverter, Surrogate
from heistbench.bench._text import render_reply
from heistbench.bench._victim import VictimModel, read_reply, reply_from


class World:
    """One cell's surroundings. Everything it computes is kept in the store and shared by all cells that need it."""

    def __init__(self, cell: Cell, store: Store) -> None:
        self.cell, self.suite, self.store = cell, cell.suite, store
        self.task, self.exam = cell.build_task(), cell.build_exam()
        self._problems: dict[Split, list[Problem]] = {}

    def problems(self, split: Split) -> list[Problem]:
        """The problems of a split, as many as the suite asks for: the exam's for the test, else the task's."""
        if split not in self._problems:
            sizes = self.cell.sizes
            n = {"query": sizes.query, "surrogate": sizes.surrogate, "dev": sizes.test, "test": sizes.test}[split]
            self._problems[split] = (self.exam if split == "test" else self.task).problems(split, n)
        return self._problems[split]

    @property
    def honest(self) -> list[Problem]:
        """What an honest user asks: questions of the attacked task that no attack and no surrogate has seen."""
        return self.problems("test" if identity(self.exam) == identity(self.task) else "dev")

    @cached_property
    def victim(self) -> VictimModel:
        """The victim without a defense."""
        recorded = self.cell.victim.model == RECORDED
        records = [*self.problems("query"), *self.honest] if recorded else []
        return VictimModel(self.cell.victim, self.task, self.store, records)

    def resolve(self, reference: str) -> Checkpoint:
        """A model reference as a checkpoint; `scratch/...` is made from the task's own words."""
        if not is_scratch(reference):
            return checkpoint(reference)
        words = self.problems("surrogate")
        spec = {"reference": reference, "task": identity(self.task), "text": hash_of(words)}
        folder = self.store.once("scratch", spec, lambda path: make_scratch(reference, words, path / "model"))
        return Checkpoint(f"scratch:{folder.name}", str(folder / "model"))

    @property
    def surrogate_settings(self) -> Surrogate:
        """What the suite says of the surrogate. Raises HeistError when it names none."""
        return _named(self.suite.surrogate, "surrogate", self.cell)

    @property
    def inverter_settings(self) -> Inverter:
        """What the suite says of the inverter. Raises HeistError when it names none."""
        return _named(self.suite.inverter, "inverter", self.cell)

    @property
    def surrogate_spec(self) -> list[Any] | None:
        """What determines the surrogate's replies, None without one."""
        return [self.surrogate.identity, self.suite.surrogate.decoding.model_dump()] if self.suite.surrogate else None

    @property
    def inverter_spec(self) -> list[Any] | None:
        """What determines an inverter, but for its rows and seed; None without one."""
        inverter = self.suite.inverter
        if inverter is None:
            return None
        return [self.resolve(inverter.model).identity, {**inverter.model_dump(), "recipe": inverter.recipe.identity}]

    @cached_property
    def surrogate(self) -> Checkpoint:
        """The attacker's model, taught on the surrogate split first where the suite says so."""
        settings = self.surrogate_settings
        base = self.resolve(settings.model)
        if not settings.lessons:
            return base
        problems = self.problems("surrogate")[: settings.lessons]
        rows = [Example(Prompt.of(p.question.text), render_reply(p.trace, p.shown)) for p in problems]
        spec = {"base": base.identity, "recipe": settings.recipe.identity, "lessons": hash_of(rows), "seed": 0}
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


S = TypeVar("S")


def _named(settings: S | None, role: str, cell: Cell) -> S:
    if settings is None:
        raise HeistError(f"suite {cell.suite.name} names no {role}, and {cell.attack} needs one")
    return settings


def read_json(path: Path) -> Any:
    """Read one JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _teach(base: Checkpoint, rows: list[Example], recipe: Any, path: Path) -> None:
    fine_tune(base, rows, recipe, 0, path / "model")
