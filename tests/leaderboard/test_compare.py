"""Comparisons: what pairs, what is judged, who is called better or worse, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_records
from heistbench.leaderboard.compare.comparison import Comparison, Pair, compare, compare_within
from heistbench.leaderboard.published import PUBLISHED

Make = Callable[..., Record]
Release = Callable[..., list[Record]]
AFTER = "provenance__models__student after"


@pytest.fixture(scope="session")
def release(make: Make, control: Make) -> Release:
    """Makes the records of one release of a victim: two attacks on two defenses, and controls."""

    def made(name: str = "1", rep: float = 0.9, seeds: Sequence[int] = (0, 1, 2), **changes: Any) -> list[Record]:
        known = {"arm__release": name, "provenance__models__victim": f"sha256:v{name}"} | changes
        records = []
        for seed in seeds:
            records += [make("rep", wall, rep, seed, **known) for wall in ("none", "wall")]
            records += [make("inversion", wall, 0.8, seed, **known) for wall in ("none", "wall")]
            records += [make("answer_only", "none", 0.3, seed, **known)]
            records += [control("untrained", 0.1, seed=seed, **known), control("surrogate_trace", 0.5, seed=seed, **known)]
        return records

    return made


def verdicts(comparison: Comparison) -> dict[tuple[str, str], str]:
    return {(pair.new.attack, pair.new.defense): pair.compared.verdict for pair in comparison.pairs}


def pair_of(comparison: Comparison, attack: str, defense: str = "none") -> Pair:
    return next(pair for pair in comparison.pairs if (pair.new.attack, pair.new.defense) == (attack, defense))


def test_the_same_results_show_no_difference(release: Release) -> None:
    outcome = compare(release(), release())
    assert all((pair.compared.mean, pair.compared.p, pair.compared.verdict) == (0, None, "same") for pair in outcome.pairs)
    assert not outcome.regressions()
    assert not outcome.unjudged()
    assert outcome.only == ((), ())


def test_other_seeds_of_one_release_show_no_difference(release: Release) -> None:
    outcome = compare(release(seeds=(0, 1, 2)), release(seeds=(3, 4, 5, 6)))
    assert set(verdicts(outcome).values()) == {"tie", "does not discriminate"}
    assert pair_of(outcome, "rep").base.seeds == (0, 1, 2)
    assert pair_of(outcome, "rep").new.seeds == (3, 4, 5, 6)


def test_the_attack_that_a_release_closed_is_better_and_nothing_else_is(release: Release) -> None:
    outcome = compare(release("1"), release("2", rep=0.2))
    assert {place for place, verdict in verdicts(outcome).items() if verdict == "better"} == {("rep", "none"), ("rep", "wall")}
    assert "worse" not in verdicts(outcome).values()
    assert (pair_of(outcome, "rep").base.victim, pair_of(outcome, "rep").new.victim) == ("oracle-1", "oracle-2")


def test_the_attack_that_a_release_opened_is_a_regression_beyond_thresholds_below_it(release: Release) -> None:
    outcome = compare(release("1", rep=0.5), release("2", rep=0.8))
    assert {pair.new.attack for pair in outcome.regressions()} == {"rep"}
    mean = max(pair.compared.mean for pair in outcome.pairs)
    assert mean == pytest.approx(0.3, abs=0.1)
    assert outcome.regressions(mean - 0.01)
    assert not outcome.regressions(mean)


def test_the_worst_stands_first(release: Release) -> None:
    outcome = compare(release("1", rep=0.5), release("2", rep=0.8))
    assert [pair.new.attack for pair in outcome.pairs[:2]] == ["rep", "rep"]
    assert outcome.pairs[0].compared.mean >= outcome.pairs[1].compared.mean
    assert all(pair.control for pair in outcome.pairs[-2:])


def test_the_difference_is_new_minus_base_and_p_is_corrected_over_attacks_that_are_judged(release: Release) -> None:
    base, new = release("1"), [r for r in release("2", rep=0.75) if r.arm.attack.spec != "answer_only" or not r.arm.seed]
    outcome = compare(base, new)
    rep = pair_of(outcome, "rep")
    assert rep.compared.mean == pytest.approx(rep.new.accuracy - rep.base.accuracy)
    assert rep.compared.interval.low < rep.compared.mean < rep.compared.interval.high
    judged = [pair.compared for pair in outcome.attacks() if pair.compared.p_adjusted is not None]
    assert len(judged) == 4
    assert all(compared.p is not None and compared.p <= compared.p_adjusted <= min(1, 4.2 * compared.p) for compared in judged)
    assert 0 < (rep.compared.detectable or 0) < 1


def test_fewer_than_three_seeds_on_one_side_give_no_verdict(release: Release) -> None:
    outcome = compare(release("1", rep=0.1), release("2", seeds=(0, 1)))
    assert set(verdicts(outcome).values()) == {"unranked"}
    assert all(pair.compared.p_adjusted is None for pair in outcome.pairs)
    assert not outcome.regressions()


def test_a_tie_of_an_attack_that_gains_nothing_does_not_discriminate(release: Release) -> None:
    outcome = verdicts(compare(release("1"), release("2")))
    assert outcome["answer_only", "none"] == "does not discriminate"
    assert outcome["inversion", "none"] == outcome["inversion", "wall"] == "tie"
    assert outcome["untrained", "none"] == "same"


def test_a_defense_that_holds_an_attack_that_steals_undefended_ties(make: Make, release: Release) -> None:
    held = {name: [make("rep2", wall, share, seed, arm__release=name) for wall, share in (("none", 0.9), ("wall", 0.3))
                   for seed in range(3)] for name in "12"}  # fmt: skip
    outcome = verdicts(compare([*release("1"), *same_victim(held["1"])], [*release("2"), *same_victim(held["2"])]))
    assert outcome["rep2", "wall"] == "tie"


def test_a_tie_of_an_attack_that_gains_on_one_side_is_a_tie(release: Release) -> None:
    base, new = release("1"), [r for r in release("2", rep=0.2) if r.arm.attack.spec != "surrogate_trace"]
    new += [control_like(r) for r in new if (r.arm.attack.spec, r.arm.defense) == ("inversion", "none")]
    for there, back in ((base, new), (new, base)):
        assert verdicts(compare(there, back))["inversion", "none"] == "tie"
    other = [r.model_copy(update={"arm": r.arm.model_copy(update={"seed": r.arm.seed + 9})}) for r in new]
    assert verdicts(compare(new, [renamed(r) for r in other]))["inversion", "none"] == "does not discriminate"


def control_like(record: Record) -> Record:
    """A control that never asks, with an attack's own results."""
    attack = record.arm.attack.model_copy(update={"spec": "surrogate_trace", "name": "surrogate_trace"})
    arm = record.arm.model_copy(update={"attack": attack, "control": True, "threat": "none"})
    return record.model_copy(update={"arm": arm, "bill": record.bill.model_copy(update={"queries": 0})})


def renamed(record: Record) -> Record:
    """The same results of a student that is another one by its hash."""
    models = {**record.provenance.models, "student after": record.provenance.models["student after"] + "'"}
    return record.model_copy(update={"provenance": record.provenance.model_copy(update={"models": models})})


def same_victim(records: Sequence[Record]) -> list[Record]:
    """The same records, robbed of the victim that `release` makes."""
    made = []
    for record in records:
        models = {**record.provenance.models, "victim": f"sha256:v{record.arm.release}"}
        made.append(record.model_copy(update={"provenance": record.provenance.model_copy(update={"models": models})}))
    return made


def test_without_a_control_that_never_asked_a_tie_is_a_tie(release: Release) -> None:
    base, new = ([r for r in release(name) if not r.arm.control] for name in "12")
    assert set(verdicts(compare(base, new)).values()) == {"tie"}


def test_controls_that_differ_are_ground_that_moved_and_no_regression(make: Make, control: Make) -> None:
    base, new = ([control("untrained", share, seed=seed) for seed in range(3)] for share in (0.2, 0.8))
    more = [make(seed=seed) for seed in range(3)]
    outcome = compare([*base, *more], [*new, *more])
    assert [pair.new.attack for pair in outcome.moved()] == ["untrained"]
    assert pair_of(outcome, "untrained").compared.verdict == "worse"
    assert not outcome.regressions()


def test_a_ceiling_that_differs_is_the_victims_doing_and_no_ground(control: Make) -> None:
    base, new = ([control("true_trace", level, queries=200, seed=s + at) for s in range(3)] for at, level in ((0, 0.9), (9, 0.3)))
    outcome = compare(base, new)
    assert [pair.compared.verdict for pair in outcome.pairs] == ["better"]
    assert outcome.moved() == []


def test_arms_of_one_source_only_are_listed(release: Release, make: Make) -> None:
    extra = [make("probe", seed=seed, arm__release="2", provenance__models__victim="sha256:v2") for seed in range(3)]
    outcome = compare(release("1"), [*(r for r in release("2") if r.arm.attack.spec != "answer_only"), *extra])
    assert outcome.only == (
        ("pocket/oracle-1/none/answer_only/200-queries/pocket-base",),
        ("pocket/oracle-2/none/probe/200-queries/pocket-base",),
    )


def test_sources_with_several_releases_are_paired_release_by_release(release: Release) -> None:
    outcome = compare([*release("1"), *release("2", rep=0.5)], [*release("1"), *release("2", rep=0.5)])
    assert len(outcome.pairs) == 14
    assert all(pair.base.victim == pair.new.victim for pair in outcome.pairs)
    assert all(pair.compared.mean == 0 for pair in outcome.pairs)


def test_the_order_of_records_makes_no_difference(release: Release) -> None:
    base, new = release("1"), release("2", rep=0.5)
    assert compare(base[::-1], new[::-1]) == compare(base, new)


SWAPPED = {"worse": "better", "better": "worse"}


@given(rep=st.floats(0, 1), other=st.floats(0, 1), seeds=st.integers(1, 4))
def test_the_other_way_round_all_is_mirrored(release: Release, rep: float, other: float, seeds: int) -> None:
    base, new = release("1", rep=rep), release("2", rep=other, seeds=range(seeds))
    there, back = compare(base, new), compare(new, base)
    for pair in there.pairs:
        mirror = pair_of(back, pair.new.attack, pair.new.defense)
        assert (mirror.base, mirror.new) == (pair.new, pair.base)
        a, b = pair.compared, mirror.compared
        assert (b.mean, b.interval.low, b.interval.high) == pytest.approx((-a.mean, -a.interval.high, -a.interval.low))
        assert (b.p, b.detectable) == pytest.approx((a.p, a.detectable))
        assert b.verdict == SWAPPED.get(a.verdict, a.verdict)


# what is tested


def test_cells_with_the_same_students_are_one_test(make: Make) -> None:
    def arms(walls: int, at: float) -> list[Record]:
        exams = [make("rep", "none", at, seed).exam.model_dump() for seed in range(3)]
        seeds = [{"seed": seed, "exam": exam, AFTER: f"{at}{seed}"} for seed, exam in enumerate(exams)]
        return [make("rep", f"wall{wall}", **changes) for wall in range(walls) for changes in seeds]

    def p_of(walls: int) -> float | None:
        return compare(arms(walls, 0.5), arms(walls, 0.7)).pairs[0].compared.p_adjusted

    assert p_of(1) == p_of(9)


def test_seeds_that_share_their_luck_are_paired(make: Make) -> None:
    # What differs from seed to seed is common to both: only the gap is left, and it is the same each time.
    def arms(shift: int) -> tuple[list[Record], list[Record]]:
        base = [make("rep", "none", 0.3 + 0.1 * seed, seed) for seed in range(5)]
        return base, [make("rep", "none", 0.42 + 0.1 * seed, seed + shift, arm__release="2") for seed in range(5)]

    paired, apart = (pair_of(compare(*arms(shift)), "rep").compared for shift in (0, 7))
    assert (paired.verdict, apart.verdict) == ("worse", "tie")
    assert (paired.detectable or 1) < 0.5 * (apart.detectable or 1)


# honest users


def users_of(make: Make, before: float, after: float, n: int = 400) -> Comparison:
    uses = [{"utility__n": n, "utility__accuracy": kept, "utility__refused": 0.0} for kept in (before, after)]
    base, new = ([make("rep", wall, seed=s, **use) for wall in ("none", "wall") for s in range(3)] for use in uses)
    return compare(base, new)


def test_a_release_that_refuses_everyone_is_better_against_attacks_and_a_loss_for_users(make: Make) -> None:
    outcome = users_of(make, 0.95, 0.0)
    assert [users.verdict for users in outcome.users] == ["users get less"] * 2
    assert [users.defenses for users in outcome.losses(0.9)] == [("none", "none"), ("wall", "wall")]
    assert not outcome.losses(0.96)
    assert not outcome.regressions()


@pytest.mark.parametrize(
    ("before", "after", "verdict"), [(0.9, 0.7, "users get less"), (0.7, 0.9, "users get more"), (0.9, 0.89, "tie")]
)
def test_what_users_get_is_judged(make: Make, before: float, after: float, verdict: str) -> None:
    users = users_of(make, before, after).users[0]
    assert users.verdict == verdict
    assert users.mean == pytest.approx(after - before)
    assert users.interval.low < users.mean < users.interval.high
    assert (users.base, users.new, users.n) == (pytest.approx(before), pytest.approx(after), 400)


def test_seeds_do_not_make_more_questions_of_the_same_ones(make: Make) -> None:
    assert users_of(make, 0.9, 0.84, n=100).users[0].verdict == "tie"


def test_two_attacks_leave_users_alone(release: Release) -> None:
    assert compare_within(release(), "attack", "inversion", "rep").users == ()
    assert [users.defenses for users in compare_within(release(), "defense", "none", "wall").users] == [("none", "wall")]


# two versions on purpose


def test_two_versions_of_a_defense_are_compared_on_purpose(make: Make) -> None:
    gate = {**PLUGIN, "spec": "gate", "name": "gate", "touches": ["answer"], "random": False}
    base, new = (
        [
            make("rep", "gate", at, seed, arm__defenses=[{**gate, "version": version, "parameters": parameters}])
            for seed in range(3)
        ]
        for at, version, parameters in ((0.9, "1-A", {}), (0.3, "2-A", {"level": 3}))
    )
    with pytest.raises(HeistError, match="comparable version of defense gate"):
        compare(base, new)
    with pytest.raises(HeistError, match="comparable version of defense gate"):
        compare(base, new, changed=["rep"])
    assert compare(base, new, changed=["gate"]).pairs[0].compared.verdict == "better"


# within one source


def test_two_attacks_of_one_source_are_paired_by_defense(release: Release) -> None:
    outcome = compare_within(release(rep=0.95), "attack", "inversion", "rep")
    assert outcome.sides == ("A", "B")
    assert [(pair.base.attack, pair.new.attack) for pair in outcome.pairs] == [("inversion", "rep")] * 2
    assert {pair.base.defense for pair in outcome.pairs} == {"none", "wall"}
    assert {pair.compared.verdict for pair in outcome.pairs} == {"worse"}


def test_two_defenses_of_one_source_are_paired_by_attack(release: Release) -> None:
    outcome = compare_within(release(), "defense", "none", "wall")
    assert {pair.new.attack for pair in outcome.pairs} == {"rep", "inversion"}
    assert outcome.only == (("pocket/oracle-1/none/answer_only/200-queries/pocket-base",), ())


def test_releases_within_a_source_are_not_paired_with_each_other(release: Release) -> None:
    outcome = compare_within([*release("1"), *release("2")], "attack", "inversion", "rep")
    assert sorted(pair.new.victim for pair in outcome.pairs) == ["oracle-1", "oracle-1", "oracle-2", "oracle-2"]
    assert all(pair.base.victim == pair.new.victim for pair in outcome.pairs)


def test_an_attack_that_is_not_there_is_named_with_those_that_are(release: Release) -> None:
    with pytest.raises(HeistError, match=r"no results of attack 'repp'; did you mean 'rep'\?"):
        compare_within(release(), "attack", "inversion", "repp")


# what is refused

PLUGIN = {"spec": "pocket", "name": "pocket", "version": "1-A", "parameters": {}, "paper": ""}
REP = {**PLUGIN, "spec": "rep", "name": "rep"}
INCOMPARABLE: dict[str, dict[str, Any]] = {
    "arm.task.spec": {"arm__task": {**PLUGIN, "spec": "babi"}},
    "arm.task.version": {"arm__task": {**PLUGIN, "version": "2-A"}},
    "arm.task.parameters.steps": {"arm__task": {**PLUGIN, "parameters": {"steps": 9}}},
    "arm.exam.spec": {"arm__exam": {**PLUGIN, "spec": "babi"}},
    "arm.exam.version": {"arm__exam": {**PLUGIN, "version": "2-A"}},
    "arm.exam.parameters.steps": {"arm__exam": {**PLUGIN, "parameters": {"steps": 9}}},
    "arm.victim": {"arm__victim": "sphinx"},
    "arm.student": {"arm__student": "big"},
    "arm.budget": {"arm__budget": 100},
    "arm.attack.spec": {"arm__attack": {**REP, "spec": "rep(shots=9)"}},
    "arm.defense": {"arm__defense": "wall"},
    "arm.recipe.epochs": {"arm__recipe": {"epochs": 20}},
    "comparable version of attack rep": {"arm__attack": {**REP, "version": "2-A"}},
    "parameters of attack rep": {"arm__attack": {**REP, "parameters": {"shots": 9}}},
    "comparable version of defense none": {
        "arm__defenses": [{**PLUGIN, "spec": "none", "version": "2-A", "touches": [], "random": False}]
    },
    "exam.verdicts": {"n": 60},
    "provenance.engine": {"provenance__dtype": "bfloat16"},
    "provenance.models.student before": {"provenance__models__student before": "c"},
    "provenance.models.surrogate": {"provenance__models__surrogate": "sha256:t"},
    "provenance.models.victim": {"provenance__models__victim": "sha256:w"},
    "provenance.data.task": {"provenance__data__task": "u"},
    "provenance.data.questions examined": {"provenance__data__questions examined": "f"},
    "provenance.settings.sizes.query": {"provenance__settings__sizes": {"query": 300}},
    "provenance.settings.student.decoding.temperature": {"provenance__settings__student": {"decoding": {"temperature": 1.0}}},
    "provenance.settings.victim.decoding.temperature": {"provenance__settings__victim": {"decoding": {"temperature": 1.0}}},
    "overlap.words.signature": {"overlap__words__signature": "words|other"},
}


@pytest.mark.parametrize("field", INCOMPARABLE)
def test_what_was_made_in_another_way_is_refused_by_field_values_and_files(make: Make, field: str) -> None:
    base, new = make("rep"), make("rep", **INCOMPARABLE[field])
    with pytest.raises(HeistError) as refused:
        compare([base], [new])
    message = str(refused.value)
    assert message.startswith(f"not comparable: {field} is ")
    assert f" in base: {base.path().as_posix()} and " in message
    assert f" in new: {new.path().as_posix()}; " in message
    assert "\n" not in message


COMPARABLE: dict[str, dict[str, Any]] = {
    "another seed": {"seed": 7},
    "another commit": {"provenance__commit": "def", "provenance__harness": "0.2.0", "provenance__dirty": True},
    "other packages": {"provenance__packages": {"torch": "9"}, "provenance__python": "3.13"},
    "the letter of a version": {"arm__attack": {**REP, "version": "1-B"}, "arm__task": {**PLUGIN, "version": "1-B"}},
    "the suite": {"arm__suite": "other"},
    "the theft": {"provenance__data__theft": "x", "provenance__models__student after": "y"},
    "machine and time": {"volatile__hardware": "other", "volatile__created": "2027-01-01"},
    "a release with all that is the victim's": {
        "arm__release": "2",
        "arm__victim_model": "pocket/victim-2",
        "provenance__models__victim": "sha256:w",
        "provenance__settings__victim": {"model": "pocket/victim-2", "decoding": {"temperature": 1.0}},
    },
}


@pytest.mark.parametrize("what", COMPARABLE)
def test_what_belongs_to_the_comparison_may_differ(make: Make, what: str) -> None:
    assert len(compare([make("rep")], [make("rep", **COMPARABLE[what])]).pairs) == 1


def test_a_seed_that_is_there_twice_is_refused(make: Make) -> None:
    with pytest.raises(HeistError, match="one cell is there twice"):
        compare([make("rep"), make("rep", arm__suite="other")], [make("rep")])


def test_sources_that_share_each_field_but_no_arm_name_the_field_that_parts_them(make: Make) -> None:
    base, new = [make("rep", "none"), make("inversion", "wall")], [make("rep", "wall"), make("inversion", "none")]
    with pytest.raises(HeistError, match=r"arm\.defense is '\w+' in base: .* and '\w+' in new: "):
        compare(base, new)


# the published board


def test_the_second_pocket_release_closed_exposure_by_prompting_and_nothing_else() -> None:
    records = read_records(PUBLISHED / "pocket-full")
    outcome = compare(*([r for r in records if r.arm.release == name] for name in "12"))
    differs = {(pair.new.attack, pair.compared.verdict) for pair in outcome.pairs if pair.compared.verdict in ("better", "worse")}
    assert differs == {("rep(shots=2)", "better")}
    assert sum(pair.compared.verdict == "better" for pair in outcome.pairs) == len({r.arm.defense for r in records})
