"""Training, generation and examination of the pocket world's models, against what transformers, TRL and lm-eval do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from plain import BATCH, PlainEngine, tune
from ratios import Ratio, side_by_side, timed

from heistbench.bench import Prompt, render_reply
from heistbench.bench.bridges.lm_eval import as_lm_eval_task, examine
from heistbench.bench.contracts.recipes import Recipe, Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.contracts.replies import encode
from heistbench.bench.models.chat_templates import render
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.fine_tuning import TrainingRow, fine_tune
from heistbench.bench.models.transformers_engine import TransformersEngine
from heistbench.bench.prompting.inversion import inversion_prompt

TASK: Any = registry.build("task", "pocket")
RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=2e-3, max_length=256)
ROWS, QUESTIONS = 480, 256


def training(repetitions: int) -> Iterator[Ratio]:
    """Fine-tuning of a student and of an inverter, against a bare loop of torch and TRL as it is."""
    problems = TASK.problems("surrogate", ROWS)
    inverter = [TrainingRow(inversion_prompt(p.question.text, p.gold, TASK.summarize(p.trace)), p.trace) for p in problems]
    yield from chain(_tuning("student", train_rows(ROWS), repetitions), _tuning("inverter", inverter, repetitions))


def train_rows(many: int) -> list[TrainingRow]:
    """What students learn from."""
    problems = TASK.problems("surrogate", many)
    return [TrainingRow(Prompt.of(p.question.text), render_reply(p.trace, p.gold)) for p in problems]


def _tuning(name: str, rows: Sequence[TrainingRow], repetitions: int) -> Iterator[Ratio]:
    base, pairs = checkpoint("pocket/base"), [(row.prompt, row.completion) for row in rows]

    def ours() -> float:
        with TemporaryDirectory() as folder:
            return timed(lambda: fine_tune(base, rows, RECIPE, 0, Path(folder)))()

    def ours_alone() -> float:
        ends: list[float] = []
        with TemporaryDirectory() as folder:
            fine_tune(base, rows, RECIPE, 0, Path(folder), lambda done, total: ends.append(time.process_time()))
        return ends[-1] - ends[0]

    def trl() -> float:
        with TemporaryDirectory() as folder:
            return timed(lambda: tune(base.source, pairs, RECIPE, 0, folder))()

    values = side_by_side(ours_alone, lambda: bare_loop(rows), repetitions)
    yield Ratio(
        f"training, {name}", "steps of fine_tune", "of a bare loop on the same batches", values, "of the processor's time"
    )
    yield Ratio(f"training, {name}", "fine_tune", "TRL as it is", side_by_side(ours, trl, repetitions))


def bare_loop(rows: Sequence[TrainingRow]) -> float:
    """Seconds of the processor for forward, backward, clip and step, and for nothing else, after the first step."""
    import torch
    from transformers.trainer_pt_utils import get_length_grouped_indices

    model, tokenizer = checkpoint("pocket/base").load()
    encoded = [encode(tokenizer, render(tokenizer, row.prompt), row.completion) for row in rows]
    order = get_length_grouped_indices([len(ids) for ids, _ in encoded], RECIPE.batch_size)
    batches = [order[at : at + RECIPE.batch_size] for at in range(0, len(order), RECIPE.batch_size)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RECIPE.learning_rate, fused=True)
    model.train()
    ends: list[float] = []
    for batch in batches * RECIPE.epochs:
        width = max(len(encoded[at][0]) for at in batch)
        ids, labels = (
            torch.tensor([row + [fill] * (width - len(row)) for row in (encoded[at][part] for at in batch)])
            for part, fill in ((0, tokenizer.pad_token_id), (1, -100))
        )
        lengths = torch.tensor([len(encoded[at][0]) for at in batch])
        mask = (torch.arange(width) < lengths[:, None]).long()
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        ends.append(time.process_time())
    return ends[-1] - ends[0]


def generation(repetitions: int) -> Iterator[Ratio]:
    """Replies of a victim, against `model.generate` on batches as the questions come."""
    source = checkpoint("pocket/victim-1")
    engines = TransformersEngine(source), PlainEngine(source.source)
    prompts = [Prompt.of(problem.question.text) for problem in TASK.problems("query", QUESTIONS)]
    ours, plain = (timed(lambda engine=engine: engine.reply(prompts, Sampling(0.7, max_new_tokens=112))) for engine in engines)
    yield Ratio("generation", "the engine", f"model.generate, {BATCH} at a time", side_by_side(ours, plain, repetitions))


def examination(repetitions: int) -> Iterator[Ratio]:
    """An exam through lm-eval with our engine, against lm-eval's own model."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    source, problems = checkpoint("pocket/victim-1"), TASK.problems("test", QUESTIONS)
    engine, model = TransformersEngine(source), HFLM(pretrained=source.source, device="cpu", dtype="float32", batch_size=BATCH)
    right: dict[str, float] = {}

    def ours() -> None:
        found = examine(engine, TASK, problems, Sampling(max_new_tokens=64))
        right["ours"] = sum(one.grade.score for one in found) / len(found)

    def theirs() -> None:
        exam = as_lm_eval_task(TASK, problems, lambda prompt: render(model.tokenizer, prompt), 64)
        results = evaluate(model, TaskManager(include_defaults=False).load([exam]), bootstrap_iters=0)
        assert results
        right["theirs"] = results["results"][TASK.info.name]["acc,none"]

    values = side_by_side(timed(ours), timed(theirs), repetitions)
    note = f"accuracy {right['ours']:.3f} and {right['theirs']:.3f}"
    yield Ratio("examination", "the engine in lm-eval", f"lm-eval's own model, {BATCH} at a time", values, note)
