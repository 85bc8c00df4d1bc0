"""The report of an audit: what was run again and what became of it, and what a forger would have risked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from heistbench.bench.contracts.errors import printable_json
from heistbench.leaderboard.submit.audit_compare import AuditedCell, Mismatch, Outcome
from heistbench.leaderboard.submit.audit_draw import Risk, risks
from heistbench.leaderboard.terminal.draw import text
from heistbench.leaderboard.words import p_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHOWN = 6
"""Mismatches of one cell, and other items of one list, that a terminal shows; `--json` has all."""
STYLES: dict[Outcome, str] = {"contradicted": "bold red", "failed": "bold", "consistent": "", "same": ""}


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit of the `records` of a submission, of which `cells` were drawn and tried.

    `elsewhere` are records that cannot be run on this machine, by reason; the others were drawn from. `unreached` were drawn, and
    time was up before they began.
    """

    seed: int
    records: int
    elsewhere: dict[str, list[str]]
    cells: list[AuditedCell]
    unreached: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def drawn_from(self) -> int:
        """Records that can be run here."""
        return self.records - sum(map(len, self.elsewhere.values()))

    @property
    def audited(self) -> int:
        """Cells that were run again and compared."""
        return sum(cell.outcome != "failed" for cell in self.cells)

    @property
    def risks(self) -> list[Risk]:
        """What a forger would have risked, whose cells are among those that can be run here."""
        return risks(self.drawn_from, self.audited)

    @property
    def exit_code(self) -> int:
        """1 where a cell is contradicted, 3 where one that was drawn could not be run again, as in `heist run`; otherwise 0."""
        outcomes = {cell.outcome for cell in self.cells}
        return 1 if "contradicted" in outcomes else 3 if "failed" in outcomes else 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        counts = {"drawn_from": self.drawn_from, "audited": self.audited}
        stated = [{**asdict(risk), "share": str(risk.share)} for risk in self.risks]
        return {**asdict(self), **counts, "risk": stated}


def report(console: Console, audit: Audit, as_json: bool = False) -> None:
    """Print an audit. Names in it come from a submission: they are shown as they are, and nothing in them acts."""
    if as_json:
        print(printable_json(json.dumps(audit.as_dict(), indent=1)))
        return
    for cell in audit.cells:
        for line, style in _lines(cell):
            console.print(text(line, style), soft_wrap=True)
    for line in _summary(audit):
        console.print(text(line), soft_wrap=True)
    if audit.audited:
        console.print(_risk_table(audit))


def _lines(cell: AuditedCell) -> Iterator[tuple[str, str]]:
    """A cell: what became of it, how it was compared, what differs."""
    tested = f", p {p_text(cell.p_holm)} after Holm" if cell.p_holm is not None else ""
    yield f"{cell.outcome}{tested}: {cell.path}", STYLES[cell.outcome]
    if cell.outcome == "failed":
        yield from ((f"    {reason}", "") for reason in cell.reasons)
        return
    yield f"    {_how(cell)}", "dim"
    yield from ((f"    {_said(mismatch)}", "") for mismatch in cell.mismatches[:SHOWN])
    if (more := len(cell.mismatches) - SHOWN) > 0:
        yield f"    and {more:,} more", "dim"


def _how(cell: AuditedCell) -> str:
    """How a cell was compared, and why so."""
    why = "; ".join(cell.reasons)
    if not cell.reasons:
        return "on such a machine every bit must be the same"
    return f"bits may differ, and none does: {why}" if cell.outcome == "same" else f"bits may differ, so by a test: {why}"


def _said(mismatch: Mismatch) -> str:
    return f"{mismatch.field}: stated {mismatch.stated}, found {mismatch.found}"


def _summary(audit: Audit) -> Iterator[str]:
    yield ""
    for reason, paths in audit.elsewhere.items():
        more = f", and {len(paths) - SHOWN:,} more" if len(paths) > SHOWN else ""
        yield f"not audited, as it cannot be run here: {reason}"
        yield from (f"    {path}{more if path is paths[:SHOWN][-1] else ''}" for path in paths[:SHOWN])
    yield from audit.notes
    if audit.unreached:
        yield f"{len(audit.unreached):,} more were drawn, and time was up before they began"
    counts = Counter(cell.outcome for cell in audit.cells)
    outcomes = ", ".join(f"{counts[outcome]} {outcome}" for outcome in get_args(Outcome) if counts[outcome])
    yield f"seed {audit.seed}: {audit.audited} of {audit.drawn_from:,} cells audited: {outcomes or 'none'}"


def _risk_table(audit: Audit) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    away = audit.records - audit.drawn_from
    caption = "Exact, for cells forged before the seed was known."
    if away:
        caption += f" The {away:,} that cannot be run here are not among them: whoever forged these risked nothing."
    table = Table(title="What a forger risked", caption=caption, title_justify="left", caption_justify="left", box=SIMPLE)
    table.add_column("share forged")
    table.add_column("cells", justify="right")
    table.add_column(f"chance that one is among the {audit.audited} audited", justify="right")
    for risk in audit.risks:
        table.add_row(str(risk.share), f"{risk.forged:,} of {audit.drawn_from:,}", f"{risk.caught:.1%}")
    return table
