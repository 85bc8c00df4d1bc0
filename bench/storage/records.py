"""The record: one cell's result as a JSON file, complete enough to judge, compare and run the cell again."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import TraceKind, Verdict
from heistbench.bench.storage.invariants import KIND, Limits, broken_rules, faults_of
from heistbench.bench.storage.store import hash_of, write_json

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Natural = Annotated[int, Field(ge=0)]
if TYPE_CHECKING:
    from heistbench.bench.scoring.verdicts import Examined

EXAMPLES_EACH_END = 5
"""Examples of the most telling rows of a theft, and of the least telling ones."""
EXAMPLE_LENGTH = 2000
"""Characters of a text that an example shows."""
TraceSeen = Annotated[str, Field(pattern=rf"^({'|'.join(get_args(TraceKind))}) \d+$")]
"""Kind and length of a trace, such as `right 15`."""


_STRICT = json.JSONEncoder(allow_nan=False)


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    if value:  # most plugins have no parameters, and records are read by the thousand
        _STRICT.encode(value)
    return value


Plain = Annotated[dict[str, Any], AfterValidator(_finite)]
"""A JSON object of any shape, whose numbers are finite."""


class Strict(BaseModel):
    """Unknown fields are errors, values are frozen, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PluginId(Strict):
    """A plugin as it was built: `spec` is the text that builds it again."""

    spec: str
    name: str
    version: str
    parameters: Plain
    paper: str = ""


class DefenseId(PluginId):
    """A defense, with what its author declared of it: the board tells these classes apart."""

    touches: list[str]
    random: bool
    stateful: bool


class Arm(Strict):
    """Which cell this is."""

    suite: str
    task: PluginId
    exam: PluginId
    victim: str
    release: str
    victim_model: str
    defense: str
    defenses: list[DefenseId]
    attack: PluginId
    control: bool
    privileged: bool
    threat: str
    student: str
    recipe: Plain
    budget: Natural
    seed: int


class Exam(Strict):
    """The outcome of each question, by its id; every question counts in the denominator.

    `accuracy` is the share of right verdicts, `score` the mean score; `partial` holds the scores that a verdict does not tell,
    `metrics` the means of a task's further measures. Where the task can check traces, `traces` says of each question what kind
    of trace the student wrote (`TraceKind`) and of how many words.
    """

    accuracy: Share
    score: Share
    n: Natural
    counts: dict[Verdict, Natural]
    verdicts: dict[str, Verdict]
    partial: dict[str, Share] = {}
    metrics: dict[str, Share] = {}
    traces: dict[str, TraceSeen] | None = None

    @classmethod
    def of(cls, examined: Sequence[Examined]) -> Exam:
        """Sum up the outcomes of an examination."""
        n, grades = max(1, len(examined)), {e.id: e.grade for e in examined}
        counts = Counter(grade.verdict for grade in grades.values())
        names = sorted({name for grade in grades.values() for name in grade.metrics})
        checks = {e.id: f"{e.check.kind} {e.check.words}" for e in examined if e.check}
        return cls(
            accuracy=counts[Verdict.RIGHT] / n,
            score=fsum(grade.score for grade in grades.values()) / n,
            n=len(examined),
            counts={v: counts[v] for v in Verdict},
            verdicts={i: grade.verdict for i, grade in grades.items()},
            partial={i: g.score for i, g in grades.items() if g.score != (g.verdict is Verdict.RIGHT)},
            metrics={name: fsum(grade.metrics.get(name, 0.0) for grade in grades.values()) / n for name in names},
            traces=checks or None,
        )


class LootFacts(Strict):
    """What was carried off: rows, rows with a trace, and how much of it is true by the task's checker and grader.

    `whole_traces` and `right_answers` are shares of all attacked questions but the `lost`, those that an outage swallowed: what
    was not obtained otherwise counts as not right. `whole_traces` is missing where the task cannot check traces.
    """

    questions: Natural
    lost: Natural
    rows: Natural
    traces: Natural
    whole_traces: Share | None
    right_answers: Share
    sha256: str


class OverlapScores(Strict):
    """Mean overlap of stolen traces with the victim's, metric by metric, between its floors and its ceiling.

    A record has one for each signature of its suite; none where nothing was stolen or the harness cannot see the victim's traces.
    """

    signature: str
    n: Natural
    stolen: dict[str, float]
    floor_other_question: dict[str, float]
    floor_surrogate: dict[str, float]
    ceiling_victim_again: dict[str, float]


class Exposure(Strict):
    """What the victim showed to prompts of the attacker's, in the terms of arXiv:2606.00642.

    `struct` is the share of replies that are thinking and then an answer; the overlaps are means over all questions, and over
    those replies alone.
    """

    signature: str
    n: Natural
    struct: Share
    all: dict[str, float]
    struct_only: dict[str, float]


class Utility(Strict):
    """What an honest user gets through the defense, on questions of the attacked task that no attack has seen.

    Shares are of all questions but the `lost`, those that an outage swallowed.
    """

    n: Natural
    lost: Natural
    accuracy: Share
    refused: Share
    summary_shown: Share
    summary_values_kept: Share


class Example(Strict):
    """One row of the loot beside what it was made of, for people to read; long texts are cut short.

    `exposed` is what left the API, `stolen` the trace that the attack made of it, `hidden` the victim's own, `score` their
    overlap by the headline metric of the suite's first signature.
    """

    id: str
    question: str
    exposed: str
    stolen: str | None
    answer: str
    hidden: str | None
    score: float | None


class Bill(Strict):
    """What the theft cost."""

    queries: Natural
    prompt_tokens: Natural
    completion_tokens: Natural
    attacker_tokens_generated: Natural
    attacker_tokens_trained: Natural
    dollars: Annotated[float, Field(ge=0)]


class Provenance(Strict):
    """What the numbers hang on: code, packages, models, data, prompts."""

    harness: str
    commit: str
    dirty: bool
    python: str
    packages: dict[str, str]
    engine: str
    dtype: str
    device: str
    models: dict[str, str]
    data: dict[str, str]
    contamination: dict[str, float]
    settings: Plain


class Volatile(Strict):
    """What differs between two runs of the same cell without changing its numbers.

    `attacker_seconds` is how long the attacker's models computed, shared work included: GPU-seconds where `device` is cuda.
    """

    created: str
    seconds: float
    attacker_seconds: float
    hardware: str


class Record(Strict):
    """One cell's result. `examples` are the most telling rows of the loot, then the least telling."""

    schema_version: Literal[4] = 4
    arm: Arm
    exam: Exam
    loot: LootFacts
    overlap: dict[str, OverlapScores]
    exposure: Exposure | None
    examples: list[Example]
    utility: Utility
    bill: Bill
    provenance: Provenance
    volatile: Volatile

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        """What follows from other fields is worked out again: neither the harness nor anyone else makes a record that lies."""
        if faults := broken_rules(self, Limits(2 * EXAMPLES_EACH_END, EXAMPLE_LENGTH)):
            message = "; ".join(f"{field}: {reason}" for field, reason in faults)
            raise PydanticCustomError(KIND, "{message}", {"message": message, "faults": faults})
        return self

    def path(self) -> Path:
        """Where the record lies under a results folder; reads as a sentence."""
        arm = self.arm
        task = arm.task.spec if arm.exam.spec == arm.task.spec else f"{arm.task.spec}, examined on {arm.exam.spec}"
        parts = [task, f"{arm.victim}-{arm.release}" if arm.release else arm.victim, arm.defense, arm.attack.spec]
        return Path(*map(slug, parts), f"{arm.budget}-queries", slug(arm.student), f"seed-{arm.seed}.json")


def slug(text: str) -> str:
    """Text as one file name: letters, digits and `._=+,()-` stay and a slash becomes a dash.

    Whatever else it holds becomes dashes too, and a hash is added so that no two texts share a name.
    """
    plain = text.replace("/", "-")
    name = re.sub(r"[^A-Za-z0-9._=+,()-]", "-", plain).strip(".") or "-"
    return name if name == plain else f"{name}-{hash_of(text)[:8]}"


def write_record(folder: Path, record: Record) -> Path:
    """Write a record to its place under `folder`."""
    path = folder / record.path()
    write_json(path, record.model_dump(mode="json"))
    return path


def read_record(path: Path) -> Record:
    """Read and validate one record of a file that heist wrote. Raises HeistError that names file and field.

    Strangers' files are read by `leaderboard.intake`: this is fast, and does not notice all that is wrong with such.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        field, reason = faults_of(error)[0]
        raise HeistError(f"result file {path}: {field or 'the whole file'}: {reason}") from None
    except (ValueError, OSError) as error:
        raise HeistError(f"result file {path}: {error}") from None


def read_records(folder: Path) -> list[Record]:
    """All records under a folder, in the order of their paths."""
    paths = sorted(folder.rglob("seed-*.json"))
    if not paths:
        raise HeistError(f"no result files (seed-*.json) under {folder}")
    return [read_record(path) for path in paths]
