"""Reports of a comparison: tables in a terminal and what stands under them, and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from heistbench.leaderboard.board.cells import RANKED_SEEDS
from heistbench.leaderboard.board.gains import named
from heistbench.leaderboard.compare.comparison import CHANGES, Change, Comparison, Pair
from heistbench.leaderboard.compare.users import UserChange, UserVerdict
from heistbench.leaderboard.tables.table import (
    NAMES,
    Body,
    Entries,
    Entry,
    Line,
    Table,
    TextSpan,
    TextStyle,
    entry,
    heading,
    name,
    numbers,
)
from heistbench.leaderboard.terminal.draw import draw
from heistbench.leaderboard.words import clean, count, p_text, queries, share, signed, signed_span

if TYPE_CHECKING:
    from rich.console import RenderableType

MARKS: dict[Change, str] = {"worse": "▲", "better": "▼", "tie": "=", "same": "≡", "does not discriminate": "∅", "unranked": "·"}
MEANINGS: dict[Change, str] = {
    "worse": "students get more: the interval is above zero, and p < .05 adjusted over all different pairs",
    "better": "students get less: the interval is below zero, and p < .05 adjusted over all different pairs",
    "tie": "no difference shown",
    "same": "the students are the same ones, seed by seed: nothing is tested",
    "does not discriminate": "the attack gains nothing over the controls on either side: a tie says nothing",
    "unranked": f"fewer than {RANKED_SEEDS} seeds on one side: no verdict",
}
STYLES: dict[Change, TextStyle] = {
    "worse": "bad",
    "better": "good",
    "tie": "even",
    "same": "even",
    "does not discriminate": "faint",
    "unranked": "faint",
}
USER_STYLES: dict[UserVerdict, TextStyle] = {"users get less": "bad", "users get more": "good", "tie": "even"}
UNJUDGED = "not judged: {}"
MOVED = "the ground moved: {}; attacks differ for other reasons too than what is compared"
FEW = 10
"""Arms of one side only that are listed; `--json` has all."""


def groups(comparison: Comparison) -> Iterator[tuple[str, list[Pair]]]:
    """Pairs that share task, victim, student and budget, with a title that says so."""
    for about, pairs in groupby(comparison.pairs, key=title):
        yield about, list(pairs)


def title(pair: Pair) -> str:
    """What a pair has in common with those beside it."""
    exam = "" if pair.exam == pair.task else f" · examined on {pair.exam}"
    return f"{pair.task}{exam} · victim {victim(pair)} · student {pair.student} · {queries(pair.budget)}"


def victim(pair: Pair) -> str:
    """The victim, or both releases."""
    return both(pair.base.victim, pair.new.victim)


def defense(pair: Pair) -> str:
    """The defense, or both."""
    return both(pair.base.defense, pair.new.defense)


def attack(pair: Pair) -> str:
    """The attack, or both."""
    return both(pair.base.attack, pair.new.attack)


def tables(comparison: Comparison, width: int | None = None) -> list[RenderableType]:
    """A table per task, victim, student and budget, worst first, controls at the foot; without a width, for this terminal."""
    from rich.console import Console

    width = width or Console().width
    shown = [_table(about, comparison.sides, pairs) for about, pairs in groups(comparison)]
    shown += [_users(comparison)] if comparison.users else []
    return [part for table in shown for part in draw(table, width)]


def lines(comparison: Comparison, threshold: float, users_threshold: float = 0.0) -> list[str]:
    """What stands under the tables, clean: verdicts counted, controls that moved, what has no counterpart or no verdict,
    regressions, and what honest users lose.
    """
    counts, moved = _counts(comparison), comparison.moved()
    report = [f"{', '.join(f'{n} {change}' for change, n in counts.items() if n) or 'none'}, of {sum(counts.values())} attacks"]
    if moved:
        report.append(MOVED.format("; ".join(sentence(pair) for pair in moved)))
    for side, only in zip(comparison.sides, comparison.only, strict=True):
        if only:
            more = f" and {len(only) - FEW} more" if len(only) > FEW else ""
            report.append(f"only in {side}, not compared: {', '.join(only[:FEW])}{more}")
    if unjudged := comparison.unjudged():
        places = [named(attack(pair), defense(pair)) for pair in unjudged]
        more = f" and {len(places) - FEW} more" if len(places) > FEW else ""
        report.append(UNJUDGED.format(f"{MEANINGS['unranked']}: {', '.join(places[:FEW])}{more}"))
    report += [f"worse{_beyond(threshold)}: {sentence(pair)}" for pair in comparison.regressions(threshold)]
    less = f"users get less{_beyond(users_threshold)}"
    report += [f"{less}: {users_sentence(users)}" for users in comparison.losses(users_threshold)]
    return [clean(line) for line in report]


def _beyond(threshold: float) -> str:
    return f" by more than {threshold:g}" if threshold else ""


def users_sentence(users: UserChange) -> str:
    """What honest users of one victim get behind one defense, in one line."""
    change = f"{share(users.base)} to {share(users.new)}, {signed(users.mean)} {signed_span(users.interval)}"
    return f"behind {both(*users.defenses)}, {both(*users.victims)}: {change} of {users.n} questions"


def sentence(pair: Pair) -> str:
    """A pair and its difference in one line."""
    change = pair.compared
    numbers = f"{share(pair.base.accuracy)} to {share(pair.new.accuracy)}, {signed(change.mean)} {signed_span(change.interval)}"
    return f"{named(attack(pair), defense(pair))}, {victim(pair)}: {numbers}, p {p_text(change.p_adjusted)}"


def as_json(comparison: Comparison, threshold: float, users_threshold: float = 0.0) -> dict[str, Any]:
    """All of a comparison, strings clean.

    `regression` says of each pair, and `loss` of honest users, whether it is one beyond its threshold.
    """
    regressions, losses = comparison.regressions(threshold), comparison.losses(users_threshold)
    report: dict[str, Any] = {
        "sides": comparison.sides,
        "threshold": threshold,
        "users_threshold": users_threshold,
        "regressions": len(regressions),
        "losses": len(losses),
        "unjudged": len(comparison.unjudged()),
        "verdicts": _counts(comparison),
        "ground_moved": [sentence(pair) for pair in comparison.moved()],
        "only": dict(zip(comparison.sides, comparison.only, strict=True)),
        "pairs": [{**asdict(pair), "regression": pair in regressions} for pair in comparison.pairs],
        "users": [{**asdict(users), "loss": users in losses} for users in comparison.users],
    }
    cleaned: dict[str, Any] = _cleaned(report)
    return cleaned


def _table(about: str, sides: tuple[str, str], pairs: Sequence[Pair]) -> Table:
    base, new = sides
    changes = {pair.compared.verdict for pair in pairs}
    notes = (
        f"{base}, {new}: accuracy of students over {_range(pairs)}; difference: {new} minus {base}, with its 95% interval",
        "p: adjusted over all different pairs; detect.: the smallest difference that would be shown four times in five",
        *(f"{MARKS[change]} {change}: {MEANINGS[change]}" for change in CHANGES if change in changes),
    )
    headings = (*NAMES, *map(heading, (f"{base} {new}", "difference", "p", "detect.")), heading("change", text=True))
    attacks, controls = (tuple(_row(pair) for pair in pairs if pair.control is control) for control in (False, True))
    return Table(f"{base} and {new}", about, notes, headings, (Body(attacks),), controls)


def _users(comparison: Comparison) -> Table:
    """What honest users get behind each defense."""
    base, new = comparison.sides
    notes = (
        "share of right answers that an honest user gets; the intervals of all defenses hold at once, and do not pair questions",
    )
    headings = (*map(heading, ("defense", "victim", base, new, "difference", "questions")), heading("change", text=True))
    rows = tuple(_users_row(users) for users in comparison.users)
    return Table("Honest users", "", notes, headings, (Body(rows),))


def _users_row(users: UserChange) -> Entries:
    values = (share(users.base), share(users.new), f"{signed(users.mean)} {signed_span(users.interval)}", count(users.n))
    verdict = entry(users.verdict, USER_STYLES[users.verdict])
    return name(both(*users.defenses)), name(both(*users.victims)), *numbers(values), verdict


def _row(pair: Pair) -> Entries:
    change = pair.compared
    lines: list[Line] = [
        (TextSpan(share(pair.base.accuracy)), TextSpan(share(pair.new.accuracy))),
        (TextSpan(signed(change.mean)), TextSpan(signed_span(change.interval), "small")),
        (TextSpan(p_text(change.p_adjusted)),),
        (TextSpan(share(change.detectable)),),
        (TextSpan(f"{MARKS[change.verdict]} {change.verdict}", STYLES[change.verdict]),),
    ]
    return name(attack(pair)), name(defense(pair)), *(Entry((line,)) for line in lines)


def _range(pairs: Sequence[Pair]) -> str:
    seeds = sorted({len(side.seeds) for pair in pairs for side in (pair.base, pair.new)})
    return f"{pairs[0].base.n} questions, {' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds"


def _counts(comparison: Comparison) -> dict[str, int]:
    counts = Counter(pair.compared.verdict for pair in comparison.attacks())
    return {change: counts[change] for change in CHANGES}


def both(base: str, new: str) -> str:
    """What both sides have, or each of them."""
    return base if base == new else f"{base} → {new}"


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {key: _cleaned(inner) for key, inner in value.items()}
    return [_cleaned(inner) for inner in value] if isinstance(value, (list, tuple)) else value
