from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import DEEP_THINK, Parts, Prompt, Tool, render_call, render_reply, split_reply, tool_prompt
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.replies import CALL, CALLED, CLOSE, LONGEST_CALL, OPEN, Family, encode, read_call, render_prompt
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.loading import engine
from heistbench.bench.models.scratch import word_tokenizer
from heistbench.bench.storage.shipped_models import SHIPPED

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
    loaded, seen = engine(checkpoint("pocket/base")), []
    prompts = [Prompt.of("start 3 ; s1 plus 4"), Prompt.of("start 5 ; s1 star 4 ; s2 minus 1", system="begin")]
    monkeypatch.setattr(loaded, "_batch", lambda ids, seeds, sampling: seen.extend(ids) or [None] * len(ids))
    loaded.generate(prompts, Sampling())
    for prompt in prompts:
        ids, labels = encode(loaded.tokenizer, loaded.render(prompt), render_reply("t", "7"))
        assert ids[: labels.count(-100)] in seen


def test_training_text_opens_the_thinking_once_where_the_template_opens_it() -> None:
    tokenizer = word_tokenizer({"q", "t", "7"})
    once, _ = encode(tokenizer, f"<user> q <assistant> {OPEN}", render_reply("t", "7"))
    plain, _ = encode(tokenizer, "<user> q <assistant>", render_reply("t", "7"))
    assert once == plain
    assert tokenizer.decode(once).count(OPEN) == 1


@pytest.mark.parametrize("prompt_text", [f"user: why? assistant: {OPEN}\n", f"user: why? assistant: {OPEN}"])
def test_a_target_continues_the_prompt_as_the_model_itself_would(prompt_text: str) -> None:
    tokenizer = word_tokenizer({"q"})
    seen: list[str] = []
    real = tokenizer.__class__.__call__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer.__class__, "__call__", lambda self, text, **k: seen.append(text) or real(self, text, **k))
        encode(tokenizer, prompt_text, render_reply("t", "7"))
    assert "".join(seen) == f"user: why? assistant: {OPEN}\nt\n{CLOSE}\n\n7"


def test_a_tag_mentioned_in_thinking_that_the_template_opened_hides_nothing() -> None:
    thinking = f"I am to think in {OPEN} tags, then show it."
    assert split_reply(f"{thinking}\n{CLOSE}\n\n7", OPENED) == Parts(thinking, "7")
    assert split_reply(f"{OPEN}\n{thinking}\n{CLOSE}\n\n7", OPENED) == Parts(thinking, "7")


# families that mark their thinking otherwise

HARMONY = "<|channel|>analysis<|message|>3 and 4<|end|><|start|>assistant<|channel|>final<|message|>7"
CALLS = '{"thoughts": "3 and 4", "answer": "7"}'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (HARMONY, ("3 and 4", "7")),
        (HARMONY + "<|return|>", ("3 and 4", "7")),
        ("<|channel|>final<|message|>7", (None, "7")),
        ("<|channel|>analysis<|message|>one<|end|><|start|>assistant" + HARMONY, ("one\n3 and 4", "7")),
        ("<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant" + HARMONY, ("I will look.\n3 and 4", "7")),
        (HARMONY.replace("final", "final <|constrain|>json"), ("3 and 4", "7")),
        (HARMONY.replace("<|end|><|start|>assistant", ""), ("3 and 4", "7")),  # the messages run into each other
        ("<|channel|>comment ary??<|message|>hm<|end|><|start|>assistant" + HARMONY, ("hm\n3 and 4", "7")),
        ("<|channel|>analysis<|end|><|start|>assistant" + HARMONY, ("3 and 4", "7")),  # a header without a message
        ("<|channel|>analysis<|message|>3 and", ("3 and", None)),
        ("<|channel|>analysis", (None, None)),
        ("<|channel|>analysis<|message|>3<|end|><|start|>assistant<|channel|>final", ("3", None)),
        ("<|channel|>analysis<|message|>the word final<|end|>", ("the word final", None)),
        ("analysis3 and 4assistantfinal7", ("3 and 4", "7")),  # special tokens stripped on the way
        ("analysis3 and 4", ("3 and 4", None)),
        ("analysis of <| pipes |>assistantfinal7", ("of <| pipes |>", "7")),
        ("final7", (None, "7")),
        ("7", (None, "7")),
        ("", (None, "")),
    ],
)
def test_harmony(text: str, parts: tuple[str | None, str | None]) -> None:
    assert split_reply(text, "<|start|>assistant", "harmony") == Parts(*parts)


@pytest.mark.parametrize(
    "header",
    [
        " to=functions.deep_think<|channel|>commentary json<|message|>",
        "<|channel|>commentary to=functions.deep_think <|constrain|>json<|message|>",
        "<|channel|>analysis to=deep_think<|message|>",
    ],
)
def test_a_call_in_harmony_is_an_answer_and_no_thinking(header: str) -> None:
    for before, trace in (("", None), ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant", "hm")):
        parts = split_reply(f"{before}{header}{CALLS}<|call|>", "", "harmony")
        assert parts.trace == trace
        assert read_call(parts.answer or "", DEEP_THINK) == ("", json.loads(CALLS))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<|channel>thought\n3 and 4\n<channel|>7", ("3 and 4", "7")),
        ("<|channel>thought\n<channel|>7", ("", "7")),
        ("<|channel>thought\n3 and", ("3 and", None)),
        ("<|channel>3 and 4<channel|>7", ("3 and 4", "7")),
        ("thought\n3 and 4\n<channel|>7", ("3 and 4", "7")),
        ("thought\n7", (None, "7")),
        ("thoughtful: 7", (None, "thoughtful: 7")),
        ("<|channel>thought\na thought\nagain<channel|>7 <channel|>", ("a thought\nagain", "7 <channel|>")),
        ("7", (None, "7")),
    ],
)
def test_gemma(text: str, parts: tuple[str | None, str | None]) -> None:
    assert split_reply(text, "<|turn>model\n", "gemma") == Parts(*parts)


FAMILIES: list[Family] = ["think", "harmony", "gemma"]
MARKS = [OPEN, CLOSE, CALL, CALLED, "<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|channel>", "<channel|>", "thought\n"]
MARKS += ["analysis", "assistantfinal", "final", " to=", "a"]


@pytest.mark.parametrize("family", FAMILIES)
@given(st.lists(st.sampled_from(MARKS) | st.text(max_size=5), max_size=30).map("".join), prompt_texts)
def test_any_text_comes_apart(family: Family, text: str, prompt_text: str) -> None:
    for part in split_reply(text, prompt_text, family):
        assert part is None or part == part.strip()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "mark", [*MARKS, "<|channel|>final<|message|>", "<|start|>assistant to=", "<|channel|>analysis", " ", "\n"]
)
def test_a_million_characters_are_no_trouble(family: Family, mark: str) -> None:
    """Nested marks, and marks that never close: time grows with the length alone, or this would not end."""
    text = mark * (1_000_000 // len(mark))
    for whole in (text, f"<|channel|>analysis<|message|>{text}", f"{OPEN}{text}{CLOSE}{text}"):
        trace, answer = split_reply(whole, "", family)
        assert len(trace or "") + len(answer or "") <= len(whole) + 100
        read_call(whole, DEEP_THINK)


# calls of a tool

PLAIN_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(PLAIN_TEXTS, PLAIN_TEXTS, st.sampled_from(["", "Let me think. ", "{\n"]), st.sampled_from(["", " Done."]))
def test_a_call_is_read_as_it_was_written(thoughts: str, said: str, before: str, after: str) -> None:
    arguments = {"thoughts": thoughts, "answer": said}
    text, found = read_call(before + render_call(DEEP_THINK, arguments) + after, DEEP_THINK)
    assert found == {name: value.strip() for name, value in arguments.items()}
    assert text == (before + after).strip()


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.text())))
def test_only_arguments_that_the_tool_has_and_only_texts_are_read(given_arguments: dict[str, object]) -> None:
    tool = Tool("t", "", (("a", ""), ("b", "")))
    call = f"{CALL}{json.dumps({'name': 't', 'arguments': {**given_arguments, 'a': 7, 'b': 'x'}})}{CALLED}"
    assert read_call(call, tool) == ("", {"b": "x"})


@pytest.mark.parametrize(
    "call",
    [
        "",
        "not JSON",
        "{",
        '{"name": "deep_think"}',
        '{"name": "deep_think", "arguments": null}',
        '{"name": "deep_think", "arguments": "{}"}',
        '{"name": "deep_think", "arguments": ["thoughts"]}',
        '{"name": "other", "arguments": {"thoughts": "t", "answer": "7"}}',
        '{"name": ["deep_think"], "arguments": {"thoughts": "t", "answer": "7"}}',
        '{"name": "deep_think", "arguments": {"thoughts": "t", "answer": "7"}',
        '["name", "arguments"]',
        "7",
        '"name"',
        "null",
        "[" * 50_000,
        '{"name": "deep_think", "arguments": ' * 20_000,
        '{"name": "deep_think", "arguments": {"thoughts": ' + "9" * 10_000 + "}}",
        '{"name": "deep_think", "arguments": {"thoughts": "' + "t" * LONGEST_CALL + '"}}',
    ],
)
def test_what_is_no_call_stays_text(call: str) -> None:
    text = f"so {CALL}{call}{CALLED} and so on"
    assert read_call(text, DEEP_THINK) == (text, {})


def test_a_call_that_never_ends_stays_text() -> None:
    text = render_call(DEEP_THINK, {"thoughts": "t", "answer": "7"}).removesuffix(CALLED)
    assert read_call(text, DEEP_THINK) == (text, {})


def test_without_a_tool_there_is_no_call() -> None:
    text = render_call(DEEP_THINK, {"thoughts": "t", "answer": "7"})
    assert read_call(text, None) == (text, {})


def test_halves_of_characters_that_json_can_spell_do_not_get_through() -> None:
    call = f'{CALL}{{"name": "deep_think", "arguments": {{"thoughts": "\\ud83d", "answer": "\\ud83d\\ude00"}}}}{CALLED}'
    _, arguments = read_call(call, DEEP_THINK)
    assert arguments["answer"] == "😀"
    arguments["thoughts"].encode()


# prompts in the models' own templates, as TRL ships them

WHY = Prompt.of("why?")
QUIET = replace(WHY, think=False)
TEMPLATES = Path(importlib.util.find_spec("trl").origin or "").parent / "chat_templates"  # type: ignore[union-attr]


@pytest.fixture
def rendered() -> Callable[[str, Prompt], str]:
    """Renders a prompt in one of TRL's copies of released templates."""

    def render(name: str, prompt: Prompt) -> str:
        path = TEMPLATES / f"{name}.jinja"
        if not path.is_file():
            pytest.skip(f"this TRL has no template {name}")
        tokenizer = word_tokenizer({"q"})
        tokenizer.bos_token = "<eos>"
        tokenizer.chat_template = path.read_text(encoding="utf-8")
        return render_prompt(tokenizer, prompt)

    return render


@pytest.mark.parametrize(
    ("name", "thinking", "quiet"),
    [
        ("qwen3", "assistant\n", "assistant\n<think>\n\n</think>\n\n"),
        ("qwen3_instruct_2507", "assistant\n", "assistant\n"),
        ("qwen3_5_think", "assistant\n<think>\n", "assistant\n<think>\n\n</think>\n\n"),
        ("qwen3_5_nothink", "assistant\n<think>\n", "assistant\n<think>\n\n</think>\n\n"),
        ("deepseek_r1_distill", "<think>\n", "<think>\n\n</think>\n\n"),
        ("glm4moe", "<|assistant|>", "<|assistant|>\n<think></think>"),
        ("nemotron_3_nano", "<think>\n", "<think></think>"),
        ("gptoss", "<|start|>assistant", "<|start|>assistant"),
        ("gemma4", "<|turn>model\n", "<|turn>model\n"),
    ],
)
def test_thinking_is_turned_on_and_off(rendered: Callable[[str, Prompt], str], name: str, thinking: str, quiet: str) -> None:
    assert rendered(name, WHY).endswith(thinking)
    assert rendered(name, QUIET).endswith(quiet)


def test_gemma_thinks_because_it_is_told_to(rendered: Callable[[str, Prompt], str]) -> None:
    assert "<|think|>" in rendered("gemma4", WHY)
    assert "<|think|>" not in rendered("gemma4", QUIET)


@pytest.mark.parametrize("name", ["qwen3", "qwen3_5_think", "deepseek_r1_distill", "nemotron_3_nano", "glm4moe"])
def test_a_reply_is_read_by_what_its_prompt_opened(rendered: Callable[[str, Prompt], str], name: str) -> None:
    opened, closed = rendered(name, WHY), rendered(name, QUIET)
    assert split_reply(f"{'' if opened.endswith('<think>' + chr(10)) else OPEN}t\n{CLOSE}\n\n7", opened) == Parts("t", "7")
    assert split_reply("7", closed) == Parts(None, "7")
    assert split_reply("t and no end", opened).answer == (None if OPEN in opened[-10:] else "t and no end")


@pytest.mark.parametrize("name", ["qwen3", "qwen3_5_think", "gptoss", "gemma4", "glm4moe", "llama3_1", "qwen2_5"])
def test_a_tool_is_offered_in_the_models_own_way(rendered: Callable[[str, Prompt], str], name: str) -> None:
    text = rendered(name, tool_prompt("why?"))
    assert all(part in text for part in (DEEP_THINK.name, DEEP_THINK.description, *dict(DEEP_THINK.arguments)))


@pytest.mark.parametrize("name", sorted(path.stem for path in TEMPLATES.glob("*.jinja") if "_training" not in path.stem))
def test_a_prompt_is_the_same_tomorrow(rendered: Callable[[str, Prompt], str], name: str) -> None:
    def on(day: datetime, prompt: Prompt) -> str:
        class Frozen(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:
                return day

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("heistbench.bench.contracts.replies.datetime", Frozen)
            patch.setattr("transformers.utils.chat_template_utils.datetime", Frozen)
            return rendered(name, prompt)

    today, later = (on(datetime(2027, 3, 9, 12) + timedelta(days=days), WHY) for days in (0, 40))
    assert today == later
    assert "2027" not in today


def test_dates_that_a_question_holds_are_left_alone(rendered: Callable[[str, Prompt], str]) -> None:
    asked = f"Current date: 2024-02-29. Today is {datetime.now():%Y-%m-%d}. Which day is it?"
    for name in ("qwen3", "gptoss", "llama3_2"):
        assert asked in rendered(name, Prompt.of(asked))
