"""What terminal and page say alike: numbers as text, safe text, verdicts, and how to read a board."""

from __future__ import annotations

import re
import unicodedata

from heistbench.bench._stats import Interval
from heistbench.leaderboard.board import Board, Panel
from heistbench.leaderboard.cells import RANKED_SEEDS, Cell, Outcome

DASH = "–"  # noqa: RUF001  what stands where nothing was run
MINUS = "−"  # noqa: RUF001  as wide as a plus
MARKS: dict[Outcome, str] = {"steals": "▲", "tie": "=", "worse": "▼", "does not discriminate": "∅", "unranked": "·"}
MEANINGS: dict[Outcome, str] = {
    "steals": "gain above zero: its interval, and p < .05 after Holm's correction over the panel",
    "tie": "no difference shown",
    "worse": "gain below zero, by the same two rules",
    "does not discriminate": "the same attack gains nothing undefended either: no credit to the defense",
    "unranked": f"fewer than {RANKED_SEEDS} seeds, here or in the control: no verdict",
}
UNRANKED = f"unranked: fewer than {RANKED_SEEDS} seeds"
POCKET = (
    "The pocket models are model organisms, small and trained to show the effect: this panel is a positive control of the "
    "harness and not evidence about real models."
)
READING = (
    "Each number is the accuracy of a student trained on what one attack carried off through one defense; the 95% interval "
    "beside it covers questions and, from two seeds on, the luck of theft and training.",
    "Gain is that accuracy minus that of the best control that never queried the victim, on the same questions: it is what the "
    "victim gave away, not what the student could have learnt without it.",
    "A tie means that the data show no difference; it does not show that there is none.",
    "Where an attack gains nothing even undefended, the cells to its right do not discriminate: no defense gets credit for "
    "stopping it.",
    f"Cells with fewer than {RANKED_SEEDS} seeds are unranked: another seed may change them by more than their interval says.",
    "A defense is worth its worst case, the attack that teaches the student most, and anyone can lower it with a stronger "
    "attack; what an honest user still gets stands below it.",
    "Overlap says how much stolen traces resemble the victim's: read it between its floors (another question's trace, the "
    "surrogate's own) and its ceiling (the victim asked again), never as a ranking.",
)
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def clean(text: str) -> str:
    """Text that can only show itself: control, bidi and other invisible characters become U+FFFD."""
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


def p_text(p: float) -> str:
    """A p-value, never shown as zero."""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def count(value: float) -> str:
    """A count with thousands separated; a mean over seeds is rounded."""
    return f"{value:,.0f}"


def title(panel: Panel) -> str:
    """What a panel is about."""
    exam = "" if panel.exam == panel.task else f" · examined on {panel.exam}"
    return f"{panel.task} {panel.task_version}{exam} · victim {panel.victim} · student {panel.student}"


def protocol(panel: Panel) -> list[str]:
    """The lines under a panel: questions, seeds, what gains are over, which cells are unranked, overlap's signature."""
    cells = all_cells(panel)
    seeds = sorted({len(cell.seeds) for cell in cells})
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    unit = "seed" if seeds == [1] else "seeds"
    lines = [f"{panel.n} questions, {many} {unit} a cell; intervals are 95%"]
    over = f"gain: over {panel.baseline}, the best control that never queried the victim"
    lines.append(over if panel.baseline else "no gain: no control that never queried the victim was run")
    unranked = sum(not cell.ranked for cell in cells)
    lines += [f"{UNRANKED} ({unranked} of {len(cells)} cells, marked *)"] if unranked else []
    lines += [f"overlap: {panel.signature}"] if panel.signature else []
    return [clean(line) for line in lines]


def all_cells(panel: Panel) -> list[Cell]:
    """Every cell of attacks, then of controls, in the order of the panel."""
    return [cell for row in (*panel.attacks, *panel.controls) for cell in row.cells if cell]


def traced(panel: Panel) -> list[Cell]:
    """The cells whose students wrote traces that could be checked."""
    return [cell for cell in all_cells(panel) if cell.traces]


def is_pocket(panel: Panel) -> bool:
    """True for the embedded world, whose numbers say nothing about real models."""
    return panel.task_name == "pocket"


def reading(board: Board) -> tuple[str, ...]:
    """How to read this board, a sentence each."""
    return (*READING, POCKET) if any(map(is_pocket, board.panels)) else READING
