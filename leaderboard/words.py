"""What terminal and pages say alike: numbers as text, safe text, verdicts, and how to read a board."""

from __future__ import annotations

import re
import unicodedata
from math import ceil
from typing import Protocol

from heistbench.leaderboard.board import measured
from heistbench.leaderboard.board.cells import RANKED_SEEDS, Distance, Gain, GainOutcome, PooledCell
from heistbench.leaderboard.board.flags import sentence
from heistbench.leaderboard.board.gains import Yardstick
from heistbench.leaderboard.board.panel import Column, Panel, Setting
from heistbench.leaderboard.board.statistics import Interval, wilson

DASH = "–"  # noqa: RUF001  what stands where nothing was run
MINUS = "−"  # noqa: RUF001  as wide as a plus
FLAG = "⚑"
"""What stands before what a panel says against itself."""
MARKS: dict[GainOutcome, str] = {
    "steals": "▲",
    "tie": "=",
    "same": "≡",
    "below control": "▼",
    "does not discriminate": "∅",
    "unranked": "·",
}
MEANINGS: dict[GainOutcome, str] = {
    "steals": "gain above zero: its interval, and p < .05 against every feasible control, adjusted over the panel's students",
    "tie": "no difference shown",
    "same": "the students are those of a feasible control, seed by seed: nothing was stolen, and nothing is tested",
    "below control": "gain below zero, by the same two rules: the student has less than the best control that stole nothing",
    "does not discriminate": "the same attack gains nothing undefended either: no credit to the defense",
    "unranked": f"fewer than {RANKED_SEEDS} seeds, here or in the control: no verdict",
}
BILL = {
    "queries": "queries",
    "prompt_tokens": "victim's tokens in",
    "completion_tokens": "victim's tokens out",
    "attacker_tokens_generated": "attacker's tokens generated",
    "attacker_tokens_trained": "attacker's tokens trained on",
}
"""The items of a bill."""
BOUNDS = ("stolen", "floor: other question", "floor: surrogate", "ceiling: victim again")
"""The parts of an overlap."""
FEASIBLE, GOLD = "best without the victim", "best with gold answers"
"""The two yardsticks: what an attacker could do anyway, and what a thief could do who knows the answers."""
LOST = (
    "lost: queries that an outage swallowed, summed over seeds; they count neither for nor against anyone: no share of loot, "
    "overlap, exposure or honest use has them in it (the student has as many rows fewer)"
)
READ_EXPOSURE = (
    "struct: share of replies that are thinking and then an answer; ROUGE-L over all questions and over struct alone: R02, what "
    "leaked; R01, what the attack left of the trace; R12, what the victim copied out"
)
UNRANKED = f"unranked: fewer than {RANKED_SEEDS} seeds"
POCKET = (
    "The pocket models are model organisms, small and trained to show the effect: this panel is a positive control of the "
    "harness and not evidence about real models."
)
READING = (
    "Each number is the accuracy of a student trained on what one attack carried off through one defense; the 95% interval "
    "beside it covers questions and, from two seeds on, the luck of theft and training.",
    "Gain is that accuracy minus that of the best control that anyone could run, without the victim and without gold answers, on "
    "the same questions: it is what the victim gave away, not what the student could have learnt anyway. To steal is to beat "
    "every such control. Beside it stands what a thief could do who knows the gold answers: an attack as good as that got no "
    "more than answers.",
    "A tie means that the data show no difference; it does not show that there is none.",
    "Where an attack gains nothing even undefended, the cells to its right do not discriminate: no defense gets credit for "
    "stopping it.",
    f"Cells with fewer than {RANKED_SEEDS} seeds are unranked: another seed may change them by more than their interval says.",
    "A defense is worth its worst case, the attack that teaches the student most, and anyone can lower it with a stronger "
    "attack. Its interval allows for the choice among all attacks that were tried. The ensemble is the worst case over the "
    "attacks that the suite ships with; what an honest user still gets stands below.",
    "Overlap says how much stolen traces resemble the victim's: read it between its floors (another question's trace, the "
    "surrogate's own) and its ceiling (the victim asked again), never as a ranking.",
)
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def clean(text: str) -> str:
    """Text that can only show itself: control, bidi and other invisible characters become U+FFFD."""
    if text.isprintable():  # nearly all of it, and a hundred times faster
        return text
    return "".join("\ufffd" if unicodedata.category(char) in _UNSAFE else char for char in text)


def pieces(spec: str) -> list[str]:
    """A plugin's spec, cleaned, in pieces between which a line may break: before `(`, `+`, `=`, `_` and after a comma."""
    return re.findall(r"[(+=_]*[^(+=_,]+,?|[(+=_,]+", clean(spec))


def share(value: float | None) -> str:
    """A share with two decimals; a dash for none."""
    return DASH if value is None else f"{value:.2f}"


def signed(value: float) -> str:
    """A difference with sign and two decimals; what rounds to zero has no sign."""
    text = f"{abs(value):.2f}"
    return text if float(text) == 0 else ("+" if value > 0 else MINUS) + text


def span(interval: Interval) -> str:
    """An interval of shares."""
    return f"[{share(interval.low)}, {share(interval.high)}]"


def signed_span(interval: Interval) -> str:
    """An interval of differences."""
    return f"[{signed(interval.low)}, {signed(interval.high)}]"


def p_text(p: float | None) -> str:
    """A p-value, never shown as zero; a dash where nothing was tested."""
    if p is None:
        return DASH
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def honest(column: Column) -> str:
    """The share of right answers that an honest user gets, and its interval."""
    kept, n = column.utility["accuracy"], column.utility["n"] - column.utility["lost"]
    return f"{share(kept)} {span(wilson(kept * n, n))}"


def gain(gained: Gain) -> str:
    """A gain, its interval and its p-values."""
    tests = f", p {p_text(gained.p)}, adjusted {p_text(gained.p_adjusted)}" if gained.p_adjusted is not None else ""
    return f"{signed(gained.mean)} {signed_span(gained.interval)} over {gained.over}{tests}: {gained.verdict}"


def distance(from_gold: Distance) -> str:
    """How far a student is from the best control that knows gold answers."""
    return f"{signed(from_gold.mean)} {signed_span(from_gold.interval)} from {from_gold.over}, which knows the gold answers"


def tip(cell: PooledCell) -> str:
    """A cell in a few lines."""
    seeds = f"{len(cell.seeds)} {'seed' if len(cell.seeds) == 1 else 'seeds'}"
    accuracy = f"accuracy {share(cell.accuracy)} {span(cell.interval)}, {cell.n} questions, {seeds}"
    loot = f"{count(cell.loot['rows'])} rows, {count(cell.loot['traces'])} with a trace, {queries(round(cell.bill['queries']))}"
    gains = [f"gain {gain(cell.gain)}"] if cell.gain else []
    gains += [f"{distance(cell.beyond_gold)}"] if cell.beyond_gold else []
    lines = [f"{cell.attack} on {cell.defense}", accuracy, *gains, f"loot {loot}"]
    return "\n".join(map(clean, lines))


def count(value: float) -> str:
    """A count with thousands separated; a mean over seeds is rounded."""
    return f"{value:,.0f}"


def dollars(value: float) -> str:
    """Money, to the cent; nothing for nothing."""
    return "" if not value else "< 0.01" if value < 0.01 else f"{value:,.2f}"


def lost(n: float) -> str:
    """The number of queries that an outage swallowed; a mean is rounded up."""
    return f"{ceil(n):,} lost"


class Ranked(Protocol):
    """What has enough seeds to be ranked, or has not."""

    @property
    def ranked(self) -> bool: ...


def star(result: Ranked) -> str:
    """The mark of what is unranked."""
    return "" if result.ranked else "*"


def metric_title(metric: str) -> str:
    """A metric's name in a sentence: LCS-F, ROUGE-L."""
    return clean(metric).replace("_", "-").upper()


def title(about: Setting) -> str:
    """What a panel or a sweep is about."""
    exam = "" if about.exam == about.task else f" · examined on {about.exam}"
    budget = f" · {queries(about.budget)}" if isinstance(about, Panel) else ""
    return f"{about.task} {about.task_version}{exam} · victim {about.victim} · student {about.student}{budget}"


def queries(n: int) -> str:
    """A budget of queries."""
    return f"{n:,} {'query' if n == 1 else 'queries'}"


def protocol(panel: Panel) -> list[str]:
    """The lines under a panel: questions, seeds, what gains are over, what is unranked or lost, overlap, contamination, flags."""
    cells = measured.all_cells(panel)
    seeds = sorted({len(cell.seeds) for cell in cells})
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    unit = "seed" if seeds == [1] else "seeds"
    lines = [f"{panel.n} questions, {many} {unit} per cell; intervals are 95%"]
    lines += _yardsticks(panel)
    unranked = sum(not cell.ranked for cell in cells)
    lines += [f"{UNRANKED} ({unranked} of {len(cells)} cells, marked *)"] if unranked else []
    lines += [LOST] if measured.lost(panel) else []
    lines += [f"overlap: {panel.signatures[name]}" for name in measured.signatures(panel)[:1]]
    lines += [sentence(*each) for each in panel.contamination.items()]
    lines += [f"{FLAG} {flag}" for flag in panel.flags]
    return [clean(line) for line in lines]


def _yardsticks(panel: Panel) -> list[str]:
    """What students are held against: by what anyone could do, and by what a thief could who knows the gold answers."""
    if not panel.feasible:
        return ["no gain: no control was run that anyone could run without the victim"]
    over = f"gain: over {_yardstick(panel.feasible)}"
    return [over, *([f"with gold answers: {_yardstick(panel.gold)}"] if panel.gold else [])]


def _yardstick(best: Yardstick) -> str:
    seeds = f"{best.seeds} {'seed' if best.seeds == 1 else 'seeds'}"
    of = f", the best of {', '.join(best.controls)}" if len(best.controls) > 1 else ""
    return f"{best.name} {share(best.accuracy)} {span(best.interval)}, {seeds}{of}"


def is_pocket(about: Setting) -> bool:
    """True for the embedded world, whose numbers say nothing about real models."""
    return about.task_name == "pocket"
