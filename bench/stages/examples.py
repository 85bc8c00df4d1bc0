"""Examples of a theft: the rows whose stolen traces tell most and least of the hidden ones, for people to read side by side."""

from __future__ import annotations

from typing import Any

from heistbench.bench.contracts.nouns import Exposure
from heistbench.bench.stages.collect import Theft
from heistbench.bench.stages.context import World, read_json
from heistbench.bench.stages.overlap import benign_traces, each_overlap
from heistbench.bench.storage.records import EXAMPLE_LENGTH, EXAMPLES_EACH_END
from heistbench.bench.storage.store import hash_of, write_json


def pick_examples(world: World, theft: Theft) -> list[dict[str, Any]]:
    """The five rows that overlap most with the victim's hidden traces and the five that do least, best first.

    The overlap is the headline metric of the suite's first signature. Where the harness sees no hidden trace, none has a score,
    and the first and the last rows are shown. Rows of the attacker's own questions are no examples.
    """
    spec = {
        "theft": theft.folder.name,
        "victim": world.victim.identity,
        "questions": hash_of([p.question.id for p in world.attacked]),
        "signature": world.suite.signatures[0],
    }
    folder = world.store.once("examples", spec, lambda path: write_json(path / "examples.json", _examples(world, theft)))
    found: list[dict[str, Any]] = read_json(folder / "examples.json")
    return found


def _examples(world: World, theft: Theft) -> list[dict[str, Any]]:
    at = {p.question.id: i for i, p in enumerate(world.attacked)}
    scores = each_overlap(world, theft)
    rows = sorted((row for row in theft.rows if row.id in at), key=lambda row: (-scores.get(row.id, 0.0), row.id))
    if not rows:
        return []
    asked = theft.asked([p.question for p in world.attacked])
    hidden = benign_traces(world) if scores else []
    return [
        {
            "id": row.id,
            "question": _clipped(row.question),
            "exposed": _clipped(_visible(query["exposure"]) if (query := asked[at[row.id]]) else ""),
            "stolen": row.trace if row.trace is None else _clipped(row.trace),
            "answer": _clipped(row.answer),
            "hidden": _clipped(hidden[at[row.id]]) if hidden else None,
            "score": scores.get(row.id),
        }
        for row in (rows if len(rows) <= 2 * EXAMPLES_EACH_END else rows[:EXAMPLES_EACH_END] + rows[-EXAMPLES_EACH_END:])
    ]


def _visible(raw: dict[str, Any]) -> str:
    exposure = Exposure(**raw)
    told = [f"{name}: {text}" for name, text in [("summary", exposure.summary), *exposure.arguments.items()] if text]
    return "\n".join([*told, exposure.text])


def _clipped(text: str) -> str:
    return text if len(text) <= EXAMPLE_LENGTH else text[: EXAMPLE_LENGTH - 1] + "…"
