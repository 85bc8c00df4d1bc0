"""Summaries of traces: by the task's own rule, or by an instructed model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import identity
from heistbench.bench.contracts.replies import split_reply
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import engine
from heistbench.bench.prompting.compression import compression_prompt
from heistbench.bench.storage.store import Store, hash_of, read_lines, write_lines
from heistbench.bench.suites.settings import Compressor


class Summarizer:
    """From traces to the summaries a provider shows of them, or an attacker's compressor makes."""

    def __init__(self, task: Task, compressor: Compressor | None, resolve: Callable[[str], Checkpoint], store: Store) -> None:
        self._task, self._compressor, self._store = task, compressor, store
        self._source = resolve(compressor.model) if compressor else None
        by_task = None if type(task).summarize is Task.summarize else identity(task)
        self.identity: Any = [self._source.identity, compressor.model_dump()] if self._source and compressor else by_task
        """What determines the summaries; None when there are none."""

    def __call__(self, traces: Sequence[str]) -> list[str | None]:
        """One summary a trace, None where there is none."""
        if self._compressor is None or self._source is None:
            return [self._task.summarize(trace) for trace in traces]
        return self._compress(traces, self._source, self._compressor) if traces else []

    def _compress(self, traces: Sequence[str], source: Checkpoint, settings: Compressor) -> list[str | None]:
        prompts = [compression_prompt(trace, settings.style) for trace in traces]
        sampling = settings.decoding.sampling()

        def build(path: Path) -> None:
            write_lines(path / "completions.jsonl", list(engine(source).generate(prompts, sampling)))

        spec = {"model": source.identity, "sampling": sampling, "prompts": hash_of(prompts)}
        rows = read_lines(self._store.once("summaries", spec, build) / "completions.jsonl")
        return [split_reply(row["text"]).answer or None for row in rows]
