"""The prompt of trace inversion (arXiv:2603.07267, section 4) and the inverter that learns it.

One prompt serves zero-shot inversion, the fine-tuned inverter and its control with gold answers, in training and in use,
so that the arms differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from heistbench.bench._nouns import Exposure, Prompt, Question, Stolen
from heistbench.bench._wall import Kit


def inversion_prompt(question: str, answer: str, summary: str | None) -> Prompt:
    """Ask for the reasoning behind a known answer, along a summary if there is one."""
    recap = f"\nSummary : {summary}" if summary else ""
    return Prompt.of(f"Question : {question}\nFinal answer : {answer}{recap}\nWrite the full reasoning .")


def invert(
    kit: Kit, questions: Sequence[Question], exposures: Sequence[Exposure], *, use_summary: bool, adaptive: bool
) -> list[Stolen]:
    """Rebuild a trace for each exposure with an inverter fine-tuned on the surrogate's own traces (Eq. 1 and 2).

    Two separate inverters, one for exposures with a summary and one for those without, each trained only if needed.
    An adaptive attacker passes the surrogate's replies through the standing defense before training on them.
    Questions without a visible answer give no row.
    """
    rows = [(q, e) for q, e in zip(questions, exposures, strict=True) if e.answered]
    lessons = _lessons(kit, adaptive) if rows else []
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
            traces = kit.fine_tune(examples).generate(prompts)
            stolen.update({q.id: Stolen(q.id, q.text, t.strip(), e.text) for (q, e), t in zip(part, traces, strict=True)})
    return [stolen[q.id] for q, _ in rows]


def _lessons(kit: Kit, adaptive: bool) -> list[tuple[Question, Exposure, str]]:
    """The surrogate's finished replies: what would be shown of them, and the traces to learn."""
    questions = kit.questions()
    prompts = [Prompt.of(question.text) for question in questions]
    replies = kit.surrogate(prompts)
    shown = kit.rehearse(prompts, replies) if adaptive else [Exposure(r.text, r.summary) for r in replies]
    return [
        (q, e, r.trace) for q, r, e in zip(questions, replies, shown, strict=True) if r.trace and r.stop == "stop" and e.answered
    ]
