"""The lists of a panel, a row for each attack or control on each defense. A statistic that the board gains is shown here."""

from __future__ import annotations

from collections.abc import Iterable

from heistbench.bench.contracts.nouns import Verdict
from heistbench.leaderboard.board import measured
from heistbench.leaderboard.board.cells import PooledCell, PooledExposure
from heistbench.leaderboard.board.panel import CellKey, Panel
from heistbench.leaderboard.board.traces import Traces
from heistbench.leaderboard.tables.table import (
    NAMES,
    Body,
    Entries,
    Entry,
    Heading,
    Table,
    entry,
    heading,
    name,
    numbers,
    shares,
)
from heistbench.leaderboard.words import (
    BILL,
    BOUNDS,
    DASH,
    READ_EXPOSURE,
    count,
    dollars,
    metric_title,
    p_text,
    share,
    signed,
    signed_span,
    title,
)

READ_TRACES = (
    "questions, summed over seeds, by whether the student's answer and the trace before it are right; "
    "p: that the two are independent"
)
ANSWERS_AND_TRACES = (("right", "right"), ("right", "wrong"), ("wrong", "right"), ("wrong", "wrong"))


def lists(panel: Panel) -> list[Table]:
    """The lists that a panel has: bill and outcomes in any case, the others where there is something to show."""
    return [
        *([overlap(panel)] if measured.looted(panel) else []),
        *(overlap_by(panel, signature) for signature in measured.signatures(panel)[1:]),
        *([exposure(panel)] if measured.prompted(panel) else []),
        *([answers_and_traces(panel)] if measured.traced(panel) else []),
        bill(panel),
        outcomes(panel),
    ]


def overlap(panel: Panel) -> Table:
    """Overlap by the first signature between its floors and ceiling, and how much of the loot is true."""
    signature = next(iter(measured.signatures(panel)), "")
    metric = measured.headline(panel, signature)
    read = [f"{metric_title(metric)} unless named otherwise"] if metric else []

    def row(cell: PooledCell) -> Entries:
        scores = cell.overlap.get(signature)
        parts = scores.parts if scores else ({},) * len(BOUNDS)
        return shares(
            [
                *(part.get(metric) for part in parts),
                parts[0].get("length_ratio"),
                cell.loot.get("whole_traces"),
                cell.loot["right_answers"],
            ]
        )

    headings = [*map(heading, BOUNDS), heading("length ratio", wide=True), heading("whole traces"), heading("right answers")]
    notes = [*read, "whole traces and right answers are shares of the questions attacked"]
    rows = [(cell, row(cell)) for cell in measured.looted(panel)]
    return _list(panel, "Overlap of stolen traces with the victim's", notes, headings, rows)


def overlap_by(panel: Panel, signature: str) -> Table:
    """Every metric of a signature; its floors and ceiling at the foot."""
    metrics = measured.metrics(panel, signature)
    headings = [Heading(name(metric)) for metric in metrics]
    cells = measured.overlapped(panel, signature)
    rows = [(cell, shares(map(cell.overlap[signature].stolen.get, metrics))) for cell in cells]
    bounds = measured.bounds(panel, signature)
    foot = [(entry(label, "words"), Entry(), *shares(map(scores.get, metrics))) for label, scores in bounds]
    return _list(panel, f"Overlap by {signature}", [panel.signatures[signature]], headings, rows, foot)


def exposure(panel: Panel) -> Table:
    """What attacks by prompting made the victim show."""
    exposures = measured.prompted(panel)
    rows = [(cell, _exposure(cell, exposed)) for cell, exposed in exposures]
    metrics = [metric.upper() for metric in measured.DRIFT]
    headings = [heading("struct"), *map(heading, metrics), heading("right answers")]
    headings += [heading(f"{metric}, struct only", wide=True) for metric in metrics]
    return _list(panel, "Exposure", [READ_EXPOSURE, exposures[0][1].signature], headings, rows)


def _exposure(cell: PooledCell, exposed: PooledExposure) -> Entries:
    over_all, over_struct = ([scores.get(metric) for metric in measured.DRIFT] for scores in (exposed.all, exposed.struct_only))
    return shares([exposed.struct, *over_all, cell.loot["right_answers"], *over_struct])


def answers_and_traces(panel: Panel) -> Table:
    """How often students are right for right reasons."""
    counts = ("both right", "answer right, trace wrong", "answer wrong, trace right", "both wrong")
    ratios = ("P(answer wrong | trace right)", "P(trace right | answer wrong)", "p")
    further = ("independence: χ²", "classification right", "facts right", "words")
    headings = [*map(heading, (*counts, *ratios)), *(heading(label, wide=True) for label in further)]
    rows = [(cell, _traces(traces)) for cell, traces in measured.traced(panel)]
    return _list(panel, "Answers against traces", [READ_TRACES], headings, rows)


def _traces(traces: Traces) -> Entries:
    test = traces.independence
    return numbers(
        [
            *(count(traces.table[answer][trace]) for answer, trace in ANSWERS_AND_TRACES),
            share(traces.wrong_given_right_trace),
            share(traces.right_trace_given_wrong),
            p_text(test.p) if test else DASH,
            f"{test.chi2:.1f}" if test else DASH,
            share(traces.classified),
            share(traces.retrieved),
            count(traces.words),
        ]
    )


def bill(panel: Panel) -> Table:
    """What a theft cost; dollars where something was paid."""
    paid = ["dollars"] if measured.paid(panel) else []
    headings = [*map(heading, [*BILL.values(), *paid])]
    rows = [
        (cell, numbers([*(count(cell.bill[item]) for item in BILL), *(dollars(cell.bill[item]) for item in paid)]))
        for cell in measured.all_cells(panel)
    ]
    return _list(panel, "Bill", ["what one theft cost, a mean over seeds"], headings, rows)


def outcomes(panel: Panel) -> Table:
    """Every verdict, and the tests of gains."""
    cells = measured.all_cells(panel)
    rare = {verdict for verdict in Verdict if not any(cell.verdicts[verdict] for cell in cells)}
    verdicts = [heading(verdict.value, wide=verdict in rare) for verdict in Verdict]
    tests = map(heading, ("mean score", "p", "p, adjusted", "detectable"))
    gold = [heading("from gold", wide=True), heading("its interval", wide=True)]
    about = [heading(label, text=True, wide=True) for label in ("version", "threat", "paper")]
    notes = [
        "summed over seeds; every question stays in the denominator; p of the gain, and adjusted over all students of the panel",
        "detectable: the smallest gain that would be shown four times in five; from gold: distance from the best control that "
        "knows the gold answers",
    ]
    rows = [(cell, _outcome(cell)) for cell in cells]
    return _list(panel, "Verdicts and tests", notes, [heading("seeds"), *verdicts, *tests, *gold, *about], rows)


def _outcome(cell: PooledCell) -> Entries:
    gain, gold = cell.gain, cell.beyond_gold
    tests = [p_text(gain.p), p_text(gain.p_adjusted), share(gain.detectable)] if gain else [DASH] * 3
    tests += [signed(gold.mean), signed_span(gold.interval)] if gold else [DASH] * 2
    verdicts = [count(cell.verdicts[verdict]) for verdict in Verdict]
    about = (entry(cell.version), entry(cell.threat, "words"), entry(cell.paper or DASH, "words"))
    return *numbers([f"{len(cell.seeds)}", *verdicts, share(cell.score), *tests]), *about


def _list(
    panel: Panel,
    called: str,
    notes: Iterable[str],
    headings: Iterable[Heading],
    rows: Iterable[tuple[PooledCell, Entries]],
    foot: Iterable[Entries] = (),
) -> Table:
    body = Body(tuple((name(cell.attack, CellKey.of(panel, cell)), name(cell.defense), *entries) for cell, entries in rows))
    return Table(called, title(panel), tuple(notes), (*NAMES, *headings), (body,), tuple(foot))
