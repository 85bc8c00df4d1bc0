"""What is read from replies as Inspect hands them over; how providers' own JSON gets there is in test_inspect_engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.model._openrouter_reasoning import openrouter_reasoning_details_to_reasoning
from inspect_ai.tool import ToolCall

from heistbench.bench import Tool
from heistbench.bench.bridges.inspect import reply_of
from heistbench.bench.contracts.nouns import Usage
from heistbench.bench.contracts.replies import LONGEST_CALL, Parts, split_reply
from heistbench.bench.models.provider_replies import as_reply, read_output, stop_of

CIPHER = "gAAAAABoCIPHER"
TOOL = Tool("think", "Thinks.", (("thoughts", "all of them"), ("answer", "the last")))


def output(content: Any, stop: Any = "stop", model: str = "m", usage: ModelUsage | None = None, calls: Any = None) -> ModelOutput:
    message = ChatMessageAssistant(content=content, tool_calls=calls)
    return ModelOutput(model=model, choices=[ChatCompletionChoice(message=message, stop_reason=stop)], usage=usage)


def reasoned(*blocks: ContentReasoning, text: str = "7") -> list[Any]:
    return [*blocks, ContentText(text=text)]


def details(*items: dict[str, str]) -> ContentReasoning:
    return openrouter_reasoning_details_to_reasoning(list(items))


TEXT = {"type": "reasoning.text", "text": "three and four"}
SUMMARY = {"type": "reasoning.summary", "summary": "adds"}
ENCRYPTED = {"type": "reasoning.encrypted", "data": CIPHER}
NOVEL = {"type": "reasoning.novel", "data": CIPHER}


@pytest.mark.parametrize(
    ("block", "trace", "summary"),
    [
        (ContentReasoning(reasoning="three and four"), "three and four", None),
        (ContentReasoning(reasoning="three and four", summary="adds"), "three and four", "adds"),
        (ContentReasoning(reasoning=CIPHER, redacted=True), None, None),
        (ContentReasoning(reasoning=CIPHER, redacted=True, summary="adds"), None, "adds"),
        (ContentReasoning(reasoning="", summary="adds"), None, "adds"),
        (details(TEXT), "three and four", None),
        (details(TEXT, SUMMARY), "three and four", "adds"),
        (details(SUMMARY), None, "adds"),  # Inspect calls a summary that came alone the reasoning
        (details(SUMMARY, ENCRYPTED), None, "adds"),
        (details(ENCRYPTED), None, None),
        (details(TEXT, ENCRYPTED), None, "three and four"),
        (details({"type": "reasoning.text", "signature": CIPHER}), None, None),
        (details(NOVEL), None, None),  # Inspect hands over the raw JSON as the reasoning
        (details(NOVEL, SUMMARY), None, "adds"),
    ],
)
def test_a_block_of_reasoning_is_trace_summary_or_nothing(
    block: ContentReasoning, trace: str | None, summary: str | None
) -> None:
    assert read_output(output(reasoned(block))) == (trace, summary, "7")


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "anthropic/claude-opus-5", "gemini-3-pro", "google/gemini-2.5-flash"])
@pytest.mark.parametrize("block", [ContentReasoning(reasoning="adds"), details({"type": "reasoning.text", "text": "adds"})])
def test_what_claude_and_gemini_show_is_a_summary_whatever_it_is_called(model: str, block: ContentReasoning) -> None:
    assert read_output(output(reasoned(block), model=model)) == (None, "adds", "7")


def test_several_blocks_are_one_trace_and_one_summary() -> None:
    blocks = [ContentReasoning(reasoning="a", summary="s"), ContentReasoning(reasoning="b"), details(SUMMARY, ENCRYPTED)]
    assert read_output(output(reasoned(*blocks))) == ("a\nb", "s\nadds", "7")


@pytest.mark.parametrize(
    ("content", "trace", "answer"),
    [
        ("7", None, "7"),
        ("<think>3 + 4</think>\n7", "3 + 4", "7"),
        ("3 + 4</think>7", "3 + 4", "7"),
        ("<think>3 + 4", "3 + 4", None),
        ("<think></think>7", None, "7"),
        ("", None, ""),
    ],
)
def test_tags_in_the_text_are_split_by_the_one_function_that_does(content: str, trace: str | None, answer: str | None) -> None:
    assert read_output(output(content)) == (trace, None, answer)
    parts = split_reply(content)
    assert (parts.trace or None, parts.answer) == (trace, answer)


def test_tags_that_inspect_has_cut_out_are_thinking() -> None:
    cut = ContentReasoning(reasoning="3 + 4", internal="think")
    assert read_output(output(reasoned(cut))) == ("3 + 4", None, "7")


@pytest.mark.parametrize("text", ["<think>all my thoughts</think>7", "so: </think> 7", "<think>all"])
@pytest.mark.parametrize(
    ("block", "summary"), [(ContentReasoning(reasoning=CIPHER, redacted=True), None), (details(SUMMARY, ENCRYPTED), "adds")]
)
def test_tags_an_attack_asked_for_are_part_of_the_answer(text: str, block: ContentReasoning, summary: str | None) -> None:
    assert read_output(output(reasoned(block, text=text))) == (None, summary, text)


def test_tags_are_part_of_the_answer_where_hidden_reasoning_is_billed() -> None:
    usage = ModelUsage(input_tokens=5, output_tokens=90, total_tokens=95, reasoning_tokens=80)
    cut = ContentReasoning(reasoning="elicited", internal="think")
    assert read_output(output("<think>elicited</think>7", usage=usage)) == (None, None, "<think>elicited</think>7")
    assert read_output(output(reasoned(cut), usage=usage)) == (None, None, "<think>\nelicited\n</think>\n\n7")


def test_an_elicited_trace_stays_in_the_answer_that_inspects_tasks_grade() -> None:
    hidden = ContentReasoning(reasoning=CIPHER, redacted=True)
    text, _ = reply_of(output(reasoned(hidden, text="let me <think>add</think> 7")))
    assert split_reply(text).answer == "let me <think>add</think> 7"


@pytest.mark.parametrize("text", ["7", "<think>3 + 4</think>7", "<think>3 + 4", "<think>a</think>b</think>c"])
def test_inspects_tasks_read_the_same_thinking_and_answer(text: str) -> None:
    trace, _, answer = read_output(output(text))
    assert split_reply(reply_of(output(text))[0]) == Parts(trace, answer)


@given(st.lists(st.sampled_from([TEXT, SUMMARY, ENCRYPTED, NOVEL]), min_size=1), st.booleans())
def test_no_cipher_is_ever_shown(items: list[dict[str, str]], redacted: bool) -> None:
    blocks = [details(*items), ContentReasoning(reasoning=CIPHER, redacted=True, summary="s" if redacted else None)]
    assert CIPHER not in json.dumps(read_output(output(reasoned(*blocks))))


@pytest.mark.parametrize(
    ("stop", "ours"),
    [
        ("stop", "stop"),
        ("tool_calls", "stop"),
        ("unknown", "stop"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("content_filter", "refused"),
    ],
)
def test_why_a_reply_ended(stop: str, ours: str) -> None:
    assert stop_of(output("7", stop)) == ours


def test_a_refusal_within_a_message_is_one() -> None:
    assert stop_of(output([ContentText(text="I will not.", refusal=True)])) == "refused"


def test_a_reply_without_choices_is_an_error() -> None:
    assert as_reply(ModelOutput(model="m", choices=[])).stop == "error"


def test_prompt_tokens_are_counted_wherever_the_providers_cache_put_them() -> None:
    usage = ModelUsage(
        input_tokens=5,
        input_tokens_cache_read=20,
        input_tokens_cache_write=3,
        output_tokens=9,
        reasoning_tokens=4,
        total_tokens=37,
    )
    assert as_reply(output("7", usage=usage)).usage == Usage(28, 9, 4)
    assert as_reply(output("7")).usage == Usage()


@pytest.mark.parametrize(("said", "read"), [(-5, 0), (10**30, 10**9)])
def test_absurd_counts_are_bounded(said: int, read: int) -> None:
    assert as_reply(output("7", usage=ModelUsage(input_tokens=said))).usage.prompt == read


def call(function: str = "think", error: str | None = None, **arguments: Any) -> ToolCall:
    return ToolCall(id="1", function=function, arguments=arguments, parse_error=error)


@pytest.mark.parametrize(
    ("calls", "arguments"),
    [
        ([call(thoughts=" 3 + 4 ", answer="7")], {"thoughts": "3 + 4", "answer": "7"}),
        ([call(answer=7, thoughts=None)], {"answer": "7"}),
        ([call(thoughts=["3", "4"])], {"thoughts": '["3", "4"]'}),
        ([call(thoughts="a", more="b")], {"thoughts": "a"}),
        ([call("other", thoughts="a")], {}),
        ([call("other", thoughts="a"), call(thoughts="b"), call(thoughts="c")], {"thoughts": "b"}),
        ([call(error="no JSON", thoughts="a")], {}),
        ([call(thoughts="x" * (LONGEST_CALL + 1))], {"thoughts": "x" * LONGEST_CALL}),
        ([], {}),
    ],
)
def test_arguments_are_those_of_the_tool_and_texts(calls: list[ToolCall], arguments: dict[str, str]) -> None:
    assert as_reply(output("", "tool_calls", calls=calls), TOOL).arguments == arguments


def test_a_call_written_as_text_is_read_where_a_tool_was_offered() -> None:
    text = '<tool_call>{"name": "think", "arguments": {"thoughts": "a", "answer": "7"}}</tool_call>'
    assert as_reply(output(text), TOOL).arguments == {"thoughts": "a", "answer": "7"}
    assert as_reply(output(text)).arguments == {}
