r"""Grades of mathematics as models write it: the final answer of a reply is compared with a gold answer by math-verify.

The answer is looked for in the last 20,000 characters, in this order:

| where | example | graded |
|---|---|---|
| the last box, with boxes joined to it by "and", "or" or signs | `\boxed{3} and \boxed{-2}` | `3, -2` |
| behind the last "answer is", "answer:", "Final Answer", `####` | `**Answer:** $\frac{3}{4}$` | `\frac{3}{4}` |
| the last mathematics there is | `so x = 2*sqrt(3).` | `x = 2\sqrt{3}` |

sympy decides what is equal: values (`0.5`, `1/2`, `50\%`); expressions that simplify to each other; sets and lists of answers in
any order; intervals and the inequalities that mean the same; tuples, matrices, text. A decimal is right if it agrees to
`DECIMALS` places. Units and currency do not count; the left side of `x = 5` counts only if gold has one. `2516_8` is a numeral:
its digits are compared, and its base if the reply names one.

    >>> replies = "**Answer:** $0.75$", "So it is 3/4.", r"\boxed{\frac{4}{3}}", "I do not know."
    >>> [grade.verdict.value for grade in grade_math_all([(r"\frac{3}{4}", reply) for reply in replies])]
    ['right', 'right', 'wrong', 'unparsable']

The computation runs in a worker process (`sandbox`), because math-verify calls sympy's parser, which evaluates Python. That
parser is given only text that matches math-verify's pattern of digits, operators and brackets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from heistbench.bench.contracts.nouns import Grade, Problem, Verdict
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.scoring.math_text import WRAPPED, Answer, find_answer, tidy, to_latex
from heistbench.bench.scoring.sandbox import MEBIBYTES, SECONDS, Failure, Pool

DECIMALS = 6
_OWN_UNIT = re.compile(r"(?<=[^\s,])\s*\\(?:text\w*|mbox|mathrm)\s*\{[^{}]*\}(?:\^\{?\d\}?)?\s*$")
_UNIT = re.compile(r"(?:(?<=[\d})])|(?<=\\pi))\s{1,9}[a-zA-Z]{2}[a-zA-Z ./]{0,60}(?:\^\{?\d\}?)?\s*$")
_ANY_UNIT = re.compile(
    r"(?<=[\d})])\s{0,9}(?:[a-zA-Z]{3}[a-zA-Z ./]{0,60}|[ckm]?[gmlL]|[cm]?s|in|ft|yd|mi|lb|oz|hr|[hACFJKNVW])(?:\^\{?\d\}?)?\s*$"
)
_DECIMAL = re.compile(r"\s*[$€£]?\s*[-+]?(?:\d{1,3}(?:,\d{3})+|\d*)(?<=\d)(?:\.\d*)?\s*|\s*[-+]?\.\d+\s*")
_CHOICE = re.compile(r"\\text\w*\{\(?([A-J])\)?\}|\(([A-J])\)")
_LETTER = re.compile(r"\W*(?:\\text\w*\{)?\W*([A-J])(?=[).:}]|\s*$)")
_NUMERAL = re.compile(r"([0-9A-Za-z]+)_\{?(\d+)\}?")
_COMMA = re.compile(r"-?(?:\d+,\d\d|\d{4,},\d+|0,\d+)")
"""A decimal comma that can hardly be a list or a thousands separator."""
_DEFINITION = re.compile(r"\w+\([a-z]\) ?=")
"""The left side of a function definition, whose variable may have any name."""
_SMALL = re.compile(r"-?0?\.(0+)")
"""A decimal that starts with zeros; they are added to the places compared."""
_REASONS = {
    Failure.TIMEOUT: f"took longer than {SECONDS:g} s",
    Failure.MEMORY: f"took more than {MEBIBYTES} MB",
    Failure.CRASH: "the grader died of it",
}


def grade_math(gold: str, answer: str) -> Grade:
    """Grade a visible answer against a gold answer, using at most `SECONDS` and `MEBIBYTES`. See the table above."""
    return grade_math_all([(gold, answer)])[0]


def grade_math_all(pairs: Sequence[tuple[str, str]], decimals: int = DECIMALS) -> list[Grade]:
    """Grade (gold, answer) pairs on all cores; the grades are in the order of the pairs.

    The verdict is timeout if a bound was exceeded, and unparsable if a reply holds no mathematics. An answer that differs from
    gold only in styling is right without a computation.
    """
    compared = [_compare_text(gold, answer) for gold, answer in pairs]
    items = [item for item in compared if not isinstance(item, Grade)]
    outcomes = iter(_pool(os.getpid()).map({**item, "decimals": decimals + item.pop("zeros")} for item in items))
    return [item if isinstance(item, Grade) else _grade(item, next(outcomes)) for item in compared]


class MathTask(Task):
    """A task whose answers are graded by `grade_math`."""

    def grade(self, problem: Problem, answer: str) -> Grade:
        """See `grade_math`."""
        return grade_math(problem.gold, answer)

    def grade_all(self, problems: Sequence[Problem], answers: Sequence[str]) -> list[Grade]:
        return grade_math_all([(problem.gold, answer) for problem, answer in zip(problems, answers, strict=True)])


@cache
def _pool(process: int) -> Pool:
    """This process's workers; a forked child must not share its parent's."""
    return Pool(f"{__name__}:math_verifier")


def _compare_text(gold: str, answer: str) -> Grade | dict[str, Any]:
    """The grade, if it takes no mathematics; otherwise the item for a worker."""
    known, given = _read_gold(tidy(gold)), find_answer(tidy(answer))
    ours, theirs = canonical(known.text), canonical(given.text)
    if not theirs and not given.passage:
        return Grade.unparsable("empty")
    if ours and ours in (theirs, canonical(given.passage)):
        return Grade.of(True, _extract(given.text or given.passage))
    if (choice := _CHOICE.fullmatch(known.text)) and (letter := _LETTER.match(given.text[:40])):
        return Grade.of(letter[1] in choice.groups(), letter[1])
    if (numeral := _NUMERAL.fullmatch(ours)) and (other := _NUMERAL.fullmatch(theirs)):
        return Grade.of(numeral.groups() == other.groups(), theirs)
    if given.passage and WRAPPED.fullmatch(given.text) and not (ours.isalpha() or re.search(r"\d", given.passage)):
        return Grade.unparsable("no mathematics")  # words, where gold is none
    number = is_number(without_unit(known.text))
    plain = [known.text] if _COMMA.fullmatch(known.text) else []
    return {
        "gold": [*_sources(known, number), *plain],
        "answer": _sources(given, number),
        "text": given.text,
        "bound": all(_DEFINITION.match(text) for text in (known.text, given.text)),
        "zeros": len(small[1]) if number and (small := _SMALL.match(known.text)) else 0,
    }


def _read_gold(gold: str) -> Answer:
    """A gold answer, which is either given alone or located in its solution, as in a reply."""
    return find_answer(gold) if re.search(r"\$|\\boxed|\\\(|\\\[", gold) else Answer(gold.strip(), "")


def _sources(answer: Answer, number: bool) -> list[str]:
    """The texts in which a worker looks for the mathematics of an answer, the likeliest first."""
    text = without_unit(answer.text, letters=number)
    if number and _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    latex, passage = f"${to_latex(text)}$", f"Answer: {answer.passage}"
    return [source for source, there in ((latex, text), (passage, answer.passage)) if there]


def _grade(item: dict[str, Any], outcome: Any) -> Grade:
    """The grade that follows from the outcome of a worker."""
    if isinstance(outcome, Failure):
        return Grade(Verdict.TIMEOUT, extracted=_extract(item["text"]), reason=_REASONS[outcome])
    right, parsed, unread = outcome
    extracted = _extract(item["text"] or unread)
    return (
        Grade.of(right, extracted) if right or parsed else Grade(Verdict.UNPARSABLE, extracted=extracted, reason="no mathematics")
    )


def _extract(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"


def is_number(latex: str) -> bool:
    """Whether a text is a decimal number and nothing else."""
    return _DECIMAL.fullmatch(latex) is not None


def without_unit(latex: str, letters: bool = False) -> str:
    r"""A quantity without its unit. A unit of a single letter, which may be a variable, is removed only with `letters`.

    >>> without_unit(r"864 \mbox{ inches}^2"), without_unit("42 apples"), without_unit("3 m"), without_unit("3 m", letters=True)
    ('864', '42', '3 m', '3')
    """
    bare = _UNIT.sub("", _OWN_UNIT.sub("", latex))
    return _ANY_UNIT.sub("", bare) if letters else bare


def canonical(latex: str) -> str:
    r"""The form in which texts are compared as texts: without styling, words in lower case.

    >>> canonical(r"\left( 3, \dfrac{\pi}{2} \right)") == canonical(r"(3,\frac{\pi}{2})")
    True
    """
    text = WRAPPED.sub(r"\1", latex)
    text = re.sub(r"\\(?:left|right)(?![a-zA-Z])|\\?\$|\\[()]", "", text).replace("dfrac", "frac").replace("tfrac", "frac")
    text = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text).lstrip(",;:").rstrip(".,;:")
    text = text[1:-1] if re.fullmatch(r"\(\w\)", text) else text
    return text.lower() if re.fullmatch(r"[^\W\d_]{2,}", text) else text


def math_verifier() -> Callable[[dict[str, Any]], tuple[bool, bool, str]]:
    """The function of a worker: whether an answer is right, whether it could be read, and what was read."""
    import logging

    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    logging.disable(logging.CRITICAL)
    normal = replace(LatexExtractionConfig().normalization_config, units=False)  # its units are letters like t, too
    config = (LatexExtractionConfig(normalization_config=normal), ExprExtractionConfig())

    def compare(item: dict[str, Any]) -> tuple[bool, bool, str]:
        golds = [value for text in item["gold"] for value in parse(text, config, parsing_timeout=None)]
        answers, parsed = list[Any](), False
        for text in item["answer"]:
            answers = parse(text, config, parsing_timeout=None)
            if parsed := any(not isinstance(value, str) for value in answers):
                break
        precision = {"float_rounding": item["decimals"], "strict": not item["bound"]}
        right = verify(golds, answers, **precision, allow_set_relation_comp=True, timeout_seconds=None)
        return right, parsed, next((value for value in answers if isinstance(value, str)), "")

    compare({"gold": ["$1$"], "answer": ["$2$"], "bound": False, "decimals": DECIMALS})
    return compare
