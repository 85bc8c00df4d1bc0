r"""The number that a reply settles on, in the forms that models actually write.

The number is looked for in the last box that holds one, then after the last "answer", then in the last line. Written-out
arithmetic is computed within bounds; nothing is ever evaluated as code.

| written                                                                       | read   |
|-------------------------------------------------------------------------------|--------|
| `\boxed{-14.6 \text{ kJ}}`, `−14.6`, `Answer: minus 14.6`                     | -14.6  |
| `6.3 \times 10^{-3}`, `6.3 × 10⁻³`, `6.3e-3`, `6.3*10^(-3)`                   | 0.0063 |
| `1,250`, `1{,}250`, `1\,250`                                                  | 1250   |
| `\frac{3}{2}`, `3/2`, `3:2`, `1\frac{1}{2}`, `1½`                             | 3/2    |
| `x = 17000/2 = 8500 J`, `The work is 8500 J, which is little.`                | 8500   |
| `9.0`, `nine`, `9%`, `9^\circ`, `\boxed{3 \times 3}`, `\boxed{\sqrt{81}}`     | 9      |
| `2 to 3`, `2-3`, `1, 2`, `\boxed{n + 1}`, `\boxed{3x}`, `to 2 decimal places` | None   |

>>> read_number(r"Hence $W = \frac{17000}{2} = 8500 \mathrm{~J}$."), read_number("It is between 2 and 3.")
(Fraction(8500, 1), None)
"""  # noqa: RUF002 - as models write

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import ClassVar

from heistbench.bench.scoring.plain_text import TRIES, boxes, last_line, plain

REACH = 300
"""How many characters are searched for a number: of a box, after an answer mark, or before the end."""
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"]
_WORDS += ["fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"]
_TIDY = [
    (re.compile(r"(?i)\b(approx|rs|no|sq|i\.e|e\.g)\."), r"\1"),
    (re.compile(r"(?<=\S) ?\((?=[A-Za-z])[^()\n]{0,200}\)"), ""),
    (re.compile(r"(?i)(\b(?:is|are|be|to)\b|[:=≈]) ?\n+"), r"\1 "),
]
"""Abbreviations with a full stop, remarks in brackets, lines broken before their number."""
_ANSWER = re.compile(
    r"(?i)\b(?:answers?|ans)\b(?:[ ,]+(?:to|for|of|in|correct|rounded|up|would|will|should|must|can|here)\b[^.\n:=]{0,60}?)??"
    r"(?:\.? ?[:=≈]| (?:is|are|be)\b| - | ?\n|\.? (?=[-+]?[0-9]))|答案"
)
_STOP = re.compile(r"[.?。](?=\s|$)|!(?=\s*(?:$|\n|[A-Z]))|\n")
_EQUALS = re.compile(
    r"(\\(?:approx|simeq|sim|equiv|Rightarrow|rightarrow|implies|to)\b|[=≈≃⇒→;是为]|->|(?<![0-9])(?<![0-9] ):|"
    r"\b(?i:is|are|was|equals?|equal to|becomes?|be|gives?|gets?|got|find|obtain|yields?|have|has|approximately|approx|about|"
    r"nearly)\b)"
)
_ASIDE = re.compile(r"(?i)(?<=[0-9a-z%°)}]),? (?:which|where|since|because|when|assuming)\b.*")
_GIVEN = re.compile(r"(?i)\b(?:at|for|when|with|if|where|since|because|as) [^,]{1,12}$")
_LEAD = re.compile(
    r"(?:[\s:,\[{~≈+₹€£\"'“]|\\(?:approx|sim|simeq|pm)\b|(?i:around|roughly|exactly|only|just|the|an?|value|equal|to|of|by|also|"
    r"then|therefore|thus|hence|so|number|integer|close|almost|final|answer|rs|there)\b){0,16}"
)
_RANGE = re.compile(r"^[^-+]*[0-9] ?- ?[.0-9]+ ?$")
_GOES_ON = re.compile(
    r"\(|[eE][-+]?[0-9]|\} ?[\^_\\]|"
    r" ?(?:\^(?! ?\{? ?\\circ)|[+*×·√!]|/(?! ?[A-Za-z])|- ?(?:[0-9\\(]|[a-z]\b)|[,:.]? ?-?(?:[0-9]|\.[0-9])|"  # noqa: RUF001
    r"(?:to|or|and|through) -?[0-9]|(?:st|nd|rd|th|[abceijknopqrtvwxyz])\b(?!\.[a-z])|"
    r"\\(?!Omega|mu ?[A-Zmsgl]|degree|circ|AA|pm)[A-Za-z]|"
    r"(?i:decimal|significant|digits?|places?|d\.?p)\b)|.*?(?:[*×+·]|\\times|\\cdot) ?[0-9(]"  # noqa: RUF001
)
"""Text that shows a number to be only the start of something: an expression, a range, a list, `2 decimal places`."""


def read_number(text: str) -> Fraction | None:
    """The number that a reply settles on, exact where it is rational, without percent sign or unit; None if there is none."""
    text = plain(text)
    return next((value for part in _parts(text) if (value := _value(part)) is not None), None)


def _parts(text: str) -> Iterator[str]:
    """The passages that may hold the answer, the likeliest first. A last line that is boxed is not read twice."""
    boxed = boxes(text)
    for start, _, content in boxed:
        minus = re.search(r"(?:^|[\s=≈:(])-$|[=≈] ?- $", text[max(0, start - 5) : start])
        yield ("-" if minus else "") + content[:REACH]
    for mark in list(_ANSWER.finditer(text))[: -TRIES - 1 : -1]:
        yield _STOP.split(_tidy(text[mark.end() : mark.end() + REACH]).lstrip(" \n:"))[0]
    line = last_line(text)
    if not (boxed and "boxed" in line):
        yield from reversed(_STOP.split(_tidy(line[-REACH:])))


def _tidy(text: str) -> str:
    for pattern, instead in _TIDY:
        text = pattern.sub(instead, text)
    return text


def _value(part: str) -> Fraction | None:
    """The last number in a chain of equations: 5 in `v = d/t = 5 m/s, which is fast`."""
    short = _ASIDE.sub("", part)
    pieces = ["", "", *_EQUALS.split(short if re.search("[0-9]", short) else part)]
    for at in range(len(pieces) - 1, 1, -2):
        before, sign, piece = pieces[at - 2 : at + 1]
        value = None if sign == "=" and _GIVEN.search(before) else _leading(piece)
        if value is not None:
            return value
    return None


def _leading(piece: str) -> Fraction | None:
    """The number that a piece starts with, if the piece says nothing else."""
    start = _LEAD.match(piece)
    sums = _Sums(piece, start.end() if start else 0)
    try:
        value = sums.total()
    except (ArithmeticError, ValueError, TypeError):
        return None
    return None if _GOES_ON.match(piece, sums.at) or _RANGE.search(piece[: sums.at]) else value


class _Sums:
    """A parser of arithmetic as people and LaTeX write it. It reads from a place in a text as far as it can.

    Raises ValueError where no expression begins.
    """

    NUMBER = re.compile(
        r"((?:[0-9]{1,3}(?:(?:,|\{,\})[0-9]{3})+(?![0-9])|[0-9]{1,60}(?![0-9]))(?:\.[0-9]{0,60})?|\.[0-9]{1,60})"
        r"(?:[eE]([-+]?[0-9]{1,3})(?![0-9]))?"
    )
    MIXED = re.compile(
        r"([0-9]{1,9}) ?(?:\\[dtc]?frac ?\{ ?([0-9]{1,9}) ?\} ?\{ ?([0-9]{1,9}) ?\}|(?<= )([0-9]{1,9})/([0-9]{1,9}))"
    )
    WORD = re.compile(rf"(?i)({'|'.join(_WORDS)})\b(?! of\b)")
    TIMES = re.compile(
        r" ?(\\times|\\cdot|[×·*/÷]|[xX](?= ?[0-9])|:(?= ?[0-9])|(?=\\(?:sqrt|pi|[dtc]?frac|ln|log)|[π√(])) ?"  # noqa: RUF001
    )
    FUNCTIONS: ClassVar[dict[str, Callable[[float], float]]] = {"ln": math.log, "log": math.log10, "sqrt": math.sqrt}
    FUNCTION = re.compile(r"\\(ln|log|sqrt)(?: ?_ ?\{? ?10 ?\}?)? ?(?![_\[])|√ ?")
    DIGIT = re.compile(r" ?[0-9](?![0-9.])|(?<=frac)[0-9]|(?<=frac[0-9])[0-9]")
    DEPTH = 20

    def __init__(self, text: str, at: int, depth: int = 0) -> None:
        self.text, self.at, self.depth = text, at, depth

    def total(self) -> Fraction:
        """A sum or difference of products."""
        return self._chain(self._product, r" ?([-+]) ?", lambda sign, a, b: a + b if sign == "+" else a - b)

    def _product(self) -> Fraction:
        return self._chain(self._power, self.TIMES, lambda sign, a, b: a / b if sign in ("/", "÷", ":") else a * b)

    def _chain(
        self,
        part: Callable[[], Fraction],
        sign: str | re.Pattern[str],
        joined: Callable[[str, Fraction, Fraction], Fraction],
    ) -> Fraction:
        value = part()
        while True:
            at = self.at
            try:
                value = joined(self._eat(sign)[1], value, part())
            except ValueError:
                self.at = at
                return value

    def _power(self) -> Fraction:
        if self._sees(r"(?i)(?:-|minus\b|negative\b) ?"):
            return -self._power()
        base = self._atom()
        if self._sees("!"):
            base = _factorial(base)
        at = self.at
        try:
            return _raised(base, self._group()) if self._sees(r" ?\^ ?") else base
        except ValueError:  # as in 90^\circ
            self.at = at
            return base

    def _atom(self) -> Fraction:
        if match := self._sees(self.MIXED):
            whole, *parts = filter(None, match.groups())
            return Fraction(whole) + Fraction("/".join(parts))
        if match := self._sees(self.NUMBER):
            return Fraction(re.sub("[,{}]", "", match[1])) * Fraction(10) ** int(match[2] or 0)
        if match := self._sees(self.WORD):
            return Fraction(_WORDS.index(match[1].lower()))
        if self._sees(r"\\pi\b|π"):
            return Fraction(math.pi)
        if self._sees(r"\\[dtc]?frac ?"):
            return self._group() / self._group()
        if match := self._sees(self.FUNCTION):
            return Fraction(self.FUNCTIONS[match[1] or "sqrt"](float(self._group())))
        return self._bracket()

    def _group(self) -> Fraction:
        r"""The argument of a command: a bracket, a power, or one digit as in `\frac34`."""
        if match := self._sees(self.DIGIT):
            return Fraction(match[0])
        return self._bracket() if self._sees("(?=[({])") else self._power()

    def _bracket(self) -> Fraction:
        close = {"(": r" ?\)", "{": r" ?\}"}[self._eat(r"([({]) ?")[1]]
        if self.depth == self.DEPTH:
            raise ValueError("nested too deeply")
        inside = _Sums(self.text, self.at, self.depth + 1)
        value = inside.total()
        self.at = inside.at
        self._eat(close)
        return value

    def _sees(self, pattern: str | re.Pattern[str]) -> re.Match[str] | None:
        if match := re.compile(pattern).match(self.text, self.at):
            self.at = match.end()
        return match

    def _eat(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        if match := self._sees(pattern):
            return match
        raise ValueError(f"no {pattern} here")


def _factorial(base: Fraction) -> Fraction:
    if base.denominator > 1 or not 0 <= base <= 170:
        raise ValueError(f"no factorial of {float(base)}")
    return Fraction(math.factorial(int(base)))


def _raised(base: Fraction, power: Fraction) -> Fraction:
    """A power, exact where the result is small and otherwise with the precision of a float."""
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if power.denominator == 1 and abs(power) * size <= 10_000:
        return base ** int(power)
    return Fraction(float(base) ** float(power))
