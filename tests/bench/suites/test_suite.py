from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from heistbench.bench import WRAPPERS, HeistError
from heistbench.bench.contracts.recipes import Recipe
from heistbench.bench.contracts.registry import registry, spec_of
from heistbench.bench.suites.cells import cells, defenses_of
from heistbench.bench.suites.files import SUITES, load_suite, smoke
from heistbench.bench.suites.settings import Decoding, Prices, Suite, Victim

SHIPPED = sorted(path.stem for path in SUITES.glob("*.yaml"))


# shipped suites


def test_the_default_is_shipped() -> None:
    assert "pocket" in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_suites_load_and_name_cells(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.description
    assert all(cell.build_attack() and cell.build_defenses() and cell.build_task() for cell in cells(suite))


@pytest.mark.parametrize("name", [name for name in SHIPPED if not name.startswith("openbook")])
def test_shipped_suites_run_the_controls_they_need(name: str) -> None:
    suite = load_suite(name)
    needed = {"untrained", "surrogate_trace"}
    needed |= set() if any(victim.remote for victim in suite.victims) else {"true_trace"}
    needed |= {"wrong_trace"} if name.startswith(("pocket", "babi")) else {"gold_inversion", "shuffled_inversion"}
    assert needed <= {registry.build("attack", control).info.name for control in suite.controls}
    assert suite.defenses[0] == "none"
    assert all(size >= 500 for size in suite.sizes.model_dump().values())


@pytest.mark.parametrize("name", SHIPPED)
def test_every_suite_has_a_smoke_scale_of_small_models(name: str) -> None:
    full, small = load_suite(name), smoke(load_suite(name))
    kept = ("attacks", "controls", "description")
    assert {field: getattr(small, field) for field in kept} == {field: getattr(full, field) for field in kept}
    assert not full.smoke.keys() & {*kept, "name", "smoke"}
    assert (small.name, small.smoke, small.engine, len(small.seeds)) == (f"{name}-smoke", {}, "transformers", 1)
    assert all(reference.startswith(("pocket/", "scratch/", "recorded")) for reference in models(small))
    assert len(cells(small)) <= len(cells(full))
    with pytest.raises(HeistError, match=f"suite {name}-smoke has no smoke scale"):
        smoke(small)


@pytest.mark.parametrize("name", SHIPPED)
def test_models_of_shipped_suites_are_pinned(name: str) -> None:
    for reference in models(load_suite(name)):
        local = reference.startswith(("pocket/", "scratch/", "recorded", "inspect:"))
        assert local or re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", reference)


def models(suite: Suite) -> set[str]:
    """Every model a suite names."""
    roles = [*suite.victims, *suite.students, suite.surrogate, suite.inverter, suite.compressor]
    roles += [victim.compressor for victim in suite.victims]
    return {role.model for role in roles if role}


# the papers' suites


@pytest.mark.parametrize("name", ["trace-inversion", "trace-inversion-api"])
def test_trace_inversion_has_the_papers_hyperparameters(name: str) -> None:
    suite = load_suite(name)
    assert suite.surrogate
    assert suite.inverter
    assert suite.compressor
    sampled = Decoding(temperature=0.7, top_p=0.9, repetition_penalty=1.05, max_new_tokens=8192)
    assert {suite.surrogate.decoding, suite.inverter.decoding, suite.compressor.decoding} == {sampled}
    recipe = Recipe(epochs=3, learning_rate=1e-5, schedule="cosine", warmup=0.1, max_length=16384, batch_size=96)
    assert [student.recipe for student in suite.students] == [recipe, recipe]
    assert suite.inverter.recipe == replace(recipe, batch_size=24)
    assert (suite.sizes.query, suite.sizes.surrogate, suite.budgets) == (10_000, 10_000, [0, 5000, 10_000])
    assert suite.compressor.style == "sections"


def test_the_api_suite_is_the_other_with_another_victim() -> None:
    recorded, api = load_suite("trace-inversion"), load_suite("trace-inversion-api")
    differ = {"name", "description", "victims", "controls", "signatures", "smoke"}
    assert recorded.model_dump(exclude=differ) == api.model_dump(exclude=differ)
    assert [control for control in recorded.controls if control != "true_trace"] == api.controls
    assert api.victims[0].api.prices == Prices(input=0.75, output=4.5)


def test_the_rep_suites_agree_and_their_shadow_is_no_victim() -> None:
    leakage, students = load_suite("rep"), load_suite("rep-students")
    for field in ("surrogate", "inverter", "compressor", "students", "exams", "defenses", "seeds", "controls", "signatures"):
        assert getattr(leakage, field) == getattr(students, field)
    assert students.victims == leakage.victims[:2]
    assert leakage.surrogate
    assert leakage.surrogate.model not in {victim.model for victim in leakage.victims}
    assert leakage.students[0].recipe == Recipe(
        epochs=5, batch_size=16, learning_rate=1e-5, schedule="cosine", warmup=0.05, weight_decay=1e-4, max_length=32768
    )
    wrappers = {cast(Any, registry.build("attack", spec)).wrapper for spec in leakage.attacks if re.match(r"rep(\(|$)", spec)}
    assert wrappers == set(WRAPPERS)


@pytest.mark.parametrize("name", ["openbook", "openbook-pocket"])
def test_the_open_book_suites_have_the_papers_four_settings(name: str) -> None:
    suite = load_suite(name)
    assert suite.attacks == ["answer_only"]
    assert {"untrained", "wrong_trace", "true_trace"} <= {*suite.controls}
    assert suite.surrogate is suite.inverter is None
    assert len(suite.seeds) >= 3


def test_only_suites_with_three_seeds_can_be_ranked() -> None:
    assert len(load_suite("pocket").seeds) == 1
    assert len(load_suite("pocket-full").seeds) >= 3


# cells


def test_controls_that_never_ask_the_victim_may_have_seeds_of_their_own(suite_file: Callable[..., Path]) -> None:
    arms = {"attacks": ["answer_only"], "controls": ["untrained", "gold_answer", "true_trace"], "defenses": ["none"]}
    seeds = defaultdict(list)
    for cell in cells(load_suite(str(suite_file(**arms, seeds=[0, 1, 7], yardstick_seeds=4)))):
        seeds[cell.attack].append(cell.seed)
    assert seeds == {
        "untrained": [0, 1, 2, 3, 7],
        "gold_answer": [0, 1, 2, 3, 7],
        "true_trace": [0, 1, 7],
        "answer_only": [0, 1, 7],
    }


def test_controls_meet_no_defense_and_attacks_meet_each(suite_file: Callable) -> None:
    suite = load_suite(str(suite_file(seeds=[0, 1])))
    found = cells(suite)
    assert len(found) == 2 * (5 + 5 * 3)
    assert {cell.defense for cell in found if cell.attack in suite.controls} == {"none"}
    pairs = Counter((cell.attack, cell.defense, cell.seed) for cell in found)
    assert set(pairs.values()) == {1}
    assert all((attack, defense, seed) in pairs for attack in suite.attacks for defense in suite.defenses for seed in (0, 1))


def test_tasks_victims_and_students_multiply(suite_file: Callable) -> None:
    victims = [{"model": "pocket/victim-1"}, {"model": "pocket/victim-2"}]
    path = suite_file(victims=victims, students=[{"model": "pocket/base"}, {"model": "pocket/surrogate"}])
    assert len(cells(load_suite(str(path)))) == 2 * 2 * 20


def test_exams_multiply_and_have_sizes_of_their_own(suite_file: Callable) -> None:
    own = {"query": 5, "surrogate": 6, "test": 7}
    suite = load_suite(str(suite_file(exams=["pocket", "jeebench"], sizes_of={"jeebench": own})))
    found = cells(suite)
    assert len(found) == 2 * 20
    assert {(cell.task, cell.exam) for cell in found} == {("pocket", "pocket"), ("pocket", "jeebench")}
    assert {cell.exam: cell.sizes.model_dump() for cell in found} == {
        "pocket": suite.sizes.model_dump(),
        "jeebench": {**suite.sizes.model_dump(), "test": 7},
    }


def test_sizes_of_names_tasks_of_the_suite(suite_file: Callable) -> None:
    with pytest.raises(HeistError, match="sizes_of names jeebench, which is none of its tasks and exams"):
        load_suite(str(suite_file(sizes_of={"jeebench": {"query": 5}})))


@pytest.mark.parametrize(
    ("victim", "called", "label"),
    [
        ({"model": "pocket/victim-1"}, ("pocket-victim", "1"), "pocket-victim-1"),
        ({"model": "pocket/victim-2", "name": "mine"}, ("mine", "2"), "mine-2"),
        ({"model": "pocket/victim-1", "release": "beta"}, ("pocket-victim", "beta"), "pocket-victim-beta"),
        ({"model": "recorded"}, ("recorded", ""), "recorded"),
        ({"model": "org/name@0123abc"}, ("org/name@0123abc", ""), "org/name@0123abc"),
    ],
)
def test_victims_are_called_what_their_card_or_the_suite_says(
    victim: dict[str, str], called: tuple[str, str], label: str
) -> None:
    assert Victim(**victim).called == called
    assert Victim(**victim).label == label


# composed defenses


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("none", ["none"]),
        ("redact_summary+noise_answers", ["redact_summary", "noise_answers"]),
        ("noise_answers+redact_summary", ["noise_answers", "redact_summary"]),
        (" none + none ", ["none", "none"]),
        ("redact_summary(level=all)+noise_answers(rate=0.3)", ["redact_summary(level=all)", "noise_answers(rate=0.3)"]),
        ("noise_answers(rate=+0.25)+none", ["noise_answers(rate=0.25)", "none"]),
        ("noise_answers(rate=1.0e+0)", ["noise_answers(rate=1.0)"]),
    ],
)
def test_defenses_are_taken_apart_outside_brackets(spec: str, expected: list[str]) -> None:
    assert [spec_of(defense) for defense in defenses_of(spec)] == expected


@pytest.mark.parametrize("spec", ["", "+", "none+", "+none", "none++none", "none(", "none+redact_summary(level=all"])
def test_a_defense_that_is_missing_is_an_error(spec: str) -> None:
    with pytest.raises(HeistError, match="cannot read defense"):
        defenses_of(spec)


# mistakes in suite files


@pytest.fixture
def broken(tmp_path: Path, suite_file: Callable) -> Callable[..., Path]:
    """The tiny suite with one piece of its text replaced, and the number of the line that then holds `marker`."""

    def write(old: str, new: str) -> tuple[Path, int]:
        path = suite_file()
        text = re.sub(old, new, path.read_text(), count=1, flags=re.MULTILINE)
        assert text != path.read_text()
        path.write_text(text)
        marker = new.strip().splitlines()[-1].strip()
        return path, next(at for at, line in enumerate(text.splitlines(), 1) if marker in line)

    return write


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("^  query: 24", "  queri: 24", "sizes.queri: unknown field; did you mean 'query'"),
        ("^  query: 24", "  query: 0", "sizes.query: Input should be greater than 0"),
        ("^  query: 24", "  query: many", "sizes.query: Input should be a valid integer"),
        ("^name: tiny", "name: Tiny Suite", "name: String should match pattern"),
        ("^seeds:\n- 0", "seeds: []", "seeds: List should have at least 1 item"),
        ("^seeds:\n- 0", "seeds:\n- x", "seeds.0: Input should be a valid integer"),
        ("^attacks:", "attaks:", "attaks: unknown field; did you mean 'attacks'"),
        ("temperature: 0.7", "temperature: -1", "victims.0.decoding.temperature: .*greater than or equal to 0"),
        ("max_new_tokens: 112", "max_new_tokens: 0", "victims.0.decoding.max_new_tokens: .*greater than 0"),
        ("epochs: 1", "epochs: one", r"inverter\.recipe\.epochs: .*integer"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field(broken: Callable, old: str, new: str, message: str) -> None:
    path, line = broken(old, new)
    with pytest.raises(HeistError, match=rf"suite {re.escape(str(path))}, line (\d+): ({message})") as caught:
        load_suite(str(path))
    assert f"line {line}:" in str(caught.value)


def test_an_unknown_field_of_a_recipe_is_an_error(broken: Callable) -> None:
    path, _ = broken("epochs: 1", "epoch: 1")
    with pytest.raises(HeistError, match=r"recipe\.epoch"):
        load_suite(str(path))


@pytest.mark.parametrize(
    ("old", "new"),
    [("batch_size: 16", "batch_size: 0"), ("epochs: 1", "epochs: -1"), ("max_length: 256", "max_length: -5")],
)
def test_an_impossible_recipe_is_an_error(broken: Callable, old: str, new: str) -> None:
    path, _ = broken(old, new)
    with pytest.raises(HeistError, match="recipe"):
        load_suite(str(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": ["true_trace"]}, "suite tiny: true_trace belongs under controls"),
        ({"controls": ["answer_only"]}, "suite tiny: answer_only belongs under attacks"),
        ({"attacks": ["answer_onli"]}, "unknown attack 'answer_onli'; did you mean 'answer_only'"),
        ({"attacks": ["rep(shots=x)"]}, "attack rep: shots='x'"),
        ({"controls": ["rep"]}, "suite tiny: rep belongs under attacks"),
        ({"defenses": ["redact_sumary"]}, "unknown defense 'redact_sumary'; did you mean 'redact_summary'"),
        ({"defenses": ["none+noise_answers(rate=2)"]}, "rate=2.0 is not between 0 and 1"),
        ({"tasks": ["poket"]}, "unknown task 'poket'; did you mean 'pocket'"),
    ],
)
def test_wrong_plugins_are_named(suite_file: Callable, changes: dict[str, list[str]], message: str) -> None:
    with pytest.raises(HeistError, match=re.escape(message)):
        load_suite(str(suite_file(**changes)))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"attacks": ["rep", "rep(shots=3)"]}, "attack rep"),
        ({"defenses": ["none", "none"]}, "defense none"),
        ({"defenses": ["none+noise_answers", "none + noise_answers(rate=0.5)"]}, "defense none+noise_answers"),
        ({"seeds": [0, 1, 0]}, "seed 0"),
        ({"controls": ["untrained", "untrained()"]}, "attack untrained"),
        ({"tasks": ["pocket", "pocket"]}, "task pocket"),
    ],
)
def test_what_is_named_twice_is_an_error(suite_file: Callable, changes: dict[str, list[object]], named: str) -> None:
    with pytest.raises(HeistError, match=re.escape(f"suite tiny names {named} twice")):
        load_suite(str(suite_file(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"victims": [{"model": "pocket/victim-1"}, {"model": "pocket/victim-1"}]},
        {"students": [{"model": "pocket/base"}, {"model": "pocket/base", "recipe": {"epochs": 2}}]},
    ],
    ids=["victims", "students"],
)
def test_victims_and_students_that_the_board_cannot_tell_apart_are_an_error(suite_file: Callable, changes: dict) -> None:
    with pytest.raises(HeistError, match="twice"):
        load_suite(str(suite_file(**changes)))


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "text", "7"])
def test_a_file_that_is_no_suite_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(HeistError, match=r"x\.yaml, line 1: "):
        load_suite(str(tmp_path / "x.yaml"))


@pytest.mark.parametrize("content", ["a: [1", "a: b: c", "\t- x", "a: &x *y"])
def test_a_file_that_is_no_yaml_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(HeistError, match=r"x\.yaml: not YAML: .*line 1") as caught:
        load_suite(str(tmp_path / "x.yaml"))
    assert "\n" not in str(caught.value)


def test_yaml_builds_no_python_objects(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("name: !!python/object/apply:os.system ['true']")
    with pytest.raises(HeistError, match="not YAML"):
        load_suite(str(tmp_path / "x.yaml"))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(HeistError, match=r"x\.yaml"):
        load_suite(str(tmp_path / "x.yaml"))


@pytest.mark.parametrize(
    ("reference", "hint"), [("poket", "did you mean 'pocket'"), ("missing.yaml", "there are: "), (".yaml", "no suite")]
)
def test_a_suite_that_is_not_there(reference: str, hint: str) -> None:
    with pytest.raises(HeistError, match=f"no suite .*{hint}|{hint}"):
        load_suite(reference)


# settings


def test_a_suite_is_read_as_it_is_written(suite_file: Callable) -> None:
    path = suite_file()
    raw, suite = yaml.safe_load(path.read_text()), load_suite(str(path))
    assert suite.attacks == raw["attacks"]
    assert suite.victims[0].decoding == Decoding(temperature=0.7, max_new_tokens=112)
    assert suite.students[0].recipe.learning_rate == 2e-3
    assert suite.sizes.model_dump() == raw["sizes"]


def test_decoding_becomes_sampling() -> None:
    sampling = Decoding(temperature=0.5, top_p=0.9, max_new_tokens=7).sampling(temperature=0.0)
    assert (sampling.temperature, sampling.top_p, sampling.max_new_tokens, sampling.seed) == (0.0, 0.9, 7, 0)
