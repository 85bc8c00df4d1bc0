"""What is checked of a run before any query is sent: keys, providers, what victims show and what attacks need."""

from __future__ import annotations

from collections.abc import Sequence

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Sight
from heistbench.bench.models.fine_tuning import require
from heistbench.bench.scoring.overlap import SIGNATURES, score
from heistbench.bench.stages.budget import Budget
from heistbench.bench.stages.summaries import summarizes
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.reply_sources import Provider, Recorded


def check_cells(cells: Sequence[Cell]) -> None:
    """Raise HeistError for the first cell whose victim does not show what its attack needs, or cannot be asked so."""
    for cell in {(c.victim, c.attack, c.defense, c.task): c for c in cells}.values():
        _check_sight(cell)
        _check_recorded(cell)


def check_apis(cells: Sequence[Cell], budget: Budget) -> None:
    """Raise HeistError for an unknown provider, a missing key, or a budget in dollars for a victim without prices."""
    for victim in dict.fromkeys(cell.victim for cell in cells):
        if not isinstance(victim.source, Provider):
            continue
        if budget.dollars is not None and victim.api.prices is None:
            raise HeistError(f"--budget-usd: victim {victim.label} has no prices; give api.prices, dollars per million tokens")
        from heistbench.bench.models.provider_engine import check_api

        check_api(victim.source.name, victim.api)


def check_machine(cells: Sequence[Cell]) -> None:
    """Raise HeistError for a signature whose data is not here, and for a recipe that this machine cannot train."""
    for signature in {name for cell in cells for name in cell.suite.signatures}:
        score("a", "a", SIGNATURES[signature])
    for suite in {cell.suite.name: cell.suite for cell in cells}.values():
        trained = [suite.inverter, suite.surrogate, *suite.students]
        for recipe in {role.recipe for role in trained if role}:
            require(recipe)


def sights(cell: Cell) -> set[Sight]:
    """What there is to see of a cell's victim: its answers, its summaries, and by the harness its traces."""
    sights: set[Sight] = {"answer", cell.victim.shows}
    if cell.victim.shows == "trace" and (cell.victim.compressor or summarizes(cell.build_task())):
        sights.add("summary")
    return sights


def _check_sight(cell: Cell) -> None:
    needed, visible = cell.build_attack().needs, sights(cell)
    if needed not in visible:
        raise HeistError(
            f"{cell.attack} needs to see the {needed} of victim {cell.victim.label}, which shows on {cell.task}:"
            f" {', '.join(sorted(visible))}"
        )


def _check_recorded(cell: Cell) -> None:
    """A recorded model answers its own questions only: no other prompts, whether an attack or a defense makes them."""
    if not isinstance(cell.victim.source, Recorded):
        return
    makes = [d.info.name for d in cell.build_defenses() if "prompt" in d.info.touches]
    if cell.build_attack().info.asks == "prompts" or makes:
        who = makes[0] if makes else cell.attack
        raise HeistError(f"victim {cell.victim.label} is recorded and answers its own questions only; {who} makes other prompts")
