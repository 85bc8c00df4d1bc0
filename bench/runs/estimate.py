"""What a suite takes, before anything is run: a table of its work, a bound on its queries, their price, and the time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from heistbench.bench.contracts.errors import HeistError, printable
from heistbench.bench.runs.costs import BUSY, GPU, PEAK, TYPICAL, WRITING, gpu_hours
from heistbench.bench.runs.dry import work_of
from heistbench.bench.stages.budget import Budget
from heistbench.bench.stages.stage import Work
from heistbench.bench.storage.store import MANIFEST, Store, read_json
from heistbench.bench.suites.cells import Cell, cells
from heistbench.bench.suites.settings import Suite, Victim

if TYPE_CHECKING:
    from rich.table import Table

SECONDS_PER_TOKEN = 2.5e-5
"""Of training a small model on one core, until the store holds a measurement: the pocket suite took 2.4e-5 to 2.9e-5."""
SECONDS_PER_CELL = 1.0
"""Of all else: examination, overlap, record."""
UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class ReplyBill:
    """What the replies of one victim take: queries at most; tokens, and dollars where prices are known, as estimates."""

    queries: int
    tokens: float
    dollars: float | None


def outline(suite: Suite) -> list[Work]:
    """The work of a suite, in the order of the data. Everything is an estimate."""
    return work_of(cells(suite)).work()


def bills(of: Sequence[Cell]) -> dict[str, ReplyBill]:
    """The bill of each victim behind an API, by label; what the store holds already is not taken off."""
    by_victim: dict[Victim, list[Cell]] = {}
    for cell in of:
        if cell.victim.remote:
            by_victim.setdefault(cell.victim, []).append(cell)
    return {victim.label: _bill(of_victim) for victim, of_victim in by_victim.items()}


def foresee(of: Sequence[Cell], budget: Budget) -> list[str]:
    """A line for each victim behind an API. Raises HeistError where the budget is too small for all of them."""
    by_victim = bills(of)
    total, dollars = sum(bill.queries for bill in by_victim.values()), sum(bill.dollars or 0 for bill in by_victim.values())
    if budget.queries is not None and total > budget.queries:
        raise HeistError(f"--budget-queries {budget.queries}: this run sends up to {total}; raise it, or lower the suite's sizes")
    if budget.dollars is not None and dollars > budget.dollars:
        raise HeistError(
            f"--budget-usd {budget.dollars:g}: this run costs about ${dollars:,.2f}; raise it, or lower the suite's sizes"
        )
    return [
        f"{label}: at most {bill.queries:,} queries, about {_short(bill.tokens)} tokens, "
        + ("no prices given" if bill.dollars is None else f"about ${bill.dollars:,.2f}")
        for label, bill in by_victim.items()
    ]


def _bill(of: Sequence[Cell]) -> ReplyBill:
    sheet, priced = work_of(of), of[0].victim.api.prices
    replies = [work for work in sheet.work() if work.queries]
    dollars = sum(work.dollars for work in replies) if priced else None
    return ReplyBill(sheet.most_queries, sum(work.tokens for work in replies), dollars)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds that cells take one core, and how much of training each arm begins with, by `Cell.arm`."""

    seconds: float
    trained: Mapping[Hashable, float]


def estimate(of: Sequence[Cell], store: Store, most: int) -> Estimate:
    """What some cells take, by a look at no more than `most` of them."""
    sheet = work_of(of, most)
    return Estimate(duration(sheet.work(), len(of), store), dict(sheet.trained))


def duration(work: Sequence[Work], n: int, store: Store) -> float:
    """Seconds that the work of `n` cells takes one core, by the pace of the models that this store has trained."""
    return sum(each.trained for each in work) * _pace(store) + SECONDS_PER_CELL * n


def _pace(store: Store) -> float:
    """Seconds per token that a model was trained on."""
    trained = [_trained(path.parent, store) for path in islice(store.root.glob(f"train/*/{MANIFEST}"), 50)]
    tokens, seconds = sum(tokens for tokens, _ in trained), sum(seconds for _, seconds in trained)
    return seconds / tokens if tokens else SECONDS_PER_TOKEN


def _trained(folder: Path, store: Store) -> tuple[float, float]:
    """Tokens and seconds that a model was trained for; none where its artifact is damaged."""
    try:
        return float(read_json(folder / "tuned.json")["tokens"]), store.seconds(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0


def outline_table(name: str, lines: Sequence[Work]) -> Table:
    """The work of a suite as a table, with a line of totals and what is assumed."""
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{name}: what it takes", caption=_assumed(), title_justify="left", caption_justify="left", box=SIMPLE)
    table.add_column("stage, model, settings", overflow="fold")
    for column in ("rows", "tokens", "GPU-h", "queries", "$"):
        table.add_column(column, justify="right", no_wrap=True)
    for work in lines:
        model = escape(printable(work.model.partition("@")[0]))
        table.add_row(f"[bold]{work.name}[/]\n{model}\n{escape(printable(work.settings))}", *_figures([work]))
    table.add_section()
    table.add_row("[bold]all[/]", *_figures(lines))
    return table


def _figures(lines: Sequence[Work]) -> tuple[str, str, str, str, str]:
    rows, tokens, queries = (sum(column) for column in zip(*((w.rows, w.tokens, w.queries) for w in lines), strict=True))
    hours, price = [gpu_hours(work) for work in lines], sum(work.dollars for work in lines)
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
