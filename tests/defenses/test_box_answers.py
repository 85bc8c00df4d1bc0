from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Exposure, Prompt, Reply, Usage
from heistbench.bench.contracts.registry import registry

DEFENSE = registry.build("defense", "box_answers")


def boxed(text: str, arguments: dict[str, str] | None = None) -> Exposure:
    return DEFENSE.release(Prompt.of("q"), Reply("hidden", "recap", text, Usage(), "stop", arguments or {}), Random(0))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"First 3, then 4. So \boxed{7}.", r"\boxed{7}"),
        (r"\boxed{1} is wrong. It is \boxed{\frac{1}{2}}, surely.", r"\boxed{\frac{1}{2}}"),
        (r"Half: \boxed{\frac{1}{2", r"\boxed{\frac{1}{2}"),
        (r"\boxed{7}", r"\boxed{7}"),
        ("no box, 7", "no box, 7"),
        (r"\boxed{}", r"\boxed{}"),
        ("", ""),
    ],
)
def test_the_last_box_is_all_that_is_shown(text: str, shown: str) -> None:
    assert boxed(text).text == shown


@given(st.text("abc .\n", max_size=200), st.text("0123456789", min_size=1, max_size=9))
def test_no_work_is_left_before_a_box(work: str, answer: str) -> None:
    assert boxed(rf"{work} The answer is \boxed{{{answer}}}.").text == rf"\boxed{{{answer}}}"


def test_a_tool_is_handed_boxes_too() -> None:
    shown = boxed("", {"thoughts": r"3 and 4 are \boxed{7} then", "answer": "7"})
    assert shown.arguments == {"thoughts": r"\boxed{7}", "answer": "7"}


def test_the_summary_passes_and_what_was_shown_once_stays() -> None:
    assert boxed(r"work \boxed{7}") == Exposure(r"\boxed{7}", "recap")
    assert boxed(boxed(r"work \boxed{7}").text).text == r"\boxed{7}"


def test_a_reply_that_was_refused_stays_so() -> None:
    reply = Reply(None, None, "no", Usage(), "refused")
    assert DEFENSE.release(Prompt.of("q"), reply, Random(0)) == Exposure("no", None, refused=True, stop="refused")
