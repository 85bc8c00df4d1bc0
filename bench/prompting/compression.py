"""Summaries of traces by an instructed model: the compressor of trace inversion (arXiv:2603.07267, section 4 and appendix B).

Both published styles, in our own words: numbered bubbles (the first version of the paper) and titled sections (the second).
"""

from __future__ import annotations

from typing import Literal

from heistbench.bench.contracts.nouns import Prompt

Style = Literal["bubbles", "sections"]

_TASKS: dict[Style, tuple[str, str]] = {
    "bubbles": (
        "You turn long reasoning into a few numbered bubbles. Each bubble tells one stage of the reasoning in one to three"
        " sentences. Keep the results, leave out the detours.",
        "Turn this reasoning into numbered bubbles:",
    ),
    "sections": (
        "You recap reasoning as its author would, in the first person and the present tense. Write three to six sections, each"
        " with a bold title and two to five sentences, and no lists. Keep formulas as they are. Use 600 to 900 tokens where the"
        " reasoning is long.",
        "Recap this reasoning in titled sections:",
    ),
}


def compression_prompt(trace: str, style: Style) -> Prompt:
    """Ask for a summary of a trace."""
    system, request = _TASKS[style]
    return Prompt.of(f"{request} <think>\n{trace}\n</think>", system)
