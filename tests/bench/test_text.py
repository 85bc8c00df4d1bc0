from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Parts, Prompt, render_reply, split_reply
from heistbench.bench._engine import engine_for
from heistbench.bench._models import SHIPPED
from heistbench.bench._scratch import word_tokenizer
from heistbench.bench._text import CLOSE, OPEN, encode, render_prompt

OPENED = f"user: why?\nassistant: {OPEN}\n"
prompt_texts = st.sampled_from(["", "user: why?\nassistant:", OPENED])
untagged = st.text().filter(lambda text: OPEN not in text and CLOSE not in text)


@pytest.fixture(scope="module")
def pocket_tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(SHIPPED / "pocket" / "base", local_files_only=True)


@pytest.fixture(scope="module")
def bpe_tokenizer():
    """A byte-level BPE tokenizer trained on a few sentences, whose template opens the thinking itself."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<pad>", "<eos>"], initial_alphabet=alphabet)
    core.train_from_iterator([f"{OPEN}\nfirst 3 plus 4 is 7\n{CLOSE}\n\nthe answer is 7"] * 20, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")
    tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>" + OPEN + "\n{% endif %}"
    )
    return tokenizer


@pytest.fixture(params=["pocket_tokenizer", "bpe_tokenizer"])
def tokenizer(request: pytest.FixtureRequest):
    return request.getfixturevalue(request.param)


def generated(trace: str | None, answer: str, prompt_text: str) -> str:
    """A reply as it comes after the prompt: without the opening tag where the template has it."""
    reply = render_reply(trace, answer)
    return reply.removeprefix(OPEN) if prompt_text == OPENED else reply


@given(untagged, untagged, prompt_texts)
def test_split_undoes_render(trace: str, answer: str, prompt_text: str) -> None:
    reply = generated(trace, answer, prompt_text)
    assert split_reply(reply, prompt_text) == Parts(trace.strip(), answer.strip())


@given(untagged, prompt_texts)
def test_no_trace_leaves_the_thinking_empty_and_not_absent(answer: str, prompt_text: str) -> None:
    reply = generated(None, answer, prompt_text)
    assert CLOSE in reply
    assert split_reply(reply, prompt_text) == Parts("", answer.strip())


@given(untagged, prompt_texts)
def test_unclosed_thinking_has_no_answer(trace: str, prompt_text: str) -> None:
    assert split_reply(f"{OPEN} {trace}", prompt_text) == Parts(trace.strip(), None)


@given(untagged)
def test_thinking_opened_by_the_template_and_never_closed_has_no_answer(trace: str) -> None:
    assert split_reply(trace, OPENED) == Parts(trace.strip(), None)


def test_unclosed_thinking_after_an_introduction_has_no_answer() -> None:
    assert split_reply(f"Let me see. {OPEN} perhaps 7").answer is None


@given(untagged)
def test_a_reply_without_thinking_is_all_answer(answer: str) -> None:
    assert split_reply(answer) == Parts(None, answer.strip())


@given(untagged, untagged, prompt_texts)
def test_later_closing_tags_belong_to_the_answer(trace: str, answer: str, prompt_text: str) -> None:
    answer = f"write {CLOSE} after {answer} and {CLOSE} again"
    assert split_reply(generated(trace, answer, prompt_text), prompt_text) == Parts(trace.strip(), answer)


@given(st.lists(st.sampled_from([OPEN, CLOSE, " ", "\n", "7", "x"]), max_size=12).map("".join), prompt_texts)
def test_a_closing_tag_is_what_makes_an_answer_after_thinking(text: str, prompt_text: str) -> None:
    trace, answer = split_reply(text, prompt_text)
    if CLOSE in text:
        assert answer is not None
        assert trace is not None
        assert CLOSE not in trace
    elif prompt_text == OPENED:
        assert answer is None


def test_the_mask_covers_the_prompt_and_nothing_else(tokenizer) -> None:
    prompt_text = render_prompt(tokenizer, Prompt.of("start 3 ; s1 plus 4"))
    reply = render_reply("s1 3 plus 4 is 7", "7")
    ids, labels = encode(tokenizer, prompt_text, reply)
    masked = labels.count(-100)
    assert len(ids) == len(labels)
    assert 0 < masked < len(labels)
    assert labels[:masked] == [-100] * masked
    assert labels[masked:] == ids[masked:]
    assert ids[:masked] == tokenizer(prompt_text, add_special_tokens=False)["input_ids"]


def test_the_target_holds_the_whole_stolen_trace(tokenizer) -> None:
    prompt_text = render_prompt(tokenizer, Prompt.of("start 3 ; s1 plus 4 ; s2 star 9"))
    trace = "s1 3 plus 4 is 7 ; s2 7 star 9 is 2"
    _, labels = encode(tokenizer, prompt_text, render_reply(trace, "2"))
    target = tokenizer.decode([token for token in labels if token != -100])
    assert split_reply(target.removesuffix(tokenizer.eos_token), prompt_text) == Parts(trace, "2")
    assert target.endswith(tokenizer.eos_token)


@pytest.mark.parametrize("trace", ["é ≠ 数 🙂", "a\n\n b", "<eos", r"\frac{1}{2}"])
def test_a_byte_level_target_keeps_any_text(bpe_tokenizer, trace: str) -> None:
    _, labels = encode(bpe_tokenizer, OPENED, render_reply(trace, "7"))
    target = bpe_tokenizer.decode([token for token in labels if token != -100], clean_up_tokenization_spaces=False)
    assert split_reply(target.removesuffix("<eos>"), OPENED) == Parts(trace, "7")


def test_training_and_examination_start_from_the_same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    from heistbench.bench._engine import Sampling

    engine, seen = engine_for("pocket/base"), []
    prompts = [Prompt.of("start 3 ; s1 plus 4"), Prompt.of("start 5 ; s1 star 4 ; s2 minus 1", system="begin")]
    monkeypatch.setattr(engine, "_batch", lambda ids, seeds, sampling: seen.extend(ids) or [None] * len(ids))
    engine.generate(prompts, Sampling())
    for prompt in prompts:
        ids, labels = encode(engine.tokenizer, engine.render(prompt), render_reply("t", "7"))
        assert ids[: labels.count(-100)] in seen


def test_training_text_opens_the_thinking_once_where_the_template_opens_it() -> None:
    tokenizer = word_tokenizer({"q", "t", "7"})
    once, _ = encode(tokenizer, f"<user> q <assistant> {OPEN}", render_reply("t", "7"))
    plain, _ = encode(tokenizer, "<user> q <assistant>", render_reply("t", "7"))
    assert once == plain
    assert tokenizer.decode(once).count(OPEN) == 1
