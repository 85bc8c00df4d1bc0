"""The arithmetic of one record: every number that follows from others, worked out again.

What the record itself refuses to hold, verdicts that do not add up to accuracy, score and counts, never comes here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, pairwise

from heistbench.bench.scoring.overlap import SIGNATURES
from heistbench.bench.storage.records import EXAMPLE_LENGTH, EXAMPLES_EACH_END, OverlapScores, Record
from heistbench.bench.storage.store import hash_of
from heistbench.leaderboard.submit.findings import Fault, Rule, broken

EXACT, ROUNDED = 1e-9, 1e-6
"""By how much a share may be off: as it was computed, or as it was written with six digits."""
UNBOUNDED = "length_ratio"
"""The one metric of overlap that may be over 1."""
NOTHING = hash_of([])


def check_arithmetic(record: Record) -> Iterator[Fault]:
    """What does not add up."""
    parts = (_exam, _loot, _no_loot, _bill, _utility, _overlap, _exposure, _examples)
    return broken(chain.from_iterable(part(record) for part in parts))


def _exam(record: Record) -> Iterator[Rule]:
    exam = record.exam
    yield exam.n > 0, "exam.n", "no question was examined"
    yield exam.partial.keys() <= exam.verdicts.keys(), "exam.partial", "has scores of questions that were not examined"
    seen = (trace.split() for trace in (exam.traces or {}).values())
    told = all((kind == "none") == (words == "0") or kind == "right" for kind, words in seen)
    yield told, "exam.traces", "says `none` of a trace with words, or something else of a trace without"


def _loot(record: Record) -> Iterator[Rule]:
    loot = record.loot
    asked = max(1, loot.questions - loot.lost)
    yield loot.questions == record.arm.budget, "loot.questions", f"is not the budget of {record.arm.budget} queries"
    yield loot.lost <= min(loot.questions, record.bill.queries), "loot.lost", "is more than was asked"
    yield loot.traces <= loot.rows, "loot.traces", "is more than the rows"
    for name, share, most in (("whole_traces", loot.whole_traces, loot.traces), ("right_answers", loot.right_answers, loot.rows)):
        field = f"loot.{name}"
        yield _whole(share or 0.0, asked), field, f"is no share of {asked} questions"
        yield share is None or share * asked <= most + EXACT * asked, field, f"is more than the {most} there are"


def _no_loot(record: Record) -> Iterator[Rule]:
    """Without rows there is nothing to train on, to compare or to show."""
    loot, models = record.loot, record.provenance.models
    untrained = models.get("student before") == models.get("student after")
    yield (not loot.rows) == untrained, "provenance.models.student after", "a student changes if there are rows, and only then"
    if not loot.rows:
        yield loot.sha256 == NOTHING, "loot.sha256", "is not the hash of no rows"
        yield not record.overlap, "overlap", "there are no rows to compare"
        yield not record.examples, "examples", "there are no rows to show"


def _bill(record: Record) -> Iterator[Rule]:
    bill, budget, threat = record.bill, record.arm.budget, record.arm.threat
    yield bill.queries <= budget, "bill.queries", f"is over the budget of {budget}"
    yield not bill.queries or threat != "none", "bill.queries", "the victim was asked, and arm.threat is none"
    if not bill.queries:
        spent = bill.prompt_tokens or bill.completion_tokens or bill.dollars
        yield not spent, "bill", "has tokens or dollars of the victim's, and no queries"
        sent = record.provenance.data.get("prompts sent")
        yield sent == NOTHING, "provenance.data.prompts sent", "is not the hash of no prompts"


def _utility(record: Record) -> Iterator[Rule]:
    use = record.utility
    asked = max(1, use.n - use.lost)
    yield use.lost <= use.n, "utility.lost", "is more than was asked"
    for name in ("accuracy", "refused", "summary_shown"):
        yield _whole(getattr(use, name), asked), f"utility.{name}", f"is no share of {asked} questions"
    yield use.accuracy + use.refused <= 1 + EXACT, "utility.refused", "an answer is both right and refused"


def _overlap(record: Record) -> Iterator[Rule]:
    for name, scores in record.overlap.items():
        field, known = f"overlap.{name}", SIGNATURES.get(name)
        yield scores.n == record.loot.questions, f"{field}.n", f"is not the {record.loot.questions} questions attacked"
        yield scores.signature.startswith(f"{name}|"), f"{field}.signature", f"is not one of {name}"
        metrics = {*known.metrics, "answer_agreement"} if known else scores.stolen.keys()
        for part, values in _parts(scores).items():
            complete = values.keys() == metrics or (part == "floor_surrogate" and not values)
            yield complete, f"{field}.{part}", f"expected {', '.join(sorted(metrics))}"
            yield _shares(values), f"{field}.{part}", "is out of [0, 1]"
        nothing = record.loot.traces > 0 or not any(scores.stolen.values())
        yield nothing, f"{field}.stolen", "is more than 0, and no trace was stolen"
        asked = max(1, scores.n - record.loot.lost)
        agreed = _whole(scores.stolen.get("answer_agreement", 0.0), asked, ROUNDED)
        yield agreed, f"{field}.stolen.answer_agreement", f"is no share of {asked} questions"


def _exposure(record: Record) -> Iterator[Rule]:
    if shown := record.exposure:
        most = record.bill.queries
        yield shown.n <= most, "exposure.n", f"is more than the {most} queries"
        yield _whole(shown.struct, max(1, shown.n)), "exposure.struct", f"is no share of {shown.n} replies"
        yield bool(shown.struct) == bool(shown.struct_only), "exposure.struct_only", "is there if struct is, and only then"
        yield _shares({**shown.all, "struct": shown.struct}), "exposure.all", "is out of [0, 1]"
        yield _shares(shown.struct_only), "exposure.struct_only", "is out of [0, 1]"


def _examples(record: Record) -> Iterator[Rule]:
    shown, most = record.examples, min(2 * EXAMPLES_EACH_END, record.loot.rows)
    scores = [example.score for example in shown if example.score is not None]
    texts = [text for e in shown for text in (e.question, e.exposed, e.stolen, e.answer, e.hidden) if text]
    yield len(shown) <= most, "examples", f"has {len(shown)} rows; expected at most {most}"
    yield len({example.id for example in shown}) == len(shown), "examples", "shows a row twice"
    yield all(len(text) <= EXAMPLE_LENGTH for text in texts), "examples", f"has a text of more than {EXAMPLE_LENGTH:,} characters"
    yield len(scores) in (0, len(shown)), "examples", "some have a score and some have none"
    yield all(0 <= score <= 1 for score in scores), "examples", "has a score out of [0, 1]"
    yield all(a >= b for a, b in pairwise(scores)), "examples", "is not in the order of scores"


def _whole(share: float, n: int, off: float = EXACT) -> bool:
    """Whether a share of `n` things is a whole number of them."""
    return 0 <= share <= 1 + off and abs(share * n - round(share * n)) <= off * n


def _shares(values: Mapping[str, float]) -> bool:
    return all(value >= 0 and (value <= 1 + ROUNDED or metric == UNBOUNDED) for metric, value in values.items())


def _parts(scores: OverlapScores) -> dict[str, Mapping[str, float]]:
    names = ("stolen", "floor_other_question", "floor_surrogate", "ceiling_victim_again")
    return {name: getattr(scores, name) for name in names}
