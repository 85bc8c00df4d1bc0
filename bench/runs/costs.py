"""What work on models is taken to cost: lengths of texts, sizes of models, speeds of a GPU. Each figure with its source."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import prod
from pathlib import Path
from typing import cast

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.scratch import is_scratch
from heistbench.bench.runs.made_up import CHARACTERS_PER_TOKEN
from heistbench.bench.stages.stage import Lengths, Work
from heistbench.bench.suites.questions import problems_of
from heistbench.bench.suites.reply_sources import Weights, reply_source

TYPICAL = Lengths(question=150, trace=6131, summary=565, answer=450)
"""Of mathematics for reasoning models. Traces: R1's on OpenThoughts, arXiv:2603.07267, Table 2; summaries: the two medians of its
Table 1, 537 and 592; questions and worked answers: our guess."""
REMOTE_TRACE = 3_400
"""Of a model behind an API: the $173.28 that 10,000 queries of GPT-5.4 mini cost (arXiv:2603.07267) are 3,800 tokens per reply,
the answer included."""
GPU = "A100 80 GB"
PEAK = 312e12
"""Its bfloat16 FLOP/s, by the data sheet."""
BUSY = 0.4
"""Share of the peak in training and in reading prompts: common for models of this size."""
WRITING = 0.1
"""Share of the peak in writing, which memory bounds: some 2,000 tokens/s of a 7B model under vLLM."""
LOOKED_AT = 100
"""Questions whose texts are measured."""
_BILLIONS = re.compile(r"(\d+(?:\.\d+)?)[bB](?![a-zA-Z0-9])")
_SCRATCH = re.compile(r"scratch/(\d+)x(\d+)")


def gpu_hours(work: Work) -> float | None:
    """Of one GPU: 6 FLOP per parameter and token trained on, 2 per parameter and token read or written.

    None for a model of unknown size; nothing for one that runs elsewhere, or is only replayed.
    """
    if not isinstance(reply_source(work.model), Weights):
        return 0.0
    size, busy = parameters(work.model), 6 * work.trained + 2 * work.read
    return None if size is None else size * (busy / (PEAK * BUSY) + 2 * work.written / (PEAK * WRITING)) / 3600


def parameters(model: str) -> float | None:
    """How many parameters a model has: by its name, such as `org/Model-7B@commit`, or by its files. None where neither tells."""
    if billions := _BILLIONS.search(model.partition("@")[0]):
        return float(billions[1]) * 1e9
    if is_scratch(model) and (size := _SCRATCH.fullmatch(model)):
        return 16.0 * int(size[2]) * int(size[1]) ** 2  # of its layers; the vocabulary is the task's
    try:
        files = sorted(Path(checkpoint(model).source).glob("*.safetensors"))
        return float(sum(map(_weights, files))) or None
    except HeistError:
        return None


def _weights(path: Path) -> int:
    """The weights in a safetensors file, by its header. Raises HeistError where it has none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError) as error:
        raise HeistError(f"{path}: no safetensors: {error}") from None


@cache
def lengths(spec: str, n: int) -> Lengths:
    """The lengths of a task's texts, measured on its first questions where its data is on this machine, otherwise typical."""
    task = cast(Task, registry.build("task", spec))
    try:
        with _no_downloads():
            problems = problems_of(task, "query", n)[:LOOKED_AT]
    except HeistError:
        return TYPICAL
    texts = [(p.question.text, p.trace, task.summarize(p.trace), p.shown) for p in problems]
    measured = (_mean([_tokens(text) for text in column if text]) for column in zip(*texts, strict=True))
    return Lengths(*(length or typical for length, typical in zip(measured, TYPICAL, strict=True)))


def _tokens(text: str) -> float:
    """By characters, or by words where these are short: the tokenizers of the pocket world know words."""
    return max(len(text.split()), len(text) / CHARACTERS_PER_TOKEN)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


@contextmanager
def _no_downloads() -> Iterator[None]:
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before
