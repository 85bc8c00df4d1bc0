"""Made-up texts: what stands for questions, traces, summaries and answers in a dry run.

A made-up text is a mark, one character for what it is, and a name behind it. Such texts cost nothing, equal ones are equal, and
their length is what is assumed of real ones. So what attacks ask for, and share with each other, is learnt by running them on a
machine that has neither data nor weights. They run on a few questions, each of which stands for many.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

from heistbench.bench.contracts.nouns import Problem, Prompt, Question, Reply, Usage
from heistbench.bench.prompting.demonstrations import POOL, WRAPPERS, show
from heistbench.bench.stages.stage import Lengths
from heistbench.bench.suites.cells import Cell

QUESTION, TRACE, SUMMARY, ANSWER = "\ue000", "\ue001", "\ue002", "\ue003"
ALONE = "\ue004"
"""Marks a question that stands for itself alone, and what is written about it."""
CHARACTERS_PER_TOKEN = 4
"""Of English, by the usual rule of thumb; of what stands around the marks."""
CODE = 6
"""One question in so many asks for code, as in OpenThoughts."""
FEW = POOL + 1
"""Questions that the smallest made-up split holds; fewer are the pool of demonstrations, which does not grow with a split."""
_OPENINGS = sorted(
    ((wrapper, show(TRACE, "", wrapper).partition(TRACE)[0] + TRACE) for wrapper in WRAPPERS), key=lambda pair: -len(pair[1])
)
"""How demonstrations in each wrapper show a trace; the longest first, since the opening of one may end another's."""


def tokens(text: str | None, lengths: Lengths) -> float:
    """Tokens of a text with marks in it."""
    if not text:
        return 0.0
    marked = text.count(QUESTION) * lengths.question + text.count(TRACE) * lengths.trace
    marked += text.count(SUMMARY) * lengths.summary + text.count(ANSWER) * lengths.answer
    return marked + len(text) / CHARACTERS_PER_TOKEN


@lru_cache(maxsize=32)
def questions(split: str, n: int, alone: bool = False) -> tuple[Question, ...]:
    """`n` made-up questions; `split` is a letter that tells splits apart."""
    mark = ALONE if alone else ""
    asks_for_code = ({"domain": "code"} if i % CODE == 0 else {} for i in range(n))
    return tuple(Question(f"{split}{i}", f"{QUESTION}{mark}{split}{i}", about) for i, about in enumerate(asks_for_code))


@lru_cache(maxsize=32)
def problems(split: str, n: int, alone: bool = False) -> tuple[Problem, ...]:
    """The same with made-up gold answers and reference traces."""
    return tuple(Problem(q, f"{ANSWER}gold {q.id}", f"{TRACE}{q.id}") for q in questions(split, n, alone))


def stands_alone(text: str) -> bool:
    """Whether a text is about a question that stands for itself alone; a prompt's own question is its last."""
    return ALONE in text.rpartition(QUESTION)[2]


def made_up(prompt: Prompt, author: str, repetition: int = 0) -> Reply:
    """What an obliging model would reply: in the format of demonstrations, if there are any; by the tool, if there is one."""
    text = prompt.text
    # Of one length whoever the author is: what is around a mark counts as tokens.
    name = f"{hash((author, prompt)) & 0xFFFFFFFFFFFF:012x}.{repetition}{ALONE if stands_alone(text) else ''}"
    trace, answer = f"{TRACE}{name}", f"{ANSWER}{name}\n{text.rpartition(QUESTION)[2]}"  # all agree on the last line, the result
    wrapper = next((wrapper for wrapper, opening in _OPENINGS if opening in text), None) if TRACE in text else None
    visible = show(trace, answer, wrapper) if wrapper else answer
    arguments = {name: answer if name == "answer" else trace for name, _ in prompt.tool.arguments} if prompt.tool else {}
    # Defenses may keep the first sentence of a summary alone.
    return Reply(trace, f"{SUMMARY}{name}. {name}.", visible, Usage(), "stop", arguments)


def stands_for(cell: Cell) -> int:
    """How many questions one made-up question stands for: so many that few are left and all splits are whole multiples."""
    sizes = [n for n in (*cell.suite.budgets, cell.sizes.query, cell.sizes.surrogate) if n]
    common = gcd(*sizes)
    return max((n for n in range(1, common + 1) if common % n == 0 and min(sizes) >= FEW * n), default=1)
