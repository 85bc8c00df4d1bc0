"""Everything a number depends on: code commit, package versions, hardware, contamination."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from heistbench.bench.contracts.errors import printable
from heistbench.bench.contracts.nouns import Split

PACKAGES = (
    "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "lm_eval",
    "numpy", "scipy", "sympy", "math_verify", "rapidfuzz", "sacrebleu", "nltk", "pydantic",
)  # fmt: skip
NGRAM = 13
CONTAMINATION: dict[str, tuple[Split, Split]] = {
    f"test questions sharing a {NGRAM}-gram with attack queries": ("query", "test"),
    f"test questions sharing a {NGRAM}-gram with the attacker's own questions": ("surrogate", "test"),
    f"attack queries sharing a {NGRAM}-gram with the attacker's own questions": ("surrogate", "query"),
}
"""What records say of how clean their splits are: of each share the split that may have leaked, and the one it leaked into."""
ROOT = Path(__file__).parents[2]


@cache
def code_state() -> tuple[str, bool]:
    """The commit this code was checked out at and whether files differ from it; ("not a checkout", False) elsewhere."""
    if not (ROOT / ".git").exists():
        return "not a checkout", False
    return _git("rev-parse", "--verify", "--quiet", "HEAD") or "no commit", bool(
        _git("status", "--porcelain", "--untracked-files=no")
    )


def uncommitted(paths: Iterable[Path]) -> list[str]:
    """Which of these files stand in no commit: untracked, ignored, changed since, or outside of any git checkout.

    Without git none can be shown to stand in one.
    """
    files = {path.resolve(): str(path) for path in paths}
    return sorted(name for file, name in files.items() if not file.is_file() or not _committed(file, file.stat().st_mtime_ns))


@cache
def _committed(file: Path, changed: int) -> bool:
    """Of a file that was last changed then: one that many cells use is looked up once."""
    command = ["git", "-C", str(file.parent), "status", "--porcelain", "--ignored", "--untracked-files=all", "--", file.name]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:  # no git on this machine
        return False
    return done.returncode == 0 and not done.stdout.strip()


@cache
def packages() -> dict[str, str]:
    """Versions of the packages that can move a number; what is not installed is left out."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def harness_version() -> str:
    """The version of this package."""
    return version("heistbench")


def hardware() -> str:
    """Processor and accelerator, in words. Sums are rounded in another order where the processor or its instructions differ."""
    import torch

    kind = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {_processor()}"
    name = f"{kind}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s) a process"
    return f"{name}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else name


def _processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return printable(next(names, platform.processor())) or "unknown processor"


@cache
def harness_differs(commit: str) -> bool | None:
    """Whether the code under `bench` is another than at a commit (40 hexadecimal digits); None where that is not here."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), "diff", "--quiet", commit, "--", "bench"], capture_output=True)
    except OSError:  # no git on this machine
        return None
    return {0: False, 1: True}.get(done.returncode)


def contamination(training: Iterable[str], tests: Iterable[str], n: int = NGRAM) -> float:
    """Share of test texts that share a word n-gram with any training text, or, when shorter than n, stand whole in one."""
    seen: set[tuple[str, ...]] = set()
    whole = []
    for text in training:
        words = tuple(text.split())
        seen.update(words[i : i + n] for i in range(len(words) - n + 1))
        whole.append(f" {' '.join(words)} ")
    hits = total = 0
    for text in tests:
        words, total = tuple(text.split()), total + 1
        grams = [words[i : i + n] for i in range(len(words) - n + 1)]
        short = f" {' '.join(words)} "
        hits += any(gram in seen for gram in grams) if grams else any(short in text for text in whole)
    return hits / total if total else 0.0


def _git(*words: str) -> str:
    try:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True).stdout.strip()
    except OSError:  # no git on this machine
        return ""
