"""What a suite takes, before anything is run: a table of its stages, a bound on its queries, an estimate of their price.

Attacks run on made-up replies (`_dry`), and what cells share is counted once (`_work`), as the store computes it once: a victim's
replies to plain questions, an inverter a seed, one student for equal loot.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.registry import spec_of
from heistbench.bench.runs.checks import sights
from heistbench.bench.runs.costs import BUSY, GPU, PEAK, TYPICAL, WRITING
from heistbench.bench.runs.made_up import Dry
from heistbench.bench.runs.work import Sheet, Stage, Work, honest_split
from heistbench.bench.stages.budget import Budget
from heistbench.bench.suites.cells import Cell, cells
from heistbench.bench.suites.settings import Suite

if TYPE_CHECKING:
    from rich.table import Table

UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


def outline(suite: Suite) -> list[Stage]:
    """The stages of a suite, in the order of the data. Everything is an estimate."""
    return stages(cells(suite))


def stages(found: Sequence[Cell]) -> list[Stage]:
    """The stages that some cells need."""
    sheet, thefts = Sheet(), dict[Hashable, Dry]()
    for cell in found:
        work, theft = Work(cell, sheet), (cell.victim, cell.task, cell.defense, cell.attack, cell.budget, cell.seed)
        if theft not in thefts:
            thefts[theft] = work.theft()
        work.honest()
        work.student(thefts[theft])
    return sheet.stages()


def queries(found: Sequence[Cell]) -> dict[str, int]:
    """How many queries of each victim, by label, some cells need at most, by what their attacks say they ask.

    Plain questions are asked once for all who ask them, and once more for the ceiling of overlap; prompts of an attack's own once
    an attack, defense that changes prompts, budget and seed; an honest user's questions once a defense that changes prompts.
    """
    asked: dict[str, dict[Hashable, int]] = {cell.victim.label: {} for cell in found}
    for cell in found:
        for prompts, n in _prompts(cell):
            of_victim = asked[cell.victim.label]
            of_victim[prompts] = max(n, of_victim.get(prompts, 0))
    return {label: sum(of_victim.values()) for label, of_victim in asked.items()}


@dataclass(frozen=True, slots=True)
class Bill:
    """What the replies of one victim take: queries at most; tokens, and dollars where prices are known, as estimates."""

    queries: int
    tokens: float
    dollars: float | None


def bills(found: Sequence[Cell]) -> dict[str, Bill]:
    """The bill of each victim behind an API, by label; what the store holds already is not taken off."""
    remote = [cell for cell in found if cell.victim.remote]
    return {label: _bill([c for c in remote if c.victim.label == label], n) for label, n in queries(remote).items()}


def foresee(found: Sequence[Cell], budget: Budget) -> list[str]:
    """A line for each victim behind an API. Raises HeistError where the budget is too small for all of them."""
    asked = bills(found)
    total, dollars = sum(bill.queries for bill in asked.values()), sum(bill.dollars or 0 for bill in asked.values())
    if budget.queries is not None and total > budget.queries:
        raise HeistError(f"--budget-queries {budget.queries}: this run sends up to {total}; raise it, or lower the suite's sizes")
    if budget.dollars is not None and dollars > budget.dollars:
        raise HeistError(
            f"--budget-usd {budget.dollars:g}: this run costs about ${dollars:,.2f}; raise it, or lower the suite's sizes"
        )
    return [
        f"{label}: at most {bill.queries:,} queries, about {_short(bill.tokens)} tokens, "
        + ("no prices given" if bill.dollars is None else f"about ${bill.dollars:,.2f}")
        for label, bill in asked.items()
    ]


def _bill(found: Sequence[Cell], asked: int) -> Bill:
    replies, priced = [stage for stage in stages(found) if stage.queries], found[0].victim.api.prices
    return Bill(asked, sum(s.tokens for s in replies), sum(s.dollars for s in replies) if priced else None)


def _prompts(cell: Cell) -> list[tuple[Hashable, int]]:
    """What a cell asks of its victim, and how often."""
    attack, changed = cell.build_attack(), tuple(spec_of(d) for d in cell.build_defenses() if "prompt" in d.info.touches)
    asked: list[tuple[Hashable, int]] = [((cell.task, honest_split(cell), changed), cell.sizes.test)]
    if attack.info.asks == "questions":
        asked.append(((cell.task, "attacked", changed), cell.budget))
    elif attack.info.asks == "prompts":
        asked.append(((cell.task, spec_of(attack), changed, cell.budget, cell.seed), cell.budget))
    if "trace" in sights(cell):
        asked += [((cell.task, "attacked", ()), cell.budget), ((cell.task, "attacked again"), cell.budget)]
    return asked


def outline_table(suite: Suite) -> Table:
    """The outline as a table, with a line of totals and what is assumed."""
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

    found = outline(suite)
    table = Table(
        title=f"{suite.name}: what it takes", caption=_assumed(), title_justify="left", caption_justify="left", box=SIMPLE
    )
    table.add_column("stage, model, settings", overflow="fold")
    for column in ("rows", "tokens", "GPU-h", "queries", "$"):
        table.add_column(column, justify="right", no_wrap=True)
    for stage in found:
        model = escape(stage.model.partition("@")[0])
        table.add_row(f"[bold]{stage.name}[/]\n{model}\n{escape(stage.settings)}", *_figures([stage]))
    table.add_section()
    table.add_row("[bold]all[/]", *_figures(found))
    return table


def _figures(found: Sequence[Stage]) -> tuple[str, str, str, str, str]:
    rows, tokens, queries = (sum(column) for column in zip(*((s.rows, s.tokens, s.queries) for s in found), strict=True))
    hours, price = [stage.hours for stage in found], sum(stage.dollars for stage in found)
    known = sum(hour for hour in hours if hour is not None)
    return (
        f"{rows:,}",
        _short(tokens) if tokens else "",
        f"{known:,.1f}" + ("+ ?" if None in hours else "") if known or None in hours else "",
        f"{queries:,}" if queries else "",
        f"{price:,.2f}" if price else "",
    )


def _short(n: float) -> str:
    return next((f"{n / size:.1f} {unit}" for size, unit in UNITS if n >= size), f"{n:.0f}")


def _assumed() -> str:
    return (
        f"Estimates. Tokens where the data is not here: question {TYPICAL.question:.0f}, trace {TYPICAL.trace:.0f}, summary"
        f" {TYPICAL.summary:.0f}, answer {TYPICAL.answer:.0f}, no more than a model may write or read. GPU-hours of an {GPU}"
        f" ({PEAK / 1e12:.0f} TFLOP/s), {BUSY:.0%} busy in training and reading, {WRITING:.0%} in writing."
    )
