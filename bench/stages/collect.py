"""Collect: an attack runs on the victim behind the defense, and brings home its loot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

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
from heistbench.bench.walls.thefts import order_of


@dataclass(frozen=True)
class Theft:
    """What an attack brought home: the loot, its bill, and the sealed record of its queries.

    `wall` is the one that stood around it, `name` that of the artifact.
    """

    rows: list[Stolen]
    bill: Bill
    sealed: list[Sealed]
    wall: str
    name: str

    @cached_property
    def lost(self) -> int:
        """The queries that an outage swallowed."""
        return sum(query.lost for query in self.sealed)

    @cached_property
    def digest(self) -> str:
        """sha256 of what the student sees of the loot."""
        return hash_of([(row.question, row.trace, row.answer) for row in self.rows])

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
            "questions": hash_of(context.questions),
            "own questions": hash_of(self._own_ids()),
            "budget": len(context.questions),
            "seed": cell.seed,
        }

    def build(self, folder: Path) -> None:
        theft = self._steal()
        write_lines(folder / "loot.jsonl", theft.rows)
        write_lines(folder / "sealed.jsonl", theft.sealed)
        write_json(folder / "theft.json", {"bill": theft.bill, "wall": theft.wall})

    def read(self, folder: Path) -> Theft:
        rows = [Stolen(**row) for row in read_lines(folder / "loot.jsonl")]
        sealed, facts = [Sealed.of(row) for row in read_lines(folder / "sealed.jsonl")], read_json(folder / "theft.json")
        return Theft(rows, Bill(**facts["bill"]), sealed, facts["wall"], folder.name)

    def imagined(self, dry: DryRun) -> Theft:
        """What the attack brings home of made-up replies, asked for through the same desk."""
        return self._steal()

    def _steal(self) -> Theft:
        context, attack, questions = self.context, self.context.cell.build_attack(), self.context.questions
        desk = HarnessDesk(context, context.cell.build_defenses(), budget=len(questions))
        # Variants of one attack draw the same: the same demonstrations for each wrapper.
        order = order_of(attack, context.cell.attack, questions, canonical([attack.info.name, context.cell.seed]))
        haul = context.carry_out(attack, order, desk)
        rows = _checked(haul.rows, [*self._own_ids(), *(question.id for question in questions)], attack.info.name)
        return Theft(rows, desk.bill, _read(desk.sealed, haul.readings, attack.info.name), context.wall, identify(self.spec()))

    def _own_ids(self) -> list[str]:
        return [problem.question.id for problem in self.context.problems("surrogate")]


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
