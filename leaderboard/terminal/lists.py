"""Lists in a terminal, a line for each attack on each defense: overlap and bill, exposure, answers against traces, budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heistbench.leaderboard.board import measured
from heistbench.leaderboard.board.cells import Cell
from heistbench.leaderboard.board.panel import Panel
from heistbench.leaderboard.board.sweep import CEILING, Point, Sweep
from heistbench.leaderboard.terminal.draw import NARROW, Line, listing, spec, text
from heistbench.leaderboard.words import (
    BASELINE,
    DASH,
    READ_EXPOSURE,
    READ_SWEEP,
    budgets,
    clean,
    count,
    dollars,
    lost,
    metric_title,
    p_text,
    share,
    span,
    star,
    title,
)

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

MANY = 6
"""More budgets than this go on in a further table."""
READ_OVERLAP = "stolen, floors (another question's trace, the surrogate's own), ceiling (the victim asked again): {}"
READ_BILL = "whole: attacked questions with a whole true trace; tokens: the victim's, in and out"
READ_TRACES = (
    "questions by whether the student's answer (A) and the trace before it (T) are right, summed over seeds;\n"
    "p: that the two are independent"
)


def lists(panel: Panel) -> list[Table]:
    """What a panel has lists of: overlap and bill in any case, the others where there is something to say."""
    found = [_overlap_and_bill(panel), *(_overlap_by(panel, name) for name in measured.signatures(panel)[1:])]
    found += [_exposure(panel)] if measured.prompted(panel) else []
    return found + ([_answers_and_traces(panel)] if measured.traced(panel) else [])


def accuracy_by_queries(sweep: Sweep) -> list[Table]:
    """Attacks down, budgets across; at the foot the best control that never queried the victim, and the ceiling."""
    return [_some_budgets(sweep, slice(at, at + MANY)) for at in range(0, len(sweep.budgets), MANY)]


def _overlap_and_bill(panel: Panel) -> Table:
    signature = next(iter(measured.signatures(panel)), "")
    metric = measured.headline(panel, signature)
    read = [READ_OVERLAP.format(metric_title(metric)), READ_BILL] if signature else [READ_BILL]
    paid = ["$"] if measured.paid(panel) else []
    headings = ("stolen", "floors", "ceiling", "whole", "queries", "tokens", *paid)
    lines: list[Line] = []
    for cell in measured.all_cells(panel):
        facts = (*_overlap(cell, signature, metric), share(cell.loot.get("whole_traces")), *_bill(cell))
        lines.append((cell.attack, cell.defense, facts[: len(headings)]))
    return listing("overlap and bill · " + title(panel), read, headings, lines)


def _overlap(cell: Cell, signature: str, metric: str) -> tuple[str, str, str]:
    overlap = cell.overlap.get(signature)
    if overlap is None:
        return DASH, DASH, DASH
    floors = f"{share(overlap.floor_other_question.get(metric))} {share(overlap.floor_surrogate.get(metric))}"
    return share(overlap.stolen.get(metric)), floors, share(overlap.ceiling_victim_again.get(metric))


def _bill(cell: Cell) -> tuple[str, str, str]:
    tokens = cell.bill["prompt_tokens"] + cell.bill["completion_tokens"]
    return count(cell.bill["queries"]), count(tokens), dollars(cell.bill["dollars"])


def _overlap_by(panel: Panel, signature: str) -> Table:
    names = measured.metrics(panel, signature)

    def line(attack: str, defense: str, scores: measured.Scores) -> Line:
        return attack, defense, [share(scores.get(name)) for name in names]

    lines = [line(cell.attack, cell.defense, cell.overlap[signature].stolen) for cell in measured.overlapped(panel, signature)]
    foot = [line(label, "", scores) for label, scores in measured.bounds(panel, signature)]
    headings = [name.replace("_", "\n") for name in names]
    return listing(f"overlap, {signature} · " + title(panel), [clean(panel.signatures[signature])], headings, lines, foot)


def _exposure(panel: Panel) -> Table:
    lines: list[Line] = []
    cells = measured.prompted(panel)
    for cell, found in cells:
        drift = [f"{share(found.all.get(r))} {share(found.struct_only.get(r))}" for r in measured.DRIFT]
        lines.append((cell.attack, cell.defense, (share(found.struct), *drift, share(cell.loot["right_answers"]))))
    headings = ("struct", "R02", "R01", "R12", "right\nanswers")
    return listing("exposure · " + title(panel), [READ_EXPOSURE, clean(cells[0][1].signature)], headings, lines)


def _answers_and_traces(panel: Panel) -> Table:
    lines: list[Line] = []
    for cell, found in measured.traced(panel):
        counts = [count(found.table[answer][trace]) for answer in found.table for trace in found.table[answer]]
        shares = share(found.wrong_given_right_trace), share(found.right_trace_given_wrong)
        p = p_text(found.independence.p) if found.independence else DASH
        lines.append((cell.attack, cell.defense, (*counts, *shares, p)))
    headings = ("A+ T+", "A+ T-", "A- T+", "A- T-", "P(A-|T+)", "P(T+|A-)", "p")
    return listing("answers against traces · " + title(panel), [READ_TRACES], headings, lines)


def _some_budgets(sweep: Sweep, shown: slice) -> Table:
    lines = [(line.attack, line.defense, [_point(point) for point in line.points[shown]]) for line in sweep.attacks]
    baseline = [_point(point, named=True) for point in sweep.baseline[shown]]
    foot = [(BASELINE, "", baseline), (CEILING, "", [_point(point) for point in sweep.ceiling[shown]])]
    headings = [heading.replace(" ", "\n") for heading in budgets(sweep)[shown]]
    return listing("accuracy by queries · " + title(sweep), READ_SWEEP, headings, lines, foot)


def _point(point: Point | None, named: bool = False) -> Text:
    if point is None:
        return text(DASH)
    found = text(f"{share(point.accuracy)}{star(point)}").append(f"\n{span(point.interval)}")
    if named:
        found.append("\n").append(spec(point.attack, NARROW))
    return found.append(f"\n{lost(point.lost)}") if point.lost else found
