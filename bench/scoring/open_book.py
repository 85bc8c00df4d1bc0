"""Open-book tasks: questions about given facts, with traces of two steps that can be checked exactly.

    kind : conjunction . facts : john and daniel travelled to the office ; mary went back to the garden

The first step says what kind of question it is, the second which facts answer it (arXiv:2505.13792, the classification and
information-retrieval steps). Right and wrong traces are built by rule. A trace consists of words between spaces, so that it
survives any tokenizer; it is read without regard to case, punctuation and line breaks.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from random import Random

from heistbench.bench.contracts.nouns import Problem, TraceCheck
from heistbench.bench.contracts.plugins import Task

LIMIT = 100_000
"""How many characters of a trace are read for its steps; its words are counted whatever its length."""
_KIND = re.compile(r"\bkind ?:", re.IGNORECASE)
_FACTS = re.compile(r"\bfacts ?:", re.IGNORECASE)
_ANY_WORD = re.compile(r"\w+")
_FACT_BULLET = "- "


def tidy(fact: str) -> str:
    """A fact as it appears in questions and traces: on one line, without the semicolons that separate facts in a trace.

    >>> tidy("Mary left;  then\\nshe came.")
    'Mary left, then she came.'
    """
    return " ".join(fact.replace(";", ",").split())


def plain(text: str) -> str:
    """A text reduced to its words: two facts, or two kinds, are the same if their words are.

    >>> plain("Path-Finding .") == plain("path finding")
    True
    """
    return " ".join(_ANY_WORD.findall(text.casefold())) or text.strip()


def write_trace(kind: str, facts: Iterable[str]) -> str:
    """The trace of two steps; a fact given twice is named once.

    >>> write_trace("counting", ["mary got the milk", "mary got the apple"])
    'kind : counting . facts : mary got the milk ; mary got the apple'
    """
    return f"kind : {kind} . facts : {' ; '.join(dict.fromkeys(facts))}"


def read_trace(text: str) -> tuple[str, list[str]]:
    """The kind and the facts that a trace names: an empty string and no facts if it names none.

    >>> read_trace("KIND: Counting.\\nFacts: Mary got the milk; Mary got the apple")
    ('Counting', ['Mary got the milk', 'Mary got the apple'])
    """
    flat = " ".join(text[:LIMIT].split())
    parts = _FACTS.split(flat, maxsplit=1)
    steps = _KIND.split(parts[0], maxsplit=1)
    kind = steps[1].partition(".")[0].strip() if len(steps) == 2 else ""
    return kind, [fact for part in parts[1:] for piece in part.split(";") if (fact := piece.strip())]


def ask(facts: Iterable[str], question: str, how: str) -> str:
    """The text of a question about facts: the facts, one per line, the question, and how to answer it."""
    return "\n".join(["Facts:", *(_FACT_BULLET + fact for fact in facts), f"Question: {question}", how])


class OpenBook(Task):
    """A task whose problems have such a trace.

    A subclass defines where problems come from, which kinds there are, and how answers are graded. If its questions are not
    written by `ask`, it also defines `facts`, the facts in a question's context.
    """

    @abstractmethod
    def kinds(self) -> Sequence[str]:
        """The kinds of question there are, at least two."""

    def facts(self, problem: Problem) -> list[str]:
        """All facts in a question's context, right and wrong."""
        lines = problem.question.text.splitlines()
        return [line.removeprefix(_FACT_BULLET) for line in lines if line.startswith(_FACT_BULLET)]

    def summarize(self, trace: str) -> str | None:
        """The recap: it names the kind and counts the facts, but gives none of them away."""
        kind, facts = read_trace(trace)
        if not kind and not facts:
            return None
        count = len(set(map(plain, facts)))
        return f"a question of {kind or 'no kind'} , answered from {count} {'fact' if count == 1 else 'facts'} ."

    def values(self, trace: str) -> list[str]:
        """The facts that a trace names, reduced to their words."""
        return [plain(fact) for fact in read_trace(trace)[1]]

    def check(self, problem: Problem, trace: str) -> TraceCheck | None:
        """The check of a trace; None if the problem has no reference trace.

        `classified` means that the kind is right, `retrieved` that the facts are, in any order.
        """
        if not problem.trace:
            return None
        kind, facts = read_trace(problem.trace)
        named_kind, named_facts = read_trace(trace)
        right, named = set(map(plain, facts)), set(map(plain, named_facts))
        classified = plain(named_kind) == plain(kind)
        steps = 1 + max(len(right), len(named))
        return TraceCheck(classified + len(right & named), steps, classified, right == named, len(trace.split()))

    def wrong_trace(self, problem: Problem, rng: Random) -> str:
        """A trace with another kind, and with as many other facts of the context as there are right ones.

        If the context has too few other facts, right facts with their words reversed take their place.
        """
        kind, facts = read_trace(problem.trace)
        right = set(map(plain, facts))
        others = {plain(fact): fact for fact in self.facts(problem) if plain(fact) not in right}
        wrong = rng.sample(list(others.values()), min(max(1, len(right)), len(others)))
        wrong += [_reversed(fact, right | others.keys()) for fact in facts[len(wrong) :]]
        return write_trace(rng.choice([other for other in self.kinds() if plain(other) != plain(kind)]), wrong)


def _reversed(fact: str, known: set[str]) -> str:
    """The words of a fact in reverse order, with "not" in front if the result is a fact of the context."""
    words = list(reversed(fact.split()))
    while plain(" ".join(words)) in known:
        words.insert(0, "not")
    return " ".join(words)
