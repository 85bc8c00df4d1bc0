"""Summaries of traces, by a task's own rule and by an instructed model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from heistbench.bench import Prompt, Style, Task, compression_prompt
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.registry import registry, spec_of
from heistbench.bench.contracts.sources import keyed
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import Completion
from heistbench.bench.stages.pipeline import StoredCell
from heistbench.bench.stages.summaries import summaries_identity, summarize
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite
from heistbench.bench.suites.settings import Compressor

POCKET, GSM8K = registry.build("task", "pocket"), registry.build("task", "gsm8k")
TRACES = ["s1 3 star 4 is 7", "s1 3 plus 4 is 7"]


class FakeEngine:
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self, said: Sequence[str]) -> None:
        self.said, self.asked = said, list[tuple[Sequence[Prompt], Sampling]]()

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling, repetitions: Sequence[int]) -> list[Completion]:
        self.asked.append((prompts, sampling))
        return [Completion(text, "stop", 1, 1) for text in self.said]


class Anywhere(StoredCell):
    """A cell to whom every model is known."""

    def resolve(self, reference: str) -> Checkpoint:
        return Checkpoint(f"id of {reference}", reference)


@dataclass
class Summarizer:
    """What a compressor, or a task's own rule, makes of traces in a cell."""

    context: StoredCell
    compressor: Compressor | None

    def __call__(self, traces: Sequence[str]) -> list[str | None]:
        return summarize(self.context, traces, self.compressor, "summaries")

    @property
    def identity(self) -> Any:
        return summaries_identity(self.context, self.compressor)


@pytest.fixture
def make(tmp_path: Path, suite_file: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Summarizer]:
    """A summarizer of pocket traces; `engine` is what its compressor runs on."""

    def make(
        compressor: Compressor | None = None,
        engine: FakeEngine | None = None,
        task: Task = POCKET,
        context: type[StoredCell] = Anywhere,
    ) -> Summarizer:
        if engine:
            monkeypatch.setattr("heistbench.bench.stages.completions.engine", lambda source: engine)
        cell = cells(load_suite(str(suite_file(tasks=[spec_of(task)]))))[0]
        return Summarizer(context(cell, Store(tmp_path / "store")), compressor)

    return make


# by rule


def test_without_a_compressor_the_task_summarizes(make: Callable[..., Summarizer]) -> None:
    assert make()(TRACES) == ["s1 star gives 7 .", None]
    assert make().identity == keyed(POCKET)


def test_a_task_without_summaries_has_none(make: Callable[..., Summarizer]) -> None:
    assert make(task=GSM8K)(TRACES) == [None, None]
    assert make(task=GSM8K).identity is None


# by a compressor


@pytest.mark.parametrize("style", get_args(Style))
def test_a_compressor_is_asked_in_its_style(make: Callable[..., Summarizer], style: Style) -> None:
    engine = FakeEngine(["one", "two"])
    settings = Compressor(model="m", style=style, decoding={"temperature": 0.7, "max_new_tokens": 9})
    assert make(settings, engine)(TRACES) == ["one", "two"]
    ((prompts, sampling),) = engine.asked
    assert list(prompts) == [compression_prompt(trace, style) for trace in TRACES]
    assert sampling == Sampling(temperature=0.7, max_new_tokens=9)


def test_a_compressors_own_thinking_is_no_summary(make: Callable[..., Summarizer]) -> None:
    engine = FakeEngine(["<think>hm</think>\n\none", "<think>without end"])
    assert make(Compressor(model="m"), engine)(TRACES) == ["one", None]


@pytest.mark.parametrize("said", ["", " \n", "<think>hm</think>"])
def test_a_compressor_that_says_nothing_gives_no_summary(make: Callable[..., Summarizer], said: str) -> None:
    assert make(Compressor(model="m"), FakeEngine([said]))(TRACES[:1]) == [None]


def test_summaries_are_made_once(make: Callable[..., Summarizer]) -> None:
    first = make(Compressor(model="m"), FakeEngine(["one", "two"]))(TRACES)
    later = FakeEngine(["three"])
    assert make(Compressor(model="m"), later)(TRACES) == first
    assert later.asked == []
    assert make(Compressor(model="m"), later)(TRACES[:1]) == ["three"]
    assert make(Compressor(model="other"), FakeEngine(["four", "five"]))(TRACES) == ["four", "five"]


def test_no_traces_need_no_compressor(make: Callable[..., Summarizer]) -> None:
    engine = FakeEngine([])
    assert make(Compressor(model="m"), engine)([]) == []
    assert engine.asked == []


@pytest.mark.parametrize(
    "other", [{"model": "other"}, {"style": "bubbles"}, {"decoding": {"temperature": 0.7}}, {"decoding": {"max_new_tokens": 9}}]
)
def test_all_that_changes_summaries_is_in_their_identity(make: Callable[..., Summarizer], other: dict[str, object]) -> None:
    assert make(Compressor(**{"model": "m", **other})).identity != make(Compressor(model="m")).identity
    assert make(Compressor(model="m")).identity == make(Compressor(model="m"), task=GSM8K).identity


@pytest.mark.parametrize("style", get_args(Style))
def test_the_shipped_compressor_tells_what_each_star_gave(make: Callable[..., Summarizer], style: Style) -> None:
    settings = Compressor(model="pocket/compressor", style=style, decoding={"max_new_tokens": 64})
    traces = [problem.trace for problem in POCKET.problems("dev", 12)]
    said = make(settings, context=StoredCell)(traces)
    mark = r"\d+\." if style == "bubbles" else r"\*\*s\d+\*\*"
    right = 0
    for trace, summary in zip(traces, said, strict=True):
        bare = re.sub(rf"(?:^|(?<=\s)){mark}\s*", "", summary or "")
        right += " ".join(bare.split()) == POCKET.summarize(trace) != summary
    assert right >= 8
