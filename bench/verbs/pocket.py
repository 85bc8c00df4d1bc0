"""What `heist pocket build` does: train the shipped model organisms again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.verbs.folders import writable

if TYPE_CHECKING:
    from rich.console import Console


def build_pocket(names: Sequence[str], out: Path | None, scale: float) -> None:
    """Train pocket models one after the other and print what each scores on the development split."""
    from rich.console import Console

    from heistbench.bench.contracts.registry import suggest
    from heistbench.bench.models.pocket_models import MEASURED, PUPILS, build
    from heistbench.bench.models.process import hush
    from heistbench.bench.storage.shipped_models import SHIPPED

    for name in names:
        if name not in PUPILS:
            raise HeistError(f"unknown pocket model {name!r}{suggest(name, PUPILS)}")
    if scale != 1 and out is None:
        raise HeistError("--scale needs --out: a model taught less must not replace the shipped one")
    hush()
    console, folder = Console(), writable(out or SHIPPED / "pocket")
    for name in names or PUPILS:
        with _bar(console, f"{name}: training") as steps:
            card = build(name, folder / name, steps, scale)
        console.print(f"[bold]{name}[/], {MEASURED}:", highlight=False)
        for what, value in card[MEASURED].items():
            console.print(f"  {what}: {value:.3f}", highlight=False)


@contextmanager
def _bar(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
