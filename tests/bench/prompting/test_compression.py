"""The compressor's prompts, and what its shipped model makes of them."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Style, compression_prompt

styles = pytest.mark.parametrize("style", get_args(Style))


@styles
@given(st.text())
def test_the_whole_trace_is_handed_over_between_tags(style: Style, trace: str) -> None:
    system, user = compression_prompt(trace, style).messages
    assert (system.role, user.role) == ("system", "user")
    assert user.content.endswith(f"<think>\n{trace}\n</think>")


def test_the_styles_are_the_two_published_ones() -> None:
    """Numbered bubbles in the first version of arXiv:2603.07267, three to six titled sections without lists in the second."""
    bubbles, sections = (compression_prompt("t", style).messages[0].content for style in ("bubbles", "sections"))
    assert "numbered" in bubbles
    assert all(
        part in sections for part in ("three to six sections", "bold title", "first person", "no lists", "600 to 900 tokens")
    )
