"""The matrix of a panel: attacks down, defenses across, controls apart; worst case and honest user at the foot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.panel import CellKey, Column, Panel, Row
from heistbench.leaderboard.board.statistics import wilson
from heistbench.leaderboard.board.worst import Worst
from heistbench.leaderboard.tables.table import (
    DASHED,
    Body,
    Entries,
    Entry,
    Heading,
    Line,
    Table,
    TextSpan,
    entry,
    heading,
    lost_line,
    name,
    outcome,
    result,
)
from heistbench.leaderboard.words import count, share, signed, signed_span, star, tip, title

CONTROLS = "controls: no attacks, they give the numbers meaning"
FEW = 3
"""Up to so many attacks that were not run against a defense are named."""


def matrix(panel: Panel) -> Table:
    """The matrix of a panel."""
    over = f"gain over {panel.feasible.name}" if panel.feasible else "no gain, as there is no control to compare with"
    controls = Body(tuple(_row(panel, row, Entry()) for row in panel.controls), CONTROLS)
    return Table(
        title="Attacks down, defenses across",
        about=title(panel),
        notes=(f"in each cell: student accuracy and its interval, {over}, outcome",),
        headings=(heading("attack", text=True), *(Heading(_defense(column)) for column in panel.defenses)),
        bodies=(Body(tuple(_row(panel, row, DASHED) for row in panel.attacks)), *([controls] if panel.controls else [])),
        foot=(
            (entry("worst case", "words"), *(_worst(column.worst) for column in panel.defenses)),
            *([_ensemble(panel)] if any(column.ensemble for column in panel.defenses) else []),
            (entry("honest user", "words"), *map(_honest, panel.defenses)),
        ),
        labels=1,
    )


def _defense(column: Column) -> Entry:
    declared = [f"touches {', '.join(column.touches)}"] if column.touches else []
    declared += ["random"] if column.random else []
    return Entry(((TextSpan(column.defense, "name"),), *((TextSpan(part, "words"),) for part in declared)))


def _row(panel: Panel, row: Row, missing: Entry) -> Entries:
    return name(row.attack), *(_cell(panel, cell) if cell else missing for cell in row.cells)


def _cell(panel: Panel, cell: PooledCell) -> Entry:
    lines: list[Line] = [result(f"{share(cell.accuracy)}{star(cell)}", cell.interval)]
    if gain := cell.gain:
        lines += [(TextSpan(signed(gain.mean)), TextSpan(signed_span(gain.interval), "small")), outcome(gain)]
    return Entry((*lines, *lost_line(cell.lost)), CellKey.of(panel, cell), tip=tip(cell), shade=cell.accuracy)


def _worst(worst: Worst | None) -> Entry:
    if worst is None:
        return DASHED
    tried = f"of {worst.tried} tried, {worst.students} {'student' if worst.students == 1 else 'students'}"
    return Entry((*_strongest(worst), (TextSpan(tried, "words"),), *_not_run(worst.missing)))


def _strongest(worst: Worst) -> tuple[Line, ...]:
    return result(f"{share(worst.accuracy)}{star(worst)}", worst.interval), (TextSpan(worst.attack, "name"),)


def _ensemble(panel: Panel) -> Entries:
    """The worst case over the attacks that the suite ships with; most boards have no others."""
    columns = ((column.ensemble, column.worst) for column in panel.defenses)
    return entry("ensemble of the suite", "words"), *(_of_ensemble(*each) for each in columns)


def _of_ensemble(ensemble: Worst | None, worst: Worst | None) -> Entry:
    if ensemble is None or worst is None:
        return DASHED
    run = TextSpan(f"{ensemble.tried} of {ensemble.tried + len(ensemble.missing)} run", "words")
    same: tuple[Line, ...] = ((TextSpan("the same", "words"),),)
    return Entry((*(same if ensemble.attack == worst.attack else _strongest(ensemble)), (run,)))


def _not_run(attacks: Sequence[str]) -> Iterator[Line]:
    if len(attacks) > FEW:
        yield (TextSpan(f"{len(attacks)} not run", "words"),)
    elif attacks:
        yield TextSpan("not run:", "words"), *(TextSpan(attack, "name") for attack in attacks)


def _honest(column: Column) -> Entry:
    use = column.utility
    answered = use["n"] - use["lost"]
    lines = [
        result(share(use["accuracy"]), wilson(use["accuracy"] * answered, answered)),
        (TextSpan(f"right, {share(use['refused'])} refused, of {count(use['n'])}", "words"),),
        (TextSpan(f"summary shown {share(use['summary_shown'])}, values kept {share(use['summary_values_kept'])}", "words"),),
    ]
    return Entry((*lines, *lost_line(use["lost"])))
