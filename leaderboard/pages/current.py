"""Whether a site is the one that its result files give, so that it need not be built again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from heistbench.bench.storage.digests import digest
from heistbench.bench.storage.failures import Failure
from heistbench.bench.storage.regular_files import Unreadable, read_regular
from heistbench.bench.storage.result_files import LARGEST, result_files
from heistbench.bench.storage.store import hash_of

MADE_OF = ".made-of"
"""The file of a site that holds the hash of all that it was made of."""
LONGEST = 64
"""Bytes of it."""
CODE = (".py", ".j2", ".css", ".js")
PACKAGE = Path(__file__).parents[1]
PUBLISHED = PACKAGE / "results"


def ingredients(results: Path, site: Path, failures: Sequence[Failure]) -> str:
    """The hash of all that a site is made of: result files and where they lie as seen from it, failures, and the code."""
    code = [
        path for path in sorted(PACKAGE.rglob("*")) if path.is_file() and path.suffix in CODE and PUBLISHED not in path.parents
    ]
    files = [(path.relative_to(results).as_posix(), _digest(path)) for path in result_files(results)]
    failed = [failure.model_dump(mode="json") for failure in failures]
    return hash_of([files, failed, os.path.relpath(results, site), [digest(path) for path in code]])


def _digest(path: Path) -> str:
    """Of a result file; whoever reads one that is none says so."""
    try:
        return sha256(read_regular(path, LARGEST)).hexdigest()
    except Unreadable:
        return ""


def is_current(results: Path, site: Path, failures: Sequence[Failure]) -> bool:
    """Whether a site was made of these results, by this code."""
    try:
        return read_regular(site / MADE_OF, LONGEST) == ingredients(results, site, failures).encode()
    except Unreadable:
        return False
