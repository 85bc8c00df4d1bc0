"""bAbI, one type at a time: short stories, a question each, and the facts that answer it as the trace.

    question   mary and daniel travelled to the bathroom . john and daniel travelled to the office . where is daniel ?
    trace      john and daniel travelled to the office
    answer     office

The traces are the data set's own supporting facts, so a recorded victim replays them. Splits are by how
stories begin, so no question is in two of them; the examined ones are the official test file's and in no other split.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from random import Random
from typing import ClassVar, NamedTuple

from heistbench.bench import DataFile, HeistError, Problem, Question, Split, Task, TraceCheck, Verdict, question_id, task

TYPES = (
    "single-supporting-fact", "two-supporting-facts", "three-supporting-facts", "two-arg-relations", "three-arg-relations",
    "yes-no-questions", "counting", "lists-sets", "simple-negation", "indefinite-knowledge", "basic-coreference", "conjunction",
    "compound-coreference", "time-reasoning", "basic-deduction", "basic-induction", "positional-reasoning", "size-reasoning",
    "path-finding", "agents-motivations",
)  # fmt: skip
ARCHIVE = "https://raw.githubusercontent.com/siddk/entity-network/b18fbb7c749e98192a77132af9e537e399ac24c7/tasks/en-10k"
"""A copy of the official archive, whose own address is gone, at a fixed commit."""
_SHARES: dict[str, range] = {"query": range(0, 60), "surrogate": range(60, 80), "dev": range(80, 100)}
"""Which hundredths of the hashes of story beginnings in the official training file belong to which split."""
_TOKEN = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")


class Asked(NamedTuple):
    """A problem, and the text of its story up to the first question, by which stories are split."""

    beginning: str
    problem: Problem


@task("babi", version="1-A", paper="arXiv:1502.05698")
class Babi(Task):
    """Type `number` of the 20, from the `en-10k` files of release 1.2 (10,000 training questions)."""

    number: int = 12
    licence: ClassVar[str] = "CC BY 3.0"

    def problems(self, split: Split, n: int) -> list[Problem]:
        tests = {a.problem.question.id: a.problem for a in _read(_file(self.number, "test").locate())}
        found = tests
        if split != "test":
            rows = [a.problem for a in _read(_file(self.number, "train").locate()) if _hundredth(a.beginning) in _SHARES[split]]
            found = {p.question.id: p for p in rows if p.question.id not in tests}
        if len(found) < n:
            raise HeistError(f"babi({self.number}): split {split} has {len(found)} questions, {n} were asked for")
        # By id, so that the first n are a random sample of the file and not its beginning.
        return sorted(found.values(), key=lambda p: p.question.id)[:n]

    def data_digest(self) -> str:
        return " ".join(_file(self.number, part).digest() for part in ("train", "test"))

    def grade(self, problem: Problem, answer: str) -> Verdict:
        """Right for the gold words alone, whatever their case and spacing; an empty answer is unparsable."""
        words = _TOKEN.findall(answer.lower())
        if not words:
            return Verdict.UNPARSABLE
        return Verdict.RIGHT if words == problem.gold.split() else Verdict.WRONG

    def summarize(self, trace: str) -> str | None:
        """The recap names where each fact ends."""
        return " ".join(f"{value} ." for value in self.values(trace)) or None

    def wrong_trace(self, problem: Problem, rng: Random) -> str:
        """Other statements of the story, none that supports the answer; of a story without others, shuffled words."""
        facts = [fact.strip() for fact in re.split(r" \.(?: |$)", problem.question.text)[:-1]]
        support = problem.trace.split(" ; ")
        others = [fact for fact in facts if fact not in support]
        if others:
            return " ; ".join(rng.choice(others) for _ in support)
        return " ; ".join(" ".join(reversed(fact.split())) for fact in support)

    def values(self, trace: str) -> list[str]:
        return [fact.split()[-1] for fact in trace.split(" ; ") if fact.split()]

    def check(self, problem: Problem, trace: str) -> TraceCheck:
        expected, found = problem.trace.split(" ; "), " ".join(trace.split()).split(" ; ")
        return TraceCheck(sum(a == b for a, b in zip(expected, found, strict=False)), max(len(expected), len(found)))


def _file(number: int, part: str) -> DataFile:
    if not 1 <= number <= len(TYPES):
        raise HeistError(f"babi: number {number}: expected 1 to {len(TYPES)}")
    name = f"qa{number}_{TYPES[number - 1]}_{part}.txt"
    return DataFile(f"babi/en-10k/{name}", f"{ARCHIVE}/{name}")


@cache
def _read(path: Path) -> list[Asked]:
    """All questions of a file. Raises HeistError that names the line for anything but bAbI's format."""
    found: list[Asked] = []
    story: _Story | None = None
    for at, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            number, rest = line.split(" ", 1)
            if number == "1":
                story = _Story()
            if story is None:
                raise ValueError("no story has begun")
            found.extend(story.read(int(number), rest.split("\t")))
        except (ValueError, KeyError):
            raise HeistError(
                f"{path}, line {at}: expected `number statement` or `number question<TAB>answer<TAB>numbers of statements above`"
            ) from None
    return found


class _Story:
    """A story as it is read: its statements so far, by their numbers."""

    def __init__(self) -> None:
        self.facts: dict[int, str] = {}
        self.beginning = ""

    def read(self, number: int, cells: list[str]) -> list[Asked]:
        """Take in one line; the question on it, if it is one."""
        if len(cells) == 1:
            self.facts[number] = _words(cells[0])
            return []
        question, answer, support = cells
        text = " ".join([*self.facts.values(), _words(question)])
        self.beginning = self.beginning or text
        trace = " ; ".join(self.facts[int(i)].rstrip(" .") for i in support.split())
        return [Asked(self.beginning, Problem(Question(question_id(text), text), _words(answer), trace))]


def _hundredth(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 100


def _words(text: str) -> str:
    return " ".join(_TOKEN.findall(text.lower()))
