"""Overlap of two texts: LCS-F, token F1 by set and by multiset, BLEU, length ratio, recall of values.

Overlap says how much a reconstruction resembles the original, not what it is worth: it is read between a floor and a
ceiling, and attacks are never ranked by it. Every score carries its signature, a line that says how it was made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

METRICS = ("lcs_f", "token_f1_set", "token_f1", "bleu", "length_ratio", "value_recall")
_WORDS_AND_SIGNS = re.compile(r"\w+|[^\w\s]")
_NUMBER = re.compile(r"(?<!\w)\d+(?:[.,]\d+)*(?!\w)")


@dataclass(frozen=True, slots=True)
class Signature:
    """A named way to score: how text becomes tokens."""

    name: str
    describes: str
    tokenize: Callable[[str], list[str]]

    def __str__(self) -> str:
        return (
            f"{self.name}|tokens:{self.describes}|case:kept|stemmer:none|lcs_f:2*lcs/(a+b)|f1:set and multiset"
            f"|bleu:sacrebleu-{version('sacrebleu')} sentence exp|empty:0|v:1"
        )


SIGNATURES: dict[str, Signature] = {
    s.name: s
    for s in (
        Signature("words", "words and single signs", _WORDS_AND_SIGNS.findall),
        Signature("whitespace", "whitespace", str.split),
    )
}


def numbers(text: str) -> list[str]:
    """The numbers a text names, in order: the values to recall where no task says what they are."""
    return _NUMBER.findall(text)


def score(
    reference: str, candidate: str, signature: Signature, values: Callable[[str], Sequence[str]] = numbers
) -> dict[str, float]:
    """Every metric for one pair. All are in [0, 1] but `length_ratio`, candidate tokens over reference tokens.

    An empty text scores 0 against anything; a reference without values has a recall of 0.
    """
    a, b = signature.tokenize(reference), signature.tokenize(candidate)
    if not a or not b:
        return dict.fromkeys(METRICS, 0.0)
    return {
        "lcs_f": lcs_f(a, b),
        "token_f1_set": _f1(len(set(a) & set(b)), len(set(a)), len(set(b))),
        "token_f1": _f1((Counter(a) & Counter(b)).total(), len(a), len(b)),
        "bleu": bleu(a, b),
        "length_ratio": len(b) / len(a),
        "value_recall": _recall(values(reference), values(candidate)),
    }


def mean(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over pairs; of no pairs, zeros."""
    return {m: sum(s[m] for s in scores) / len(scores) if scores else 0.0 for m in METRICS}


def lcs_f(a: Sequence[str], b: Sequence[str]) -> float:
    """F-measure of the longest common subsequence of two token lists: ROUGE-L on the same tokens."""
    from rapidfuzz.distance import LCSseq

    return _f1(LCSseq.similarity(a, b), len(a), len(b))


def bleu(reference: Sequence[str], candidate: Sequence[str]) -> float:
    """Sentence BLEU with exponential smoothing, in [0, 1]."""
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(tokenize="none", smooth_method="exp", effective_order=True)
    # Rounding can carry a perfect match past 100.
    return min(1.0, float(scorer.sentence_score(" ".join(candidate), [" ".join(reference)]).score) / 100)


def _f1(common: int, a: int, b: int) -> float:
    return 2 * common / (a + b)


def _recall(wanted: Sequence[str], found: Sequence[str]) -> float:
    return (Counter(wanted) & Counter(found)).total() / len(wanted) if wanted else 0.0
