"""The record: one cell's result, complete enough to judge, compare and run the cell again.

`result_files` says how records lie in a folder of results; the store keeps them as they are here, with `dump` and `load`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import TraceKind, Verdict
from heistbench.bench.storage.store import hash_of, write_json

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Natural = Annotated[int, Field(ge=0)]
if TYPE_CHECKING:
    from heistbench.bench.scoring.verdicts import Examined

EXAMPLES_EACH_END = 5
"""Examples of the most telling rows of a theft, and of the least telling ones."""
EXAMPLE_LENGTH = 2000
"""Characters of a text that an example shows."""
TraceSeen = Annotated[str, Field(pattern=rf"^({'|'.join(get_args(TraceKind))}) (0|[1-9][0-9]{{0,8}})$")]
"""Kind and length of a trace, such as `right 15`."""


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    json.dumps(value, allow_nan=False)
    return value


Plain = Annotated[dict[str, Any], AfterValidator(_finite)]
"""A JSON object of any shape, whose numbers are finite."""


class Strict(BaseModel):
    """Unknown fields are errors, values are frozen, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PluginId(Strict):
    """A plugin as it was built: `spec` is the text that builds it again.

    `source` is a hash of its code: of its syntax tree and its package's version. It is empty in results that are older than it.
    """

    spec: str
    name: str
    version: str
    parameters: Plain
    paper: str = ""
    source: str = ""


class DefenseId(PluginId):
    """A defense, with what its author declared of it: the board tells these classes apart."""

    touches: list[str]
    random: bool


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


class ExamSums(Strict):
    """An examination summed up; every question counts in the denominator.

    `accuracy` is the share of right verdicts, `score` the mean score, `metrics` the means of a task's further measures.
    """

    accuracy: Share
    score: Share
    n: Natural
    counts: dict[Verdict, Natural]
    metrics: dict[str, Share] = {}


class Exam(ExamSums):
    """The outcome of each question, by its id.

    `partial` holds the scores that a verdict does not tell. Where the task can check traces, `traces` says of each question what
    kind of trace the student wrote (`TraceKind`) and of how many words.
    """

    verdicts: dict[str, Verdict]
    partial: dict[str, Share] = {}
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

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        again, n = Counter(self.verdicts.values()), max(1, self.n)
        if self.n != len(self.verdicts) or {v: n for v, n in self.counts.items() if n} != dict(again):
            raise ValueError("counts are not those of the verdicts")
        if abs(self.accuracy * n - again[Verdict.RIGHT]) > 1e-6:
            raise ValueError("accuracy is not that of the verdicts")
        if not self.partial.keys() <= self.verdicts.keys():
            raise ValueError("partial has scores of questions that were not examined")
        partial = [share - (self.verdicts[i] is Verdict.RIGHT) for i, share in self.partial.items()]
        if abs(self.score * n - again[Verdict.RIGHT] - fsum(partial)) > 1e-6:
            raise ValueError("score is not that of the questions")
        if self.traces is not None and self.traces.keys() != self.verdicts.keys():
            raise ValueError("traces are not those of the questions")
        return self


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


class ExposureScores(Strict):
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


class TheftExample(Strict):
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


class TheftBill(Strict):
    """What the theft cost."""

    queries: Natural
    prompt_tokens: Natural
    completion_tokens: Natural
    attacker_tokens_generated: Natural
    attacker_tokens_trained: Natural
    dollars: Annotated[float, Field(ge=0)]


class Provenance(Strict):
    """What the numbers hang on: code, packages, models, data, prompts.

    `dirty` says that the code of the harness differed from its commit, `uncommitted` names files of attacks, defenses and tasks
    whose code stands in no commit.
    """

    harness: str
    commit: str
    dirty: bool
    uncommitted: list[str] = []
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


class RecordParts(Strict):
    """All of a record but its exam. `examples` are the most telling rows of the loot, then the least telling."""

    schema_version: Literal[5] = 5
    arm: Arm
    loot: LootFacts
    overlap: dict[str, OverlapScores]
    exposure: ExposureScores | None
    examples: list[TheftExample]
    utility: Utility
    bill: TheftBill
    provenance: Provenance
    volatile: Volatile


class Record(RecordParts):
    """One cell's result."""

    exam: Exam

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


def dump(path: Path, record: Record) -> None:
    """Write one record as it is, for `load`."""
    write_json(path, record.model_dump(mode="json"))


def load(path: Path) -> Record:
    """The record that `dump` wrote. Raises HeistError that names file and field."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise HeistError(f"record {path}: {first_fault(error)}") from None
    except OSError as error:
        raise HeistError(f"record {path}: {error}") from None


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong with a file, in one line: field and reason."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole file'}: {first['msg']}"
