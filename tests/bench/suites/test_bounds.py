"""Suite files that are too much for any machine, or not what their author meant: one line each, and no work."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import HeistError
from heistbench.bench.suites.bounded_yaml import BYTES, DEPTH, VALUES, read_yaml
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import CELLS, SUITES, load_suite, smoke

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000))


def refusal(path: Path) -> str:
    started = time.monotonic()
    with pytest.raises(HeistError) as caught:
        load_suite(str(path))
    assert time.monotonic() - started < 10
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def broken(suite_file: Callable) -> Callable[..., Path]:
    """The tiny suite with a text after it, or a piece of its text replaced."""

    def write(text: str, instead_of: str = "") -> Path:
        path = suite_file(smoke={})
        old = path.read_text()
        assert instead_of in old
        path.write_text(old.replace(instead_of, text, 1) if instead_of else old + text)
        return path

    return write


# too large


@pytest.mark.parametrize("nested", ["[" * 3000 + "]" * 3000, "{a: " * 3000 + "1" + "}" * 3000, "- " * 3000 + "1", "[" * 60_000])
def test_deep_yaml_is_refused(broken: Callable, nested: str) -> None:
    message = refusal(broken(f"description: {nested}\n" if nested[0] != "-" else f"description:\n {nested}\n"))
    assert re.search(rf"line \d+: lists and mappings are nested more than {DEPTH} deep", message)


@pytest.mark.parametrize("indent", ["", "  "])
def test_aliases_that_unfold_without_end_are_refused(broken: Callable, indent: str) -> None:
    bomb = "".join(f"{indent}{line}\n" for line in BOMB.splitlines())
    message = refusal(broken(f"smoke:\n{bomb}" if indent else bomb, "smoke: {}\n"))
    assert re.search(rf"line \d+: holds more than {VALUES} values, aliases unfolded", message)


def test_aliases_that_go_deep_are_refused(broken: Callable) -> None:
    assert "nested more than" in refusal(broken(CHAIN))


def test_an_alias_within_what_it_names_is_refused(broken: Callable) -> None:
    assert "alias *x stands within what it names" in refusal(broken("description: &x [*x]\n"))


def test_aliases_that_are_of_use_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("one: &one {a: 1}\ntwo: {<<: *one, b: 2}\nthree: [*one, *one]\n")
    assert read_yaml(tmp_path / "x.yaml").value == {"one": {"a": 1}, "two": {"a": 1, "b": 2}, "three": [{"a": 1}, {"a": 1}]}


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "x.yaml").open("wb") as file:
        file.truncate(2**40)
    assert f"is larger than {BYTES // 1024} KiB" in refusal(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [*range(6_000)]}, f"suite tiny names 120,000 cells, and at most {CELLS:,} are allowed"),
        ({"sizes": {"query": 999_999_999_999}}, "sizes.query: Input should be less than or equal to 200000"),
        ({"sizes": {"test": 10**40}}, "sizes.test: "),
        ({"sizes_of": {"pocket": {"surrogate": 200_001}}}, "sizes_of.pocket.surrogate: Input should be less than"),
        ({"sizes": {"query": 200_001}}, "sizes.query: "),
        (
            {"students": [{"model": "pocket/base", "recipe": {"epochs": 10**15}}]},
            "students.0.recipe.epochs: Input should be",
        ),
        ({"students": [{"model": "pocket/base", "recipe": {"batch_size": 10**15}}]}, "recipe.batch_size: Input should be less"),
        ({"victims": [{"model": "pocket/victim-1", "decoding": {"max_new_tokens": 10**15}}]}, "max_new_tokens: Input should be"),
        ({"victims": [{"model": "pocket/victim-1", "api": {"connections": 10**15}}]}, "api.connections: Input should be less"),
        ({"victims": [{"model": "x" * 1001}]}, "victims.0.model: String should have at most 1000 characters"),
        ({"victims": [{"model": "pocket/victim-1", "name": "x" * 300}]}, "names a folder, in more than 200 characters"),
        ({"defenses": ["+".join(["noise_answers"] * 20)]}, "defense noise_answers+noise_answers+noise_answer... names a folder"),
        ({"defenses": ["+".join(["noise_answers"] * 1000)]}, "defenses.0: String should have at most 1000 characters"),
        ({"attacks": ["rep" + " " * 2000 + "!"]}, "attacks.0: String should have at most 1000 characters"),
        ({"surrogate": {"model": "pocket/surrogate", "lessons": -1}}, "surrogate.lessons: Input should be greater than"),
    ],
)
def test_absurd_sizes_are_refused(suite_file: Callable, changes: dict[str, object], message: str) -> None:
    assert message in refusal(suite_file(**changes))


def test_two_hundred_thousand_seeds_are_refused(suite_file: Callable, tmp_path: Path) -> None:
    path = suite_file()
    path.write_text(path.read_text().replace("seeds:\n- 0", f"seeds: [{', '.join(map(str, range(200_000)))}]"))
    refusal(path)


def test_a_suites_name_is_short(broken: Callable) -> None:
    assert "name: String should have at most 100 characters" in refusal(broken(f"name: {'x' * 101}", "name: tiny"))


@pytest.mark.parametrize("number", ["1" + ":1" * 30_000, "0b" + "1" * 60_000])
def test_long_numbers_are_read_in_no_time(broken: Callable, number: str) -> None:
    """In base 60 the time grows with the square of the length, which the size of a file bounds."""
    assert "description: Input should be a valid string" in refusal(broken(f"description: {number}\n"))


# numbers that are none


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize("field", ["learning_rate: 0.003", "temperature: 0.7"])
def test_numbers_are_finite(broken: Callable, field: str, number: str) -> None:
    name = field.partition(":")[0]
    assert re.search(rf"line \d+: \S+\.{name}: Input should be", refusal(broken(f"{name}: {number}", field)))


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "-1", "9" * 300, "1e999"])
@pytest.mark.parametrize("field", ["connections", "retries", "timeout", "prices.input", "prices.output"])
def test_how_a_provider_is_asked_is_in_bounds(broken: Callable, field: str, number: str) -> None:
    last = field.rpartition(".")[2]
    prices = {"input": "1", "output": "1", last: number}
    api = f"prices: {{input: {prices['input']}, output: {prices['output']}}}" if "." in field else f"{field}: {number}"
    path = broken(f"victims:\n- api:\n    {api}\n ", "victims:\n-")
    assert re.search(rf"line \d+: victims\.0\.api\.{re.escape(field)}: Input should be", refusal(path))


@pytest.mark.parametrize("field", ["connections", "retries", "timeout"])
@pytest.mark.parametrize("number", ["0", "1.5", "lots"])
def test_how_often_and_how_long_are_whole_numbers(broken: Callable, field: str, number: str) -> None:
    assert f"victims.0.api.{field}: Input should be" in refusal(
        broken(f"victims:\n- api:\n    {field}: {number}\n ", "victims:\n-")
    )


@pytest.mark.parametrize("value", ["9" * 5000, "2024-13-45", "2024-02-30 10:00:00"])
def test_numbers_and_dates_that_yaml_cannot_read_are_no_yaml(broken: Callable, value: str) -> None:
    assert "not YAML" in refusal(broken(f"description: {value}\n"))


# not what was meant


@pytest.mark.parametrize(
    ("text", "key"),
    [("seeds: [1]\n", "seeds"), ("smoke:\n  seeds: [0]\n  seeds: [1]\n", "seeds"), ('"name": other\n', "name")],
)
def test_a_key_that_stands_twice_is_named_with_its_line(broken: Callable, text: str, key: str) -> None:
    path = broken(text)
    if text.startswith("smoke"):
        path.write_text(path.read_text().replace("smoke: {}\n", ""))
    line = len(path.read_text().splitlines())
    assert f"line {line}: '{key}' stands twice in one mapping" in refusal(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("attacks:", "atacks:", r"line \d+: atacks: unknown field; did you mean 'attacks'\? \(there are: attacks, budgets"),
        ("  query:", "  querry:", r"sizes\.querry: unknown field; did you mean 'query'\? \(there are: query, surrogate, test\)"),
        ("epochs:", "epoch:", r"inverter\.recipe\.epoch: unknown field; did you mean 'epochs'\?"),
        ("temperature:", "temprature:", r"surrogate\.decoding\.temprature: unknown field; did you mean 'temperature'\?"),
        ("smoke: {}", "smoke: {seed: [1]}", r"line \d+: smoke\.seed: unknown field; did you mean 'seeds'\?"),
    ],
)
def test_an_unknown_field_is_named_with_what_was_meant(broken: Callable, old: str, new: str, message: str) -> None:
    assert re.search(message, refusal(broken(new, old)))


def test_text_of_a_suite_is_not_printed_raw(broken: Callable) -> None:
    assert "\x1b" not in refusal(broken('"\\e[31mred": 1\n'))


# what is well within bounds


@pytest.mark.parametrize("name", sorted(path.stem for path in SUITES.glob("*.yaml")))
def test_shipped_suites_are_far_from_every_bound(name: str) -> None:
    assert (SUITES / f"{name}.yaml").stat().st_size < BYTES / 10
    assert len(cells(load_suite(name))) < CELLS / 20
    assert smoke(load_suite(name))


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(st.characters(exclude_categories=["C"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_what_is_within_bounds_is_read_as_yaml_reads_it(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    assert read_yaml(path).value == value
