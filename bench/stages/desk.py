"""The harness's end of the wall: answers an attack's calls, keeps the sealed record, writes the bill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import cast

from heistbench.bench.contracts.errors import BudgetExceeded
from heistbench.bench.contracts.nouns import Bill, Exposure, Prompt, Question, Reply
from heistbench.bench.contracts.plugins import Defense, Task
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import Arrived, engine
from heistbench.bench.models.fine_tuning import Example
from heistbench.bench.stages.budget import price
from heistbench.bench.stages.context import World, read_json, tune
from heistbench.bench.stages.victim import DefendedApi, Sealed, release
from heistbench.bench.storage.store import hash_of, read_lines, write_lines

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done and how much there is."""


def quietly(what: str, done: int, total: int) -> None:
    """Show no progress."""


class HarnessDesk:
    """Implements `Desk` for one theft in a world."""

    def __init__(self, world: World, defenses: Sequence[Defense], budget: int, progress: Progress = quietly) -> None:
        self._world, self._defenses, self._budget, self._progress = world, defenses, budget, progress
        self._api = DefendedApi(world.victim, defenses)
        self._problems = {p.question.id: p for p in world.attacked}
        self._models: dict[str, Checkpoint] = {}
        self.bill = Bill()

    @property
    def sealed(self) -> list[Sealed]:
        """Every query so far, with the whole reply."""
        return self._api.sealed

    def ask(self, prompts: list[Prompt]) -> list[Exposure]:
        """Query the victim through the defense."""
        if self.bill.queries + len(prompts) > self._budget:
            raise BudgetExceeded(f"{self.bill.queries} + {len(prompts)} queries are over the budget of {self._budget}")
        before = len(self.sealed)
        exposures = self._api.ask(prompts, self._asking(len(prompts)))
        self._charge([sealed.reply for sealed in self.sealed[before:]])
        return exposures

    def surrogate(self, prompts: list[Prompt], temperature: float | None) -> list[Reply]:
        """Replies of the attacker's own model, kept in the store."""
        settings = self._world.surrogate_settings
        changes = {} if temperature is None else {"temperature": temperature}
        sampling = settings.decoding.sampling(self._world.cell.seed, **changes)
        replies, seconds = self._world.surrogate_replies(prompts, sampling)
        tokens = sum(reply.usage.completion for reply in replies)
        self.bill += Bill(attacker_tokens_generated=tokens, attacker_seconds=seconds)
        return replies

    def own_questions(self) -> list[Question]:
        """The surrogate split."""
        return [p.question for p in self._world.problems("surrogate")]

    def questions_of(self, task: str, n: int) -> list[Question]:
        """Questions of another task's surrogate split."""
        return [p.question for p in cast(Task, registry.build("task", task)).problems("surrogate", n)]

    def untuned(self) -> str:
        """The suite's inverter model as it was before any training."""
        source = self._world.resolve(self._world.inverter_settings.model)
        self._models[source.identity] = source
        return source.identity

    def fine_tune(self, examples: list[tuple[Prompt, str]]) -> str:
        """Train the suite's inverter model on the attacker's rows; returns the name `generate` knows it by."""
        settings = self._world.inverter_settings
        base, seed = self._world.resolve(settings.model), self._world.cell.seed
        spec = {"base": base.identity, "recipe": settings.recipe.identity, "examples": hash_of(examples), "seed": seed}
        total = settings.recipe.steps(len(examples))

        def build(path: Path) -> None:
            rows = [Example(prompt, completion) for prompt, completion in examples]
            tune(base, rows, settings.recipe, seed, path, counter(self._progress, "inverter", total))

        folder = self._world.store.once("inverter", spec, build)
        tokens, seconds = read_json(folder / "tuned.json")["tokens"], self._world.store.seconds(folder)
        self.bill += Bill(attacker_tokens_trained=tokens, attacker_seconds=seconds)
        self._models[folder.name] = self._world.made("inverter", folder)
        return folder.name

    def generate(self, model: str, prompts: list[Prompt]) -> list[str]:
        """Completions of a model that `fine_tune` made, or of the untuned one."""
        source, sampling = self._models[model], self._world.inverter_settings.decoding.sampling(self._world.cell.seed)
        folder = self._world.store.once(
            "inverted",
            {"model": source.identity, "sampling": sampling, "prompts": hash_of(prompts)},
            lambda path: write_lines(path / "completions.jsonl", list(engine(source).generate(prompts, sampling))),
        )
        rows = read_lines(folder / "completions.jsonl")
        tokens, seconds = sum(row["tokens"] for row in rows), self._world.store.seconds(folder)
        self.bill += Bill(attacker_tokens_generated=tokens, attacker_seconds=seconds)
        return [row["text"] for row in rows]

    def rehearse(self, prompts: list[Prompt], replies: list[Reply]) -> list[Exposure]:
        """Pass the attacker's own replies through the standing defense, which draws anew for them."""
        return [release(self._defenses, p, reply, 0, "a rehearsal") for p, reply in zip(prompts, replies, strict=True)]

    def truth_gold(self, ids: list[str]) -> list[str]:
        """Gold answers of attacked questions."""
        return [self._problems[i].shown for i in ids]

    def truth_wrong_traces(self, ids: list[str]) -> list[str]:
        """Wrong traces of attacked questions, each with randomness of its own."""
        return [self._world.task.wrong_trace(self._problems[i], Random(f"wrong trace {i}")) for i in ids]

    def truth_replies(self, ids: list[str]) -> list[Reply]:
        """The victim's whole replies to attacked questions, past the defense; billed."""
        asked = [(Prompt.of(self._problems[i].question.text), 0) for i in ids]
        replies = self._world.victim.reply(asked, self._asking(len(asked)))
        self._charge(replies)
        return replies

    def _charge(self, replies: Sequence[Reply]) -> None:
        self.bill += Bill(
            queries=len(replies),
            prompt_tokens=sum(reply.usage.prompt for reply in replies),
            completion_tokens=sum(reply.usage.completion for reply in replies),
            dollars=sum(price(reply.usage, self._world.cell.victim.api.prices) for reply in replies),
        )

    def _asking(self, total: int) -> Arrived:
        advance = counter(self._progress, "victim", total)
        return lambda at, reply: advance(1)


def counter(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    """Turn "so many more are done" into "so many of `total` are done"."""
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        progress(what, done, total)

    return advance
