"""What attacks by prompting share (arXiv:2606.00642): demonstrations to send, and how to read an answer out of a reply."""

from __future__ import annotations

from collections.abc import Sequence

from heistbench.bench.contracts.nouns import Prompt, Stolen
from heistbench.bench.contracts.wall import Kit
from heistbench.bench.prompting.demonstrations import Demonstration, Wrapper, read_shown
from heistbench.bench.scoring.math_text import boxed_answer

POOL = 50
"""Questions that demonstrations are drawn from; the draws nest, so that three shots are two and one more."""

LONGEST = 10_000
"""Characters of a trace that is shown, so that four demonstrations fit a context of 32,768 tokens beside the reply."""


def demonstrations(kit: Kit, shots: int, source: str = "") -> list[Demonstration]:
    """`shots` worked examples by the surrogate, the same for every query; where `source` names a task, of its questions.

    Replies that it did not finish, and very long ones, are not shown: where few are left, there are fewer than `shots`.
    """
    pool = kit.questions_of(source, POOL) if source else kit.questions()
    drawn = kit.rng.sample(pool, min(POOL, len(pool)))
    replies = kit.surrogate([Prompt.of(q.text) for q in drawn], temperature=0.0)
    told = [Demonstration(q.text, r.trace, r.text) for q, r in zip(drawn, replies, strict=True) if r.text and r.stop == "stop"]
    return [demo for demo in told if len(demo.trace or "") <= LONGEST][:shots]


def read_exposed(text: str, wrapper: Wrapper) -> tuple[str | None, str]:
    """The trace that a reply shows in the wrapper, None without one, and its answer, empty where it broke off before that.

    An answer outside the wrapper counts where it is boxed, or where the reply shows no trace and is all answer.
    """
    trace, answer = read_shown(text, wrapper)
    if answer is None and (trace is None or boxed_answer(text)):
        answer = final_text(text)
    return trace, answer or ""


def final_text(text: str) -> str:
    """The final answer of a reply that does not mark it: its last box, or else its last line."""
    return rf"\boxed{{{boxed}}}" if (boxed := boxed_answer(text)) else _last_line(text)


def same_answer(kit: Kit, stolen: Sequence[Stolen]) -> list[Stolen]:
    """The rows whose answer is the one that the surrogate gives too: what an attacker without gold answers can check."""
    replies = kit.surrogate([Prompt.of(row.question) for row in stolen], temperature=0.0)
    return [row for row, reply in zip(stolen, replies, strict=True) if _bare(row.answer) == _bare(reply.text)]


def _bare(text: str) -> str:
    return boxed_answer(text) or _last_line(text)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1].strip()
