"""Failures: the cells of a run that have no result, and why. They lie beside the results, in `failures.json`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.blocks import Arm
from heistbench.bench.storage.records import path_of
from heistbench.bench.storage.store import write_json
from heistbench.bench.storage.strict import Strict

FILE = "failures.json"
LONGEST = 2**24
"""Bytes of the file that are read."""
DETAILS = 4000
"""Characters of a traceback that are kept, its end."""


class Failure(Strict):
    """A cell that failed in one of its steps: the reason in a line, the end of the traceback, the log that holds all of it."""

    arm: Arm
    step: str
    reason: str
    details: str = ""
    log: str = ""
    created: str


_FAILURES: TypeAdapter[list[Failure]] = TypeAdapter(list[Failure])


def read_failures(folder: Path) -> list[Failure]:
    """The failures that a suite's folder lists, none where it has no such file. Raises HeistError for one that is none."""
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        with path.open("rb") as file:
            return _FAILURES.validate_json(file.read(LONGEST))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise HeistError(f"{path}: {where or 'the file'}: {error.errors()[0]['msg']}") from None


def write_failures(folder: Path, failed: Iterable[Failure], computed: Iterable[Path]) -> list[Failure]:
    """Note what failed, and forget what is computed by now; returns all that a suite's folder lists then.

    `computed` are paths of records under the results.
    """
    known = {path_of(failure.arm): failure for failure in (*read_failures(folder), *failed)}
    left = [known[path] for path in sorted(known.keys() - set(computed))]
    if left:
        write_json(folder / FILE, [failure.model_dump(mode="json") for failure in left])
    else:
        (folder / FILE).unlink(missing_ok=True)
    return left
