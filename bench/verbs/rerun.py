"""Running again what is cheap of a submission, in a store of its own that is then deleted.

Three things take neither training nor a model of the attacker's: the exam of a student that was not trained, what honest users
get, and loot that comes from the victim alone. They are run where all that they hang on is here: shipped models on a CPU, plugins
whose code is that of the records, sizes no larger than those of the shipped suites.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory

from heistbench.bench.contracts.errors import BudgetExceeded, HeistError, PluginFailure, printable
from heistbench.bench.contracts.registry import registry
from heistbench.bench.contracts.sources import source_of
from heistbench.bench.models.process import hush, no_exit, stderr_to
from heistbench.bench.runs.worker import open_log
from heistbench.bench.stages.collect import Collect
from heistbench.bench.stages.examine import Examine
from heistbench.bench.stages.loot import Loot
from heistbench.bench.stages.pipeline import StoredCell
from heistbench.bench.stages.utility import HonestUse
from heistbench.bench.storage.invariants import EXACT, Rule
from heistbench.bench.storage.provenance import hardware, packages
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.shipped_models import is_shipped
from heistbench.bench.storage.store import Store, canonical, identify
from heistbench.bench.suites.cells import Cell
from heistbench.bench.suites.settings import Sizes
from heistbench.bench.verbs.rebuilt_cells import rebuilt
from heistbench.leaderboard.submit.findings import Finding, Unchecked, broken
from heistbench.leaderboard.submit.stated import settings_of

SECONDS = 1200
"""How long things are run again."""
TOKENS = 512
"""Of a reply, at most."""
SLACK = 0.01
"""Share of questions that may come out otherwise on other hardware, whose sums are rounded otherwise."""
NUMERIC = ("torch", "transformers", "tokenizers", "numpy")
"""Packages whose other versions draw other replies."""
UNTRAINED = "untrained"
Located = tuple[str, Finding]


@dataclass(frozen=True)
class Job:
    """A thing to run again, the records that state its outcome, and the rules that hold if they state it rightly."""

    what: str
    context: StoredCell
    records: Sequence[tuple[str, Record]]
    rules: Callable[[StoredCell, Record], Iterator[Rule]]


def rerun(records: Mapping[str, Record]) -> Iterator[Located]:
    """Run again what is cheap; yields what came out otherwise, by path, and what was not run and why."""
    with TemporaryDirectory(prefix="heist-verify-") as folder:
        store, able = Store(Path(folder), notice=lambda line: None), dict[str, Record]()
        for path, record in records.items():
            if obstacle := _obstacle(record):
                yield path, Unchecked(f"nothing was run again of results {obstacle}")
            else:
                able[path] = record
        jobs = _jobs(able, store)
        if not jobs:
            return
        with _watching(len(jobs)) as advance:
            yield from _run(jobs, advance)


def _obstacle(record: Record) -> str:
    """Why nothing of a record can be run again here; empty where it can."""
    made, settings, most = record.provenance, settings_of(record), Sizes()
    if settings is None or (made.engine, made.dtype, made.device) != ("transformers", "float32", "cpu"):
        return "that were not made by transformers on a CPU"
    models = (settings.victim.model, settings.student.model, *([c.model] if (c := settings.victim.compressor) else []))
    decodings = (settings.victim.decoding, settings.student.decoding, *([c.decoding] if c else []))
    if not all(map(is_shipped, models)):
        return "of models that do not ship"
    if not all(map(_is_here, _plugins(record))):
        return "of plugins whose code is not the code here"
    if any(getattr(settings.sizes, name) > getattr(most, name) for name in Sizes.model_fields):
        return "of more questions than the shipped suites have"
    if any(decoding.max_new_tokens > TOKENS for decoding in decodings):
        return f"with replies of more than {TOKENS} tokens"
    if any(made.packages.get(name) != packages().get(name) for name in NUMERIC):
        return "made with other versions of torch, transformers, tokenizers or numpy"
    return "" if _on_cpu() else "of a CPU: this machine has a GPU"


def _plugins(record: Record) -> Iterator[tuple[str, str, str, str]]:
    arm = record.arm
    of_kind = [("task", arm.task), ("task", arm.exam), ("attack", arm.attack), *(("defense", part) for part in arm.defenses)]
    return ((kind, plugin.name, plugin.version, plugin.source) for kind, plugin in of_kind)


def _is_here(plugin: tuple[str, str, str, str]) -> bool:
    kind, name, version, source = plugin
    cls = registry.all(kind).get(name)  # type: ignore[arg-type]
    return cls is not None and (cls.info.version, source_of(cls)) == (version, source)


def _on_cpu() -> bool:
    import torch

    return not torch.cuda.is_available()


def _jobs(records: Mapping[str, Record], store: Store) -> list[Job]:
    """What is to be run, each thing once; those of a kind in an order that nobody knows before."""
    groups: dict[tuple[int, str], list[tuple[str, Record]]] = defaultdict(list)
    contexts: dict[tuple[int, str], StoredCell] = {}
    for path, record in sorted(records.items()):
        context = StoredCell(_cell(record), store)
        for key in _keys(record, context):
            groups[key].append((path, record))
            contexts.setdefault(key, context)
    kinds = (("exams of untrained students", _exam_rules), ("honest use", _use_rules), ("loot", _loot_rules))
    jobs = [Job(kinds[key[0]][0], contexts[key], groups[key], kinds[key[0]][1]) for key in groups]
    SystemRandom().shuffle(jobs)
    return sorted(jobs, key=lambda job: [what for what, _ in kinds].index(job.what))


def _keys(record: Record, context: StoredCell) -> Iterator[tuple[int, str]]:
    if not record.loot.rows:
        settings = settings_of(record)
        assert settings
        yield 0, canonical([settings.student.model, settings.student.decoding.model_dump(), record.arm.exam.spec, record.exam.n])
    yield 1, identify(HonestUse(context).spec())
    yield 2, identify(Collect(context).spec())


def _cell(record: Record) -> Cell:
    """The cell of a record, without models of the attacker's: a theft that takes one ends at once."""
    settings = settings_of(record)
    assert settings
    cell = rebuilt(record, replace(settings, surrogate=None, inverter=None, compressor=None))
    return replace(cell, suite=cell.suite.model_copy(update={"name": "rerun"}))


def _run(jobs: Sequence[Job], advance: Callable[[str, int], None]) -> Iterator[Located]:
    began, left, beyond = time.monotonic(), Counter[str](), dict[str, str]()
    for at, job in enumerate(jobs):
        advance(job.what, at)
        attack = job.context.cell.attack
        if time.monotonic() - began > SECONDS:
            left[job.what] += 1
        elif job.rules is not _loot_rules or attack not in beyond:
            try:
                yield from _compared(job)
            except (HeistError, PluginFailure, BudgetExceeded) as failure:
                what = f"{job.what} of {attack}" if job.rules is _loot_rules else job.what
                beyond[attack] = f"{what}: not run again ({failure})"
    yield from (("", Unchecked(printable(why))) for _, why in sorted(beyond.items()))
    for what, n in left.items():
        yield "", Unchecked(f"{what}: {n} were left after {SECONDS // 60} minutes of running things again")


def _compared(job: Job) -> list[Located]:
    with open_log(job.context.store.root) as log, stderr_to(log.fileno()), no_exit():
        return [(path, fault) for path, record in job.records for fault in broken(job.rules(job.context, record))]


def _exam_rules(context: StoredCell, record: Record) -> Iterator[Rule]:
    cell = replace(context.cell, attack=UNTRAINED, defense="none", budget=0)
    exam = context.result(Examine(StoredCell(cell, context.store)))
    wrong = sum(exam.verdicts.get(i) != verdict for i, verdict in record.exam.verdicts.items())
    same = wrong <= _slack(record) * record.exam.n
    yield same, "exam.verdicts", f"are not those of the student without training: {wrong} of {record.exam.n} came out otherwise"


def _use_rules(context: StoredCell, record: Record) -> Iterator[Rule]:
    use, stated = context.result(HonestUse(context)), record.utility
    for name in type(use).model_fields:
        again, value = getattr(use, name), getattr(stated, name)
        yield abs(again - value) <= EXACT + _slack(record), f"utility.{name}", f"is {value:.6g}, and {again:.6g} when run again"


def _loot_rules(context: StoredCell, record: Record) -> Iterator[Rule]:
    loot, stated, theft = context.result(Loot(context)), record.loot, context.result(Collect(context))
    slack = _slack(record)
    for name in ("questions", "lost", "rows", "traces"):
        again, value = getattr(loot, name), getattr(stated, name)
        off = abs(again - value) <= slack * stated.questions
        yield off, f"loot.{name}", f"is {value}, and {again} when stolen again"
    for name in ("whole_traces", "right_answers"):
        again, value = (getattr(facts, name) or 0.0 for facts in (loot, stated))
        yield abs(again - value) <= EXACT + slack, f"loot.{name}", f"is {value:.6g}, and {again:.6g} when stolen again"
    if not slack:
        yield loot.sha256 == stated.sha256, "loot.sha256", "is not that of the loot when stolen again"
        for name in ("queries", "prompt_tokens", "completion_tokens"):
            again, value = getattr(theft.bill, name), getattr(record.bill, name)
            yield again == value, f"bill.{name}", f"is {value}, and {again} when stolen again"
        prompts = record.provenance.data.get("prompts sent") == theft.extent.prompts
        yield prompts, "provenance.data.prompts sent", "is not the hash of the prompts when stolen again"


def _slack(record: Record) -> float:
    return 0.0 if record.volatile.hardware == hardware() else SLACK


@contextmanager
def _watching(total: int) -> Iterator[Callable[[str, int], None]]:
    """Shows what is run and how much is done, on a terminal; the chatter of libraries is silenced."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    hush()
    console = Console()
    columns = (TextColumn("running again: {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=total)
        yield lambda what, done: progress.update(bar, description=what, completed=done)
