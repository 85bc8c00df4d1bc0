from __future__ import annotations

from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from heistbench.bench import Prompt
from heistbench.bench._engine import Sampling, TransformersEngine, _sampler, engine_for
from heistbench.bench._registry import registry
from heistbench.bench._text import render_prompt

WARM = Sampling(temperature=1.0, max_new_tokens=40, seed=5)
GREEDY = Sampling(max_new_tokens=40)
decodings = pytest.mark.parametrize("sampling", [GREEDY, WARM, Sampling(1.3, 0.8, 40)], ids=["greedy", "warm", "nucleus"])


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return engine_for("pocket/surrogate")


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    """Of different lengths, not sorted."""
    return [Prompt.of(p.question.text) for p in registry.build("task", "pocket").problems("dev", 12)]


def texts(engine: TransformersEngine, prompts: list[Prompt], sampling: Sampling, again: list[int] | None = None) -> list[str]:
    return [completion.text for completion in engine.generate(prompts, sampling, again)]


# what a sample does not hang on


@decodings
def test_a_completion_does_not_hang_on_its_batch(engine: TransformersEngine, prompts: list[Prompt], sampling: Sampling) -> None:
    assert len({len(engine.tokenizer(p.text)["input_ids"]) for p in prompts}) > 1  # so that there is padding
    together = texts(engine, prompts, sampling)
    assert [texts(engine, [prompt], sampling)[0] for prompt in prompts[:6]] == together[:6]


@decodings
def test_a_completion_does_not_hang_on_the_order(engine: TransformersEngine, prompts: list[Prompt], sampling: Sampling) -> None:
    assert texts(engine, prompts[::-1], sampling) == texts(engine, prompts, sampling)[::-1]


def test_a_completion_does_not_hang_on_the_size_of_batches(
    engine: TransformersEngine, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = texts(engine, prompts, WARM)
    monkeypatch.setattr("heistbench.bench._engine.BATCH", 5)
    assert texts(engine, prompts, WARM) == together


def test_sampling_does_not_touch_the_global_generator(engine: TransformersEngine, prompts: list[Prompt]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    texts(engine, prompts[:2], WARM)
    assert torch.equal(torch.rand(4), expected)


# what it hangs on


def test_seeds_and_repetitions_are_other_samples(engine: TransformersEngine, prompts: list[Prompt]) -> None:
    base = texts(engine, prompts, WARM)
    assert texts(engine, prompts, WARM, [0] * len(prompts)) == base
    assert texts(engine, prompts, WARM, [1] * len(prompts)) != base
    assert texts(engine, prompts, Sampling(1.0, 1.0, 40, seed=6)) != base


def test_one_repeated_prompt_alone_changes(engine: TransformersEngine, prompts: list[Prompt]) -> None:
    base, again = texts(engine, prompts, WARM), texts(engine, prompts, WARM, [3, *[0] * (len(prompts) - 1)])
    assert again[1:] == base[1:]


def test_greedy_decoding_knows_neither_seed_nor_repetition(engine: TransformersEngine, prompts: list[Prompt]) -> None:
    base = texts(engine, prompts, GREEDY)
    assert texts(engine, prompts, Sampling(max_new_tokens=40, seed=9), [4] * len(prompts)) == base


def test_greedy_decoding_is_what_the_library_does(engine: TransformersEngine, prompts: list[Prompt]) -> None:
    for prompt, text in zip(prompts[:4], texts(engine, prompts, GREEDY), strict=False):
        ids = engine.tokenizer(render_prompt(engine.tokenizer, prompt), return_tensors="pt", return_token_type_ids=False)
        output = engine.model.generate(**ids, do_sample=False, max_new_tokens=40, pad_token_id=0)
        new = output[0, ids["input_ids"].shape[1] :].tolist()
        assert engine.tokenizer.decode(new).removesuffix(" <eos>") == text


# the distribution

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])


def drawn(sampling: Sampling, n: int = 6000, logits: torch.Tensor = LOGITS) -> Counter[int]:
    """Tokens chosen by `n` rows that all see the same scores."""
    scores = _sampler(sampling, list(range(n)))(torch.zeros((n, 1), dtype=torch.long), logits.repeat(n, 1))
    return Counter(scores.argmax(-1).tolist())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_are_distributed_as_softmax(temperature: float) -> None:
    counts = drawn(Sampling(temperature=temperature))
    expected = (LOGITS / temperature).softmax(-1).double()
    expected = (expected / expected.sum() * 6000).tolist()
    assert chisquare([counts[i] for i in range(len(LOGITS))], expected).pvalue > 0.001


def test_one_row_draws_anew_at_every_step() -> None:
    sampler, seen = _sampler(Sampling(temperature=1.0), [0]), Counter()
    for _ in range(3000):
        seen[sampler(torch.zeros((1, 1), dtype=torch.long), LOGITS[None]).argmax().item()] += 1
    expected = LOGITS.softmax(-1).double()
    expected = (expected / expected.sum() * 3000).tolist()
    assert chisquare([seen[i] for i in range(len(LOGITS))], expected).pvalue > 0.001


@pytest.mark.parametrize("top_p", [0.3, 0.6, 0.8, 0.95])
def test_nothing_outside_the_nucleus_is_drawn(top_p: float) -> None:
    shares, nucleus = LOGITS.softmax(-1), set()
    for token in shares.argsort(descending=True).tolist():
        nucleus.add(token)
        if shares[list(nucleus)].sum() >= top_p:
            break
    counts = drawn(Sampling(temperature=1.0, top_p=top_p))
    assert set(counts) == nucleus
    kept = shares[sorted(nucleus)].double()
    if len(nucleus) > 1:
        assert chisquare([counts[i] for i in sorted(nucleus)], (kept / kept.sum() * 6000).tolist()).pvalue > 0.001


def test_the_temperature_comes_before_the_nucleus() -> None:
    assert len(drawn(Sampling(temperature=4.0, top_p=0.6))) > len(drawn(Sampling(temperature=0.5, top_p=0.6)))


# completions


def test_a_finished_completion_says_so(engine: TransformersEngine, prompts: list[Prompt]) -> None:
    for completion in engine.generate(prompts, Sampling(max_new_tokens=100)):
        assert completion.stop == "stop"
        assert completion.tokens < 100
        assert "<eos>" not in completion.text
        assert "<pad>" not in completion.text
        assert "</think>" in completion.text


@pytest.mark.parametrize("limit", [1, 5])
def test_a_cut_off_completion_says_so(engine: TransformersEngine, prompts: list[Prompt], limit: int) -> None:
    for completion in engine.generate(prompts, Sampling(max_new_tokens=limit)):
        assert (completion.stop, completion.tokens) == ("length", limit)


def test_tokens_are_counted_as_the_tokenizer_does(engine: TransformersEngine, prompts: list[Prompt]) -> None:
    for prompt, completion in zip(prompts, engine.generate(prompts, GREEDY), strict=True):
        assert completion.prompt_tokens == len(engine.tokenizer(engine.render(prompt))["input_ids"])
        assert completion.tokens == len(engine.tokenizer(completion.text)["input_ids"])


def test_a_completion_that_ends_at_the_limit_has_ended(engine: TransformersEngine, prompts: list[Prompt]) -> None:
    """The end token counts as generated: with room for it the completion has stopped, one short of it it has not."""
    tokens = engine.generate(prompts[:1], Sampling(max_new_tokens=100))[0].tokens
    assert engine.generate(prompts[:1], Sampling(max_new_tokens=tokens + 1))[0].stop == "stop"
    assert engine.generate(prompts[:1], Sampling(max_new_tokens=tokens))[0].stop == "length"


def test_no_prompts_no_completions(engine: TransformersEngine) -> None:
    assert engine.generate([], WARM) == []


def test_progress_adds_up(engine: TransformersEngine, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heistbench.bench._engine.BATCH", 5)
    told: list[int] = []
    engine.complete([engine.render(p) for p in prompts], Sampling(max_new_tokens=2), [0] * len(prompts), told.append)
    assert told == [5, 5, 2]


def test_an_engine_is_loaded_once() -> None:
    assert engine_for("pocket/surrogate") is engine_for("pocket/surrogate")
