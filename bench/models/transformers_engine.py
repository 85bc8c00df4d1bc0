"""The engine for every machine: batched generation with transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.nouns import Stop
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.replies import Family
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import Completed, Completion, LocalEngine, row_seed, unheard

if TYPE_CHECKING:
    import torch

BATCH = 256
"""Rows generated together; no result depends on it."""


class TransformersEngine(LocalEngine):
    """An engine that sorts rows by length and gives each its own random generator."""

    def __init__(self, source: Checkpoint, family: Family = "think") -> None:
        from transformers import GenerationConfig

        self.family = family
        self.model, self.tokenizer = source.load()
        self.model.eval()
        ends = self.model.generation_config.eos_token_id
        # Chat models may end a turn in several ways; the tokenizer names one of them.
        self._ends = sorted({self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None})
        # Anything else that the checkpoint recommends would fill in settings that our calls leave out.
        self.model.generation_config = GenerationConfig(eos_token_id=self._ends)

    def complete(
        self, texts: Sequence[str], sampling: Sampling, repetitions: Sequence[int], completed: Completed = unheard
    ) -> list[Completion]:
        """See `LocalEngine.complete`; `completed` is called after each batch."""
        ids = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        done: dict[int, Completion] = {}
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for at in range(0, len(order), BATCH):
            rows = order[at : at + BATCH]
            seeds = [row_seed(sampling.seed, texts[i], repetitions[i]) for i in rows]
            for i, completion in zip(rows, self._batch([ids[i] for i in rows], seeds, sampling), strict=True):
                done[i] = completion
                completed(i, completion)
        return [done[i] for i in range(len(ids))]

    def _batch(self, ids: list[list[int]], seeds: list[int], sampling: Sampling) -> list[Completion]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        batch = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self.model.device)
        config = GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,
            repetition_penalty=sampling.repetition_penalty,
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


def _sampler(sampling: Sampling, seeds: list[int]) -> Any:
    """A logits processor that turns greedy decoding into sampling: the Gumbel-max trick with one generator per row."""
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
