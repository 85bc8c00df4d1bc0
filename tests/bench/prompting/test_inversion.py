from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Message, inversion_prompt

texts = st.text(min_size=1)


def test_a_summary_is_turned_into_reasoning() -> None:
    system, user = inversion_prompt("start 3 ; s1 star 4", "7", "s1 star gives 7 .").messages
    assert system.role == "system"
    assert user == Message(
        "user",
        "Turn this summary into the full reasoning: <think>\ns1 star gives 7 .\n</think>\n"
        "The final answer is: 7\nThe problem is: start 3 ; s1 star 4",
    )


@given(texts, texts)
def test_no_summary_is_not_mentioned(question: str, answer: str) -> None:
    prompt = inversion_prompt(question, answer, None)
    said = prompt.text.replace(question, "").replace(answer, "")
    assert "summary" not in said
    assert "<think>" not in said
    assert inversion_prompt(question, answer, "") == prompt


@given(texts, texts, texts | st.none())
def test_everything_known_is_in_the_prompt(question: str, answer: str, summary: str | None) -> None:
    _, user = inversion_prompt(question, answer, summary).messages
    assert all(part in user.content for part in (question, answer, summary or ""))


def test_prompts_with_and_without_a_summary_differ_in_their_orders() -> None:
    with_summary, without = (inversion_prompt("q", "a", summary).messages[0].content for summary in ("s", None))
    assert with_summary != without
