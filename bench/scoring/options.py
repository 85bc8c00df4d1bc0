r"""Option letters in free text, in the forms that models actually write.

The letters are looked for in this order: boxes; lists marked as the answer; a last line of letters alone; conclusions; options
called right or wrong; the one option that the last line names. Where an answer is marked, letters elsewhere do not count. Where
nothing settles it, the result is None rather than a guess.

| written (⏎: a new line)                                                                          | read |
|--------------------------------------------------------------------------------------------------|------|
| `\boxed{\text{A, C}}`, `\boxed{(A)} and \boxed{C}`, `\boxed{a, c}`                               | AC   |
| `**Answer:** (A) and (C)`, `ANSWER: AC`, `Ans. a, c`, `答案:A、C`                                | AC   |
| `The correct options are:⏎(A) this⏎(C) that`, `So the points on the line are (A) and (C).`       | AC   |
| `(A) and (C) are correct.`, `(A) False⏎(B) True⏎(A) True, after all⏎(B) False⏎(C) True`          | AC   |
| `Final answer: C. Some text`, `It is 5 J, which corresponds to option C.`, `Only C is true.`     | C    |
| `(A) is wrong. The answer is (C), not (B).`, `The value is (C) 5 J.`                             | C    |
| `All four options are correct.`                                                                  | ABCD |
| `A particle moves.`, `Option (A) is incorrect.`, `The answer is B or C.`, `None of them is true` | None |

>>> read_options("(A) is wrong and (B) cannot be, so the correct options are (C) and (D)."), read_options("A ball falls.")
('CD', None)
>>> read_options("**Answer:** (H)", letters="ABCDEFGHIJ")
'H'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from heistbench.bench.scoring.plain_text import boxes, last_line, plain

_CALLS = (
    r"(?i:\b(?:is|are|was|were|be|becomes?|as|to|choose|chose|select|pick|mark)\b|\banswers?\b\)?(?: ?- |\n+| )|\bans\b[.)]?)"
    r"|[:=→⇒是为选]|\(are\)|->|\\(?:right|Right)arrow\b"
)
"""Words and signs that stand right before an answer."""
_FILLER = (
    r"(?:[\s:\"'“”‘*,]|[(\[{](?! ?[A-Za-z] ?[)\]])|- |(?<=\n)[0-9]{1,2}[.)] |\(s\)|"  # noqa: RUF001
    r"(?i:that|both|only|all|the|of|options?|choices?|statements?|letters?|correct|answers?|final|is|are|following|given|by|indeed|"
    r"therefore|thus|most|likely|be|as)\b){0,16}"
)
_NOUN = r"\b(?:options?|choices?|statements?)\b"
_SPEAKS = re.compile(
    rf"(?i)answer|\bans\b|\b(?:correct|true|best|closest|choose|select|pick|satisf\w+)\b|right {_NOUN}|{_NOUN}.*\bonly\b"
    rf"|\bonly\b.*{_NOUN}|(?:match|correspond)\w* ?(?:with|to)? ?$|答案|正确|[故应]选"
)
"""Words that show a sentence to be about the answer."""
_CONCLUDES = re.compile(
    r"(?i)\W*(?:the )?(?:so|thus|hence|therefore|finally|in conclusion|in summary|to conclude|final answers?|we conclude)\b"
)
_DENIES = re.compile(
    r"(?i)\b(?:in-?correct|wrong|false|untrue|invalid|not|none|neither|nor|except|eliminat\w+|reject\w*)\b|n't\b|不"
)
_ASKS = re.compile(r"(?i)\b(?:check|test|verify|examine|analy[sz]e|whether|if|which of|let'?s|let us)\b")
_IS = (
    r" ?[:|-]? ?(?:(?:is|are|was|were|must be|seems?|holds?)\b ?)?"
    r"(?:(?:both|all|also|the|only|therefore|thus|indeed|options?|answers?|choices?|statements?|an?|ones?) ){0,5}"
)
_TRUE = re.compile(rf"(?i){_IS}(?:(?:correct|true|valid|right(?! ?\w))\b|[✓✔✅])")
_FALSE = re.compile(
    rf"(?i){_IS}(?:not|incorrect|false|wrong|invalid|untrue|cannot|ruled|eliminated|rejected|(?:is|are|does?)n't)\b|{_IS}[✗✘❌]"
)
_LAST_WORD = re.compile(r"(?i)\b(?:((?:not|never) (?:\w+ )?(?:true|correct|valid)|false|incorrect|wrong)|true|correct)\W*$")
_UNSURE = re.compile(
    r"(?i)(?:\b(?:if|whether|suppose|assum\w+|check\w*|verify|is|are|cannot|can't|which of|either|none of)\b[^.,;\n]*|\bor )$"
)
_ONLY = re.compile(r"(?i)\bonly\b[^.,;\n]*$")
_SOLE = re.compile(r"(?i) ?(?:is|are) (?:\w+ )?the (?:only )?(?:correct|right|true) (?:options?|answers?|choices?)")
_EVERY = re.compile(
    r"(?i)\bnone of (?:the|these|them)\b|(?<!if )(?<!not )\b(all) (?:of )?(?:the |these )?(?:four |given |above )*"
    r"(?:options|statements|choices|them)\b[^.\n]{0,60}\b(?:are|is) (?:\w+ ){0,2}(?:true|correct|valid)\b"
)
_ENDS = re.compile(r"(?i)[.!?。](?=\s|$)|\b(?:while|whereas|but|however|because|since)\b|\n|$")
_PREDICATE = re.compile(r"(?i) ?,? ?(?:is|are|both|all|which|as|for|hence|so)\b")
_NEXT = r"and|or|is|are|as|because|since|for|which|with|only|while|but|both|alone|correct|true|option|explanation|reason\w*"
_QUOTED = re.compile(r"(['\"‘“])([A-Za-z]{1,10})['\"’”]")  # noqa: RUF001


def read_options(text: str, letters: str = "ABCD") -> str | None:
    """The options that a reply settles on, as sorted letters; None if it settles on none."""
    forms, text = _forms(letters), plain(text)
    bare = _QUOTED.sub(r"\2", re.sub(r"\\?[{}]", "", text))
    places = (forms.marked, forms.alone, forms.concluded, forms.judged, forms.mentioned, forms.opening)
    chosen = forms.boxed(text) or next(filter(None, (place(bare) for place in places)), set())
    return "".join(sorted(chosen)) or None


@cache
def _forms(letters: str) -> _Options:
    return _Options(letters)


class _Options:
    """The forms in which a set of letters is written, and a method for each place where an answer may stand."""

    def __init__(self, letters: str) -> None:
        up, low, before = letters, letters.lower(), r"(?<![A-Za-z0-9_'^\\])"
        plain = r"(?![A-Za-z0-9_'^(\[]|-[A-Za-z0-9]| ?[=<>*^]| ?[+/] ?[0-9a-z\\])"
        # "A" and "I" are words, and "AC" may be: what follows must not read like the rest of a sentence.
        strict = rf"{plain}(?! (?!(?i:{_NEXT})\b|[{up}](?![A-Za-z0-9]))[A-Za-z0-9])"
        held = rf"{before}[(\[] ?[{up}{low}] ?[)\]]"
        free = rf"{before}(?:[{up}]\)|(?![AI])[{up}]{plain}|[{up}]{{1,{len(up)}}}{strict})"
        kin = rf"(?:{held}(?: ?{held}){{0,{len(up)}}}|{free}(?: {free}){{0,{len(up)}}})"
        below = rf"\n{{1,2}}(?:[*•-] )?(?=[(\[]?[{up}][)\]]?\.?(?:\n|$))"
        joint = rf"(?:(?:\s?(?:[,;&+/、]|\\&|and\b|和|与|及)){{1,3}}\s?|{below})"
        listed = rf"{kin}(?:{joint}{kin}){{0,{len(up)}}}"
        small = rf"(?<![A-Za-z0-9_])[{low}](?:{joint}[{low}](?![a-z])){{0,{len(up)}}}(?=[.)\]]?\s?(?:\n|$))"
        self.letters = letters
        self.listed = re.compile(listed)
        self.call = re.compile(rf"({_CALLS}){_FILLER}({listed}|{small})")
        self.head = re.compile(rf"(){_FILLER}({listed}|{small})")
        self.more = re.compile(rf"(?:[,;&]|and\b)\s?({held}(?:(?:{joint}| ?){held}){{0,{len(up)}}})")
        self.line = re.compile(rf"(?:[ •-]|[0-9]{{1,2}}[.)] ){{0,4}}([(\[]?)([{up}])([)\].:])(?= ?\S)")
        self.option = re.compile(rf"{before}(?:[(\[] ?([{up}]) ?[)\]]|(?i:options?|choices?) ([{up}])(?![A-Za-z0-9]))")
        self.other = re.compile(rf",? ?or\b ?[(\[]?[{up}]\b")

    def boxed(self, text: str) -> set[str]:
        """The options in the last box that holds any, together with the boxes right before it."""
        chosen: set[str] = set()
        left = 0
        for start, end, content in boxes(text):
            if chosen and not re.fullmatch(r"(?:[\s,;、&{}]|and\b){0,20}", text[end:left]):
                break
            inside = re.sub(r"\s+", " ", re.sub(r"\\f?box(?:ed)?|\\?[{}]", "", content))
            match = self.head.match(inside)
            taken = self._taken(inside, match) if match else set()
            if taken and not re.search(r"(?i)\bnot\W*$", text[max(0, start - 10) : start]):
                chosen, left = chosen | taken, start
        return chosen

    def marked(self, text: str) -> set[str]:
        """The last list of options in a sentence about the answer."""
        return self._called(text, lambda before, _: bool(_SPEAKS.search(before)))

    def concluded(self, text: str) -> set[str]:
        """The last list of options in brackets, or one per line, in a sentence that begins like a conclusion."""
        return self._called(text, lambda before, letters: bool(_CONCLUDES.match(before)) and bool(re.search(r"[)\].]", letters)))

    def alone(self, text: str) -> set[str]:
        """The options of a last line that contains nothing else."""
        line = last_line(text)
        match = self.head.match(line)
        return self._taken(line, match) if match and re.fullmatch(r"[\s.)\]]*", line[match.end() :]) else set()

    def judged(self, text: str) -> set[str]:
        """The options called true. The last statement about each counts; "only B is true" settles them all."""
        verdicts: dict[str, bool] = {}
        for line in text.split("\n"):
            for letters, right, settled in self._verdicts(line):
                verdicts = {} if settled else verdicts
                verdicts |= dict.fromkeys(letters, right)
        return {letter for letter, right in verdicts.items() if right}

    def mentioned(self, text: str) -> set[str]:
        """The options that the last line names, if it names a single one or is a conclusion with a single list."""
        line = last_line(text)
        above = last_line(text[: text.rfind(line)])
        if _ASKS.search(line) or (self.line.match(line) and self.line.match(above)):
            return set()  # a supposition, or the last of the options as they stand in the question
        letters = {a or b for a, b in self.option.findall(line)}
        lists = [self._of(match[0]) for match in self.listed.finditer(line)]
        settled = len(letters) == 1 or (lists == [letters] and _CONCLUDES.match(line))
        return letters if settled and not _DENIES.search(line) and not self.other.search(line) else set()

    def opening(self, text: str) -> set[str]:
        """The option that a reply of one line starts with."""
        item, first = self.line.match(text), self.listed.match(text)
        denied = "\n" in text or (first and _FALSE.match(text, first.end()))
        return {item[2]} if item and not denied else set()

    def _called(self, text: str, speaks: Callable[[str, str], bool]) -> set[str]:
        for match in reversed(list(self.call.finditer(text))):
            before = _sentence(text[max(0, match.end(1) - 200) : match.end(1)])
            clause = before.rsplit(", ", 1)[-1]
            concluded = (
                speaks(before, text[match.start(2) : match.end() + 1]) and not _DENIES.search(clause) and not _ASKS.search(clause)
            )
            if concluded and (chosen := self._taken(text, match)):
                return chosen
        return set()

    def _verdicts(self, line: str) -> Iterator[tuple[set[str], bool, bool]]:
        """The options that a line calls right or wrong, and whether that settles all of them: `(letters, right, settled)`."""
        judged = False
        for match in self.listed.finditer(line):
            before, right = line[max(0, match.start() - 60) : match.start()], bool(_TRUE.match(line, match.end()))
            if (right or _FALSE.match(line, match.end())) and not _UNSURE.search(before):
                yield self._of(match[0]), right, right and bool(_ONLY.search(before) or _SOLE.match(line, match.end()))
                judged = True
        if every := _EVERY.search(line):
            yield set(self.letters if every[1] else ""), True, True
        elif not judged and (item := self.line.match(line)) and (last_word := _LAST_WORD.search(line)):
            yield {item[2]}, not last_word[1], False

    def _taken(self, text: str, match: re.Match[str]) -> set[str]:
        """The options of a list and of its continuation, with text between them or one per line."""
        start, end = match.span(2)
        if self.other.match(text, end):
            return set()
        stop = _ENDS.search(text, end)
        rest = "" if stop is None or _PREDICATE.match(text, end) else text[end : stop.start()]
        chosen = set() if _FALSE.match(text, end) else self._of(match[2])
        chosen = chosen.union(*(self._of(m[1]) for m in self.more.finditer(rest) if not _FALSE.match(rest, m.end())))
        form = self.line.match(text, text.rfind("\n", 0, start) + 1)
        return chosen | self._lines(text[end:], form) if form and form.end() >= start else chosen

    def _lines(self, text: str, form: re.Match[str]) -> set[str]:
        """The options of the lines that have the same form as the first."""
        chosen = set()
        for line in filter(None, text.split("\n")[1:]):
            item = self.line.match(line)
            if not item or item.group(1, 3) != form.group(1, 3):
                break
            last_word = _LAST_WORD.search(line)
            if not _FALSE.match(line, item.end()) and not (last_word and last_word[1]):
                chosen.add(item[2])
        return chosen

    def _of(self, text: str) -> set[str]:
        return set(re.sub("and", "", text).upper()) & set(self.letters)


def _sentence(before: str) -> str:
    """The unfinished sentence at the end of a text."""
    return re.split(r"[.!?。]\s|\n", before.rstrip())[-1]
