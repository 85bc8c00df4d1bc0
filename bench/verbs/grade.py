"""`heist grade`: replies from anywhere, graded like a student's.

A row of the file is `{"id": ..., "reply": ...}`, where the id is a question's of the task's test split, or
`{"gold": ..., "reply": ...}`, which needs no data set; a gold of several answers is a list, and `type` says what a gold answer
of jeebench is. `stop` says why the reply ended: `stop` (default), `length`, `refused` or `error`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from heistbench.bench.contracts.checked import check_problems
from heistbench.bench.contracts.errors import HeistError, printable
from heistbench.bench.contracts.failures import plugin_code
from heistbench.bench.contracts.nouns import Problem, Question, Stop, Verdict
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import registry
from heistbench.bench.scoring.verdicts import Examined, judge_all
from heistbench.bench.storage.data_files import numbered_lines, use_folder

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 200
"""Characters of an extracted answer that are reported."""


def grade_replies(spec: str, path: Path, data: Path | None = None) -> dict[str, Any]:
    """Grade a file of replies: a row per reply, their mean score, and how often each verdict was given.

    Raises HeistError that names file and line for a row that cannot be read, and for an id that the task does not hold.
    """
    use_folder(data)
    task = cast(Task, registry.build("task", spec))
    rows = _rows(path)
    problems = _problems(task, rows)
    texts, stops = [row["reply"] for _, row in rows], [row.get("stop", "stop") for _, row in rows]
    try:
        with plugin_code(task):
            examined = judge_all(task, problems, texts, stops)
    except HeistError as error:
        raise HeistError(f"{path}: {error}") from None
    counts = Counter(one.grade.verdict for one in examined)
    return {
        "n": len(examined),
        "mean_score": sum(one.grade.score for one in examined) / len(examined),
        "counts": {str(verdict): counts[verdict] for verdict in Verdict},
        "rows": [_report(one) for one in examined],
    }


def grade_table(report: dict[str, Any]) -> Table:
    """A report as a table; what models wrote stands in it as text and never as markup."""
    from rich.table import Table
    from rich.text import Text

    counts = ", ".join(f"{n} {verdict}" for verdict, n in report["counts"].items() if n)
    table = Table("id", "verdict", "score", "extracted", "reason", caption_justify="left")
    table.caption = Text(f"{report['n']} replies, mean score {report['mean_score']:.4f}: {counts}")
    for row in report["rows"]:
        cells = (row["id"], row["verdict"], f"{row['score']:.2f}", row["extracted"], row["reason"])
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _report(one: Examined) -> dict[str, Any]:
    grade = one.grade
    texts = {"extracted": grade.extracted, "reason": grade.reason}
    return {
        "id": printable(one.id),
        "verdict": str(grade.verdict),
        "score": grade.score,
        **{name: printable(text if len(text) <= SHOWN else text[:SHOWN] + "...") for name, text in texts.items()},
    }


def _problems(task: Task, rows: Sequence[tuple[str, dict[str, Any]]]) -> list[Problem]:
    """The problem that each row answers: one of the test split, read only if a row needs it, or one with the row's own gold."""
    split: dict[str, Problem] = {}
    if any("gold" not in row for _, row in rows):
        with plugin_code(task):
            made = task.problems("test", None)
        split = {problem.question.id: problem for problem in check_problems(task, made)}
    problems = []
    for where, row in rows:
        name = row.get("id", where.rpartition(" ")[2])
        if "gold" not in row and name not in split:
            raise HeistError(f"{where}: no question {name!r} in the test split of {task.info.name}")
        kind = {"type": row["type"]} if "type" in row else {}
        problems.append(Problem(Question(name, "", kind), _gold(task, row["gold"]), "") if "gold" in row else split[name])
    return problems


def _gold(task: Task, gold: str | list[str]) -> str:
    return gold if isinstance(gold, str) else task.between.join(gold)


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a file, each with where it stands."""
    rows = [(where, _row(line, where)) for n, line in numbered_lines(path) for where in [f"{path}, line {n}"]]
    if not rows:
        raise HeistError(f"{path}: holds no replies")
    return rows


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        # Numbers stay as they are written: 18 and 18.0 are texts here.
        row = json.loads(line, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise HeistError(f"{where}: not JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("reply"), str) or not {"id", "gold"} & row.keys():
        raise HeistError(f"{where}: expected an object with a text 'reply' and a text 'id' or 'gold'")
    for field in ("id", "gold", "type"):
        value = row.get(field, "")
        if not isinstance(value, str) and not (field == "gold" and value and _texts(value)):
            raise HeistError(f"{where}: {field} {value!r}: expected a text" + " or a list of texts" * (field == "gold"))
    if row.get("stop", "stop") not in get_args(Stop):
        raise HeistError(f"{where}: stop {row['stop']!r}: expected one of {', '.join(get_args(Stop))}")
    return row


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
