r"""The final answer of a worked solution, located and written as LaTeX. This is text work only: nothing is computed.

The time is linear in the length of the text, whoever wrote it, and only the last `TAIL` characters are read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from heistbench.bench.scoring.plain_text import TAIL, boxes

_SHORT = 2_000
"""How many characters are searched for an answer that is not boxed."""
_LATEX_SIGNS = str.maketrans({
    **dict.fromkeys("\u2010\u2011\u2013\u2212", "-"), "\u00d7": r"\times ", "\u222a": r"\cup ", "\u2019": "'", "“": '"', "”": '"',
    "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "π": r"\pi ", "θ": r"\theta ", "∞": r"\infty ", "°": r"^\circ ", "≤": r"\le ",
    "≥": r"\ge ", "≠": r"\ne ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "≈": r"\approx ", "½": r"\frac{1}{2}",
    "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    **{sign: f"^{n}" for n, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}, **{sign: f"_{n}" for n, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")},
})  # fmt: skip
_SPELLINGS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"√\(([^()√]*)\)|√(\d+)", r"\\sqrt{\1\2}"),
        ("√", r"\\sqrt "),
        (r"(?i)<answer>", "\nAnswer: "),
        (r"(?i)</answer>", "\n"),
        (r"\\\$", ""),  # currency
        (r"\\!\s*|\{\}", ""),
        (r"(?<=\d)\\,(?=\d{3})", ""),
        (r"\\\\\[-?[\d.]+ ?[a-z]{2}\]", r"\\\\"),  # a row's extra space
        (r"(?<!\\)\\ |\\[,;:>](?![a-zA-Z])|\\(?:quad|qquad|displaystyle|textstyle)(?![a-zA-Z])|~", " "),
        (r"\\[bB]igg?[lrm]?(?![a-zA-Z])|\\(?:mathbf|mathit|boldsymbol|bm)(?=\s*\{)", ""),
        (r"\\langle(?![a-zA-Z])", "("),
        (r"\\rangle(?![a-zA-Z])", ")"),
        (r"\\mathrm\{(\w)\}", r"\1"),
    )
]
_PLAIN = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<![\\a-zA-Z{])sqrt\s?\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?<![\\a-zA-Z{])(pi|sqrt|sin|cos|tan|cot|sec|csc|ln|log)(?![a-zA-Z])", r"\\\1 "),
        (r"(?<![\\a-zA-Z{])infinity(?![a-zA-Z])", r"\\infty "),
        (r"(?<![\d.,/])(\d{1,9}) (\d{1,9})/(\d{1,9})(?![\d/])", r"\1\\frac{\2}{\3}"),
        (r"(?<=[\w)}])\s?\*\s?(?=[\w(\\])", r"\\cdot "),
        (r"(?<=\d) (?=\d{3}(?!\d))", ""),
        (r"(?<=\d)(and|or)(?=[A-Za-z(])", r" \1 "),
    )
]
_BOX = re.compile(r"\\f?box(?:ed)? ?\{")
_ANSWER_MARKER = re.compile(
    r"(?i)\banswers?\b(?:[^\n.:=$]{0,60}?(?:\bis\b|\bare\b|[:=])|\W{0,9}\n)|(?m:^\s{0,9}(?:#### ?(?=[$\\\d-])|A:))"
)
_SET_OFF = re.compile(r"(?:\$\$[^$]+\$\$|\$[^$\n]+\$(?!\d)|(?s:\\\[.+?\\\])|\\\(.+?\\\))(?:\s*\\?%)?")
_OVERRULED = re.compile(r"(?i)\bfinal answer(?: is)?[ :*]{0,9}(?=[$\d-]|\\[\[(])")
WRAPPED = re.compile(r"\\(?:text\w*|mbox|mathrm|operatorname)\s*\{([^{}]*)\}")
_PROSE_TOKEN = re.compile(r"(?:\\(?:text\w*|mbox)\s*\{[^{}]*\}|\S)+")
_COMMAND = re.compile(r"\\(?:begin|end)\s*\{\w+\}|\\[a-zA-Z]+")
_LEADING_BULLET = re.compile(r"^\s{0,9}(?:[-*•]|\d{1,3}[.)])\s+")
_COPULA = re.compile(r"\b(?:is|are|equals?)\b")
_AMOUNT = re.compile(r"[$€£]?-?[\d.,]*\d(?=[a-zA-Z%€£])")


class Answer(NamedTuple):
    """A final answer, and the passage around it where that may say more. Either may be empty."""

    text: str
    passage: str


class Span(NamedTuple):
    """A piece of mathematics that is set off from prose."""

    start: int
    end: int
    content: str


def tidy(text: str) -> str:
    r"""The end of a text without invisible characters, each sign in a single spelling.

    >>> tidy("√3 ≤ x\u200b, \\$5")
    '\\sqrt{3} \\le  x, 5'
    """
    text = text[-2 * TAIL :]
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))[-TAIL:]
    for pattern, replacement in _SPELLINGS[:2]:
        text = pattern.sub(replacement, text)
    text = unicodedata.normalize("NFKC", text.translate(_LATEX_SIGNS))
    for pattern, replacement in _SPELLINGS[2:]:
        text = pattern.sub(replacement, text)
    return (text if r"\begin" in text else re.sub(r"\\\\(?=[a-zA-Z])", r"\\", text))[-TAIL:]


def boxed_answer(text: str) -> str:
    r"""The content of the last box of a text and of the boxes joined to it; empty if there is none.

    >>> boxed_answer(r"Not \boxed{4}. It is \boxed{3} or $x = \boxed{\frac{1}{2}}$.")
    '3, \\frac{1}{2}'
    """
    groups = _groups(text := tidy(text), _boxes(text))
    return ", ".join(groups[-1]) if groups else ""


def find_answer(text: str) -> Answer:
    """The final answer of a tidied reply, wherever it is."""
    boxed = _boxes(text)
    if boxed and not _OVERRULED.search(text, boxed[-1].end):
        return Answer(", ".join(_groups(text, boxed)[-1]), "")
    tail = _behind_marker(text)
    passage = text[-_SHORT:].strip() if tail is None else _after_verb(tail.split("\n\n")[0])
    set_off = [Span(m.start(), m.end(), _bare(m[0])) for m in _SET_OFF.finditer(passage)]
    if tail is None:
        lines = passage[set_off[-1].end if set_off else 0 :].split("\n")[-20:]
        run = next((runs[-1] for line in reversed(lines) if (runs := list(_runs(_LEADING_BULLET.sub("", line, count=1))))), "")
    else:
        run = next(_runs(passage[: set_off[0].start] if set_off else passage), "")
    if run or set_off:
        return Answer(run or ", ".join(_groups(passage, set_off)[-1 if tail is None else 0]), passage)
    return Answer("" if re.search(r"\d", passage) else _words(passage, 3 if tail is None else 6), passage)


def _groups(text: str, spans: list[Span]) -> list[list[str]]:
    """The contents of spans, grouped by answer: spans joined by signs, or by a few words with "and" or "or", are one answer."""
    groups: list[list[str]] = []
    end = 0
    for span in spans:
        if not (groups and _belong_together(text[end : span.start])):
            groups.append([])
        if span.content not in groups[-1]:
            groups[-1].append(span.content)
        end = span.end
    return groups


def _boxes(text: str) -> list[Span]:
    """The innermost boxes that are not empty; if no box is closed, the text after the last one opened."""
    spans = [Span(start, end, _bare(content)) for start, end, content in reversed(boxes(text)) if not _BOX.search(content)]
    if not spans and (opened := list(_BOX.finditer(text[-_SHORT:]))):
        spans = [Span(len(text), len(text), _bare(text[-_SHORT:][opened[-1].end() :]))]
    return [box for box in spans if box.content]


def _belong_together(between: str) -> bool:
    if len(between) > 70 or re.search(r"[.!?:]\s|\n\s*\n", between):
        return False
    words = set(re.findall("[a-z]+", _COMMAND.sub(" ", WRAPPED.sub(r" \1 ", between)).lower()))
    return not words or (len(words) <= 4 and bool(words & {"and", "or"}) and not words & {"so", "then", "thus", "but", "not"})


def _bare(content: str) -> str:
    """A piece of mathematics without its delimiters."""
    return re.sub(r"\s+", " ", re.sub(r"\$|\\[()\[\]]", "", content)).lstrip(" ,;").rstrip(" .,;")


def _behind_marker(text: str) -> str | None:
    """The text after the last "answer is" or similar; one followed by mathematics takes precedence over one followed by words."""
    behind = [text[m.end() : m.end() + _SHORT].strip(" \t\n*:_\"'") for m in _ANSWER_MARKER.finditer(text)]
    behind = [passage for passage in behind if passage]
    return next((p for p in reversed(behind) if re.search(r"[\d\\$]", p[:200])), behind[-1] if behind else None)


def _after_verb(passage: str) -> str:
    """An answer given as a sentence, cut down to what follows its last "is" before mathematics."""
    if not passage[:1].isalpha():
        return passage
    sentence = re.split(r"[.!?](?:\s|$)|\n", passage, maxsplit=1)[0]
    ends = [match.end() for match in _COPULA.finditer(sentence) if re.search(r"[\d\\$]", sentence[match.end() :])]
    return passage[ends[-1] :].strip(" :") if ends else passage


def _words(passage: str, most: int) -> str:
    """An answer of at most `most` words, if a passage starts with it or its last sentence ends with it after an "is"."""
    sentences = [sentence for sentence in re.split(r"[.!?](?:\s|$)|\n", passage) if sentence.strip()]
    for words in (passage, _COPULA.split(sentences[-1])[-1] if sentences else ""):
        words = re.split(r"[.,;:\n]|\b ?\(| because | since ", words, maxsplit=1)[0].strip(" *\"'")
        if len(words) <= 60 and len(words.split()) <= most and re.search(r"[^\W\d_]", words) and not set(words) & set("{}\\$"):
            return rf"\text{{{words}}}"
    return ""


def _runs(passage: str) -> Iterator[str]:
    r"""The stretches of mathematics in a line of prose.

    >>> list(_runs("Then x = 2*sqrt(3) or 4, so (1, 2) is 7 cm away."))
    ['x = 2\\cdot \\sqrt{3}, 4', '(1, 2)', '7']
    """
    line = passage.split("\n", 1)[0].replace("$", " $ ")
    line = to_latex(re.sub(r"\b[aAI](?= +[\w\\])", "the", line))
    run: list[str] = []
    for token in (*_PROSE_TOKEN.findall(line), "end"):
        token = token.strip("*_\"'`") if "\\" not in token else token
        if token.lower() in ("and", "or"):
            run.append(",")
            continue
        if math := _is_math(token):
            run.append(token)
        elif amount := _AMOUNT.match(token):
            run.append(amount[0])
        if not math or token.endswith((".", ":", "?", "!")):
            if stretch := _joined(run):
                yield stretch
            run = []


def _is_math(token: str) -> bool:
    letters = re.findall("[a-zA-Z]{2,}", _COMMAND.sub(" ", WRAPPED.sub(" ", token)))
    return token != "$" and all(word.isupper() or (len(word) == 2 and re.search(r"[\d^=+]", token)) for word in letters)


def _joined(run: list[str]) -> str:
    text = re.sub(r"(?:\s*,)+", ",", " ".join(run)).lstrip(" ,;:!?").rstrip(" .,;:!?")
    if sum(map(text.count, "([")) != sum(map(text.count, ")]")):
        text = text.strip("()[] ,")
    return text if re.search(r"[\d\\]|\w\s*[-+=^/]\s*\w", text) else ""


def to_latex(text: str) -> str:
    r"""Plain notation as LaTeX: `2*sqrt(3)`, `pi/6`, `1 4/5`. LaTeX is left as it is."""
    for pattern, replacement in _PLAIN:
        text = pattern.sub(replacement, text)
    return text
