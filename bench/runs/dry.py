"""The dry run: the stages of cells without their models, on made-up replies, with everything that the store shares counted once.

A stage says what building it would ask of models (`Stage.work`) and what others may take for its result (`Stage.imagined`);
attacks run through the same desk as in a real run.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any, TypeVar, cast

from heistbench.bench.contracts.errors import HeistError, PluginFailure
from heistbench.bench.contracts.nouns import Bill, Problem, Prompt, Question, Reply, Split, Stolen, Usage
from heistbench.bench.contracts.plugins import Attack
from heistbench.bench.contracts.wall import Desk
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import Arrived, unheard
from heistbench.bench.prompting.demonstrations import POOL
from heistbench.bench.runs.costs import REMOTE_TRACE, lengths
from heistbench.bench.runs.made_up import ANSWER, TRACE, made_up, problems, questions, stands_alone, stands_for, tokens
from heistbench.bench.stages.budget import price
from heistbench.bench.stages.collect import Collect, Theft
from heistbench.bench.stages.completions import in_words
from heistbench.bench.stages.context import CellContext, plain_prompts
from heistbench.bench.stages.record import RecordStage
from heistbench.bench.stages.stage import WORK, Lengths, Stage, Work
from heistbench.bench.stages.summaries import summarize, summarizes, with_summaries
from heistbench.bench.storage.owner import Query
from heistbench.bench.storage.store import Store, identify
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.reply_sources import Recorded
from heistbench.bench.walls.line import Haul, Order
from heistbench.bench.walls.thefts import Thieves

T = TypeVar("T")
SPLIT_LETTERS: dict[Split, str] = {"query": "q", "surrogate": "o", "dev": "d", "test": "t"}
PATIENCE = 10.0
"""Seconds that an attack may compute on made-up replies."""
WHOLE: tuple[Split, ...] = ("dev", "test")
"""Splits whose questions are all there, each standing for itself."""


class Sheet:
    """Adds up work, each piece once, and keeps imagined results for the cells that share them.

    `spare` are the queries that attacks which prompt might send besides those they sent on made-up replies. What is added counts
    `times` times. `trained` has the tokens that the cells of an arm (`Cell.arm`) train models on, the first of those that share.
    """

    def __init__(self) -> None:
        self.results: dict[Hashable, Any] = {}
        self.queries = self.spare = 0
        self.times = 1
        self.thieves = Thieves()
        self.trained: dict[Hashable, float] = defaultdict(float)
        self._met: set[Hashable] = set()
        self._work: dict[tuple[str, str, str], Work] = {}

    def once(self, *piece: Hashable) -> bool:
        """Whether a piece of work is met for the first time."""
        new = piece not in self._met
        self._met.add(piece)
        return new

    def add(self, work: Work) -> None:
        """Add to the work of that name, model and settings."""
        key = work.name, work.model, work.settings
        sums = self._work.get(key, Work(*key))
        amounts = ("rows", "trained", "read", "written", "queries", "dollars")
        self._work[key] = replace(sums, **{name: getattr(sums, name) + self.times * getattr(work, name) for name in amounts})
        self.queries += self.times * work.queries

    @property
    def most_queries(self) -> int:
        """How many queries are sent at most: those on made-up replies, and what prompting attacks might send besides."""
        return self.queries + self.spare

    def work(self) -> list[Work]:
        """All work, in the order of the data."""
        return sorted(self._work.values(), key=lambda work: WORK.index(work.name))


def work_of(cells: Sequence[Cell], most: int | None = None) -> Sheet:
    """The work behind some cells. Everything is an estimate.

    Seeds with the same arms are exchangeable: what the second of them adds, each further one adds too, but for its luck. Where
    more than `most` cells have to be looked at even so, about a third of `most` are, and some defenses stand for others.
    """
    sheet, seeds = Sheet(), [*_seeds(cells)]
    looked_at = sum(len(of_seed) for of_seed, _ in seeds)
    defenses = _defenses(cells, ceil(3 * looked_at / most) if most and looked_at > most else 1)
    with sheet.thieves:
        for of_seed, times in seeds:
            for cell in (cell for cell in of_seed if cell.defense in defenses):
                sheet.times = times * defenses[cell.defense]
                _add(cell, sheet)
    return sheet


def _seeds(cells: Sequence[Cell]) -> Iterator[tuple[list[Cell], int]]:
    """The cells of a seed, and how many seeds they stand for: of those with the same arms the first, and one for all others."""
    by_seed: dict[int, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_seed[cell.seed].append(cell)
    by_arms: dict[Hashable, list[list[Cell]]] = defaultdict(list)
    for of_seed in by_seed.values():
        by_arms[frozenset(cell.arm for cell in of_seed)].append(of_seed)
    for first, *others in by_arms.values():
        yield first, 1
        if others:
            yield others[0], len(others)


def _defenses(cells: Sequence[Cell], step: int) -> dict[str, int]:
    """How many defenses each stands for: the first, whose thefts pay what others share, for itself; of `step` others one."""
    names = [*dict.fromkeys(cell.defense for cell in cells)]
    parts = [names[:1], *(names[at : at + step] for at in range(1, len(names), step))]
    return {part[0]: len(part) for part in parts if part}


def _add(cell: Cell, sheet: Sheet) -> None:
    context = DryCell(cell, sheet)
    for stage in RecordStage(context).after():
        context.add(stage)


class DryCell(CellContext):
    """The context of a cell in a dry run; implements `DryRun` too."""

    def __init__(self, cell: Cell, sheet: Sheet) -> None:
        super().__init__(cell, Store(Path("nothing is written")))
        self.sheet, self._many = sheet, stands_for(cell)

    def add(self, stage: Stage[Any]) -> None:
        """Count a stage and all that it reads; one that asks nothing of models itself counts for what it reads."""
        for earlier in stage.after():
            self.add(earlier)
        if type(stage).work is not Stage.work or type(stage).imagined is not Stage.imagined:
            self.result(stage)

    def _compute(self, stage: Stage[T]) -> T:
        key = stage.kind, self.cell.task, identify(stage.spec())
        if key not in self.sheet.results:
            for work in stage.work(self):
                self.sheet.add(work)
                self.sheet.trained[self.cell.arm] += work.trained
            self.sheet.results[key] = self._theft(stage) if isinstance(stage, Collect) else stage.imagined(self)
        return cast(T, self.sheet.results[key])

    def _theft(self, stage: Collect) -> Theft:
        queries = self.sheet.queries
        try:
            theft = stage.imagined(self)
        except (PluginFailure, HeistError):  # a stranger's code, on texts it was not made for
            theft = self._obliging_theft()
        if self.cell.build_attack().info.asks == "prompts":
            self.sheet.spare += max(0, self.sheet.times * self.cell.budget - (self.sheet.queries - queries))
        return theft

    def _obliging_theft(self) -> Theft:
        """What an attack is taken to do that cannot work with made-up replies: it asks each question once, and gets a trace."""
        replies = self.victim.reply([(prompt, 0) for prompt in plain_prompts(self.attacked)])
        rows = [Stolen(q.id, q.text, f"{TRACE}{self.cell.attack}", ANSWER) for q in self.questions]
        return Theft.of(rows, [], Bill(queries=len(replies)), self.wall, f"{self.cell.attack} {self.cell.seed}")

    # what it assumes

    @cached_property
    def lengths(self) -> Lengths:
        """Of the attacked task's texts, in tokens."""
        return lengths(self.cell.task, self.cell.sizes.query)

    def tokens(self, text: str | None) -> float:
        return tokens(text, self.lengths)

    def times(self, texts: Sequence[str]) -> int:
        return 1 if texts and stands_alone(texts[0]) else self._many

    def times_asked(self, texts: Sequence[str]) -> int:
        return 1 if len(texts) <= POOL else self.times(texts)

    def reply(self, prompt: Prompt, author: str, repetition: int = 0) -> Reply:
        return made_up(prompt, author, repetition)

    # what its stages ask

    def _draw(self, split: Split) -> list[Problem]:
        whole = split in WHOLE
        return list(problems(SPLIT_LETTERS[split], self.size_of(split) // (1 if whole else self._many), whole))

    @property
    def attacked(self) -> list[Problem]:
        return self.problems("query")[: self.cell.budget // self._many]

    def questions_of(self, task: str, n: int) -> list[Question]:
        return list(questions("p", n, alone=True))

    def wrong_trace(self, problem: Problem) -> str:
        return f"{TRACE}wrong {problem.question.id}"

    @property
    def log(self) -> Path:
        """Nobody asks why an attack cannot work with made-up replies."""
        return Path(os.devnull)

    @property
    def data_digest(self) -> str:
        return ""

    def resolve(self, reference: str) -> Checkpoint:
        return Checkpoint(reference, reference)

    def made(self, label: str, folder: Path, base: Checkpoint | None = None) -> Checkpoint:
        raise NotImplementedError("a dry run makes no model")

    def own_summary(self, trace: str) -> str | None:
        return made_up(Prompt.of(trace), "c.").summary if summarizes(self.task) else None

    def carry_out(self, attack: Attack, order: Order, desk: Desk) -> Haul:
        return self.sheet.thieves.steal(attack, order, desk, self.log, PATIENCE)

    @cached_property
    def victim(self) -> DryVictim:
        """A victim that replies to everything, and counts what it is asked for the first time."""
        return DryVictim(self)


class DryVictim:
    """Stands where the victim does."""

    def __init__(self, cell: DryCell) -> None:
        self._cell, self._victim = cell, cell.cell.victim
        self.identity: dict[str, Any] = {"label": self._victim.label, "task": cell.cell.task}
        self._author = f"v{hash(self._victim.label) & 0xFFFF:x}."

    def reply(self, queries: Sequence[Query], arrived: Arrived = unheard, summaries: bool = True) -> list[Reply]:
        """One made-up reply per query, with what this victim shows."""
        if isinstance(self._victim.source, Recorded):
            queries = [(prompt, 0) for prompt, _ in queries]
        new = [query for query in queries if self._cell.sheet.once(*self.identity.values(), query)]
        self._count(new)
        replies = [self._shown(made_up(prompt, self._author, repetition)) for prompt, repetition in queries]
        return with_summaries(replies, self._summarize) if summaries else replies

    def _summarize(self, traces: Sequence[str]) -> list[str | None]:
        return summarize(self._cell, traces, self._victim.compressor, "victim summaries")

    def _shown(self, reply: Reply) -> Reply:
        shows = self._victim.shows
        trace, summary = (text if shows == what else None for what, text in (("trace", reply.trace), ("summary", reply.summary)))
        return replace(reply, trace=trace, summary=summary)

    def _count(self, queries: Sequence[Query]) -> None:
        victim, sheet, dry = self._victim, self._cell.sheet, self._cell
        if not queries:
            return
        rows = sum(dry.times([prompt.text]) for prompt, _ in queries)
        if isinstance(victim.source, Recorded):
            sheet.add(Work("victim replies", victim.model, f"{victim.label}, replayed", rows=rows))
            return
        read, written = (sum(amounts) for amounts in zip(*map(self._tokens, queries), strict=True))
        settings = f"effort {victim.api.effort or 'as provided'}" if victim.remote else in_words(victim.decoding)
        cost = price(Usage(round(read), round(written)), victim.api.prices)
        sheet.add(Work("victim replies", victim.model, settings, rows, read=read, written=written, queries=rows, dollars=cost))

    def _tokens(self, query: Query) -> tuple[float, float]:
        """Read and written for one query and all that it stands for."""
        (prompt, repetition), assumed = query, self._cell.lengths
        if self._victim.remote:
            assumed = assumed._replace(trace=min(assumed.trace, REMOTE_TRACE))
        reply, times = made_up(prompt, self._author, repetition), self._cell.times([prompt.text])
        written = sum(tokens(text, assumed) for text in (reply.trace, reply.text, *reply.arguments.values()))
        return times * tokens(prompt.text, assumed), times * min(written, self._victim.decoding.max_new_tokens)
