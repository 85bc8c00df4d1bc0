"""Similarity of two texts as lists of tokens: F-measures of sets, n-grams and the longest common subsequence, and BLEU.

All are in [0, 1]. Tokens become numbers first, so that n-grams are counted by numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
ORDERS = 4
"""BLEU counts n-grams of up to so many tokens."""


class Counts(NamedTuple):
    """N-grams of one order: those of reference and candidate, those that they share, and how many distinct ones each has."""

    reference: int
    candidate: int
    shared: int
    distinct_reference: int
    distinct_candidate: int
    distinct_shared: int


class Pair:
    """The tokens of a reference and of a candidate. Equal tokens have equal numbers, equal n-grams equal ranks."""

    def __init__(self, reference: Sequence[str], candidate: Sequence[str]) -> None:
        import numpy as np

        numbers = {token: number for number, token in enumerate(dict.fromkeys([*reference, *candidate]))}
        self._reference, self._candidate = (np.array([numbers[t] for t in side], np.int64) for side in (reference, candidate))
        self._distinct, self._ranks, self._counts = len(numbers), (self._reference, self._candidate), list[Counts]()

    def counts(self, order: int) -> Counts:
        """Of n-grams of that many tokens."""
        while len(self._counts) < order:
            self._counts.append(self._count_next())
        return self._counts[order - 1]

    def longest_common(self) -> int:
        """Tokens of the longest common subsequence. Two lists of 20,000 tokens take 0.1 s."""
        from rapidfuzz.distance import LCSseq

        return LCSseq.similarity(self._reference.tolist(), self._candidate.tolist())

    def _count_next(self) -> Counts:
        """Count the n-grams one token longer than those before, which are the rank of those and a token."""
        import numpy as np

        if at := len(self._counts):
            sides = (self._reference, self._candidate)
            grams = [ranks[:-1] * self._distinct + side[at:] for ranks, side in zip(self._ranks, sides, strict=True)]
        else:
            grams = [*self._ranks]
        distinct, ranks = np.unique(np.concatenate(grams), return_inverse=True)
        self._ranks = ranks[: len(grams[0])], ranks[len(grams[0]) :]
        ours, theirs = (np.bincount(side, minlength=len(distinct)) for side in self._ranks)
        shared = np.minimum(ours, theirs)
        return Counts(*(int(n) for n in (ours.sum(), theirs.sum(), shared.sum())), *map(_positive, (ours, theirs, shared)))


def set_f(pair: Pair) -> float:
    """F-measure of the sets of tokens."""
    counts = pair.counts(1)
    return _f(counts.distinct_shared, counts.distinct_reference, counts.distinct_candidate)


def ngram_f(pair: Pair, n: int) -> float:
    """F-measure of the multisets of n-grams: ROUGE-N on the same tokens."""
    counts = pair.counts(n)
    return _f(counts.shared, counts.reference, counts.candidate)


def lcs_f(pair: Pair) -> float:
    """F-measure of the longest common subsequence: ROUGE-L on the same tokens."""
    counts = pair.counts(1)
    return _f(pair.longest_common(), counts.reference, counts.candidate)


def bleu(pair: Pair) -> float:
    """Sentence BLEU with exponential smoothing, by sacrebleu's formula."""
    from sacrebleu.metrics.bleu import BLEU

    orders = [pair.counts(n) for n in range(1, ORDERS + 1)]
    score = BLEU.compute_bleu(
        correct=[counts.shared for counts in orders],
        total=[counts.candidate for counts in orders],
        sys_len=orders[0].candidate,
        ref_len=orders[0].reference,
        smooth_method="exp",
        effective_order=True,
    ).score
    return min(1.0, float(score) / 100)  # rounding can carry a perfect match past 100


def _positive(counts: Numbers) -> int:
    return int((counts > 0).sum())


def _f(common: int, a: int, b: int) -> float:
    return 2 * common / (a + b) if common else 0.0
