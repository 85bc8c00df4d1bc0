"""Overlap of two texts by named signatures: LCS-F, token F1, BLEU, length ratio and recall of values, and the papers' metrics.

Overlap measures how much a reconstruction resembles the original, not what it is worth. It is read between a floor and a
ceiling, and attacks are never ranked by it. Every score carries its signature, a line that says how it was computed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version

from heistbench.bench.scoring.paper_overlap import LONGEST_TEXT, REP_METRICS, TIA_METRICS, rep, tia
from heistbench.bench.scoring.similarity import Pair, bleu, lcs_f, ngram_f, set_f

Scores = dict[str, float]
Values = Callable[[str], Sequence[str]]
_WORDS_AND_SIGNS = re.compile(r"\w+|[^\w\s]")
_HEADLINES = ("lcs_f", "rouge_l")
_STANDALONE_NUMBER = re.compile(r"(?<!\w)\d+(?:[.,]\d+)*(?!\w)")


@dataclass(frozen=True, slots=True)
class Signature:
    """A named way to score two texts: its metrics, how they are defined, and the function that computes them.

    `describes` has a `{}` for the name and version of the `library`.
    """

    name: str
    metrics: tuple[str, ...]
    describes: str
    library: str
    compare: Callable[[str, str, Values], Scores]

    def __str__(self) -> str:
        described = self.describes.format(f"{self.library}-{_version(self.library)}")
        return f"{self.name}|{described}|empty:0|v:1"


@cache
def _version(library: str) -> str:
    """Of what is installed: to read that takes a millisecond, and signatures are written down for every cell."""
    return version(library)


def numbers(text: str) -> list[str]:
    """The numbers in a text, in order: the values to recall unless a task defines others."""
    return _STANDALONE_NUMBER.findall(text)


def score(reference: str, candidate: str, signature: Signature, values: Values = numbers) -> Scores:
    """Every metric of a signature for one pair. All are in [0, 1] except `length_ratio`: candidate tokens per reference token.

    An empty text scores 0 against anything; a reference without values has a recall of 0. Raises HeistError if `tia` lacks
    NLTK's sentence model.
    """
    if not reference.strip() or not candidate.strip():
        return dict.fromkeys(signature.metrics, 0.0)
    return signature.compare(reference, candidate, values)


def mean(scores: Sequence[Mapping[str, float]]) -> Scores:
    """The mean of each metric over pairs; empty if there are no pairs."""
    return {metric: sum(s[metric] for s in scores) / len(scores) for metric in scores[0]} if scores else {}


def headline(metrics: Iterable[str]) -> str:
    """The metric that represents a signature where there is room for only one; empty if there are no metrics."""
    names = list(metrics)
    return next((name for name in (*_HEADLINES, *names) if name in names), "")


def _compare(tokenize: Callable[[str], list[str]], reference: str, candidate: str, values: Values) -> Scores:
    pair = Pair(tokenize(reference), tokenize(candidate))
    return {
        "lcs_f": lcs_f(pair),
        "token_f1_set": set_f(pair),
        "token_f1": ngram_f(pair, 1),
        "bleu": bleu(pair),
        "length_ratio": pair.counts(1).candidate / pair.counts(1).reference,
        "value_recall": _recall(values(reference), values(candidate)),
    }


def _recall(reference: Sequence[str], candidate: Sequence[str]) -> float:
    return (Counter(reference) & Counter(candidate)).total() / len(reference) if reference else 0.0


def _ours(name: str, tokens: str, tokenize: Callable[[str], list[str]]) -> Signature:
    metrics = ("lcs_f", "token_f1_set", "token_f1", "bleu", "length_ratio", "value_recall")
    how = f"tokens:{tokens}|case:kept|stemmer:none|lcs_f:2*lcs/(a+b)|f1:set and multiset|bleu:{{}} sentence exp"
    return Signature(name, metrics, how, "sacrebleu", partial(_compare, tokenize))


_ROUGE = "F of 2*common/(a+b) on runs of a-z and 0-9 in lower case"
_CUT = f"stripped, cut at {LONGEST_TEXT} characters"
SIGNATURES: dict[str, Signature] = {
    s.name: s
    for s in (
        _ours("words", "words and single signs", _WORDS_AND_SIGNS.findall),
        _ours("whitespace", "whitespace", str.split),
        Signature(
            "tia",
            TIA_METRICS,
            f"text:{_CUT}|words:{{}} word_tokenize with punkt_tab|case:kept|bleu:nltk sentence method3 of words|f1:set of words"
            f"|rouge:{_ROUGE}|stemmer:nltk Porter over 3 characters|length_ratio:words (paper: Qwen tokens)",
            "nltk",
            lambda reference, candidate, values: tia(reference, candidate),
        ),
        Signature(
            "rep",
            REP_METRICS,
            f"text:{_CUT}|rouge:{_ROUGE}|stemmer:none|bleu:{{}} 13a lower case sentence exp, mean of pairs (paper: corpus)"
            "|length_ratio:whitespace",
            "sacrebleu",
            lambda reference, candidate, values: rep(reference, candidate),
        ),
    )
}
