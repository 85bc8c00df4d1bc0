"""Adding a submission to the published results, all of it or nothing, and reporting in a terminal on one."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.result_files import write_record
from heistbench.bench.storage.store import hash_of
from heistbench.bench.storage.student_replies import read_replies, replies_path, write_replies
from heistbench.leaderboard.submit.findings import Verification
from heistbench.leaderboard.submit.verify import Rerun, examine
from heistbench.leaderboard.terminal.draw import text

if TYPE_CHECKING:
    from rich.text import Text

SHOWN = 3
"""Places of one problem that a terminal shows; `--json` has all."""


def add(folder: Path, results: Path, rerun: Rerun | None = None) -> tuple[Verification, Path | None]:
    """Verify a submission and put its records into a new folder under `results`; None where it was refused.

    The folder has the name of the suite, with the submission's hash where that name is taken. It is written aside and renamed:
    whoever looks sees all of it or nothing. Raises HeistError as `verify` does, and where it cannot be written.
    """
    verification, records = examine(folder, results, rerun)
    if not verification.sound:
        return verification, None
    suite = next(iter(records.values())).arm.suite
    target = results / suite
    if target.exists():
        target = results / f"{suite}-{hash_of([record.model_dump(mode='json') for record in records.values()])[:8]}"
    # Not in the folder of results, whose readers would find it there.
    aside = results.parent / f".{target.name}.{os.getpid()}.part"
    try:
        for record in records.values():
            write_record(aside, record)
        for name in {record.exam.replies for record in records.values()}:
            write_replies(aside, read_replies(replies_path(folder, name)))
        aside.rename(target)
    except OSError as error:
        raise HeistError(f"{target}: cannot be written ({error.strerror})") from None
    except ValueError as error:  # replies of a task whose questions are not known here, and so not read before
        raise HeistError(f"{folder}: a file of replies {error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return verification, target


def report(verification: Verification, as_json: bool = False) -> None:
    """Print the verification of a submission."""
    from rich.console import Console

    if as_json:
        print(json.dumps(verification.as_dict(), indent=1))
        return
    console = Console()
    for line in [*_refusals(verification), *_outcome(verification)]:
        console.print(line, soft_wrap=True)


def _refusals(verification: Verification) -> Iterator[Text]:
    """Each reason once, with the places it was found at."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for problem in verification.problems:
        places[problem.field, problem.reason].append(problem.path)
    for (field, reason), paths in places.items():
        yield text(f"{field}: {reason}" if field else reason, "bold")
        more = f", and {len(paths) - SHOWN:,} more" if len(paths) > SHOWN else ""
        shown = [path for path in paths[:SHOWN] if path]
        yield from (text(f"    {path}{more if path is shown[-1] else ''}") for path in shown)


def _outcome(verification: Verification) -> Iterator[Text]:
    size = f"result files: {verification.files:,}, cells: {verification.cells:,}, panels: {verification.panels:,}"
    yield text("only stated, and not checked:")
    yield from (text(f"    {what}", "dim") for what in verification.unchecked)
    yield text(f"{size}; {'sound' if verification.sound else f'refused, problems: {len(verification.problems):,}'}", "bold")
