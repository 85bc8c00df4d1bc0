"""The tables of a cell's page, all as text: what its seeds gave, what was stolen and at what cost, how near it came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.cells import Cell
from heistbench.leaderboard.board.measured import DRIFT
from heistbench.leaderboard.board.panel import Panel
from heistbench.leaderboard.board.statistics import wilson
from heistbench.leaderboard.words import BILL, READ_EXPOSURE, count, dollars, share, span

SEEDS = ("seed", "accuracy", "95% interval", "mean score", *(verdict.value for verdict in Verdict), "rows of loot")
OVERLAP = ("metric", "stolen", "floor: other question", "floor: surrogate", "ceiling: victim again")
EXPOSURE = ("over", "struct", *(metric.upper() for metric in DRIFT))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; `note` says below it what the numbers are."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def seed_row(record: Record) -> list[str]:
    """A line of the table of seeds: one theft, one student."""
    exam = record.exam
    interval = wilson(exam.counts.get(Verdict.RIGHT, 0), exam.n)
    verdicts = [count(exam.counts.get(verdict, 0)) for verdict in Verdict]
    about = [str(record.arm.seed), share(exam.accuracy), span(interval), share(exam.score)]
    return [*about, *verdicts, count(record.loot.rows)]


def results(cell: Cell) -> Iterator[Table]:
    """The tables beside that of the seeds."""
    if cell.metrics:
        yield Table("Further measures", ("measure", "mean"), [(name, share(value)) for name, value in cell.metrics.items()])
    if cell.traces:
        kinds = cell.traces.table
        rows = [(f"answer {answer}", *(count(kinds[answer][trace]) for trace in ("right", "wrong"))) for answer in kinds]
        yield Table("Answers against traces", ("questions, all seeds", "trace right", "trace wrong"), rows)


def theft(panel: Panel, cell: Cell, record: Record) -> Iterator[Table]:
    """Loot and bill, overlap by each signature, exposure; `record` is one of the cell's."""
    yield Table("Loot and bill", ("what", "mean over seeds"), _loot(cell))
    for signature, scores in cell.overlap.items():
        parts = (scores.stolen, scores.floor_other_question, scores.floor_surrogate, scores.ceiling_victim_again)
        rows = [(metric, *(share(values.get(metric)) for values in parts)) for metric in scores.stolen]
        note = f"{panel.signatures[signature]}; means over {count(record.loot.questions)} questions a seed"
        yield Table(f"Overlap with the victim's traces, by {signature}", OVERLAP, rows, note)
    if found := cell.exposed:
        shares = [[share(scores.get(metric)) for metric in DRIFT] for scores in (found.all, found.struct_only)]
        rows = [("all replies", share(found.struct), *shares[0]), ("struct alone", "", *shares[1])]
        yield Table("Exposure", EXPOSURE, rows, f"{READ_EXPOSURE}. {found.signature}")


def _loot(cell: Cell) -> list[tuple[str, str]]:
    """What a theft carried off and what it cost, means over seeds."""
    found = [(item, count(cell.loot[item])) for item in ("questions", "rows", "traces")]
    found += [(item.replace("_", " "), share(cell.loot.get(item))) for item in ("whole_traces", "right_answers")]
    found += [(label, count(cell.bill[item])) for item, label in BILL.items()]
    found += [("dollars", dollars(cell.bill["dollars"]))] if cell.bill["dollars"] else []
    return found + ([("queries lost, summed over seeds", count(cell.lost))] if cell.lost else [])
