"""Overlap of long texts, against sacrebleu and rouge-score as they are."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ratios import Ratio, side_by_side, timed

from heistbench.bench.scoring.overlap import SIGNATURES, score

PAIRS, TOKENS = 20, 4_000


def overlap(repetitions: int) -> Iterator[Ratio]:
    """Six metrics of pairs of 4,000 tokens; rouge-score's longest common subsequence is timed on one pair."""
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    pairs, words, rouge = [_pair(Random(at)) for at in range(PAIRS)], SIGNATURES["words"], RougeScorer(["rouge1", "rougeL"])
    seconds = dict[str, float]()

    def ours() -> float:
        seconds["ours"] = timed(lambda: [score(*pair, words) for pair in pairs])() / PAIRS
        return seconds["ours"]

    def bleu() -> float:
        return timed(lambda: [sacrebleu.sentence_bleu(theirs, [truth], tokenize="none") for truth, theirs in pairs])() / PAIRS

    values = side_by_side(ours, bleu, repetitions)
    yield Ratio(
        "overlap", "six metrics", "sacrebleu's BLEU alone", values, f"{1 / seconds['ours']:.0f} pairs a second on one core"
    )
    values = side_by_side(ours, timed(lambda: rouge.score(*pairs[0])), 1)
    yield Ratio("overlap", "six metrics", "rouge-score's ROUGE-1 and -L", values)


def _pair(rng: Random) -> tuple[str, str]:
    """A text of words as common as in texts, and one that keeps two of three of them."""
    truth = [f"w{int(rng.paretovariate(0.6)) % 6_000}" for _ in range(TOKENS)]
    return " ".join(truth), " ".join(word if rng.random() < 2 / 3 else f"w{rng.randrange(6_000)}" for word in truth)
