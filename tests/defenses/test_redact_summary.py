from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Exposure, Prompt, Reply, Usage
from heistbench.bench.contracts.registry import registry


def redact(level: str, summary: str | None, text: str = "the answer is 42") -> Exposure:
    defense = registry.build("defense", f"redact_summary(level={level})")
    return defense.release(Prompt.of("q"), Reply("trace 7", summary, text, Usage(), "stop"), Random(0))


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("s2 star gives 2 .", "s2 star gives # ."),
        ("Adding 3.14 and 2,500 gives 2503.14.", "Adding # and # gives #."),
        ("It falls by -4 to +7 (see 1).", "It falls by # to # (see #)."),
        (r"So $x = \frac{3}{4}$ and $\sqrt{16}=4$.", r"So $x = \frac{#}{#}$ and $\sqrt{#}=#$."),
        ("The ratio is 1/2, or 50%.", "The ratio is #/#, or #%."),
        ("Step x2 uses y_1.", "Step x2 uses y_1."),
        ("No figures here.", "No figures here."),
        ("٣ is three", "# is three"),
        ("", ""),
    ],
)
def test_numbers_become_signs(summary: str, expected: str) -> None:
    assert redact("numbers", summary).summary == expected


@pytest.mark.parametrize(
    "summary", ["a drop of 3.5kg", "10km to go", "so 2x = 8", "the 3rd step", "an area of 5m²", "1e5 grains"]
)
def test_numbers_before_units_are_hidden_too(summary: str) -> None:
    shown = redact("numbers", summary).summary
    assert shown is not None
    assert not any(char in "0123456789" for char in shown)


@given(
    st.lists(st.integers(0, 10**6).map(str) | st.floats(0, 10**6).map("{:.3f}".format) | st.sampled_from(["so", "is", "(", ")."]))
)
def test_no_number_that_stands_alone_is_left(words: list[str]) -> None:
    shown = redact("numbers", " ".join(words)).summary
    assert shown is not None
    assert not any(char.isdigit() for char in shown)
    assert shown.count("#") == sum(any(char.isdigit() for char in word) for word in words)


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("First 3.14 is taken. Then doubled.", "First 3.14 is taken."),
        ("Is it 7? Yes. It is.", "Is it 7?"),
        ("So 7! Done.", "So 7!"),
        ("One line\nand another", "One line"),
        ("s1 star gives 2 . s3 star gives 4 .", "s1 star gives 2 ."),
        ("  Only one sentence.  ", "Only one sentence."),
        ("no end", "no end"),
    ],
)
def test_the_first_sentence_is_kept(summary: str, expected: str) -> None:
    assert redact("first_sentence", summary).summary == expected


@given(st.text())
def test_the_first_sentence_starts_the_summary(summary: str) -> None:
    shown = redact("first_sentence", summary).summary
    assert shown is not None
    assert summary.strip().startswith(shown)


@given(st.text())
def test_all_shows_no_summary(summary: str) -> None:
    assert redact("all", summary).summary is None


@pytest.mark.parametrize("level", ["numbers", "first_sentence", "all"])
def test_what_is_not_there_stays_away_and_the_answer_is_left_alone(level: str) -> None:
    assert redact(level, None) == Exposure("the answer is 42", None)
    assert redact(level, "recap 1").text == "the answer is 42"


@pytest.mark.parametrize("level", ["numbers", "first_sentence", "all"])
def test_a_call_of_a_tool_is_left_alone(level: str) -> None:
    reply = Reply("trace 7", "recap 1", "", Usage(), "stop", {"answer": "42"})
    assert registry.build("defense", f"redact_summary(level={level})").release(Prompt.of("q"), reply, Random(0)).arguments == {
        "answer": "42"
    }
