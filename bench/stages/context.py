"""What the arms of a suite share: task, splits, victim, surrogate, model references, store."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Problem, Prompt, Reply, Split
from heistbench.bench.contracts.registry import identity
from heistbench.bench.contracts.replies import render_reply
from heistbench.bench.models.checkpoints import Checkpoint, checkpoint
from heistbench.bench.models.devices import gpus
from heistbench.bench.models.engine import Engine, Sampling, engine, release_engines
from heistbench.bench.models.fine_tuning import Example, Recipe, fine_tune
from heistbench.bench.models.scratch import is_scratch, make_scratch
from heistbench.bench.stages.budget import NO_LIMIT, Budget
from heistbench.bench.stages.summaries import Summarizer
from heistbench.bench.stages.victim import RecordedEngine, VictimModel
from heistbench.bench.storage.ledger import reply_from
from heistbench.bench.storage.store import Store, hash_of, read_lines, write_json, write_lines
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.settings import RECORDED, Inverter, Surrogate


class World:
    """One cell's surroundings. Everything it computes is kept in the store and shared by all cells that need it."""

    def __init__(self, cell: Cell, store: Store, budget: Budget = NO_LIMIT) -> None:
        self.cell, self.suite, self.store, self._budget = cell, cell.suite, store, budget
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
    def attacked(self) -> list[Problem]:
        """The problems this cell attacks: as many as its budget has queries."""
        return self.problems("query")[: self.cell.budget]

    @property
    def honest(self) -> list[Problem]:
        """What an honest user asks: questions of the attacked task that no attack and no surrogate has seen."""
        return self.problems("test" if identity(self.exam) == identity(self.task) else "dev")

    @cached_property
    def victim(self) -> VictimModel:
        """The victim without a defense."""
        settings = self.cell.victim
        summarize = Summarizer(self.task, settings.compressor, self.resolve, self.store)
        return VictimModel(settings, self._victim_model, self._victim_engine, summarize, self.store, self._budget)

    @property
    def sees_traces(self) -> bool:
        """Whether the harness sees the victim's traces, as it does of all but most victims behind an API."""
        return not self.cell.victim.remote or self.cell.victim.api.shows == "trace"

    @property
    def task_identity(self) -> dict[str, Any]:
        """The attacked task, as specs name it."""
        return identity(self.task)

    @property
    def _victim_model(self) -> str:
        settings = self.cell.victim
        return settings.remote or (self._records if settings.model == RECORDED else self.resolve(settings.model).identity)

    def _victim_engine(self) -> Engine:
        settings = self.cell.victim
        if settings.model == RECORDED:
            return RecordedEngine([*self.problems("query"), *self.honest])
        if settings.remote:
            from heistbench.bench.models.provider_engine import InspectEngine

            return InspectEngine(settings.remote, settings.api)
        return engine(self.resolve(settings.model), settings.family)

    @property
    def _records(self) -> str:
        return f"{RECORDED}:{hash_of([identity(self.task), self.task.data_digest()])}"

    def resolve(self, reference: str) -> Checkpoint:
        """A model reference as a checkpoint on the suite's engine; `scratch/...` is made from the task's own words."""
        if not is_scratch(reference):
            return self._on_engine(checkpoint(reference))
        words = self.problems("surrogate")
        spec = {"reference": reference, "task": identity(self.task), "text": hash_of(words)}
        folder = self.store.once("scratch", spec, lambda path: make_scratch(reference, words, path / "model"))
        return self.made("scratch", folder)

    def made(self, kind: str, folder: Path) -> Checkpoint:
        """The model that an artifact of the store holds."""
        return self._on_engine(Checkpoint(f"{kind}:{folder.name}", str(folder / "model")))

    def _on_engine(self, source: Checkpoint) -> Checkpoint:
        """Another engine computes other numbers: it is part of a model's identity."""
        name = self.suite.engine
        return source if name == "transformers" else replace(source, engine=name, identity=f"{name}:{source.identity}")

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
        settings = self.suite.surrogate
        if settings is None:
            return None
        return [self.surrogate_model, settings.family, settings.decoding.model_dump(), self.compressor.identity]

    @property
    def inverter_spec(self) -> list[Any] | None:
        """What determines an inverter, but for its rows and seed; None without one."""
        inverter = self.suite.inverter
        return [self.resolve(inverter.model).identity, inverter.model_dump(exclude={"model"})] if inverter else None

    @cached_property
    def compressor(self) -> Summarizer:
        """How the attacker makes summaries of its own traces, in the provider's style."""
        return Summarizer(self.task, self.suite.compressor, self.resolve, self.store)

    @property
    def surrogate_model(self) -> str:
        """The identity of the attacker's own model."""
        return self._records if self.surrogate_settings.model == RECORDED else self.surrogate.identity

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
        return self.made("taught", self.store.once("taught", spec, lambda path: tune(base, rows, settings.recipe, 0, path)))

    def surrogate_replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> tuple[list[Reply], float]:
        """The attacker's model's replies, with summaries in the provider's style, and the seconds they took to make."""
        settings = self.surrogate_settings
        spec = {"model": self.surrogate_model, "family": settings.family, "sampling": sampling, "prompts": hash_of(prompts)}

        def build(path: Path) -> None:
            recorded = settings.model == RECORDED
            known = [*self.problems("surrogate"), *self.problems("query")] if recorded else []
            running: Engine = RecordedEngine(known) if recorded else engine(self.surrogate, settings.family)
            write_lines(path / "replies.jsonl", running.reply(prompts, sampling))

        folder = self.store.once("surrogate", spec, build)
        replies = [reply_from(row) for row in read_lines(folder / "replies.jsonl")]
        thinking = [at for at, reply in enumerate(replies) if reply.trace]
        for at, summary in zip(thinking, self.compressor([replies[at].trace or "" for at in thinking]), strict=True):
            replies[at] = replace(replies[at], summary=summary)
        return replies, self.store.seconds(folder)


S = TypeVar("S")


def _named(settings: S | None, role: str, cell: Cell) -> S:
    if settings is None:
        raise HeistError(f"suite {cell.suite.name} names no {role}, and {cell.attack} needs one")
    return settings


def read_json(path: Path) -> Any:
    """Read one JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def tune(
    base: Checkpoint,
    rows: Sequence[Example],
    recipe: Recipe,
    seed: int,
    path: Path,
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Fine-tune a model into an artifact's folder."""
    if gpus():
        release_engines()
    write_json(path / "tuned.json", asdict(fine_tune(base, rows, recipe, seed, path / "model", advance)))
