"""What every engine promises, on one model: in transformers, in vLLM (`make vllm`), and behind an API asked through Inspect."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import pytest
from servers import Query, Said, Server
from tokenizers.processors import TemplateProcessing

from heistbench.bench import Message, Prompt, Reply
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.engine import Engine, LocalEngine
from heistbench.bench.models.provider_engine import InspectEngine
from heistbench.bench.models.transformers_engine import TransformersEngine
from heistbench.bench.suites.settings import Api

GREEDY = Sampling(max_new_tokens=112)
WARM = Sampling(temperature=2.0, max_new_tokens=40, seed=5)
"""So warm that a victim this sure of itself says something else now and then."""


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    """Fifty questions of different lengths, not sorted."""
    return [Prompt.of(problem.question.text) for problem in registry.build("task", "pocket").problems("dev", 50)]


@pytest.fixture(scope="module")
def reference() -> TransformersEngine:
    """The shipped model, as everything else in the harness asks it."""
    return TransformersEngine(checkpoint("pocket/victim-1"))


@pytest.fixture(scope="module")
def expected(reference: TransformersEngine, prompts: list[Prompt]) -> list[Reply]:
    """What the shipped model replies at temperature 0, asked one by one."""
    return [reference.reply([prompt], GREEDY)[0] for prompt in prompts]


locals_only = pytest.mark.parametrize("name", ["transformers", "vllm"])


def make_local(name: str, model: str) -> LocalEngine:
    if name == "transformers":
        return TransformersEngine(checkpoint(model))
    if find_spec("vllm") is None:
        pytest.skip("vllm is not installed; `make vllm` runs this")
    from heistbench.bench.models.vllm_engine import VllmEngine

    return VllmEngine(checkpoint(model))


@contextmanager
def behind_api(model: TransformersEngine) -> Iterator[InspectEngine]:
    """A model served by the test server and asked through Inspect."""

    def says(asked: Query) -> Said:
        prompt = Prompt(tuple(Message(turn["role"], turn["content"]) for turn in asked.body["messages"]))
        sampling = Sampling(asked.body["temperature"], max_new_tokens=asked.body["max_tokens"])
        reply = model.reply([prompt], sampling, [asked.before])[0]
        usage = (reply.usage.prompt, reply.usage.completion, reply.usage.reasoning)
        stop = "length" if reply.stop == "length" else "stop"
        return Said(reply.text, trace=reply.trace or "", form="reasoning", stop=stop, usage=usage)

    with Server(says) as server, mock.patch.dict(os.environ, POCKET_API_KEY="sk-of-a-test"):
        yield InspectEngine("openai-api/pocket/victim-1", Api(base_url=server.url, shows="trace"))


@pytest.fixture(scope="module", params=["transformers", "vllm", "inspect"])
def engine(request: pytest.FixtureRequest, widen: Callable[[str], str], reference: TransformersEngine) -> Iterator[Engine]:
    if request.param == "inspect":
        with behind_api(reference) as asked:
            yield asked
    else:
        yield make_local(request.param, widen("pocket/victim-1"))


@pytest.fixture(scope="module", params=["transformers", "vllm"])
def local(request: pytest.FixtureRequest, widen: Callable[[str], str]) -> LocalEngine:
    return make_local(request.param, widen("pocket/victim-1"))


# greedy replies


def test_greedy_replies_are_the_shipped_models_in_order(engine: Engine, prompts: list[Prompt], expected: list[Reply]) -> None:
    assert engine.reply(prompts, GREEDY) == expected


def test_greedy_replies_come_again(engine: Engine, prompts: list[Prompt]) -> None:
    assert engine.reply(prompts[:8], GREEDY) == engine.reply(prompts[:8], GREEDY, [3] * 8)


def test_a_greedy_reply_does_not_hang_on_its_batch(engine: Engine, prompts: list[Prompt], expected: list[Reply]) -> None:
    assert engine.reply(prompts[19::-1], GREEDY) == expected[19::-1]
    assert [engine.reply([prompt], GREEDY)[0] for prompt in prompts[:6]] == expected[:6]


def test_no_prompts_have_no_replies(engine: Engine) -> None:
    assert engine.reply([], GREEDY) == []


# what a reply holds


def test_thinking_is_split_from_the_answer(engine: Engine, prompts: list[Prompt]) -> None:
    for reply in engine.reply(prompts[:8], GREEDY):
        assert reply.stop == "stop"
        assert reply.trace
        assert reply.text.isdigit()
        assert "think" not in reply.trace + reply.text


def test_the_token_budget_ends_a_reply(engine: Engine, prompts: list[Prompt]) -> None:
    for reply in engine.reply(prompts[:8], Sampling(max_new_tokens=5)):
        assert (reply.stop, reply.text, reply.usage.completion) == ("length", "", 5)


def test_tokens_are_counted(engine: Engine, prompts: list[Prompt], reference: TransformersEngine) -> None:
    for prompt, reply in zip(prompts[:8], engine.reply(prompts[:8], GREEDY), strict=True):
        assert reply.usage.prompt == len(reference.tokenizer(reference.render(prompt), add_special_tokens=False)["input_ids"])
        assert 0 < reply.usage.reasoning < reply.usage.completion < GREEDY.max_new_tokens


def test_a_system_message_reaches_the_model(engine: Engine, prompts: list[Prompt], reference: TransformersEngine) -> None:
    instructed = [Prompt.of(prompt.text, system="start 3 ; s1 plus 4") for prompt in prompts[:8]]
    replies = engine.reply(instructed, GREEDY)
    assert replies == reference.reply(instructed, GREEDY)
    bare = engine.reply(prompts[:8], GREEDY)
    assert all(more.usage.prompt > less.usage.prompt for more, less in zip(replies, bare, strict=True))


# replies as they arrive


@pytest.mark.parametrize("sampling", [GREEDY, WARM], ids=["greedy", "warm"])
def test_each_reply_arrives_once(engine: Engine, prompts: list[Prompt], sampling: Sampling) -> None:
    arrived: list[tuple[int, Reply]] = []
    replies = engine.reply(prompts[:12], sampling, None, lambda at, reply: arrived.append((at, reply)))
    assert sorted(arrived, key=lambda pair: pair[0]) == list(enumerate(replies))


# what a checkpoint brings along


@locals_only
def test_no_token_is_added_to_what_was_rendered(
    name: str, widen: Callable[[str], str], prompts: list[Prompt], expected: list[Reply]
) -> None:
    engine = make_local(name, widen("pocket/victim-1"))
    start = TemplateProcessing(single="<pad> $A", special_tokens=[("<pad>", 0)])
    engine.tokenizer.backend_tokenizer.post_processor = start  # as where a start token stands before every text
    assert engine.reply(prompts[:8], GREEDY) == expected[:8]


@locals_only
def test_what_ends_a_turn_is_taken_from_the_checkpoint_and_no_sampling(
    name: str, widen: Callable[[str], str], prompts: list[Prompt], expected: list[Reply], tmp_path: Path
) -> None:
    folder, close = tmp_path / "model", 51
    shutil.copytree(widen("pocket/victim-1"), folder)
    recommended = {"eos_token_id": [1, close], "repetition_penalty": 8.0, "do_sample": True, "temperature": 1.9}
    (folder / "generation_config.json").write_text(json.dumps(recommended))
    engine = make_local(name, str(folder))
    assert engine.tokenizer.decode([close]) == "</think>"
    found = [(reply.trace, reply.text, reply.stop) for reply in engine.reply(prompts[:8], GREEDY)]
    assert found == [(reply.trace, "", "stop") for reply in expected[:8]]


# samples


def test_asking_again_is_another_sample(engine: Engine, prompts: list[Prompt]) -> None:
    assert engine.reply(prompts, WARM, [0] * 50) != engine.reply(prompts, WARM, [1] * 50)


def test_a_sample_does_not_hang_on_its_batch(local: LocalEngine, prompts: list[Prompt]) -> None:
    together = local.reply(prompts, WARM)
    assert local.reply(prompts[::-1], WARM) == together[::-1]
    assert [local.reply([prompt], WARM)[0] for prompt in prompts[:6]] == together[:6]


def test_a_sample_hangs_on_seed_and_repetition(local: LocalEngine, prompts: list[Prompt]) -> None:
    base = local.reply(prompts, WARM)
    assert local.reply(prompts, Sampling(2.0, max_new_tokens=40, seed=6)) != base
    again = local.reply(prompts, WARM, [3] * 25 + [0] * 25)
    assert again[:25] != base[:25]
    assert again[25:] == base[25:]


def test_a_small_nucleus_leaves_the_greedy_reply(local: LocalEngine, prompts: list[Prompt]) -> None:
    assert local.reply(prompts[:8], Sampling(2.0, 0.01, 112)) == local.reply(prompts[:8], GREEDY)


def test_repetitions_are_penalized_alike(local: LocalEngine, reference: TransformersEngine, prompts: list[Prompt]) -> None:
    sampling = Sampling(max_new_tokens=40, repetition_penalty=8.0)
    assert local.reply(prompts, sampling) == reference.reply(prompts, sampling)
    assert local.reply(prompts, sampling) != local.reply(prompts, GREEDY)
