"""Open-book tasks: questions over given facts, with traces of two steps that can be checked exactly.

    kind : conjunction . facts : john and daniel travelled to the office ; mary went back to the garden

The first step says what kind of question it is, the second which of the facts answer it (arXiv:2505.13792, the
classification and information-retrieval steps). Traces are built by rule, and so are their wrong twins. The form is made
of words between spaces, so that it survives any tokenizer; it is read without regard to case, punctuation and line breaks.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from random import Random

from heistbench.bench.contracts.nouns import Problem, TraceCheck
from heistbench.bench.contracts.plugins import Task

LIMIT = 100_000
"""Characters of a trace that are read for its steps; its words are counted whatever its length."""
_KIND = re.compile(r"\bkind ?:", re.IGNORECASE)
_FACTS = re.compile(r"\bfacts ?:", re.IGNORECASE)
_ANY_WORD = re.compile(r"\w+")
_FACT_BULLET = "- "


def tidy(fact: str) -> str:
    """A fact as it stands in questions and traces: on one line, without the semicolons that part facts in a trace.

    >>> tidy("Mary left;  then\\nshe came.")
    'Mary left, then she came.'
    """
    return " ".join(fact.replace(";", ",").split())


def plain(text: str) -> str:
    """A text by its words alone: facts and kinds are the same when these are.

    >>> plain("Path-Finding .") == plain("path finding")
    True
    """
    return " ".join(_ANY_WORD.findall(text.casefold())) or text.strip()


def write_trace(kind: str, facts: Iterable[str]) -> str:
    """The trace of two steps; a fact that is given twice is named once.

    >>> write_trace("counting", ["mary got the milk", "mary got the apple"])
    'kind : counting . facts : mary got the milk ; mary got the apple'
    """
    return f"kind : {kind} . facts : {' ; '.join(dict.fromkeys(facts))}"


def read_trace(text: str) -> tuple[str, list[str]]:
    """The kind and the facts a trace names; an empty string and no facts where it names none.

    >>> read_trace("KIND: Counting.\\nFacts: Mary got the milk; Mary got the apple")
    ('Counting', ['Mary got the milk', 'Mary got the apple'])
    """
    flat = " ".join(text[:LIMIT].split())
    parts = _FACTS.split(flat, maxsplit=1)
    steps = _KIND.split(parts[0], maxsplit=1)
    kind = steps[1].partition(".")[0].strip() if len(steps) == 2 else ""
    return kind, [fact for part in parts[1:] for piece in part.split(";") if (fact := piece.strip())]


def ask(facts: Iterable[str], question: str, how: str) -> str:
    """The text of a question over facts: the facts a line each, the question, and how to answer it."""
    return "\n".join(["Facts:", *(_FACT_BULLET + fact for fact in facts), f"Question: {question}", how])


class OpenBook(Task):
    """A task whose problems have such a trace.

    Subclasses say where problems come from, of what kinds they can be, and how answers are graded; if their questions are not
    written by `ask`, they say with `facts` what a question's context holds.
    """

    @abstractmethod
    def kinds(self) -> Sequence[str]:
        """The kinds a question can be of, two at least."""

    def facts(self, problem: Problem) -> list[str]:
        """All facts of a question's context, right and wrong ones."""
        lines = problem.question.text.splitlines()
        return [line.removeprefix(_FACT_BULLET) for line in lines if line.startswith(_FACT_BULLET)]

    def summarize(self, trace: str) -> str | None:
        """The recap names the kind and counts the facts, and gives none of them away."""
        kind, facts = read_trace(trace)
        if not kind and not facts:
            return None
        count = len(set(map(plain, facts)))
        return f"a question of {kind or 'no kind'} , answered from {count} {'fact' if count == 1 else 'facts'} ."

    def values(self, trace: str) -> list[str]:
        """The facts a trace names, by their words."""
        return [plain(fact) for fact in read_trace(trace)[1]]

    def check(self, problem: Problem, trace: str) -> TraceCheck | None:
        """Classified: the kind is right; retrieved: the facts are the right ones, in any order. None without a reference."""
        if not problem.trace:
            return None
        kind, facts = read_trace(problem.trace)
        named_kind, named_facts = read_trace(trace)
        right, named = set(map(plain, facts)), set(map(plain, named_facts))
        classified = plain(named_kind) == plain(kind)
        steps = 1 + max(len(right), len(named))
        return TraceCheck(classified + len(right & named), steps, classified, right == named, len(trace.split()))

    def wrong_trace(self, problem: Problem, rng: Random) -> str:
        """Another kind, and as many other facts of the context as there are right ones.

        Where the context has too few others, right facts stand in with their words reversed.
        """
        kind, facts = read_trace(problem.trace)
        right = set(map(plain, facts))
        others = {plain(fact): fact for fact in self.facts(problem) if plain(fact) not in right}
        wrong = rng.sample(list(others.values()), min(max(1, len(right)), len(others)))
        wrong += [_reversed(fact, right | others.keys()) for fact in facts[len(wrong) :]]
        return write_trace(rng.choice([other for other in self.kinds() if plain(other) != plain(kind)]), wrong)


def _reversed(fact: str, known: set[str]) -> str:
    """The words of a fact the other way round; of one that reads the same, its denial: nothing the context says."""
    words = list(reversed(fact.split()))
    while plain(" ".join(words)) in known:
        words.insert(0, "not")
    return " ".join(words)
