from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Exposure, Prompt, Reply, Usage
from heistbench.bench.contracts.registry import registry


@given(st.text(), st.none() | st.text(), st.dictionaries(st.text(), st.text()))
def test_no_defense_hides_the_trace_and_nothing_else(text: str, summary: str | None, arguments: dict[str, str]) -> None:
    defense, prompt = registry.build("defense", "none"), Prompt.of("q")
    assert defense.admit(prompt) is prompt
    shown = defense.release(prompt, Reply("hidden", summary, text, Usage(), "stop", arguments), Random(0))
    assert shown == Exposure(text, summary, arguments=arguments)
