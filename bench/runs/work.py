"""The work behind cells: what each asks of which model, with everything that the store shares between cells counted once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from heistbench.bench.contracts.nouns import Prompt, Usage
from heistbench.bench.models.fine_tuning import Recipe
from heistbench.bench.prompting.compression import compression_prompt
from heistbench.bench.runs.checks import sights
from heistbench.bench.runs.costs import REMOTE_TRACE, gpu_hours, lengths, parameters
from heistbench.bench.runs.made_up import FEW, Dry, hand_of, made_up, many, questions, steal
from heistbench.bench.stages.budget import price
from heistbench.bench.stages.victim import admit
from heistbench.bench.storage.ledger import Query
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.settings import RECORDED, REMOTE, Compressor, Decoding

ORDER = (
    "victim replies",
    "victim summaries",
    "surrogate training",
    "surrogate replies",
    "summaries",
    "inverter training",
    "inversion",
    "student training",
    "examination",
)
"""The stages, as the data flows."""


@dataclass(frozen=True, slots=True)
class Stage:
    """All the work of one kind on one model with the same settings: rows, and tokens trained on, read and written."""

    name: str
    model: str
    settings: str
    rows: int = 0
    trained: float = 0
    read: float = 0
    written: float = 0
    queries: int = 0
    dollars: float = 0

    @property
    def tokens(self) -> float:
        """Of all kinds."""
        return self.trained + self.read + self.written

    @property
    def hours(self) -> float | None:
        """Of a GPU; None for a model of unknown size."""
        if self.model == RECORDED or self.model.startswith(REMOTE):
            return 0.0
        return gpu_hours(parameters(self.model), self.trained, self.read, self.written)


class Sheet:
    """Adds up stages, each piece of work once."""

    def __init__(self) -> None:
        self._done: set[Hashable] = set()
        self._stages: dict[tuple[str, str, str], Stage] = {}

    def once(self, *piece: Hashable) -> bool:
        """Whether a piece of work is met for the first time."""
        new = piece not in self._done
        self._done.add(piece)
        return new

    def add(self, name: str, model: str, settings: str, **work: Any) -> None:
        """Add to the stage of that name, model and settings."""
        stage = self._stages.get((name, model, settings), Stage(name, model, settings))
        more = {kind: getattr(stage, kind) + n for kind, n in work.items()}
        self._stages[name, model, settings] = replace(stage, **more)

    def stages(self) -> list[Stage]:
        """In the order of the data."""
        return sorted(self._stages.values(), key=lambda stage: ORDER.index(stage.name))


class Work:
    """One cell's work, added to a sheet that other cells' work is on."""

    def __init__(self, cell: Cell, sheet: Sheet) -> None:
        self._cell, self._suite, self._sheet = cell, cell.suite, sheet
        self._lengths, self._label = lengths(cell.task, cell.sizes.query), cell.victim.label
        self._hand, self._many = hand_of(self._label), many(cell)

    def theft(self) -> Dry:
        """The attack, and what the harness compares its loot with."""
        cell, dry = self._cell, steal(self._cell)
        for asked in dry.asked:
            self._ask(asked, self._many)
        for prompts, temperature in dry.surrogate:
            self._surrogate(prompts, temperature)
        self._invert(dry)
        if dry.loot and "trace" in sights(cell):
            attacked = [Prompt.of(q.text) for q in questions("q", cell.budget // self._many)]
            self._ask([(prompt, 0) for prompt in attacked], self._many)
            self._ask([(prompt, 1) for prompt in attacked], self._many)
            self._surrogate(attacked, 0.0)
        return dry

    def honest(self) -> None:
        """What an honest user asks through the defense."""
        cell = self._cell
        if not self._sheet.once("honest", self._label, cell.task, cell.defense, honest_split(cell), cell.sizes.test):
            return
        plain = [Prompt.of(q.text) for q in questions(honest_split(cell), cell.sizes.test)]
        admitted = [admit(cell.build_defenses(), prompt) for prompt in plain]
        self._ask([(prompt, 0) for prompt in admitted if isinstance(prompt, Prompt)], 1)

    def student(self, dry: Dry) -> None:
        """A student's training and its examination."""
        cell, student, long = self._cell, self._cell.student, self._lengths
        taught = (student, cell.task, cell.seed, hash(tuple(dry.loot))) if dry.loot else (student,)
        if dry.loot and self._sheet.once("student", taught):
            rows = (sum(map(long.tokens, (row.question, row.trace, row.answer))) for row in dry.loot)
            self._train("student training", student.model, student.recipe, rows, self._many)
        if self._sheet.once("exam", cell.exam, cell.sizes.test, taught):
            texts = [q.text for q in questions("e", cell.sizes.test)]
            self._write("examination", student.model, student.decoding, texts, long.trace + long.answer, 1)

    def _ask(self, asked: Sequence[Query], times: int) -> None:
        """Ask the victim what it was not asked before, and summarize what it thinks where its provider has that done."""
        victim = self._cell.victim
        if victim.model == RECORDED:
            asked = [(prompt, 0) for prompt, _ in asked]
        self._pay([query for query in asked if self._sheet.once(self._label, self._cell.task, query)], times)
        if victim.compressor:
            traces = [made_up(prompt, self._hand, {"trace"}, n).trace or "" for prompt, n in asked]
            self._summarize("victim summaries", victim.compressor, traces, times)

    def _pay(self, asked: Sequence[Query], times: int) -> None:
        victim, long = self._cell.victim, self._lengths
        if victim.model == RECORDED:
            self._sheet.add("victim replies", RECORDED, f"{self._label}, replayed", rows=times * len(asked))
            return
        if victim.remote:
            long = long._replace(trace=min(long.trace, REMOTE_TRACE))
        read = written = 0.0
        for prompt, n in asked:
            reply = made_up(prompt, self._hand, {"trace"}, n)
            read += times * long.tokens(prompt.text)
            texts = (reply.trace, reply.text, *reply.arguments.values())
            written += times * min(sum(map(long.tokens, texts)), victim.decoding.max_new_tokens)
        cost = price(Usage(round(read), round(written)), victim.api.prices)
        settings = f"effort {victim.api.effort or 'as provided'}" if victim.remote else drawn(victim.decoding)
        n = times * len(asked)
        self._sheet.add("victim replies", victim.model, settings, rows=n, read=read, written=written, queries=n, dollars=cost)

    def _surrogate(self, prompts: Sequence[Prompt], temperature: float | None) -> None:
        """Replies of the attacker's own model, and their summaries."""
        settings, cell = self._suite.surrogate, self._cell
        if settings is None:
            return
        if settings.lessons and self._sheet.once("lessons", cell.task):
            long = self._lengths
            self._train("surrogate training", settings.model, settings.recipe, [sum(long) - long.summary] * settings.lessons, 1)
        changes = {} if temperature is None else {"temperature": temperature}
        sampling = settings.decoding.sampling(cell.seed, **changes)
        if not self._sheet.once("surrogate", cell.task, sampling, hash(tuple(prompts))):
            return
        times = self._many if len(prompts) >= FEW else 1
        if settings.model == RECORDED:
            self._sheet.add("surrogate replies", RECORDED, "replayed", rows=times * len(prompts))
        else:
            decoding, each = Decoding(**{**settings.decoding.model_dump(), **changes}), self._lengths.trace + self._lengths.answer
            self._write("surrogate replies", settings.model, decoding, [prompt.text for prompt in prompts], each, times)
        traces = [made_up(prompt, str(sampling.seed), {"trace"}).trace or "" for prompt in prompts]
        self._summarize("summaries", self._suite.compressor, traces, times)

    def _invert(self, dry: Dry) -> None:
        """Training and use of inverters."""
        inverter, task, long = self._suite.inverter, self._cell.task, self._lengths
        if inverter is None:
            return
        for name, examples in dry.trained.items():
            if self._sheet.once("inverter", task, name):
                rows = (long.tokens(prompt.text) + long.tokens(completion) for prompt, completion in examples)
                self._train("inverter training", inverter.model, inverter.recipe, rows, self._many)
        for name, prompts in dry.generated:
            if self._sheet.once("inversion", task, name, inverter.decoding.sampling(self._cell.seed), hash(tuple(prompts))):
                self._write(
                    "inversion", inverter.model, inverter.decoding, [prompt.text for prompt in prompts], long.trace, self._many
                )

    def _summarize(self, stage: str, compressor: Compressor | None, traces: Sequence[str], times: int) -> None:
        if compressor and traces and self._sheet.once("summaries", self._cell.task, compressor, hash(tuple(traces))):
            texts = [compression_prompt(trace, compressor.style).text for trace in traces]
            self._write(stage, compressor.model, compressor.decoding, texts, self._lengths.summary, times)

    def _write(self, stage: str, model: str, decoding: Decoding, texts: Sequence[str], each: float, times: int) -> None:
        """A model writes `each` tokens, or as many as it may, to each text; each text stands for `times` as many."""
        read, n = times * sum(map(self._lengths.tokens, texts)), times * len(texts)
        self._sheet.add(stage, model, drawn(decoding), rows=n, read=read, written=n * min(each, decoding.max_new_tokens))

    def _train(self, stage: str, model: str, recipe: Recipe, rows: Iterable[float], times: int) -> None:
        """A model is trained on rows of so many tokens; each row stands for `times` as many."""
        tokens = [times * min(row, recipe.max_length) for row in rows]
        self._sheet.add(stage, model, taught_by(recipe), rows=times * len(tokens), trained=sum(tokens) * recipe.epochs)


def honest_split(cell: Cell) -> str:
    """Where an honest user's questions come from: the test split of the attacked task, or its development split."""
    return "test" if cell.exam == cell.task else "dev"


def drawn(decoding: Decoding) -> str:
    """Decoding in words."""
    others = {"top_p": decoding.top_p, "repetition_penalty": decoding.repetition_penalty}
    how = [f"temperature {decoding.temperature:g}" if decoding.temperature else "greedy"]
    return ", ".join(
        [*how, *(f"{name} {n:g}" for name, n in others.items() if n != 1), f"up to {decoding.max_new_tokens} tokens"]
    )


def taught_by(recipe: Recipe) -> str:
    """A recipe in words."""
    weights = f"LoRA of rank {recipe.lora_rank}" if recipe.lora_rank else "all weights"
    return (
        f"{recipe.epochs} epochs of batches of {recipe.batch_size}, rate {recipe.learning_rate:g} {recipe.schedule},"
        f" warmup {recipe.warmup:g}, rows up to {recipe.max_length} tokens, {weights}"
    )
