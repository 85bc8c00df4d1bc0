"""Rejection sampling with stolen answers: of the attacker's own model's traces those are kept that end in the victim's answer.

This is the filter of STaR (arXiv:2203.14465) with the victim's visible answers in the place of gold ones, and without STaR's
retraining and hints. It needs nothing but answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from heistbench.bench.contracts.nouns import Prompt, Question, Reply, Stolen
from heistbench.bench.contracts.wall import Kit
from heistbench.bench.prompting.demonstrations import last_line
from heistbench.bench.scoring.math_text import boxed_answer

Choice = Literal["first", "commonest"]


class Search(NamedTuple):
    """How traces are looked for: so many samples of each question, in so many rounds until one fits.

    An answer counts when `agree` samples end in it. Of the traces that end in it, the `first` or the `commonest` is kept.
    """

    samples: int = 4
    rounds: int = 4
    agree: int = 1
    choice: Choice = "first"


class Doubt(NamedTuple):
    """How often a defense shows another answer than was given, and among how many others."""

    altered: float = 0.0
    others: int = 1


CERTAIN = Doubt()


def filtered(
    kit: Kit, questions: Sequence[Question], answers: Sequence[str], how: Search, doubt: Doubt = CERTAIN
) -> list[Stolen]:
    """A trace of the surrogate for each question whose likeliest answer is one that enough samples end in.

    Without doubt that is the answer shown. With doubt it is the answer of the highest posterior: the share of samples that end
    in it, times the chance that the defense shows what was shown. A question for which nothing fits gives no row.
    """
    found: dict[str, list[Reply]] = {question.id: [] for question in questions}
    rows = dict[str, Stolen]()
    pairs = list(zip(questions, answers, strict=True))
    for _ in range(how.rounds):
        if not (open_ := [question for question in questions if question.id not in rows]):
            break
        for question, replies in zip(open_, kit.surrogate(_prompts(open_), samples=how.samples, summaries=False), strict=True):
            found[question.id] += [reply for reply in replies if reply.trace and reply.stop == "stop"]
        rows |= {q.id: row for q, a in pairs if q.id not in rows and (row := _row(q, a, found[q.id], how, CERTAIN))}
    if doubt.altered:
        rows = {q.id: row for q, a in pairs if (row := _row(q, a, found[q.id], how, doubt))}
    return [rows[question.id] for question in questions if question.id in rows]


def doubt_of(kit: Kit) -> Doubt:
    """What the standing defense does to answers, as the attacker's own replies that pass through it show (Kerckhoffs)."""
    prompts = _prompts(kit.questions())
    replies = kit.surrogate(prompts, summaries=False)
    shown = [(bare_answer(r.text), bare_answer(e.text)) for r, e in zip(replies, kit.rehearse(prompts, replies), strict=True)]
    altered = [theirs for ours, theirs in shown if ours and theirs != ours]
    return Doubt(len(altered) / max(1, len(shown)), max(1, len(set(altered)) - 1))


def same_answer(kit: Kit, stolen: Sequence[Stolen]) -> list[Stolen]:
    """The rows on whose answer the surrogate's one greedy reply agrees: the check of who takes traces from the victim itself."""
    replies = kit.surrogate([Prompt.of(row.question) for row in stolen], temperature=0.0, summaries=False)
    return [row for row, reply in zip(stolen, replies, strict=True) if bare_answer(row.answer) == bare_answer(reply.text)]


def bare_answer(text: str) -> str:
    """An answer without what is around it: what is boxed, or the last line."""
    return boxed_answer(text) or last_line(text)


def _row(question: Question, shown: str, replies: Sequence[Reply], how: Search, doubt: Doubt) -> Stolen | None:
    """The row of a question, None where no answer has enough samples."""
    seen, counts = bare_answer(shown), Counter(bare_answer(reply.text) for reply in replies)

    def likelihood(answer: str) -> float:
        return 1 - doubt.altered if answer == seen else doubt.altered / doubt.others

    posterior = {answer: n * likelihood(answer) for answer, n in counts.items() if n >= how.agree}
    best = max(posterior, key=lambda answer: posterior[answer], default=None)
    if best is None or not posterior[best]:
        return None
    fitting = [reply for reply in replies if bare_answer(reply.text) == best]
    traces = Counter(reply.trace for reply in fitting)
    kept = fitting[0] if how.choice == "first" else max(fitting, key=lambda reply: traces[reply.trace])
    return Stolen(question.id, question.text, kept.trace, shown if best == seen else kept.text)


def _prompts(questions: Sequence[Question]) -> list[Prompt]:
    return [Prompt.of(question.text) for question in questions]
