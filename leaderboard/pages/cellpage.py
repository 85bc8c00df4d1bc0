"""The page of one cell: what its seeds gave, what was stolen, where every number comes from, how to run it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from heistbench.bench.storage.blocks import EXAMPLES_EACH_END, TheftExample
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.panel import Panel, victim_label
from heistbench.leaderboard.pages.celltables import results, seeds, theft
from heistbench.leaderboard.tables.table import Table

Detail = tuple[str, str]
"""A name and what it stands for."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An example and the seed that it is from."""

    seed: int
    example: TheftExample


@dataclass(frozen=True, slots=True)
class CellPage:
    """All that a cell's page says; `facts` are of the first seed, by their group."""

    panel: Panel
    cell: PooledCell
    record: Record
    seeds: Table
    results: list[Table]
    theft: list[Table]
    most: list[Shown]
    least: list[Shown]
    command: str
    facts: dict[str, list[Detail]]

    @classmethod
    def of(cls, panel: Panel, cell: PooledCell, records: Sequence[Record], files: Sequence[str]) -> CellPage:
        """The page of a panel's cell, of its records and the links to their files, in the order of seeds."""
        first, (most, least) = records[0], _examples(records)
        return cls(
            panel=panel,
            cell=cell,
            record=first,
            seeds=seeds(records, files),
            results=[*results(cell)],
            theft=[*theft(panel, cell, first)],
            most=most,
            least=least,
            command=command(records),
            facts=dict(_facts(first)),
        )


def command(records: Sequence[Record]) -> str:
    """What runs these records again, for a shell: controls come along with any attack, so none is named.

    A value is one word with its option, so that no text of a record becomes an option of its own.
    """
    arm = records[0].arm
    options = {
        "task": arm.task.spec,
        "victim": victim_label(records[0]),
        **({} if arm.control else {"attack": arm.attack.spec}),
        "defense": arm.defense,
        "seeds": ",".join(str(record.arm.seed) for record in records),
    }
    return " ".join(["heist run", quote(arm.suite), *(f"--{name}={quote(value)}" for name, value in options.items())])


def _examples(records: Sequence[Record]) -> tuple[list[Shown], list[Shown]]:
    """The most and the least telling rows over all seeds, each question once, from the seed where it told most.

    Without scores, the first rows and the last.
    """
    every = [Shown(record.arm.seed, example) for record in records for example in record.examples]
    every.sort(key=lambda shown: -(shown.example.score or 0.0))
    once: dict[str, Shown] = {}
    for shown in every:
        once.setdefault(shown.example.id, shown)
    half = min(EXAMPLES_EACH_END, (len(once) + 1) // 2)
    return [*once.values()][:half], [*once.values()][max(half, len(once) - EXAMPLES_EACH_END) :]


def _facts(record: Record) -> Iterator[tuple[str, list[Detail]]]:
    arm, made = record.arm, record.provenance
    plugins = [("attack", arm.attack), *(("defense", part) for part in arm.defenses), ("task", arm.task), ("exam", arm.exam)]
    yield "plugins", [(kind, " · ".join(filter(None, (p.spec, f"version {p.version}", p.paper)))) for kind, p in plugins]
    yield (
        "code",
        [
            ("suite", arm.suite),
            ("harness", f"heistbench {made.harness}"),
            ("commit", f"{made.commit}{', with changes that were not committed' if made.dirty else ''}"),
            ("python", made.python),
            ("engine", f"{made.engine}, {made.dtype}, {made.device}"),
            ("hardware", record.volatile.hardware),
        ],
    )
    yield "models", [("victim's model", arm.victim_model), *made.models.items()]
    yield "data", [*made.data.items(), ("loot", record.loot.sha256)]
    yield "test questions that share words with attacked ones", [(k, f"{v:.4g}") for k, v in made.contamination.items()]
    yield "packages", [*made.packages.items()]
    settings = {"recipe": arm.recipe, **made.settings}
    yield "settings", [(name, json.dumps(value, ensure_ascii=False)) for name, value in settings.items()]
