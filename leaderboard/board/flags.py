"""Flags: what a panel says against itself. A flag refuses nothing; it stands where the numbers stand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any

from heistbench.bench.scoring.overlap import headline
from heistbench.bench.storage.blocks import PluginId
from heistbench.bench.storage.records import Record
from heistbench.bench.suites.files import load_suite, shipped_suites
from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.gains import ALPHA, NONE, Controls, named
from heistbench.leaderboard.board.statistics import Results, paired_difference
from heistbench.leaderboard.board.worst import ensemble_of

SATURATED = 0.98
"""The undefended accuracy of students from which a stronger attack can no longer be told."""
SPREAD, UNEVEN = 0.02, 3
"""The spread over seeds from which a control is unsteady, and how many times the other's it must be."""
WORTH = 0.1
"""A gain that one would want to know of."""
CONTAMINATED = 0.05
"""The share of questions that may share an n-gram with another split's before a panel is flagged."""


def contamination(records: Sequence[Record]) -> dict[str, float]:
    """The largest share that any record states, by the two splits it is about."""
    shares: dict[str, float] = defaultdict(float)
    for record in records:
        for splits, share in record.provenance.contamination.items():
            shares[splits] = max(share, shares[splits])
    return dict(sorted(shares.items()))


def sentence(splits: str, share: float) -> str:
    """A contamination in words."""
    return f"{share:.1%} of {splits.replace(' sharing ', ' share ')}"


def flags(records: Sequence[Record], kinds: Sequence[Controls] = (), cells: Collection[PooledCell] = ()) -> tuple[str, ...]:
    """Every flag of a panel in words: of its records, of its controls of each kind, of its judged cells."""
    raised = (_contaminated, _edited, _uncommitted, _other_recipes, _no_entropy, _always_right, _saturated, _twins, _not_run)
    of_records = (flag for raise_ in raised for flag in raise_(records))
    return (*of_records, *(flag for controls in kinds for flag in _uneven(controls)), *_undetectable(cells))


def _not_run(records: Sequence[Record]) -> Iterator[str]:
    """Attacks that the suite ships with and that are not here: a worst case without them says less."""
    defenses = {record.arm.defense for record in records}
    met = {(record.arm.attack.spec, record.arm.defense) for record in records}
    lacking = {attack: {d for d in defenses if (attack, d) not in met} for attack in sorted(ensemble_of(records))}
    cells = [
        attack if without == defenses else f"{attack} behind {', '.join(sorted(without))}"
        for attack, without in lacking.items()
        if without
    ]
    if cells:
        yield f"not run, though the suite ships with them: {'; '.join(cells)}"


def _uneven(controls: Controls) -> Iterator[str]:
    """Controls that tie and of which one differs from seed to seed: which of them is the best hangs on the seeds."""
    spreads = {name: _spread(results) for name, results in controls.results.items()}
    for one, other in combinations(controls.results, 2):
        steady, loose = sorted((one, other), key=lambda name: spreads[name])
        apart = spreads[loose] > max(SPREAD, UNEVEN * spreads[steady])
        if apart and paired_difference(controls.results[one], controls.results[other]).p >= ALPHA:
            yield (
                f"the controls {one} and {other} tie, but one seed of {loose} differs from another by {spreads[loose]:.2f}, of "
                f"{steady} by {spreads[steady]:.2f}: which is the better one hangs on the seeds"
            )


def _spread(results: Results) -> float:
    """The standard deviation of accuracy over seeds."""
    by_seed = results.right.mean(1)
    return float(by_seed.std(ddof=1)) if len(by_seed) > 1 else 0.0


def _undetectable(cells: Collection[PooledCell]) -> Iterator[str]:
    """Ties of students that have more than any control, but less more than so few seeds and questions can show."""
    gains = [(cell.gain.mean, cell.gain.detectable or 0.0) for cell in cells if cell.gain and cell.gain.verdict == "tie"]
    below = [detectable for mean, detectable in gains if WORTH < mean < detectable]
    if below:
        most = max(below)
        ties = f"{len(below)} of {len(gains)} ties are gains of more than {WORTH:.2f}"
        yield f"{ties}, which these seeds cannot show (they would show {most:.2f}): no evidence that nothing was stolen"


def _no_entropy(records: Sequence[Record]) -> Iterator[str]:
    """A victim that writes the same trace when it is asked again."""
    ceilings = [value for r in records for o in r.overlap.values() if (value := _headline(o.ceiling_victim_again)) is not None]
    if ceilings and min(ceilings) == 1:
        yield "the victim has no entropy: asked again, it writes the same trace; nothing here speaks of victims that sample"


def _always_right(records: Sequence[Record]) -> Iterator[str]:
    """A victim whose visible answers are the gold answers."""
    plain = [record.utility for record in records if record.arm.defense == NONE]
    if plain and all(utility.n and utility.accuracy == 1 for utility in plain):
        yield "the victim is always right: what its answers give cannot be told from what gold answers give"


def _saturated(records: Sequence[Record]) -> Iterator[str]:
    """Attacks whose undefended students have no room above them."""
    scores: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.arm.defense == NONE and not record.arm.control:
            scores[record.arm.attack.spec].append(record.exam.accuracy)
    full = sorted(attack for attack, of_attack in scores.items() if sum(of_attack) / len(of_attack) >= SATURATED)
    if full:
        yield f"saturated: undefended, {', '.join(full)} leave students right on {SATURATED:.0%} or more, with no room above"


def _twins(records: Sequence[Record]) -> Iterator[str]:
    """Attacks whose students are those of a control, seed by seed: what is compared there is one thing with itself."""
    students: dict[tuple[str, str, bool], dict[int, str]] = defaultdict(dict)
    for record in records:
        if record.loot.rows:
            arm = record.arm
            students[arm.attack.spec, arm.defense, arm.control][arm.seed] = record.provenance.models["student after"]
    for control, defense, is_control in sorted(students):
        if is_control:
            same = [a for (a, d, c), of in students.items() if not c and of == students[control, defense, is_control]]
            cells = (f"{attack} ({n} defense{'s' * (n > 1)})" for attack, n in sorted(Counter(same).items()))
            if same:
                yield f"the same students as those of the control {named(control, defense)}: {', '.join(cells)}"


def _headline(metrics: Mapping[str, float]) -> float | None:
    return metrics.get(headline(metrics))


def _contaminated(records: Sequence[Record]) -> Iterator[str]:
    for splits, share in contamination(records).items():
        if share > CONTAMINATED:
            yield f"contaminated: {sentence(splits, share)}; up to {CONTAMINATED:.0%} is no flag"


def _edited(records: Sequence[Record]) -> Iterator[str]:
    """Plugins of one declared version whose code differs between records."""
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in records:
        for plugin in _plugins(record):
            sources[plugin.name, plugin.version].add(plugin.source)
    for (name, version), of_version in sorted(sources.items()):
        if len(known := of_version - {""}) > 1:
            yield f"{name} {version} stands here in {len(known)} different sources under one version"


def _uncommitted(records: Sequence[Record]) -> Iterator[str]:
    names = sorted({name for record in records for name in record.provenance.uncommitted})
    if names:
        yield f"code in no commit: {', '.join(names)}"


def _other_recipes(records: Sequence[Record]) -> Iterator[str]:
    """Students that the suite which ships under this name trains in another way today."""
    seen = {(record.arm.suite, record.arm.student): record.arm.recipe for record in records}
    for (suite, student), recipe in sorted(seen.items()):
        today = _recipes(suite).get(student, recipe)
        changed = [
            f"{name} {value} instead of {recipe[name]}" for name, value in today.items() if recipe.get(name, value) != value
        ]
        if changed:
            yield f"the suite {suite} trains {student} in another way today: {', '.join(changed)}"


@cache
def _recipes(suite: str) -> Mapping[str, Mapping[str, Any]]:
    """How the shipped suite of that name trains its students, by their model; nothing where none ships."""
    if suite not in shipped_suites():
        return {}
    return {student.model: student.recipe.identity for student in load_suite(suite).students}


def _plugins(record: Record) -> Iterator[PluginId]:
    arm = record.arm
    yield from (arm.attack, *arm.defenses, arm.task, arm.exam)
