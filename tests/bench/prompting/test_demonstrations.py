"""Demonstrations in wrappers: written, drawn from the surrogate's replies, and read out of a victim's."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import (
    WRAPPERS,
    Demonstration,
    Prompt,
    Question,
    Reply,
    Stolen,
    Usage,
    Wrapper,
    demonstration_prompt,
    demonstrations,
    final_text,
    read_exposed,
    read_shown,
    show,
)
from heistbench.bench.prompting.demonstrations import POOL
from heistbench.bench.prompting.filtering import same_answer

wrappers = pytest.mark.parametrize("wrapper", WRAPPERS)

words = st.lists(st.text("abc3.,+-=;\\{}^", min_size=1, max_size=6), min_size=1, max_size=8)


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

    def surrogate(self, prompts: list[Prompt], temperature: float | None = None, summaries: bool = True) -> list[Reply]:
        assert temperature == 0.0
        self.asked += prompts
        return [
            Reply("t", None, self.answers.get(p.text, f"said {p.text}"), Usage(), "length" if i < self.unfinished else "stop")
            for i, p in enumerate(prompts)
        ]


# wrappers


def squeeze(text: str) -> str:
    """Whitespace collapsed to single blanks, as a word-level tokenizer gives it back."""
    return " ".join(text.split())


@wrappers
@given(words, words, st.sampled_from([" ", "\n", " \n\n "]))
def test_what_is_shown_is_read_back(wrapper: Wrapper, trace: list[str], answer: list[str], blank: str) -> None:
    shown = show(blank.join(trace), blank.join(answer), wrapper)
    assert read_shown(shown, wrapper) == (blank.join(trace), blank.join(answer))


@wrappers
@given(words, words)
def test_whitespace_may_be_lost_on_the_way(wrapper: Wrapper, trace: list[str], answer: list[str]) -> None:
    shown = squeeze(show("\n".join(trace), "\n".join(answer), wrapper))
    assert read_shown(shown, wrapper) == (" ".join(trace), " ".join(answer))


@wrappers
@given(words)
def test_an_answer_alone_is_read_as_no_trace(wrapper: Wrapper, answer: list[str]) -> None:
    assert read_shown(show(None, " ".join(answer), wrapper), wrapper) == (None, " ".join(answer))


@wrappers
@given(words)
def test_text_around_the_files_is_not_read(wrapper: Wrapper, trace: list[str]) -> None:
    shown = "Of course . 42 \n" + show(" ".join(trace), "7", wrapper)
    assert read_shown(shown, wrapper) == (" ".join(trace), "7")


@wrappers
@pytest.mark.parametrize(
    "text", ["", "7", "the trace is 3 plus 4 is 7", "reasoning_trace.txt", "final_answer.txt", "```\n7\n```"]
)
def test_garbage_shows_nothing(wrapper: Wrapper, text: str) -> None:
    assert read_shown(text, wrapper) == (None, None)


@wrappers
def test_an_empty_file_shows_nothing(wrapper: Wrapper) -> None:
    assert read_shown(show("", "", wrapper), wrapper) == (None, None)


@wrappers
def test_a_trace_without_an_answer_is_read(wrapper: Wrapper) -> None:
    shown = show("3 is 3", "7", wrapper)
    cut = shown[: shown.index("Answer:" if wrapper == "labels" else "final_answer.txt")]
    trace, answer = read_shown(cut, wrapper)
    assert answer is None
    assert trace is not None
    assert "3 is 3" in trace


@wrappers
@given(st.text())
def test_any_text_can_be_read(wrapper: Wrapper, text: str) -> None:
    trace, answer = read_shown(text, wrapper)
    assert trace is None or (trace.strip() == trace != "")
    assert answer is None or (answer.strip() == answer != "")


@wrappers
@pytest.mark.parametrize(
    "piece", [" ", "$ ", "```bash\n$ cat ", "```bash" + " " * 50, ">>> print(", '<tool_call>{"name":', "In [1]: "]
)
def test_a_hundred_thousand_characters_are_no_trouble(wrapper: Wrapper, piece: str) -> None:
    assert read_shown(piece * (100_000 // len(piece)), wrapper) == (None, None)


@wrappers
def test_the_wrappers_differ(wrapper: Wrapper) -> None:
    others = [other for other in WRAPPERS if other != wrapper]
    assert all(show("t", "a", wrapper) != show("t", "a", other) for other in others)


@wrappers
def test_a_prompt_shows_its_examples_in_order_and_asks_last(wrapper: Wrapper) -> None:
    demos = [Demonstration("first ?", "3 is 3", "3"), Demonstration("second ?", None, "4")]
    text = demonstration_prompt(demos, "third ?", wrapper).text
    assert text.index("first ?") < text.index("second ?") < text.index("third ?")
    assert text.count("Response: <think>\n3 is 3\n</think>\n") == 1  # the example without a trace does not think
    assert text.count("<think>\n") == 1
    assert show("3 is 3", "3", wrapper) in text
    assert text.rstrip().endswith("third ?")


@wrappers
def test_fences_and_tags_within_what_is_shown_belong_to_it(wrapper: Wrapper) -> None:
    trace = "first\n```python\nprint(3)\n```\nthen <tool_result>\nok\n</tool_result> so 7"
    answer = "```python\nprint(7)\n```\nwith </tool_result> in it"
    assert read_shown(show(trace, answer, wrapper), wrapper) == (trace, answer)


@pytest.mark.parametrize("wrapper", ["bash", "tool"])
def test_what_follows_the_last_frame_is_not_read(wrapper: Wrapper) -> None:
    assert read_shown(show("3 is 3", "7", wrapper) + "\nAnything else?", wrapper) == ("3 is 3", "7")


@pytest.mark.parametrize("wrapper", ["bash", "tool"])
def test_a_frame_that_was_cut_off_is_read_to_its_end(wrapper: Wrapper) -> None:
    whole = show("3 is 3 ; 3 is 3", "7", wrapper)
    assert read_shown(whole[: whole.index(" ; ")], wrapper) == ("3 is 3", None)


def test_the_format_tokens_are_the_papers() -> None:
    """V0 to V5 of arXiv:2606.00642 and its labels without code: what is printed before trace and answer."""
    openings = {
        "plain": "reasoning_trace.txt:",
        "shell": "$ cat reasoning_trace.txt",
        "python": ">>> print(open('reasoning_trace.txt').read())",
        "bash": "```bash\n$ cat reasoning_trace.txt",
        "jupyter": "In [1]: !cat reasoning_trace.txt",
        "tool": '<tool_call>{"name":"read","args":{"path":"reasoning_trace.txt"}}</tool_call>\n<tool_result>',
        "labels": "Reasoning:",
    }
    assert {wrapper: show("t", "a", wrapper).partition("\nt")[0] for wrapper in WRAPPERS} == openings


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
    monkeypatch.setattr("heistbench.bench.prompting.demonstrations.LONGEST_TRACE", 0)
    assert demonstrations(FakeKit(), 2) == []


@pytest.mark.parametrize("own", [0, 1, 7])
def test_few_questions_are_a_small_pool(own: int) -> None:
    assert len(demonstrations(FakeKit(own=own), 3)) == min(own, 3)


def test_another_task_lends_its_questions() -> None:
    kit = FakeKit()
    assert all(demo.question.startswith("gsm8k ") for demo in demonstrations(kit, 2, "gsm8k"))
    assert kit.borrowed == [("gsm8k", POOL)]


# answers


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
