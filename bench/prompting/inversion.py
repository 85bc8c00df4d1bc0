"""The prompt of trace inversion (arXiv:2603.07267, section 4) and the inverter that learns it.

An inverter is a model that rebuilds a hidden trace from what a reply shows. Zero-shot inversion, the fine-tuned inverter and its
control with gold answers use the same prompt, in training and in use, so that the arms differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from heistbench.bench.contracts.nouns import Exposure, Prompt, Question, Reply, Stolen
from heistbench.bench.contracts.replies import split_reply
from heistbench.bench.contracts.wall import Kit

_WITH_SUMMARY = (
    "You rebuild the full reasoning behind an answer from a short summary of it. Follow the steps of the summary in their order,"
    " add no others, and write each out in full detail up to the given answer."
)
_WITHOUT = (
    "You rebuild the full reasoning behind an answer from the question and the answer alone. Be deep rather than short, and write"
    " each step out in full detail up to the given answer."
)


Lesson = tuple[Question, Exposure, str]
"""One training row of an inverter: a question, the visible part of its reply, and the trace behind it."""


def inversion_prompt(question: str, answer: str, summary: str | None) -> Prompt:
    """A prompt for the reasoning behind a known answer, with its summary if any. The problem is last, next to the trace."""
    system, request = (_WITH_SUMMARY, f"Turn this summary into the full reasoning: <think>\n{summary}\n</think>")
    if not summary:
        system, request = _WITHOUT, "Write the full reasoning."
    return Prompt.of(f"{request}\nThe final answer is: {answer}\nThe problem is: {question}", system)


def invert(
    kit: Kit,
    questions: Sequence[Question],
    exposures: Sequence[Exposure],
    *,
    use_summary: bool,
    adaptive: bool,
    exposed: Sequence[Lesson] = (),
) -> list[Stolen]:
    """Rebuild a trace for each exposure with an inverter fine-tuned on the surrogate's own traces (Eq. 1 and 2).

    There are two inverters, one for exposures with a summary and one for those without; each is trained only if needed. An
    adaptive attacker passes the surrogate's replies through the standing defense before training on them. `exposed` holds
    traces of the victim itself, which are added to the training rows. A question without a visible answer gives no row.
    """
    rows = [(q, e) for q, e in zip(questions, exposures, strict=True) if e.answered]
    lessons = [*_lessons(kit, adaptive), *exposed] if rows else []
    stolen = {}
    for with_summary in (True, False):
        part = [(q, e) for q, e in rows if bool(use_summary and e.summary) == with_summary]
        if part:
            examples = [
                (inversion_prompt(q.text, e.text, e.summary if with_summary else None), trace)
                for q, e, trace in lessons
                if e.summary or not with_summary
            ]
            prompts = [inversion_prompt(q.text, e.text, e.summary if with_summary else None) for q, e in part]
            texts = kit.fine_tune(examples).generate(prompts)
            stolen.update({q.id: Stolen(q.id, q.text, rebuilt(t), e.text) for (q, e), t in zip(part, texts, strict=True)})
    return [stolen[q.id] for q, _ in rows]


def rebuilt(text: str) -> str | None:
    """The trace that an inverter wrote: its thoughts if it thinks, since an answer follows them; otherwise the whole text."""
    parts = split_reply(text)
    return parts.trace or parts.answer or None


def own_rows(kit: Kit) -> list[Stolen]:
    """The surrogate's finished replies to the attacker's own questions, as rows for a student."""
    rows = zip(*_own(kit), strict=True)
    return [Stolen(q.id, q.text, r.trace, r.text) for q, r in rows if r.trace and r.stop == "stop"]


def _lessons(kit: Kit, adaptive: bool) -> list[Lesson]:
    questions, replies = _own(kit)
    exposures = kit.rehearse([Prompt.of(q.text) for q in questions], replies) if adaptive else [r.exposed() for r in replies]
    rows = zip(questions, replies, exposures, strict=True)
    return [(q, e, r.trace) for q, r, e in rows if r.trace and r.stop == "stop" and e.answered]


def _own(kit: Kit) -> tuple[list[Question], list[Reply]]:
    questions = kit.questions()
    return questions, kit.surrogate([Prompt.of(question.text) for question in questions])
