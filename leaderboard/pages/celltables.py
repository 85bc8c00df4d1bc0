"""The tables of a cell's page, all as text: what its seeds gave, what was stolen and at what cost, how near it came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.measured import DRIFT
from heistbench.leaderboard.board.panel import Panel
from heistbench.leaderboard.board.statistics import wilson
from heistbench.leaderboard.tables.table import Body, Entry, Table, TextSpan, heading, numbers, plain_table
from heistbench.leaderboard.words import BILL, BOUNDS, READ_EXPOSURE, count, dollars, share, span

SEEDS = ("seed", "accuracy", "95% interval", "mean score", *(verdict.value for verdict in Verdict), "rows of loot")
OVERLAP = ("metric", *BOUNDS)
EXPOSURE = ("over", "struct", *(metric.upper() for metric in DRIFT))


def seeds(records: Sequence[Record], files: Sequence[str]) -> Table:
    """A row for each of a cell's records, with the link to its result file."""
    rows = []
    for record, file in zip(records, files, strict=True):
        name = Entry(((TextSpan(record.path().name),),), link=file)
        rows.append((*numbers(_seed(record)), name))
    headings = (*map(heading, SEEDS), heading("result file", text=True))
    return Table("Accuracy and verdicts, seed by seed", "", (), headings, (Body(tuple(rows)),), labels=1)


def _seed(record: Record) -> list[str]:
    """A line of the table of seeds: one theft, one student."""
    exam = record.exam
    interval = wilson(exam.counts.get(Verdict.RIGHT, 0), exam.n)
    verdicts = [count(exam.counts.get(verdict, 0)) for verdict in Verdict]
    about = [str(record.arm.seed), share(exam.accuracy), span(interval), share(exam.score)]
    return [*about, *verdicts, count(record.loot.rows)]


def results(cell: PooledCell) -> Iterator[Table]:
    """The tables beside that of the seeds."""
    if cell.metrics:
        yield plain_table("Further measures", ("measure", "mean"), [(name, share(value)) for name, value in cell.metrics.items()])
    if cell.traces:
        kinds = cell.traces.table
        rows = [(f"answer {answer}", *(count(kinds[answer][trace]) for trace in ("right", "wrong"))) for answer in kinds]
        yield plain_table("Answers against traces", ("questions, all seeds", "trace right", "trace wrong"), rows)


def theft(panel: Panel, cell: PooledCell, record: Record) -> Iterator[Table]:
    """Loot and bill, overlap by each signature, exposure; `record` is one of the cell's."""
    yield plain_table("Loot and bill", ("what", "mean over seeds"), _loot(cell))
    for signature, scores in cell.overlap.items():
        rows = [(metric, *(share(values.get(metric)) for values in scores.parts)) for metric in scores.stolen]
        note = f"{panel.signatures[signature]}; means over {count(record.loot.questions)} questions per seed"
        yield plain_table(f"Overlap with the victim's traces, by {signature}", OVERLAP, rows, note)
    if exposed := cell.exposed:
        shares = [[share(scores.get(metric)) for metric in DRIFT] for scores in (exposed.all, exposed.struct_only)]
        rows = [("all replies", share(exposed.struct), *shares[0]), ("struct alone", "", *shares[1])]
        yield plain_table("Exposure", EXPOSURE, rows, READ_EXPOSURE, exposed.signature)


def _loot(cell: PooledCell) -> list[tuple[str, str]]:
    """What a theft carried off and what it cost, means over seeds."""
    rows = [(item, count(cell.loot[item])) for item in ("questions", "rows", "traces")]
    rows += [(item.replace("_", " "), share(cell.loot.get(item))) for item in ("whole_traces", "right_answers")]
    rows += [(label, count(cell.bill[item])) for item, label in BILL.items()]
    rows += [("dollars", dollars(cell.bill["dollars"]))] if cell.bill["dollars"] else []
    return rows + ([("queries lost, summed over seeds", count(cell.lost))] if cell.lost else [])
