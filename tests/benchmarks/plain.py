"""A suite as a plain script would run it: `python plain.py SUITE OUT.json`. What `heist run` is measured against.

Cell by cell, nothing kept and nothing shared: the victim is asked in batches as the questions come, models are trained by TRL as
it is, students are examined by lm-eval's own model, and rouge-score says how much of the traces came out. Attacks, defenses and
graders are the suite's, so that the accuracies can be compared.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from heistbench.bench import Exposure, Prompt, Question, Reply, render_reply
from heistbench.bench.bridges.lm_eval import as_lm_eval_task
from heistbench.bench.contracts.recipes import Recipe, Sampling
from heistbench.bench.contracts.wall import Kit, Target
from heistbench.bench.models.chat_templates import render
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.engine import Completed, Completion, LocalEngine, unheard
from heistbench.bench.models.process import hush
from heistbench.bench.stages.defended import release
from heistbench.bench.suites.cells import Cell, cells
from heistbench.bench.suites.files import load_suite
from heistbench.bench.suites.settings import Decoding

BATCH = 16
"""Prompts that the script generates for at once."""


class Clock:
    """Seconds that models took, and how many of these went into what had been computed before: what sharing would save."""

    def __init__(self) -> None:
        self.seen = set[str]()
        self.spent = self.again = 0.0

    @contextmanager
    def on(self, model: str, *work: object) -> Iterator[None]:
        """Times some work of the model in a folder."""
        key = f"{sha256(Path(model, 'model.safetensors').read_bytes()).hexdigest()} {sha256(repr(work).encode()).hexdigest()}"
        began = time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        self.spent += seconds
        self.again += seconds if key in self.seen else 0.0
        self.seen.add(key)


CLOCK = Clock()


class PlainEngine(LocalEngine):
    """A model as transformers has it."""

    family = "think"

    def __init__(self, source: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.source = source
        self.model, self.tokenizer = AutoModelForCausalLM.from_pretrained(source), AutoTokenizer.from_pretrained(source)
        self.tokenizer.padding_side = "left"

    def complete(
        self, texts: Sequence[str], sampling: Sampling, repetitions: Sequence[int], completed: Completed = unheard
    ) -> list[Completion]:
        """See `LocalEngine.complete`."""
        with CLOCK.on(self.source, texts, sampling):
            return self._complete(texts, sampling, completed)

    def _complete(self, texts: Sequence[str], sampling: Sampling, completed: Completed) -> list[Completion]:
        import torch

        torch.manual_seed(sampling.seed)
        completions: list[Completion] = []
        for at in range(0, len(texts), BATCH):
            batch = self.tokenizer(list(texts[at : at + BATCH]), return_tensors="pt", padding=True, add_special_tokens=False)
            drawn = {"do_sample": True, "temperature": sampling.temperature} if sampling.temperature else {"do_sample": False}
            output = self.model.generate(**batch, max_new_tokens=sampling.max_new_tokens, **drawn)
            for row in output[:, batch["input_ids"].shape[1] :].tolist():
                ended = self.tokenizer.eos_token_id in row
                tokens = row[: row.index(self.tokenizer.eos_token_id)] if ended else row
                completions.append(Completion(self.tokenizer.decode(tokens), "stop" if ended else "length", 0, len(tokens)))
                completed(len(completions) - 1, completions[-1])
        return completions


def tune(source: str, rows: Sequence[tuple[Prompt, str]], recipe: Recipe, seed: int, folder: str) -> str:
    """A model trained by TRL as it is, but for bfloat16, which slows this processor down."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(source)
    data = Dataset.from_list([{"prompt": render(tokenizer, prompt), "completion": completion} for prompt, completion in rows])
    config = SFTConfig(
        output_dir=folder,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,
        max_length=recipe.max_length,
        seed=seed,
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    with CLOCK.on(source, rows, recipe, seed):
        trainer = SFTTrainer(model=source, args=config, train_dataset=data, processing_class=tokenizer)
        trainer.train()
    trainer.save_model(folder)
    return folder


class PlainLine:
    """Answers an attack's calls, each anew (`Line`)."""

    def __init__(self, cell: Cell, folder: str) -> None:
        self.cell, self.suite, self.folder = cell, cell.suite, folder
        self.task, self.defenses = cell.build_task(), cell.build_defenses()
        self.problems = {problem.question.id: problem for problem in self.task.problems("query", cell.sizes.query)}
        self.asked, self.draws = list[Reply](), 0

    def call(self, verb: str, *arguments: Any) -> Any:
        """See `Line.call`."""
        return getattr(self, verb)(*arguments)

    def replies(
        self, model: str, decoding: Decoding, prompts: Sequence[Prompt], temperature: float | None = None, draw: int = 0
    ) -> list[Reply]:
        """Replies with the summaries of the task's rule."""
        sampling = decoding.at(temperature).sampling(1000 * draw + self.cell.seed)
        replies = PlainEngine(checkpoint(model).source).reply(prompts, sampling)
        return [Reply(r.trace, self.task.summarize(r.trace or ""), r.text, r.usage, r.stop, r.arguments) for r in replies]

    def ask(self, prompts: list[Prompt]) -> list[Exposure]:
        self.asked = self.replies(self.cell.victim.model, self.cell.victim.decoding, prompts)
        return [release(self.defenses, p, reply, 0, "plain") for p, reply in zip(prompts, self.asked, strict=True)]

    def surrogate(self, prompts: list[Prompt], temperature: float | None, summaries: bool) -> list[Reply]:
        assert self.suite.surrogate
        self.draws += 1  # asked again, it draws again
        return self.replies(self.suite.surrogate.model, self.suite.surrogate.decoding, prompts, temperature, self.draws)

    def own_questions(self) -> list[Question]:
        return [problem.question for problem in self.task.problems("surrogate", self.cell.sizes.surrogate)]

    def fine_tune(self, examples: list[tuple[Prompt, str]]) -> str:
        assert self.suite.inverter
        source = checkpoint(self.suite.inverter.model).source
        return tune(source, examples, self.suite.inverter.recipe, self.cell.seed, f"{self.folder}/inverter")

    def untuned(self) -> str:
        assert self.suite.inverter
        return checkpoint(self.suite.inverter.model).source

    def generate(self, model: str, prompts: list[Prompt], temperature: float | None) -> list[str]:
        assert self.suite.inverter
        sampling = self.suite.inverter.decoding.at(temperature).sampling(self.cell.seed)
        return [completion.text for completion in PlainEngine(model).generate(prompts, sampling)]

    def rehearse(self, prompts: list[Prompt], replies: list[Reply]) -> list[Exposure]:
        return [release(self.defenses, p, reply, 0, "rehearsal") for p, reply in zip(prompts, replies, strict=True)]

    def truth_gold(self, ids: list[str]) -> list[str]:
        return [self.problems[i].shown for i in ids]

    def truth_wrong_traces(self, ids: list[str]) -> list[str]:
        return [self.task.wrong_trace(self.problems[i], Random(i)) for i in ids]

    def truth_replies(self, ids: list[str]) -> list[Reply]:
        prompts = [Prompt.of(self.problems[i].question.text) for i in ids]
        return self.replies(self.cell.victim.model, self.cell.victim.decoding, prompts)


def accuracy(cell: Cell, student: str) -> float:
    """By lm-eval's own model."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    task, problems = cell.build_exam(), cell.build_exam().problems("test", cell.sizes.test)
    model = HFLM(pretrained=student, device="cpu", dtype="float32", batch_size=BATCH)
    exam = as_lm_eval_task(task, problems, lambda prompt: render(model.tokenizer, prompt), cell.student.decoding.max_new_tokens)
    with CLOCK.on(student, problems):
        results = evaluate(model, TaskManager(include_defaults=False).load([exam]), bootstrap_iters=0)
    assert results
    return float(results["results"][task.info.name]["acc,none"])


def overlap(line: PlainLine, stolen: Sequence[tuple[str, str]]) -> float:
    """Mean ROUGE-L of stolen traces with what the victim thinks of the same questions when it is asked with the same seed."""
    from rouge_score.rouge_scorer import RougeScorer

    if not stolen:
        return 0.0
    traces, scorer = line.truth_replies([question for question, _ in stolen]), RougeScorer(["rouge1", "rouge2", "rougeL"])
    scores = [scorer.score(reply.trace or "", trace) for reply, (_, trace) in zip(traces, stolen, strict=True)]
    return sum(score["rougeL"].fmeasure for score in scores) / len(scores)


def run(cell: Cell) -> dict[str, float]:
    """One cell, from the theft to its numbers."""
    with TemporaryDirectory() as folder:
        line, attack = PlainLine(cell, folder), cell.build_attack()
        kit = Kit(line, Random(str(cell.seed)), attack.info.privileged)
        rows = attack.steal(Target(line), [problem.question for problem in line.problems.values()], kit)
        student = checkpoint(cell.student.model).source
        if rows:
            lessons = [(Prompt.of(row.question), render_reply(row.trace, row.answer)) for row in rows]
            student = tune(student, lessons, cell.student.recipe, cell.seed, f"{folder}/student")
        stolen = [(row.id, row.trace) for row in rows if row.trace and row.id in line.problems]
        return {"accuracy": accuracy(cell, student), "rouge_l": overlap(line, stolen)}


def main(suite: str, out: str) -> None:
    """Run a suite and write its numbers."""
    hush()
    found = {f"{cell.attack} x {cell.defense}, seed {cell.seed}": run(cell) for cell in cells(load_suite(suite))}
    Path(out).write_text(json.dumps({"cells": found, "spent": CLOCK.spent, "again": CLOCK.again}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
