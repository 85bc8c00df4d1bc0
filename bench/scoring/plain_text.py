r"""Replies as plain text, for the readers of options and numbers: LaTeX and Markdown styling removed, boxes located.

>>> plain(r"**Answer:** $\text{ (A) }$ and \(\mathrm{B}_2\)")
'Answer: (A) and B_2'
>>> [content for _, _, content in boxes(r"\boxed{1} or rather \boxed{x_{2}}")]
['x_{2}', '1']
"""

from __future__ import annotations

import re
import unicodedata

TAIL = 20_000
"""How many characters of a text are read, counted from its end."""
TRIES = 50
"""How many boxes and answer marks are read, from the last one back."""

_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴-⁹⁺⁻]+")
_ASCII_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "—": ":", "⁄": "/"} | {half: f" {unicodedata.normalize('NFKC', half)}" for half in "¼½¾⅓⅔⅛"}  # noqa: RUF001
)
_FONTS = "text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|boldsymbol|mbox"
_FONT_COMMAND = re.compile(rf"\\(?:{_FONTS}) ?\{{([^{{}}]{{0,200}})\}}")
_DRESS = [
    (_FONT_COMMAND, r" \1"),
    (_FONT_COMMAND, r" \1"),  # a font within a font
    (re.compile(r"(?i)(?:^|\n)(?: ?>)+|</answer>"), "\n"),
    (re.compile(r"(?i)<answer>"), "\nAnswer: "),
    (re.compile("(?<=[0-9])(?:\\\\[,;!]|[\u2009\u202f])(?=[0-9]{3}(?![0-9]))"), ""),
    (re.compile(rf"\\(?:(?:{_FONTS}|bf|rm|displaystyle|left|right|q?quad|[Bb]ig[lr]?)(?![A-Za-z])|[,;:! ])|~"), " "),
    (re.compile(r"\\(?:begin|end)\s?\{[a-z*]{1,20}\}|\\\\(?![A-Za-z])"), "\n"),
    (re.compile(r"(?<=10)\*\*(?=[-+({0-9])"), "^"),
    (re.compile(r"\*\*|__|`|\\?[$#]|\\[()\[\]]"), ""),
    (re.compile(r"\{\s?([-+])\s?\}"), r"\1"),
    (re.compile(r"[^\S\n]+"), " "),
    (re.compile(r" ?\n ?"), "\n"),
    (re.compile(r"\n{2,}"), "\n\n"),
]
_BRACE = re.compile(r"\\f?box(?:ed)? ?\{|\\[{}]|[{}]")


def plain(text: str) -> str:
    """The tail of a text without styling, invisible characters or extra space."""
    text = _SUPERSCRIPT.sub(lambda match: f"^{{{match[0]}}}", _HIDDEN.sub("", text[-TAIL:]))
    text = unicodedata.normalize("NFKC", text.translate(_ASCII_SIGNS)).translate(_ASCII_SIGNS)[-TAIL:]
    for pattern, instead in _DRESS:
        text = pattern.sub(instead, text)
    return text.strip()


def boxes(text: str) -> list[tuple[int, int, str]]:
    r"""Start, end and content of the last `TRIES` of `\boxed{...}`, last first; braces are matched in one pass."""
    opened: list[tuple[int, int]] = []
    spans = []
    for match in _BRACE.finditer(text):
        if match[0].endswith("{") and match[0] != r"\{":
            opened.append(match.span())
        elif match[0] == "}" and opened:
            start, inside = opened.pop()
            if inside - start > 1:
                spans.append((start, match.end(), text[inside : match.start()]))
    return spans[: -TRIES - 1 : -1]


def last_line(text: str) -> str:
    """The last line that contains a letter or digit; empty if none does."""
    return next((line for line in reversed(text.split("\n")) if re.search(r"[^\W_]", line)), "")
