"""Prompts that ask for the reasoning, and the one that is meant to keep it in."""

from __future__ import annotations

from typing import get_args

import pytest

from heistbench.bench import DEEP_THINK, Message, Prompt, Request, render_call, request_prompt, tool_prompt, with_boundary
from heistbench.bench.contracts.replies import read_call


@pytest.mark.parametrize("request_kind", get_args(Request))
def test_a_request_stands_before_the_question(request_kind: Request) -> None:
    prompt = request_prompt("why ?", request_kind)
    (message,) = prompt.messages
    assert message.role == "user"
    assert message.content.endswith("\n\nQuestion:\nwhy ?")
    assert "reasoning" in message.content
    assert prompt.tool is None
    assert prompt.think


def test_the_two_requests_differ() -> None:
    assert request_prompt("why ?", "repeat") != request_prompt("why ?", "stepwise")


def test_the_tool_stands_in_for_native_thinking() -> None:
    prompt = tool_prompt("why ?")
    assert prompt.tool is DEEP_THINK
    assert not prompt.think
    assert prompt.text.endswith("why ?")


def test_the_tool_takes_thoughts_before_the_answer() -> None:
    """Whoever writes the answer first has no use for thoughts after it."""
    assert [name for name, _ in DEEP_THINK.arguments] == ["thoughts", "answer"]
    call = render_call(DEEP_THINK, {"thoughts": "t", "answer": "7"})
    assert call.index('"thoughts"') < call.index('"answer"')
    assert read_call(call, DEEP_THINK) == ("", {"thoughts": "t", "answer": "7"})


@pytest.mark.parametrize("prompt", [Prompt.of("why ?"), tool_prompt("why ?"), Prompt((), None, think=False)])
def test_the_boundary_changes_nothing_but_the_system_message(prompt: Prompt) -> None:
    bounded = with_boundary(prompt)
    assert bounded.messages[0].role == "system"
    assert bounded.messages[1:] == prompt.messages
    assert (bounded.tool, bounded.think) == (prompt.tool, prompt.think)


def test_the_boundary_stands_in_one_system_message_with_what_others_say() -> None:
    boundary = with_boundary(Prompt.of("why ?")).messages[0].content
    prompt = Prompt((Message("system", "be kind"), Message("user", "why ?"), Message("system", "be brief")))
    assert with_boundary(prompt).messages == (
        Message("system", f"{boundary}\n\nbe kind\n\nbe brief"),
        Message("user", "why ?"),
    )


def test_the_boundary_names_the_tags() -> None:
    assert "<think>" in with_boundary(Prompt.of("q")).text
    assert "</think>" in with_boundary(Prompt.of("q")).text
