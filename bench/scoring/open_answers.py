"""Scores of open-book answers: one string against its alternatives, or a list of names against the right list.

    answer_scores   words shared with the best alternative, normalised as SQuAD's evaluation does (arXiv:1606.05250)
    list_scores     names given against right names, as CoTempQA counts them (arXiv:2406.09072)
    rouge_l, bleu   as the evaluation of MS MARCO computes them (arXiv:1611.09268), which follows coco-caption

All are in [0, 1]. A reply may have any length: its last `LONGEST_REPLY` characters are read, and the first `MOST_WORDS` words of
those.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from heistbench.bench.contracts.nouns import Grade, Verdict
from heistbench.bench.scoring.plain_text import boxes

LONGEST_REPLY = 20_000
MOST_WORDS = 2_000
LONGEST_EXTRACT = 300
"""How many characters of an answer a grade keeps."""
BETA = 1.2
"""The weight of recall in MS MARCO's ROUGE-L: it counts more than precision."""
Metrics = dict[str, float]
Words = tuple[str, ...]
"""A name, or an n-gram, as its words."""

_DECORATION = re.compile(r"[*`#~]+")
_TEXT_COMMAND = re.compile(r"\\text\w*\s*\{([^{}]*)\}")
_TAG = re.compile(r"<answer>", re.IGNORECASE)
_LEAD_IN = re.compile(
    r"(?<!this )\banswers?\b(?:[ \t]+to[ \t][^\n.:]{0,60}?)?[ \t]*(?:\b(?:is|are|was|were|would be|should be)\b|[:=])"
    r"|^[ \t]*(?:the |final |correct )*answers?[ \t]*$|\b(?:therefore|thus|hence|in conclusion)\b|^[ \t]*so,",
    re.IGNORECASE | re.MULTILINE,
)
_REMARK = re.compile(r"\n[ \t(]*(?:explanation|reasoning|rationale|justification|note)s?\b", re.IGNORECASE)
_END = re.compile(r"\n[ \t]*\n")
_ARTICLES = {"a", "an", "the"}
_ROUGE_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|\w+|[^\w\s]")
_LIST_MARKER = re.compile(r"^[ \t]*(?:[-+\u2013\u2014\u2022\u00b7]|\(?\d{1,3}[.)])[ \t]+", re.MULTILINE)
_INSIDE = re.compile(r"\\?['\u2018\u2019]|(?<=\w)\.(?=\w)")
_PIECE = re.compile(r"\w+|\.(?=\s|$)|[,;:!?\n()\[\]{}<>\"\u201c\u201d|]")
_DENIAL = re.compile("not?|never|neither|nor|none|except|without|(?:is|was|are|were|did|does)nt|cannot")
_SENTENCE = re.compile(
    r"is|was|are|were|be|been|being|am|has|had|have|having|did|does|do|hold(?:s|ing)?|held|work(?:s|ed|ing)?|attend(?:s|ed|ing)?"
    r"|play(?:s|ed|ing)?|belong(?:s|ed)?|serve[sd]?|serving|owne?[sd]?|went|go|goes|moved?|moves|travell?ed|journeyed|got|gets|took"
    r"|takes|picked|grabbed|gave|gives|dropped|left|carries|carrying|while|during|because|since|until|from|same|time|period|interval"
    r"|span|simultaneously|concurrently|based|according|given|facts|context|question|following|therefore|also"
    r"|(?:is|was|are|were|did|does)nt|cannot|\d{4}"
)
"""Words and years that occur in sentences: text that has one of them is not a name."""
_BESIDE = re.compile(
    f"{_SENTENCE.pattern}|in|at|on|to|by|as|for|with|between|member|objects?|items?|things?|both|afraid|colou?r(?:ed)?"
)
"""Words that may occur beside a name without being part of it."""


def graded(reply: str, scores: Metrics, score: float) -> Grade:
    """The grade of a reply with these scores: right if it matches exactly, unparsable if it contains no word."""
    answer = final_answer(reply)
    if scores["exact_match"]:
        return Grade(Verdict.RIGHT, score, answer[:LONGEST_EXTRACT], metrics=scores)
    if not any(map(str.isalnum, answer)):
        return Grade(Verdict.UNPARSABLE, reason="no word in it", metrics=scores)
    return Grade(Verdict.WRONG, score, answer[:LONGEST_EXTRACT], metrics=scores)


def final_answer(reply: str) -> str:
    r"""The part of a reply that gives its answer, without styling.

    | the reply holds                                  | its answer is                                      |
    |--------------------------------------------------|----------------------------------------------------|
    | `\boxed{...}`                                    | what is in the last box                            |
    | `<answer>...</answer>`                           | what is in the last one                            |
    | "the answer is", "Answer:", "Therefore", "So,"   | what follows the last of them, up to a blank line  |
    | none of these                                    | the reply                                          |

    A remark on a line of its own ("Explanation: ...") is not part of the answer.

    >>> final_answer("Mary left. **Final answer:** the garden"), final_answer(r"It is $\boxed{\text{two}}$.")
    ('the garden', 'two')
    """
    text = reply.strip()[-LONGEST_REPLY:]
    if boxed := boxes(text):
        return _TEXT_COMMAND.sub(r"\1", boxed[0][2]).strip()
    if len(tagged := _TAG.split(text)) > 1:
        return tagged[-1].partition("<")[0].strip()
    text = _DECORATION.sub("", text).strip()
    tails = (text[lead_in.end() :].strip(" \t\n:=,-\u2013\u2014") for lead_in in reversed([*_LEAD_IN.finditer(text)]))
    tail = next(filter(None, tails), "")
    return _REMARK.split(_END.split(tail, maxsplit=1)[0] if tail else text, maxsplit=1)[0].strip()


def readings(reply: str) -> list[str]:
    """A reply as a whole, and its final answer: text that looks like a lead-in may be part of an answer."""
    return [reply.strip()[-LONGEST_REPLY:], final_answer(reply)]


def normalised(text: str) -> list[str]:
    """Words as SQuAD's evaluation compares them: lower case, no punctuation, no articles; at most `MOST_WORDS`.

    Punctuation means Unicode's, not only ASCII's. A text of articles or punctuation alone is kept as it is.

    >>> normalised("The “Tet” Offensive, 1968."), normalised("A")
    (['tet', 'offensive', '1968'], ['a'])
    """
    whole = unicodedata.normalize("NFKC", text[:LONGEST_REPLY])[:LONGEST_REPLY].lower()
    words = "".join(char for char in whole if not _is_punctuation(char)).split()[:MOST_WORDS]
    return [word for word in words if word not in _ARTICLES] or words or whole.split()[:MOST_WORDS]


def answer_scores(reply: str, golds: Sequence[str]) -> Metrics:
    """Token F1, precision and recall against the best of several golds, and whether one is matched exactly.

    Either the whole reply or its final answer is scored, whichever is better.

    >>> answer_scores("The answer is $6 a square foot.", ["$6-$16 a square foot", "6"])["precision"]
    0.6666666666666666
    """
    candidates = [_overlap(normalised(reading), normalised(gold)) for gold in golds for reading in readings(reply)]
    return max(candidates, key=lambda scores: (scores["exact_match"], scores["f1"]))


def list_scores(reply: str, golds: Sequence[str], others: Sequence[str] = (), stated: Sequence[str] = ()) -> Metrics:
    """F1, precision and recall of the set of names that a reply gives, and whether it is exactly the right set.

    `others` are names known to be wrong: they are recognised inside sentences, as the right ones are. `stated` are names from
    the question itself: repeating one ("X and Y", when asked who was there besides X) is neither right nor wrong.

    | the reply                                        | names given                                        |
    |--------------------------------------------------|----------------------------------------------------|
    | `X ; Y`, `X, Y`, `X and Y`, bullets, numbers     | X and Y; a comma or "and" within a name is no break |
    | `['X', 'Y']`, `"X"`, `**X**`, `X.`               | as without the marks                               |
    | She worked for X from 1999 to 2001, and for Y.   | X and Y                                            |
    | X, Z (no name that is known)                     | X and a wrong one                                  |
    | Young X                                          | a wrong one: the text is more than the name        |
    | not X                                            | a wrong one                                        |

    >>> list_scores("The answers are **Orange** and Dell Inc.", ["Dell Inc.", "Orange"])["exact_match"]
    1.0
    """
    wanted, wrongs, repeated = ({_name(text) for text in texts} for texts in (golds, others, stated))
    given: set[Words] = set()
    wrong = 0
    for names, words in _items(final_answer(reply), wanted | wrongs | repeated):
        beside = [word for word in words if word not in _ARTICLES]
        if beside and not _is_sentence(beside, bool(names)):
            wrong += 1
        else:
            given |= names - (repeated - wanted)
    return _scores(len(given & wanted), len(given) + wrong, len(wanted))


def tokens(text: str) -> list[str]:
    """Lower-case words, numbers and signs: close to the tokens of spaCy, which MS MARCO's evaluation uses."""
    return _ROUGE_TOKEN.findall(text[:LONGEST_REPLY].lower())[:MOST_WORDS]


def rouge_l(answer: str, golds: Sequence[str]) -> float:
    """F-measure of the longest common subsequence, from the best precision and the best recall over the golds."""
    from rapidfuzz.distance import LCSseq

    words = tokens(answer)
    pairs = [(LCSseq.similarity(gold, words), len(gold)) for gold in map(tokens, golds)]
    precision = max(common / max(1, len(words)) for common, _ in pairs)
    recall = max(common / max(1, length) for common, length in pairs)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if precision and recall else 0.0


def bleu(answers: Sequence[str], golds: Sequence[Sequence[str]], order: int) -> float:
    """BLEU up to `order`-grams of a corpus or of one answer: clipped counts, the closest gold's length, no smoothing."""
    rows = [(tokens(answer), list(map(tokens, alternatives))) for answer, alternatives in zip(answers, golds, strict=True)]
    length = sum(len(words) for words, _ in rows)
    wanted = sum(min((abs(len(gold) - len(words)), len(gold)) for gold in alternatives)[1] for words, alternatives in rows)
    shares = [_clipped(rows, n) for n in range(1, order + 1)]
    if not all(shares):
        return 0.0
    return math.exp(sum(map(math.log, shares)) / order + min(0.0, 1 - wanted / length))


def _clipped(rows: Sequence[tuple[list[str], list[list[str]]]], n: int) -> float:
    """The share of an answer's n-grams that occur in a gold, each counted at most as often as in the gold with the most."""
    common = total = 0
    for words, alternatives in rows:
        most: Counter[Words] = Counter()
        for gold in alternatives:
            most |= _grams(gold, n)
        common += (_grams(words, n) & most).total()
        total += max(0, len(words) - n + 1)
    return common / total if total else 0.0


def _grams(words: list[str], n: int) -> Counter[Words]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] == "P" or char in "$+<=>^`|~"


def _overlap(words: list[str], gold: list[str]) -> Metrics:
    scores = _scores((Counter(words) & Counter(gold)).total(), len(words), len(gold))
    return {**scores, "exact_match": float(words == gold)}


def _scores(common: int, given: int, wanted: int) -> Metrics:
    return {
        "f1": 2 * common / (given + wanted) if common else 0.0,
        "precision": common / given if common else 0.0,
        "recall": common / wanted if common else 0.0,
        "exact_match": float(common == given == wanted),
    }


def _is_sentence(words: list[str], named: bool) -> bool:
    """Whether words belong to a sentence, with or without a name in it, and are not a name themselves."""
    if named and any(map(_DENIAL.fullmatch, words)):
        return False
    return any(map((_BESIDE if named else _SENTENCE).fullmatch, words))


def _items(text: str, names: set[Words]) -> list[tuple[set[Words], list[str]]]:
    """The items of a list or sentence: the known names in each, and the words beside them.

    Names are located first, longer ones before shorter, so that a separator within a name does not split it.
    """
    pieces: list[str | Words] = [*_pieces(text)]
    for name in sorted(filter(None, names), key=lambda name: (-len(name), name)):
        for i in [i for i, piece in enumerate(pieces) if piece == name[0]][::-1]:
            if end := _end_of(name, pieces, i):
                pieces[i:end] = [name]
    runs = [list(run) for parts, run in groupby(pieces, key=lambda piece: piece in ("", "and", "or")) if not parts]
    return [({p for p in run if isinstance(p, tuple)}, [p for p in run if isinstance(p, str)]) for run in runs]


def _end_of(name: Words, pieces: Sequence[str | Words], i: int) -> int:
    """The end of the name that begins at `i`; 0 if none does."""
    for word in name:
        while i < len(pieces) and pieces[i] == "":
            i += 1
        if i == len(pieces) or pieces[i] != word:
            return 0
        i += 1
    return i


def _pieces(text: str) -> list[str]:
    """Words in lower case and without accents, with "" in place of each separator."""
    apart = unicodedata.normalize("NFKD", text.casefold())[:LONGEST_REPLY]
    bare = "".join(char for char in apart if not unicodedata.combining(char))
    pieces = _PIECE.findall(_INSIDE.sub("", _LIST_MARKER.sub("\n", bare)).replace("&", " and "))
    return [piece if piece[0].isalnum() or piece[0] == "_" else "" for piece in pieces[: 2 * MOST_WORDS]]


def _name(text: str) -> Words:
    return tuple(filter(None, _pieces(text)))
