from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import WRAPPERS, Demonstration, Wrapper, demonstration_prompt, read_shown, show

wrappers = pytest.mark.parametrize("wrapper", WRAPPERS)
words = st.lists(st.text("abc3.,+-=;\\{}^", min_size=1, max_size=6), min_size=1, max_size=8)


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
