"""What only a GPU shows: training against its matrix products, small students at once, compiled steps, adapters in vLLM.

On a CPU all of it runs at smoke size. That shows that it runs, and each row says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from models import TASK, train_rows
from ratios import Ratio, side_by_side, timed

from heistbench.bench.contracts.recipes import Recipe, Sampling
from heistbench.bench.models.checkpoints import Checkpoint, checkpoint
from heistbench.bench.models.fine_tuning import fine_tune
from heistbench.bench.models.scratch import make_scratch

CUDA = torch.cuda.is_available()
DEVICE, DTYPE = ("cuda", torch.bfloat16) if CUDA else ("cpu", torch.float32)
SMOKE = "" if CUDA else " (smoke size, on a CPU: shows only that it runs)"
MODELS = {"30 million": "512x9", "100 million": "768x14"} if CUDA else {"0.5 million": "128x2"}
"""Parameters, and the hidden size and layers that have so many."""
WIDTH, ROWS, STEPS = (8192, 20_000, 20) if CUDA else (512, 200, 3)
AT_ONCE = (4, 16, 64) if CUDA else (2,)
PACKED = Recipe(epochs=1, batch_size=32 if CUDA else 2, learning_rate=1e-3, max_length=1024, packing=True)


def gpu(repetitions: int) -> Iterator[Ratio]:
    """All rows."""
    rate = _rate()
    for parameters, size in MODELS.items():
        yield _training(parameters, size, rate, repetitions)
    yield from (_together(many, repetitions) for many in AT_ONCE)
    yield _compiled(repetitions)
    yield _adapters(repetitions)


def _seconds(work: Callable[[], object]) -> float:
    """Of some work, with all that it left the device to do."""

    def finished() -> None:
        work()
        if CUDA:
            torch.cuda.synchronize()

    return timed(finished)()


def _rate() -> float:
    """Floating-point operations a second of large matrix products."""
    a, b = (torch.randn(WIDTH, WIDTH, device=DEVICE, dtype=DTYPE) for _ in range(2))
    _seconds(lambda: a @ b)
    return 20 * 2 * WIDTH**3 / _seconds(lambda: [a @ b for _ in range(20)])


def _training(parameters: str, size: str, rate: float, repetitions: int) -> Ratio:
    """Tokens a second of packed rows; six operations a parameter and token, as forward and backward pass take."""
    values, speed = [], 0.0
    with TemporaryDirectory() as folder:
        make_scratch(f"scratch/{size}", TASK.problems("surrogate", 200), Path(folder, "base"))
        base = Checkpoint(size, str(Path(folder, "base")))
        weights = sum(weight.numel() for weight in base.load()[0].parameters())
        for seed in range(repetitions):
            speed = _speed(base, seed, Path(folder, "tuned"))
            values.append(6 * weights * speed / rate)
    note = f"{speed:,.0f} tokens a second; matrix products {rate / 1e12:,.1f} TFLOP a second{SMOKE}"
    return Ratio(f"training, {parameters} parameters", "fine_tune, packed", "its matrix products alone", tuple(values), note)


def _speed(base: Checkpoint, seed: int, folder: Path) -> float:
    """Tokens a second after the first step."""
    ends: list[float] = []
    report = fine_tune(base, train_rows(ROWS), PACKED, seed, folder, lambda done, total: ends.append(time.perf_counter()))
    return report.tokens * (report.steps - 1) / report.steps / (ends[-1] - ends[0])


class Lesson:
    """One batch of students' rows, and the loss of a pocket model on it as a function of its weights."""

    def __init__(self) -> None:
        from heistbench.bench.contracts.replies import encode
        from heistbench.bench.models.chat_templates import render

        self.model, tokenizer = checkpoint("pocket/base").load(in_float32=True)
        rows = [encode(tokenizer, render(tokenizer, row.prompt), row.completion) for row in train_rows(16)]
        width = max(len(ids) for ids, _ in rows)
        self.ids, self.labels = (
            torch.tensor([row[part] + [fill] * (width - len(row[part])) for row in rows], device=DEVICE)
            for part, fill in ((0, tokenizer.pad_token_id), (1, -100))
        )
        self.mask = torch.ones(width, width, device=DEVICE).tril().log()[None, None].expand(len(rows), 1, -1, -1)
        self.places = torch.arange(width, device=DEVICE)[None]

    def loss(self, weights: dict[str, torch.Tensor]) -> torch.Tensor:
        """Of one student."""
        inputs = {"input_ids": self.ids, "attention_mask": self.mask, "position_ids": self.places, "use_cache": False}
        logits = torch.func.functional_call(self.model, weights, (), inputs).logits[:, :-1]
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), self.labels[:, 1:].flatten())

    def steps(self, weights: dict[str, torch.Tensor], loss: Callable[..., torch.Tensor]) -> torch.Tensor:
        """The loss after some steps, which move the weights."""
        optimizer = torch.optim.AdamW(weights.values(), lr=1e-3, fused=True)
        for _ in range(STEPS):
            optimizer.zero_grad()
            last = loss(weights)
            last.sum().backward()
            optimizer.step()
        return last.detach()

    def students(self, many: int) -> dict[str, torch.Tensor]:
        """Their weights, stacked."""
        return {
            name: torch.stack([weight.detach().clone() for _ in range(many)]).requires_grad_()
            for name, weight in self.model.named_parameters()
        }

    def student(self) -> dict[str, torch.Tensor]:
        """The weights of one."""
        return {name: weight.detach().clone().requires_grad_() for name, weight in self.model.named_parameters()}


def _together(many: int, repetitions: int) -> Ratio:
    """Students in one model of stacked weights, against one after the other."""
    lesson = Lesson()
    stacked = torch.func.vmap(lesson.loss)
    together, alone = lesson.steps(lesson.students(many), stacked), lesson.steps(lesson.student(), lesson.loss)
    assert torch.allclose(together, alone.expand(many), rtol=1e-2), "stacked students learn something else"
    values = side_by_side(
        lambda: _seconds(lambda: lesson.steps(lesson.students(many), stacked)),
        lambda: _seconds(lambda: [lesson.steps(lesson.student(), lesson.loss) for _ in range(many)]),
        repetitions,
    )
    return Ratio(f"{many} students at once", "stacked weights", "one after the other", values, f"steps of training{SMOKE}")


def _compiled(repetitions: int) -> Ratio:
    """Steps of a compiled student, without the time that compiling takes."""
    lesson = Lesson()
    compiled = torch.compile(lesson.loss, backend="inductor" if CUDA else "eager")
    first = _seconds(lambda: lesson.steps(lesson.student(), compiled))
    values = side_by_side(
        lambda: _seconds(lambda: lesson.steps(lesson.student(), compiled)),
        lambda: _seconds(lambda: lesson.steps(lesson.student(), lesson.loss)),
        repetitions,
    )
    return Ratio("compiled steps", "torch.compile", "steps as they are", values, f"compiling takes {first:.0f} s{SMOKE}")


def _adapters(repetitions: int) -> Ratio:
    """Examination of students with adapters on one base: one start of vLLM, against one a student."""
    what = ("examination of 4 adapters", "one start of vLLM", "a start for each, merged")
    if find_spec("vllm") is None:
        return Ratio(*what, (), "vLLM is not installed")
    from heistbench.bench.models.vllm_engine import VllmEngine

    prompts, sampling = [row.prompt for row in train_rows(64)], Sampling(max_new_tokens=64)
    with TemporaryDirectory() as folder:
        students, merged = _students(Path(folder))

        def examine(those: list[Checkpoint]) -> float:
            VllmEngine.unload()
            return timed(lambda: [VllmEngine(one).generate(prompts, sampling) for one in those])()

        values = side_by_side(lambda: examine(students), lambda: examine(merged), repetitions)
        VllmEngine.unload()
    return Ratio(*what, values, f"64 questions each{SMOKE}")


def _students(folder: Path) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """Four students with adapters on one base, and the same with all their weights."""
    make_scratch(f"scratch/{next(iter(MODELS.values()))}", TASK.problems("surrogate", 200), folder / "base")
    base, students, merged = Checkpoint("base", str(folder / "base")), [], []
    for seed in range(4):
        fine_tune(base, train_rows(64), replace(PACKED, lora_rank=8), seed, folder / f"adapter-{seed}")
        students.append(base.tuned(f"student {seed}", folder / f"adapter-{seed}"))
        model, tokenizer = students[-1].load()
        parts: tuple[Any, ...] = (model.to(DTYPE), tokenizer)
        for part in parts:
            part.save_pretrained(folder / f"merged-{seed}")
        merged.append(Checkpoint(f"merged {seed}", str(folder / f"merged-{seed}")))
    return students, merged
