from __future__ import annotations

from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from heistbench.bench import DEEP_THINK, Prompt, Reply, Usage, tool_prompt
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.contracts.replies import render_prompt
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.engine import Completion, read_reply
from heistbench.bench.models.loading import engine as engine_of
from heistbench.bench.models.transformers_engine import TransformersEngine, _sampler

WARM = Sampling(temperature=1.0, max_new_tokens=40, seed=5)
GREEDY = Sampling(max_new_tokens=40)
decodings = pytest.mark.parametrize("sampling", [GREEDY, WARM, Sampling(1.3, 0.8, 40)], ids=["greedy", "warm", "nucleus"])


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    loaded = engine_of(checkpoint("pocket/surrogate"))
    assert isinstance(loaded, TransformersEngine)
    return loaded


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    """Of different lengths, not sorted."""
    return [Prompt.of(p.question.text) for p in registry.build("task", "pocket").problems("dev", 12)]


def texts(engine: TransformersEngine, prompts: list[Prompt], sampling: Sampling, again: list[int] | None = None) -> list[str]:
    rendered = [engine.render(prompt) for prompt in prompts]
    return [completion.text for completion in engine.complete(rendered, sampling, again or [0] * len(prompts))]


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
    monkeypatch.setattr("heistbench.bench.models.transformers_engine.BATCH", 5)
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


# replies


def test_a_reply_is_its_completion_taken_apart(engine: TransformersEngine, prompts: list[Prompt]) -> None:
    completions = engine.generate(prompts, Sampling(max_new_tokens=100))
    for prompt, reply, completion in zip(prompts, engine.reply(prompts, Sampling(max_new_tokens=100)), completions, strict=True):
        assert reply == read_reply(completion, engine.render(prompt), "think", prompt)
        assert reply.trace
        assert reply.text
        assert (reply.usage.prompt, reply.usage.completion) == (completion.prompt_tokens, completion.tokens)
        assert 0 < reply.usage.reasoning < reply.usage.completion


def test_a_reply_is_the_sample_of_its_repetition(engine: TransformersEngine, prompts: list[Prompt]) -> None:
    once, again = (engine.reply(prompts, WARM, [n] * len(prompts)) for n in (0, 1))
    assert engine.reply(prompts, WARM) == once != again


@pytest.mark.parametrize("batch", [5, 256])
def test_every_reply_is_told_of_as_it_arrives(
    engine: TransformersEngine, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """In the order in which they are there, which is not that of the prompts, and each with its own place."""
    monkeypatch.setattr("heistbench.bench.models.transformers_engine.BATCH", batch)
    told: dict[int, Reply] = {}
    batches: list[int] = []
    real = engine._batch

    def spied(*arguments: object) -> list[Completion]:
        batches.append(len(told))
        return real(*arguments)

    monkeypatch.setattr(engine, "_batch", spied)
    replies = engine.reply(prompts, GREEDY, None, lambda at, reply: told.update({at: reply}))
    assert [told[at] for at in range(len(prompts))] == replies
    assert batches == list(range(0, len(prompts), batch))  # what is done is told before more is begun
    assert list(told) != sorted(told)


def test_no_prompts_no_replies(engine: TransformersEngine) -> None:
    assert engine.reply([], WARM, [], lambda at, reply: pytest.fail("there is none")) == []


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("<think> 3 is 3 </think> 3", Reply("3 is 3", None, "3", Usage(4, 20, 5), "stop")),
        ("<think> 3 is", Reply("3 is", None, "", Usage(4, 20, 7), "stop")),  # cut off within the thinking
        ("<think> </think> 3", Reply(None, None, "3", Usage(4, 20, 0), "stop")),
        ("3", Reply(None, None, "3", Usage(4, 20, 0), "stop")),
        ("", Reply(None, None, "", Usage(4, 20, 0), "stop")),
        (
            '<think> hm </think> <tool_call> {"name": "deep_think", "arguments": {"thoughts": "t", "answer": "3"}} </tool_call>',
            Reply("hm", None, "", Usage(4, 20, 0), "stop", {"thoughts": "t", "answer": "3"}),
        ),
    ],
)
def test_completions_are_read(text: str, reply: Reply) -> None:
    assert read_reply(Completion(text, "stop", 4, 20), "", "think", tool_prompt("q")) == reply


def test_a_call_of_a_tool_that_was_not_offered_is_text() -> None:
    text = f'<tool_call> {{"name": "{DEEP_THINK.name}", "arguments": {{"answer": "3"}}}} </tool_call>'
    reply = read_reply(Completion(text, "stop", 4, 20), "", "think", Prompt.of("q"))
    assert (reply.text, reply.arguments) == (text, {})


def test_families_are_read_by_marks_of_their_own() -> None:
    for family, text in (
        ("harmony", "<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>final<|message|>3"),
        ("gemma", "<|channel>thought\nt<channel|>3"),
        ("think", "<think>t</think>3"),
    ):
        reply = read_reply(Completion(text, "length", 4, 20), "", family, Prompt.of("q"))
        assert (reply.trace, reply.text, reply.stop) == ("t", "3", "length")


def test_an_engine_is_loaded_once() -> None:
    assert engine_of(checkpoint("pocket/surrogate")) is engine_of(checkpoint("pocket/surrogate"))
    assert engine_of(checkpoint("pocket/surrogate"), "gemma") is not engine_of(checkpoint("pocket/surrogate"))
