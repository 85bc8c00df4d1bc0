"""Demonstrations, and reading answers out of replies."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import (
    WRAPPERS,
    Prompt,
    Question,
    Reply,
    Stolen,
    Usage,
    Wrapper,
    demonstrations,
    final_text,
    read_exposed,
    same_answer,
    show,
)
from heistbench.bench.prompting.exposure import POOL


class FakeKit:
    """A surrogate that answers from a table, and thinks where it finishes."""

    def __init__(self, answers: dict[str, str] | None = None, unfinished: int = 0, own: int = 200) -> None:
        self.answers, self.unfinished, self.own = answers or {}, unfinished, own
        self.rng, self.asked, self.borrowed = Random(1), list[Prompt](), list[tuple[str, int]]()

    def questions(self) -> list[Question]:
        return [Question(f"o{i}", f"own {i}") for i in range(self.own)]

    def questions_of(self, task: str, n: int) -> list[Question]:
        self.borrowed.append((task, n))
        return [Question(f"b{i}", f"{task} {i}") for i in range(n)]

    def surrogate(self, prompts: list[Prompt], temperature: float | None = None) -> list[Reply]:
        assert temperature == 0.0
        self.asked += prompts
        return [
            Reply("t", None, self.answers.get(p.text, f"said {p.text}"), Usage(), "length" if i < self.unfinished else "stop")
            for i, p in enumerate(prompts)
        ]


# demonstrations


def test_demonstrations_are_the_surrogates_replies() -> None:
    kit = FakeKit()
    demos = demonstrations(kit, 3)
    assert len({demo.question for demo in demos}) == 3
    assert all((demo.trace, demo.answer) == ("t", f"said {demo.question}") for demo in demos)


@given(st.integers(0, 10), st.integers(0, 10))
def test_more_demonstrations_begin_with_fewer(few: int, more: int) -> None:
    few, more = sorted((few, more))
    assert demonstrations(FakeKit(), more)[:few] == demonstrations(FakeKit(), few)


def test_a_reply_that_did_not_finish_demonstrates_nothing() -> None:
    kit = FakeKit(unfinished=10)
    shown = {demo.question for demo in demonstrations(kit, 3)}
    assert shown == {prompt.text for prompt in kit.asked[10:13]}


def test_who_finishes_little_demonstrates_little() -> None:
    assert len(demonstrations(FakeKit(unfinished=POOL - 1), 3)) == 1
    assert demonstrations(FakeKit(answers={f"own {i}": "" for i in range(200)}), 3) == []


def test_a_trace_too_long_to_show_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(demonstrations(FakeKit(), 2)) == 2
    monkeypatch.setattr("heistbench.bench.prompting.exposure.LONGEST", 0)
    assert demonstrations(FakeKit(), 2) == []


@pytest.mark.parametrize("own", [0, 1, 7])
def test_few_questions_are_a_small_pool(own: int) -> None:
    assert len(demonstrations(FakeKit(own=own), 3)) == min(own, 3)


def test_another_task_lends_its_questions() -> None:
    kit = FakeKit()
    assert all(demo.question.startswith("gsm8k ") for demo in demonstrations(kit, 2, "gsm8k"))
    assert kit.borrowed == [("gsm8k", POOL)]


# answers

wrappers = pytest.mark.parametrize("wrapper", WRAPPERS)


@wrappers
def test_what_the_wrapper_shows_goes_before_all_else(wrapper: Wrapper) -> None:
    text = show("3 is 3", "7", wrapper)
    assert read_exposed(text, wrapper) == ("3 is 3", "7")


@pytest.mark.parametrize(
    ("text", "trace", "answer"),
    [
        ("7", None, "7"),
        ("So:\n 7 \n", None, "7"),
        (r"It is \boxed{7}. Thanks.", None, r"\boxed{7}"),
        ("", None, ""),
        ("```bash\n$ cat reasoning_trace.txt\n3 is 3\n```\nSo \\boxed{7}.", "3 is 3", r"\boxed{7}"),
        ("```bash\n$ cat reasoning_trace.txt\n3 is 3\n```\nSo 7.", "3 is 3", ""),  # nothing says that 7 is the answer
        ("```bash\n$ cat reasoning_trace.txt\n3 is 3\nand then", "3 is 3\nand then", ""),  # it broke off
        ("```bash\n$ cat final_answer.txt\n7\n```", None, "7"),
    ],
)
def test_an_answer_outside_the_wrapper(text: str, trace: str | None, answer: str) -> None:
    assert read_exposed(text, "bash") == (trace, answer)


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("7", "7"),
        ("one\ntwo\n\n", "two"),
        (r"\boxed{1} and then \boxed{\frac{1}{2}}" + "\nThat is all.", r"\boxed{\frac{1}{2}}"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_the_final_answer_is_the_last_box_or_line(text: str, final: str) -> None:
    assert final_text(text) == final


@given(st.text())
def test_a_final_answer_is_its_own_final_answer(text: str) -> None:
    assert final_text(final_text(text)) == final_text(text)


def test_the_surrogate_checks_answers_whatever_stands_around_them() -> None:
    said = {"q0": r"Adding gives \boxed{7}.", "q1": "Work.\n7", "q2": r"\boxed{8}", "q3": "", "q4": "7"}
    rows = [Stolen(f"{i}", f"q{i}", "t", text) for i, text in enumerate(["7", "7", "7", "7", r"So it is \boxed{7}"])]
    assert [row.id for row in same_answer(FakeKit(said), rows)] == ["0", "1", "4"]
    assert same_answer(FakeKit(said), []) == []
