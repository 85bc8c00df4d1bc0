"""What holds within one record: every number that follows from others, worked out again.

A rule says whether something holds, of which field, and what is wrong where it does not. `Record` refuses to be made where one
is broken, so that the harness cannot write what `heist leaderboard verify` would refuse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from math import fsum

from pydantic import ValidationError

from heistbench.bench.contracts.nouns import Verdict
from heistbench.bench.scoring.overlap import SIGNATURES
from heistbench.bench.storage.blocks import EXAMPLE_LENGTH, EXAMPLES_EACH_END, OverlapScores, RecordParts
from heistbench.bench.storage.exams import Exam
from heistbench.bench.storage.store import hash_of

Rule = tuple[bool, str, str]
"""Whether something holds, the field it is about, and what is wrong where it does not."""
Broken = tuple[str, str]
"""Field and reason of a rule that does not hold."""
EXACT, ROUNDED = 1e-9, 1e-6
"""By how much a share may be off: as it was computed, or as it was written with six digits."""
UNBOUNDED = "length_ratio"
"""The one metric of overlap that may be over 1."""
NOTHING = hash_of([])
"""The hash of no rows and of no prompts."""
KIND = "broken invariants"
"""The type of the error that pydantic raises for them."""


def broken_rules(record: RecordParts, exam: Exam) -> list[Broken]:
    """Field and reason of each rule that a record of these parts and this exam breaks."""
    parts = (_loot, _no_loot, _bill, _utility, _overlap, _exposure, _examples)
    rules = chain(_exam(exam), chain.from_iterable(part(record) for part in parts))
    return [(field, reason) for holds, field, reason in rules if not holds]


def faults_of(error: ValidationError) -> list[Broken]:
    """All that makes a text no record: what is not of the schema, each by its field, or else every rule that it breaks."""
    errors = error.errors(include_url=False, include_input=False)
    return [fault for each in errors for fault in _faults(each["type"], each["loc"], each["msg"], each.get("ctx", {}))]


def _faults(kind: str, place: tuple[int | str, ...], message: str, context: Mapping[str, list[Broken]]) -> list[Broken]:
    return context["faults"] if kind == KIND else [(".".join(map(str, place)), message)]


def _exam(exam: Exam) -> Iterator[Rule]:
    verdicts, questions = exam.verdicts, max(1, exam.n)
    tally = Counter(verdicts.values())
    right = tally[Verdict.RIGHT]
    yield exam.n > 0, "exam.n", "no question was examined"
    counted = exam.n == len(verdicts) and {verdict: n for verdict, n in exam.counts.items() if n} == dict(tally)
    yield counted, "exam", "counts are not those of the verdicts"
    yield abs(exam.accuracy * questions - right) <= ROUNDED, "exam", "accuracy is not that of the verdicts"
    gained = fsum(share - (verdicts.get(i) is Verdict.RIGHT) for i, share in exam.partial.items())
    yield abs(exam.score * questions - right - gained) <= ROUNDED, "exam", "score is not that of the questions"
    yield exam.partial.keys() <= verdicts.keys(), "exam.partial", "has scores of questions that were not examined"
    if exam.traces is not None:
        yield exam.traces.keys() == verdicts.keys(), "exam", "traces are not those of the questions"
        pairs = (trace.split() for trace in set(exam.traces.values()))
        consistent = all((kind == "none") == (words == "0") or kind == "right" for kind, words in pairs)
        yield consistent, "exam.traces", "says `none` of a trace with words, or something else of a trace without"


def _loot(record: RecordParts) -> Iterator[Rule]:
    loot = record.loot
    answered = max(1, loot.questions - loot.lost)
    yield loot.questions == record.arm.budget, "loot.questions", f"is not the budget of {record.arm.budget} queries"
    yield loot.lost <= min(loot.questions, record.bill.queries), "loot.lost", "is more than was asked"
    yield loot.traces <= loot.rows, "loot.traces", "is more than the rows"
    for field, share, most in (
        ("loot.whole_traces", loot.whole_traces, loot.traces),
        ("loot.right_answers", loot.right_answers, loot.rows),
    ):
        yield _whole(share or 0.0, answered), field, f"is no share of {answered} questions"
        yield share is None or share * answered <= most + EXACT * answered, field, f"is more than the {most} there are"


def _no_loot(record: RecordParts) -> Iterator[Rule]:
    """Without rows there is nothing to train on, to compare or to show."""
    loot, models = record.loot, record.provenance.models
    untrained = models.get("student before") == models.get("student after")
    yield (not loot.rows) == untrained, "provenance.models.student after", "a student changes if there are rows, and only then"
    if not loot.rows:
        yield loot.sha256 == NOTHING, "loot.sha256", "is not the hash of no rows"
        yield not record.overlap, "overlap", "there are no rows to compare"
        yield not record.examples, "examples", "there are no rows to show"


def _bill(record: RecordParts) -> Iterator[Rule]:
    bill, budget, threat = record.bill, record.arm.budget, record.arm.threat
    yield bill.queries <= budget, "bill.queries", f"is over the budget of {budget}"
    yield not bill.queries or threat != "none", "bill.queries", "the victim was asked, and arm.threat is none"
    if not bill.queries:
        spent = bill.prompt_tokens or bill.completion_tokens or bill.dollars
        yield not spent, "bill", "has tokens or dollars of the victim's, and no queries"
        sent = record.provenance.data.get("prompts sent")
        yield sent == NOTHING, "provenance.data.prompts sent", "is not the hash of no prompts"


def _utility(record: RecordParts) -> Iterator[Rule]:
    use = record.utility
    answered = max(1, use.n - use.lost)
    yield use.lost <= use.n, "utility.lost", "is more than was asked"
    for name in ("accuracy", "refused", "summary_shown"):
        yield _whole(getattr(use, name), answered), f"utility.{name}", f"is no share of {answered} questions"
    yield use.accuracy + use.refused <= 1 + EXACT, "utility.refused", "an answer is both right and refused"


def _overlap(record: RecordParts) -> Iterator[Rule]:
    loot = record.loot
    answered = max(1, loot.questions - loot.lost)
    for name, scores in record.overlap.items():
        field, known = f"overlap.{_printable(name)}", SIGNATURES.get(name)
        yield scores.n == loot.questions, f"{field}.n", f"is not the {loot.questions} questions attacked"
        yield scores.signature.startswith(f"{name}|"), f"{field}.signature", f"is not one of {_printable(name)}"
        metrics = {*known.metrics, "answer_agreement"} if known else scores.stolen.keys()
        for part, values in _parts(scores):
            if values.keys() != metrics and (values or part != "floor_surrogate"):
                yield False, f"{field}.{part}", f"expected {', '.join(map(_printable, sorted(metrics)))}"
            if not _shares(values):
                yield False, f"{field}.{part}", "is out of [0, 1]"
        yield loot.traces > 0 or not any(scores.stolen.values()), f"{field}.stolen", "is more than 0, and no trace was stolen"
        agreed = _whole(scores.stolen.get("answer_agreement", 0.0), answered, ROUNDED)
        yield agreed, f"{field}.stolen.answer_agreement", f"is no share of {answered} questions"


def _exposure(record: RecordParts) -> Iterator[Rule]:
    if exposure := record.exposure:
        most = record.bill.queries
        yield exposure.n <= most, "exposure.n", f"is more than the {most} queries"
        yield _whole(exposure.struct, max(1, exposure.n)), "exposure.struct", f"is no share of {exposure.n} replies"
        whole = bool(exposure.struct) == bool(exposure.struct_only)
        yield whole, "exposure.struct_only", "is there if struct is, and only then"
        yield _shares(exposure.all), "exposure.all", "is out of [0, 1]"
        yield _shares(exposure.struct_only), "exposure.struct_only", "is out of [0, 1]"


def _examples(record: RecordParts) -> Iterator[Rule]:
    examples, most = record.examples, min(2 * EXAMPLES_EACH_END, record.loot.rows)
    scores = [example.score for example in examples if example.score is not None]
    texts = [text or "" for e in examples for text in (e.question, e.exposed, e.stolen, e.answer, e.hidden)]
    longest = max(map(len, texts), default=0)
    yield len(examples) <= most, "examples", f"has {len(examples)} rows; expected at most {most}"
    yield len({example.id for example in examples}) == len(examples), "examples", "shows a row twice"
    yield longest <= EXAMPLE_LENGTH, "examples", f"has a text of more than {EXAMPLE_LENGTH:,} characters"
    yield len(scores) in (0, len(examples)), "examples", "some have a score and some have none"
    yield 0 <= min(scores, default=0) <= max(scores, default=0) <= 1, "examples", "has a score out of [0, 1]"
    yield scores == sorted(scores, reverse=True), "examples", "is not in the order of scores"


def _whole(share: float, n: int, off: float = EXACT) -> bool:
    """Whether a share of `n` things is a whole number of them."""
    return 0 <= share <= 1 + off and abs(share * n - round(share * n)) <= off * n


def _shares(values: Mapping[str, float]) -> bool:
    return all(value >= 0 and (value <= 1 + ROUNDED or metric == UNBOUNDED) for metric, value in values.items())


def _printable(name: str) -> str:
    """A name that anyone may have given, in an error: none of its characters may act there."""
    return name if name.isprintable() else ascii(name)


def _parts(scores: OverlapScores) -> Iterator[tuple[str, Mapping[str, float]]]:
    yield "stolen", scores.stolen
    yield "floor_other_question", scores.floor_other_question
    yield "floor_surrogate", scores.floor_surrogate
    yield "ceiling_victim_again", scores.ceiling_victim_again
