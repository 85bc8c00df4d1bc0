"""Engines: prompts in, completions out. The contract, and its implementation on transformers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from heistbench.bench._models import Checkpoint, checkpoint
from heistbench.bench._nouns import Prompt, Stop
from heistbench.bench._text import render_prompt

if TYPE_CHECKING:
    import torch

BATCH = 256
"""Rows generated together; no result depends on it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn; temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 512
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """One generated text, after the prompt and before the end token."""

    text: str
    stop: Stop
    prompt_tokens: int
    tokens: int


class Engine(Protocol):
    """Same prompts in, same completions out, whatever runs underneath."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repetitions: Sequence[int] | None = None
    ) -> list[Completion]:
        """One completion a prompt, in order; `repetitions[i]` counts how often prompt i was asked before."""
        ...


class TransformersEngine:
    """Batched generation with transformers, sorted by length.

    Each row draws from a generator of its own, seeded by the sampling seed, the prompt and its repetition, so a sample
    does not depend on its neighbours in the batch.
    """

    def __init__(self, source: Checkpoint) -> None:
        self.model, self.tokenizer = source.load()
        self.model.eval()
        ends = self.model.generation_config.eos_token_id
        # Chat models may end a turn in several ways; the tokenizer names one of them.
        self._ends = sorted({self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None})

    def render(self, prompt: Prompt) -> str:
        """The text the model is given."""
        return render_prompt(self.tokenizer, prompt)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repetitions: Sequence[int] | None = None
    ) -> list[Completion]:
        """See `Engine.generate`."""
        texts = [self.render(prompt) for prompt in prompts]
        return self.complete(texts, sampling, repetitions or [0] * len(texts))

    def complete(
        self,
        texts: Sequence[str],
        sampling: Sampling,
        repetitions: Sequence[int],
        advance: Callable[[int], None] = lambda n: None,
    ) -> list[Completion]:
        """Continue rendered texts; `advance` is told how many are done after each batch."""
        ids = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        done: dict[int, Completion] = {}
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for at in range(0, len(order), BATCH):
            rows = order[at : at + BATCH]
            seeds = [_row_seed(sampling.seed, texts[i], repetitions[i]) for i in rows]
            done.update(zip(rows, self._batch([ids[i] for i in rows], seeds, sampling), strict=True))
            advance(len(rows))
        return [done[i] for i in range(len(ids))]

    def _batch(self, ids: list[list[int]], seeds: list[int], sampling: Sampling) -> list[Completion]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        batch = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self.model.device)
        config = GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self._ends,
        )
        processors = LogitsProcessorList([_sampler(sampling, seeds)] if sampling.temperature > 0 else [])
        with torch.inference_mode():
            output = self.model.generate(**batch, generation_config=config, logits_processor=processors)
        width = batch["input_ids"].shape[1]
        return [self._read(row, len(head)) for row, head in zip(output[:, width:].tolist(), ids, strict=True)]

    def _read(self, row: list[int], prompt_tokens: int) -> Completion:
        end = next((at for at, token in enumerate(row) if token in self._ends), None)
        stop: Stop = "length" if end is None else "stop"
        tokens = row[:end]
        # Thinking tags may be special tokens in some vocabularies, and must survive.
        text = self.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return Completion(str(text), stop, prompt_tokens, len(tokens))


@lru_cache(maxsize=2)
def engine(source: Checkpoint) -> TransformersEngine:
    """The engine of a checkpoint; a process keeps the last two loaded."""
    return TransformersEngine(source)


def engine_for(reference: str) -> TransformersEngine:
    """The engine of a model reference, see `checkpoint`."""
    return engine(checkpoint(reference))


def _row_seed(seed: int, text: str, repetition: int) -> int:
    digest = hashlib.sha256(f"{seed}\0{repetition}\0{text}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def _sampler(sampling: Sampling, seeds: list[int]) -> Any:
    """A logits processor under which greedy decoding samples: the Gumbel-max trick with one generator a row."""
    import torch
    from transformers import LogitsProcessor, TopPLogitsWarper

    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    nucleus = TopPLogitsWarper(sampling.top_p) if sampling.top_p < 1 else None

    class Gumbel(LogitsProcessor):
        def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
            scores = scores / sampling.temperature
            if nucleus is not None:
                scores = nucleus(input_ids, scores)
            uniform = torch.stack([torch.rand(scores.shape[-1], generator=g) for g in generators]).to(scores.device)
            exponential = -torch.log(uniform.clamp_min(1e-20))
            return scores - torch.log(exponential.clamp_min(1e-20))

    return Gumbel()
