"""The victim's plain traces: one artifact that overlap, exposure and examples read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import Prompt
from heistbench.bench.models.engine import Arrived, unheard
from heistbench.bench.stages.examples import Examples
from heistbench.bench.stages.exposure import Exposed
from heistbench.bench.stages.overlap import Overlap, OverlapBounds
from heistbench.bench.stages.pipeline import StoredCell
from heistbench.bench.stages.plain import PlainAsking
from heistbench.bench.stages.stage import Stage
from heistbench.bench.stages.victim import VictimModel
from heistbench.bench.storage.store import Store, hash_of
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite


def context_of(run: Any, attack: str = "rep(shots=2)") -> StoredCell:
    cell = next(c for c in cells(load_suite(str(run.suite))) if (c.attack, c.defense) == (attack, "none"))
    return StoredCell(cell, Store(run.out / "store"))


def test_a_run_has_one_artifact_for_a_victim_and_its_questions(tiny_run: Any) -> None:
    specs = [json.loads(path.read_text()) for path in (tiny_run.out / "store" / "plain").glob("*/spec.json")]
    assert len(specs) == 1, "twenty cells, one victim, the same questions"
    assert specs[0]["questions"] == hash_of(context_of(tiny_run).questions)


def test_it_holds_what_the_victim_thinks_and_thinks_again(tiny_run: Any) -> None:
    context = context_of(tiny_run)
    plain = context.result(PlainAsking(context))
    prompts = [Prompt.of(question.text) for question in context.questions]
    for repetition, traces in enumerate(plain):
        replies = context.victim.reply([(prompt, repetition) for prompt in prompts], summaries=False)
        assert traces == [reply.trace for reply in replies]
        assert all(traces)


@pytest.mark.parametrize("stage", [Overlap, OverlapBounds, Exposed, Examples])
def test_who_compares_with_it_asks_no_victim(tiny_copy: Any, monkeypatch: pytest.MonkeyPatch, stage: type) -> None:
    for folder in (tiny_copy.out / "store" / stage.kind).iterdir():  # type: ignore[attr-defined]
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    monkeypatch.setattr(VictimModel, "reply", lambda *_, **__: pytest.fail("asked the victim"))
    context = context_of(tiny_copy)
    made: Stage[Any] = stage(context, "words") if stage in (Overlap, OverlapBounds) else stage(context)
    assert context.result(made)


@dataclass
class CountingVictim:
    """Passes on what it is asked, and remembers what of it wants summaries."""

    victim: VictimModel
    summarized: list[tuple[Prompt, int]] = field(default_factory=list)

    @property
    def identity(self) -> dict[str, Any]:
        return self.victim.identity

    def reply(self, queries: Sequence[tuple[Prompt, int]], arrived: Arrived = unheard, summaries: bool = True) -> list[Any]:
        self.summarized += queries if summaries else []
        return self.victim.reply(queries, arrived, summaries)


def test_what_is_asked_again_is_not_summarized(tmp_path: Path, suite_file: Callable[..., Path], heist: Callable) -> None:
    victim = {
        "model": "pocket/victim-1",
        "decoding": {"temperature": 0.7, "max_new_tokens": 112},
        "compressor": {"model": "pocket/compressor", "decoding": {"max_new_tokens": 16}},
    }
    sizes = {"query": 6, "surrogate": 8, "test": 4}
    suite = suite_file(victims=[victim], attacks=["summary_answer"], controls=[], defenses=["none"], sizes=sizes)
    ended = heist("run", suite, "--out", tmp_path / "out", "--executor", "here")
    assert ended.code == 0, ended.err
    rows = [len(p.read_text().splitlines()) for p in (tmp_path / "out" / "store" / "summaries").glob("*/completions.jsonl")]
    # Of the attacked questions and of the honest user's, and of the surrogate's traces nobody asked for any.
    assert sorted(rows) == [4, 6]


def test_plain_traces_are_asked_for_without_summaries(tiny_copy: Any) -> None:
    shutil.rmtree(tiny_copy.out / "store" / "plain")
    context = context_of(tiny_copy)
    counting = CountingVictim(context.victim)
    context.__dict__["victim"] = counting
    context.result(PlainAsking(context))
    assert counting.summarized == []
