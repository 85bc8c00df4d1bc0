"""CoTempQA: questions about what was true at the same time, over a list of dated facts.

    question   Facts:
               - Jan Trøjborg works for Billund Airport from January 2, 2007 to December 3, 2010.
               - Jan Trøjborg works for NKT from March 25, 2010 to May 6, 2012.
               - Jan Trøjborg worked for Royal Pioneer Corps in 2006.
               Question: While Jan Trøjborg was working for Billund Airport, which employer did Jan Trøjborg work for ...?
    trace      kind : overlap . facts : Jan Trøjborg works for Billund Airport ... ; Jan Trøjborg works for NKT ...
    answer     NKT

The kind is how the two times relate. The right facts are those that state the question's "while" clause and those that state
an answer to it, by the sentence patterns from which the data are made; the authors of arXiv:2505.13792 count only the latter,
by any mention. In the 2,271 questions examined (all except 2,477 of `during`), every clause is stated, in 3 of them twice, and
so are 3,381 of the 3,412 answers, 5 of them twice: all these facts count. The other 31 answers do not fit the question (a
school for "which position"); the facts that mention them count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from heistbench.bench import (
    DataFile,
    Grade,
    OpenBook,
    Problem,
    Question,
    Split,
    ask,
    first,
    graded,
    hundredth,
    json_lines,
    list_scores,
    question_id,
    task,
    tidy,
    write_trace,
)

RELATIONS = ("equal", "overlap", "during", "mix")
SOURCE = "https://raw.githubusercontent.com/sbhambr1/Trace_Check_QA/fa84bdc5c65b440bf3893f081612392508ae4a9c/data/cotempqa"
INSTRUCTION = "Answer with the name alone; if there are several, put semicolons between them."
_SHARES: dict[str, range] = {"query": range(0, 70), "surrogate": range(70, 75), "dev": range(75, 80), "test": range(80, 100)}
"""The hundredths of question hashes that belong to each split; there is one file per relation."""
_VERBS = {
    "holds the position of": ("was holding the position of", "which position"),
    "works for": ("was working for", "which employer"),
    "worked for": ("was working for", "which employer"),
    "attended": ("attended", "which school"),
    "is a member of the": ("was a member of", "which political party"),
    "plays for": ("was playing for", "which team"),
    "is owned by": ("was owned by", "who was the owner"),
    "is the head coach of": ("was the head coach of", "who was the head coach"),
}
"""The wording of each relation in facts, in clauses and in questions."""
_DATE = r"(?:\w+(?: \d+)?, )?\d+"
_FACT = re.compile(rf"(.+?) ({'|'.join(_VERBS)}) (.+) (?:in {_DATE}|from {_DATE} to {_DATE})\.")


@task("cotempqa", version="1-A", paper="arXiv:2406.09072")
class CoTempQA(OpenBook):
    """Co-temporal questions for one or more relations: `equal`, `overlap`, `during`, `mix`, joined by `+`."""

    relations: str = "+".join(RELATIONS)
    licence: ClassVar[str] = "none stated"
    citation: ClassVar[str] = "Su et al., Living in the Moment: Can Large Language Models Grasp Co-Temporal Reasoning?, ACL 2024"

    def __post_init__(self) -> None:
        if not set(self.relations.split("+")) <= set(RELATIONS):
            raise ValueError(f"relations={self.relations}: expected some of {'+'.join(RELATIONS)}")

    def kinds(self) -> Sequence[str]:
        return RELATIONS

    def problems(self, split: Split, n: int | None) -> list[Problem]:
        problems = (p for relation in self._chosen for p in _read(_file(relation).locate(), relation))
        mine = (p for p in problems if hundredth(p.question.text) in _SHARES[split])
        return first(mine, n, f"cotempqa({self.relations}): split {split}")

    def data_digest(self) -> str:
        return " ".join(_file(relation).digest() for relation in self._chosen)

    def grade(self, problem: Problem, answer: str) -> Grade:
        """Right for exactly the set of gold names, in any order; the score is the F1 of the two sets.

        | reply, for the gold `NKT ; Dell Inc.`                | verdict | score |
        |------------------------------------------------------|---------|-------|
        | `Dell Inc. ; NKT`, `["NKT", "Dell Inc."]`            | right   | 1     |
        | `The answers are **NKT** and **Dell**` (no such name)| wrong   | 0.5   |
        | `She worked for NKT and for Dell Inc.`               | right   | 1     |
        | `NKT`                                                | wrong   | 0.67  |
        | nothing                                              | unparsable | 0  |

        Names from the question do not count. On 1,830 replies of real students, published by the authors of arXiv:2505.13792,
        this grader agrees with their evaluation on 99%, once theirs is corrected to look for wrong names where it intends to.
        As published, it takes subjects for objects, misses most wrong names, and counts 1 to 7 points more as right.

        >>> CoTempQA().grade(Problem(Question("q", ""), "NKT ; Dell Inc.", ""), "- Dell Inc.\\n- NKT").verdict
        <Verdict.RIGHT: 'right'>
        """
        question = problem.question.text.rpartition("Question: ")[2]
        offered = {name for subject, _, thing in map(_parts, self.facts(problem)) for name in (subject, thing)}
        others, stated = ([name for name in offered if (name in question) == known] for known in (False, True))
        scores = list_scores(answer, problem.gold.split(self.between), others, stated)
        return graded(answer, scores, scores["f1"])

    @property
    def _chosen(self) -> list[str]:
        return [relation for relation in RELATIONS if relation in self.relations.split("+")]


def right_facts(question: str, facts: Sequence[str], answers: Sequence[str]) -> list[str]:
    """The facts that state the question's clause or an answer. If none states an answer, those that mention it count.

    Raises ValueError for a text that is not a question.
    """
    clause, query = re.split(r", (?=which |who )", question, maxsplit=1, flags=re.IGNORECASE)
    right = {fact for fact in facts if _anchors(fact, clause)}
    for answer in answers:
        stating = [fact for fact in facts if _answers(fact, clause, query, answer)]
        right.update(stating or [fact for fact in facts if answer in fact])
    return [fact for fact in facts if fact in right]


def _anchors(fact: str, clause: str) -> bool:
    subject, verb, thing = _parts(fact)
    return bool(verb) and clause == f"While {subject} {_VERBS[verb][0]} {thing}"


def _answers(fact: str, clause: str, query: str, answer: str) -> bool:
    subject, verb, thing = _parts(fact)
    if not verb:
        return False
    put, noun = _VERBS[verb]
    if re.match("who (was )?also ", query):
        return subject == answer and clause.endswith(f" {put} {thing}")
    return thing == answer and subject in query and query.lower().startswith(noun)


def _parts(fact: str) -> tuple[str, str, str]:
    """Subject, verb and object of a fact; empty for a sentence of another pattern."""
    match = _FACT.fullmatch(fact)
    return (match[1], match[2], match[3]) if match else ("", "", "")


def _file(relation: str) -> DataFile:
    return DataFile(f"cotempqa/{relation}.json", f"{SOURCE}/{relation}.json")


@cache
def _read(path: Path, relation: str) -> list[Problem]:
    return json_lines(path, lambda row: _problem(row, relation), "a JSON object with question, facts and answer")


def _problem(row: dict[str, Any], relation: str) -> Problem:
    question, facts, answers = tidy(row["question"]), list(map(tidy, row["facts"])), list(dict.fromkeys(map(tidy, row["answer"])))
    text = ask(facts, question, INSTRUCTION)
    trace = write_trace(relation, right_facts(question, facts, answers))
    return Problem(Question(question_id(text), text), " ; ".join(answers), trace)
