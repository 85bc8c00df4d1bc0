from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import inversion_prompt


def test_the_prompt_of_the_pocket_world() -> None:
    text = "Question : start 3 ; s1 star 4\nFinal answer : 7\nSummary : s1 star gives 7 .\nWrite the full reasoning ."
    assert inversion_prompt("start 3 ; s1 star 4", "7", "s1 star gives 7 .").text == text


@given(st.text(), st.text())
def test_no_summary_is_not_mentioned(question: str, answer: str) -> None:
    text = inversion_prompt(question, answer, None).text
    assert text == f"Question : {question}\nFinal answer : {answer}\nWrite the full reasoning ."
    assert inversion_prompt(question, answer, "").text == text


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_everything_known_is_in_the_prompt(question: str, answer: str, summary: str) -> None:
    text = inversion_prompt(question, answer, summary).text
    assert all(part in text for part in (question, answer, summary))
