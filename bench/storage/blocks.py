"""The blocks of a record: each says one thing about a cell."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heistbench.bench.storage.strict import Natural, Plain, Share, Strict

EXAMPLES_EACH_END = 5
"""Examples of the most telling rows of a theft, and of the least telling ones."""
EXAMPLE_LENGTH = 2000
"""Characters of a text that an example shows."""


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
    uncommitted: list[str] = Field(default=[])
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
    `wall` stood around the theft (see `bench/walls/confinement.py`); `none` is said by results older than walls.
    """

    created: str
    seconds: float
    attacker_seconds: float
    hardware: str
    wall: str = "none"


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
