"""What `heist store` does: say what a store holds, check all of it, and free what nothing needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.errors import HeistError, printable
from heistbench.bench.storage.checkup import check, mend
from heistbench.bench.storage.inventory import Thing, alone, artifacts, kinds, logs, set_aside, unfinished, victims
from heistbench.bench.storage.ledger import ledgers
from heistbench.bench.storage.store import Store
from heistbench.bench.storage.sweep import free, waste

if TYPE_CHECKING:
    from rich.table import Table

Report = dict[str, Any]


def list_store(out: Path, as_json: bool) -> None:
    """Print what a store holds."""
    store = _store(out)
    report: Report = {
        "store": str(store.root),
        "artifacts": [kind._asdict() for kind in kinds(store)],
        "victims": [victim._asdict() for victim in victims(store)],
        "damaged": _plain(store, set_aside(store.root)),
        "unfinished": _plain(store, unfinished(store.root)),
        "logs": _plain(store, logs(store.root)),
    }
    _show(report, as_json, _list_text)


def verify_store(out: Path, repair: bool, as_json: bool) -> bool:
    """Check every file and every reply of a store, and print what is damaged; with `repair`, set it aside.

    Returns whether nothing damaged is left. Raises HeistError where damage cannot be set aside, also while a run uses the store.
    """
    store = _store(out)
    with alone(store.root) if repair else nullcontext():
        with _progress(len(artifacts(store.root)) + len(list(ledgers(store)))) as looked_at:
            damage, folders, replies = check(store, looked_at)
        kept = {each.path: str(mend(store, each)) for each in damage} if repair else {}
    found = [{**each._asdict(), "path": _inside(store, each.path), "kept": kept.get(each.path)} for each in damage]
    report: Report = {"store": str(store.root), "out": str(out), "artifacts": folders, "replies": replies, "damaged": found}
    _show(report, as_json, _verify_text)
    return not damage or repair


def free_store(out: Path, dry_run: bool, as_json: bool) -> None:
    """Free what nothing in a store needs, or say what that is. Raises HeistError while a run uses the store."""
    store = _store(out)
    with alone(store.root):
        freed = [each for each in waste(store.root) if dry_run or free(store.root, each)]
    things = [{**each._asdict(), "path": _inside(store, each.path)} for each in freed]
    report: Report = {"store": str(store.root), "dry_run": dry_run, "bytes": sum(each.bytes for each in freed), "freed": things}
    _show(report, as_json, _free_text)


def _store(out: Path) -> Store:
    root = out / "store"
    if not root.is_dir():
        raise HeistError(f"--out {out}: no store there; expected the folder {root}, which `heist run` makes")
    return Store(root)


def _inside(store: Store, path: Path) -> str:
    return str(path.relative_to(store.root))


def _plain(store: Store, things: Sequence[Thing]) -> list[Report]:
    return [{"path": _inside(store, thing.path), "bytes": thing.bytes} for thing in things]


def _show(report: Report, as_json: bool, text: Callable[[Report], Iterator[str | Table]]) -> None:
    from rich.console import Console

    if as_json:
        print(json.dumps(report, indent=1, ensure_ascii=False))
        return
    console = Console()
    for part in text(report):
        console.print(printable(part) if isinstance(part, str) else part, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal: hashing a store of models takes minutes."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("artifacts and ledgers", total=total)
        yield lambda n: bar.advance(task, n)


def _list_text(report: Report) -> Iterator[str | Table]:
    yield f"{report['store']}"
    yield _table(("artifacts", "number", "size", "seconds"), map(_kind_cells, report["artifacts"]))
    yield _table(("victim", "model", "queries", "dollars", "size"), map(_victim_cells, report["victims"]))
    for name, words in (
        ("damaged", "damaged and set aside, in damaged/"),
        ("unfinished", "being written, or left by killed runs"),
        ("logs", "logs of worker processes"),
    ):
        if things := report[name]:
            yield f"{len(things):,} {words}: {_size(sum(thing['bytes'] for thing in things))}"


def _verify_text(report: Report) -> Iterator[str]:
    damaged = report["damaged"]
    for each in damaged:
        then = f"kept in {each['kept']}; {each['then']}" if each["kept"] else each["then"]
        yield f"damaged: {each['path']}: {each['fault']}; {'' if each['kept'] else 'once set aside, '}{then}"
    yield f"{report['artifacts']:,} artifacts and {report['replies']:,} sound replies checked, {len(damaged):,} of them damaged"
    if damaged and not damaged[0]["kept"]:
        yield f"heist store verify --out {report['out']} --repair sets them aside"


def _free_text(report: Report) -> Iterator[str]:
    for each in report["freed"]:
        yield f"{each['path']}: {_size(each['bytes'])}, {each['why']}"
    yield f"{_size(report['bytes'])} in {len(report['freed']):,} places {'would be' if report['dry_run'] else 'were'} freed"


def _kind_cells(kind: Mapping[str, Any]) -> tuple[str, ...]:
    return kind["kind"], f"{kind['artifacts']:,}", _size(kind["bytes"]), f"{kind['seconds']:,.0f}"


def _victim_cells(victim: Mapping[str, Any]) -> tuple[str, ...]:
    queries = "see verify" if victim["queries"] is None else f"{victim['queries']:,}"
    dollars = f"{victim['dollars']:,.2f}" if victim["paid"] and victim["dollars"] is not None else ""
    return victim["name"], victim["model"], queries, dollars, _size(victim["bytes"])


def _table(columns: Sequence[str], rows: Iterator[Sequence[str]]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE)
    for at, column in enumerate(columns):
        text = at == 0 or column == "model"
        table.add_column(column, justify="left" if text else "right", overflow="fold", no_wrap=column != "model")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def _size(n: int) -> str:
    from rich.filesize import decimal

    return decimal(n)
