"""Collect: an attack runs on the victim behind the defense, and brings home its loot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from heistbench.bench.contracts.errors import HeistError, PluginFailure
from heistbench.bench.contracts.nouns import Bill, Question, Stolen
from heistbench.bench.contracts.sources import keyed
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.defended import Sealed
from heistbench.bench.stages.desk import HarnessDesk
from heistbench.bench.stages.inverter import inverter_spec
from heistbench.bench.stages.stage import DryRun, Need, Stage
from heistbench.bench.stages.surrogate import surrogate_spec
from heistbench.bench.storage.store import canonical, hash_of, identify, read_json, read_lines, write_json, write_lines
from heistbench.bench.suites.questions import asked
from heistbench.bench.walls.thefts import order_of


class Extent(NamedTuple):
    """How many rows of loot there are, and how many queries an outage swallowed; and four sha256.

    These are of the loot, of what the student sees of it, of its traces by question, and of the prompts that were sent.
    """

    rows: int
    lost: int
    loot: str
    lessons: str
    traces: str
    prompts: str


@dataclass(frozen=True)
class Theft:
    """What an attack brought home: the loot, its bill, and the sealed record of its queries.

    `wall` is the one that stood around it, `name` that of the artifact. Loot and sealed record are read from disk only where
    they are looked at: where all else is computed already, their extent says enough.
    """

    bill: Bill
    wall: str
    name: str
    extent: Extent
    read_rows: Callable[[], list[Stolen]]
    read_sealed: Callable[[], list[Sealed]]

    @classmethod
    def of(cls, rows: list[Stolen], sealed: list[Sealed], bill: Bill, wall: str, name: str) -> Theft:
        """One that has just been carried out."""
        extent = Extent(
            rows=len(rows),
            lost=sum(query.lost for query in sealed),
            loot=hash_of(rows),
            lessons=hash_of([(row.question, row.trace, row.answer) for row in rows]),
            traces=hash_of({row.id: row.trace or "" for row in rows}),
            prompts=hash_of([query.prompt for query in sealed]),
        )
        return cls(bill, wall, name, extent, lambda: rows, lambda: sealed)

    @cached_property
    def rows(self) -> list[Stolen]:
        """The loot."""
        return self.read_rows()

    @cached_property
    def sealed(self) -> list[Sealed]:
        """The sealed record."""
        return self.read_sealed()

    def queries_about(self, questions: Sequence[Question]) -> list[Sealed | None]:
        """The sealed query about each question, in their order; None where there was none."""
        texts = [query.last_message for query in self.sealed]
        queries: list[Sealed | None] = []
        for at, question in enumerate(questions):
            # Most attacks ask in order: look at the same place first.
            places = (i for i in (*range(at, min(at + 1, len(texts))), *range(len(texts))) if question.text in texts[i])
            queries.append(self.sealed[place] if (place := next(places, None)) is not None else None)
        return queries


@dataclass(frozen=True)
class Collect(Stage[Theft]):
    """The theft of a cell.

    The cell's seed is the attacker's luck: its samples, its demonstrations, its inverter's training. The victim's luck is
    not in it: what it replied once to a prompt is paid for and kept.
    """

    kind: ClassVar[str] = "collect"
    context: CellContext

    @property
    def needs(self) -> Need:
        return "network" if self.context.cell.victim.remote else "gpu"

    def spec(self) -> Mapping[str, Any]:
        context, cell = self.context, self.context.cell
        return {
            "attack": keyed(cell.build_attack()),
            "defenses": [keyed(defense) for defense in cell.build_defenses()],
            "victim": context.victim.identity,
            "surrogate": surrogate_spec(context),
            "inverter": inverter_spec(context),
            "task": keyed(context.task),
            "questions": context.digest("query", asked),
            "own questions": context.digest("surrogate", asked),
            "budget": len(context.attacked),
            "seed": cell.seed,
        }

    def build(self, folder: Path) -> None:
        theft = self._steal()
        write_lines(folder / "loot.jsonl", theft.rows)
        write_lines(folder / "sealed.jsonl", theft.sealed)
        write_json(folder / "theft.json", {"bill": theft.bill, "wall": theft.wall, "extent": theft.extent._asdict()})

    def read(self, folder: Path) -> Theft:
        facts = read_json(folder / "theft.json")
        return Theft(
            Bill(**facts["bill"]),
            facts["wall"],
            folder.name,
            Extent(**facts["extent"]),
            lambda: [Stolen(**row) for row in read_lines(folder / "loot.jsonl")],
            lambda: [Sealed.of(row) for row in read_lines(folder / "sealed.jsonl")],
        )

    def imagined(self, dry: DryRun) -> Theft:
        """What the attack brings home of made-up replies, asked for through the same desk."""
        return self._steal()

    def _steal(self) -> Theft:
        context, attack, questions = self.context, self.context.cell.build_attack(), self.context.questions
        desk = HarnessDesk(context, context.cell.build_defenses(), budget=len(questions))
        # Variants of one attack draw the same: the same demonstrations for each wrapper.
        order = order_of(attack, context.cell.attack, questions, canonical([attack.info.name, context.cell.seed]))
        haul = context.carry_out(attack, order, desk)
        known = [problem.question.id for problem in (*context.problems("surrogate"), *context.attacked)]
        rows, sealed = _checked(haul.rows, known, attack.info.name), _read(desk.sealed, haul.readings, attack.info.name)
        return Theft.of(rows, sealed, desk.bill, context.wall, identify(self.spec()))


def _read(sealed: Sequence[Sealed], readings: Sequence[str], name: str) -> list[Sealed]:
    """The sealed queries with what the attack takes for the trace in each."""
    if len(sealed) != len(readings):
        raise PluginFailure(f"attack {name} asked {len(sealed)} queries and read {len(readings)} replies")
    return [replace(query, reading=reading) for query, reading in zip(sealed, readings, strict=True)]


def _checked(rows: Sequence[Stolen], allowed: list[str], name: str) -> list[Stolen]:
    ids = [row.id for row in rows]
    if len(set(ids)) != len(ids) or not set(ids) <= set(allowed):
        raise HeistError(f"attack {name} returned a question twice, or one that it neither was given nor owns")
    return list(rows)
