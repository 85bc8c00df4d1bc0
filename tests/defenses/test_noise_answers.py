from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from heistbench.bench import Exposure, HeistError, Prompt, Reply, Usage
from heistbench.bench.contracts.registry import registry

hows = pytest.mark.parametrize("how", ["uniform", "near"])
seeds = st.integers(0, 10**9)
digit_strings = st.text("0123456789", min_size=1, max_size=9)


def noised(text: str, seed: int = 0, **parameters: object) -> Exposure:
    """What leaves the API when the defense draws from a generator of that seed."""
    inside = ",".join(f"{name}={str(value).lower()}" for name, value in parameters.items())
    defense = registry.build("defense", f"noise_answers({inside})")
    return defense.release(Prompt.of("q"), Reply("7 is 7", "recap 7", text, Usage(), "stop"), Random(seed))


def last_number(text: str) -> str:
    return re.findall(r"[0-9]+", text)[-1]


@hows
@given(digit_strings, seeds)
def test_a_struck_number_is_wrong_and_as_long(how: str, digits: str, seed: int) -> None:
    found = last_number(noised(f"so it is {digits} .", seed, rate=1, how=how).text)
    assert len(found) == len(digits)
    assert int(found) != int(digits)


@given(digit_strings, seeds)
def test_a_near_miss_moves_the_last_digit_by_one(digits: str, seed: int) -> None:
    found = last_number(noised(digits, seed, rate=1, how="near").text)
    assert found[:-1] == digits[:-1]
    assert (int(found[-1]) - int(digits[-1])) % 10 in (1, 9)


@hows
@given(st.text(), digit_strings, st.text().filter(lambda text: not re.search("[0-9]", text)), seeds)
def test_only_the_last_number_is_touched(how: str, before: str, digits: str, after: str, seed: int) -> None:
    text = f"{before} {digits}{after}"
    shown = noised(text, seed, rate=1, how=how).text
    assert shown.startswith(f"{before} ")
    assert shown.endswith(after)
    assert len(shown) == len(text)


@hows
@given(st.text(), seeds)
def test_rate_zero_changes_nothing(how: str, text: str, seed: int) -> None:
    assert noised(text, seed, rate=0, how=how) == Exposure(text, "recap 7")


@hows
@given(st.text().filter(lambda text: not re.search("[0-9]", text)), seeds)
def test_text_without_a_number_passes(how: str, text: str, seed: int) -> None:
    assert noised(text, seed, rate=1, how=how).text == text


@given(st.text())
def test_the_summary_passes(text: str) -> None:
    assert noised(text, rate=1).summary == "recap 7"


def test_noise_comes_from_the_generator_it_is_given() -> None:
    assert len({noised("4", seed, rate=0.5).text for seed in range(50)}) > 3
    assert [noised("4", seed) for seed in range(50)] == [noised("4", seed) for seed in range(50)]


def test_it_says_whether_it_is_sticky() -> None:
    assert registry.build("defense", "noise_answers").sticky
    assert not registry.build("defense", "noise_answers(fresh=true)").sticky


def test_two_numbers_of_several_digits_are_never_mistaken_for_each_other() -> None:
    assert {len(noised("100", i, rate=1).text) for i in range(200)} == {3}
    assert all(noised("100", i, rate=1).text[0] != "0" for i in range(200))


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_the_rate_is_the_share_of_struck_answers(rate: float) -> None:
    struck = sum(noised("4", i, rate=rate).text != "4" for i in range(2000))
    assert binomtest(struck, 2000, rate).pvalue > 0.001


def test_uniform_noise_is_uniform_over_the_other_digits() -> None:
    shown = [noised("4", i, rate=1).text for i in range(2700)]
    assert chisquare([shown.count(str(d)) for d in range(10) if d != 4]).pvalue > 0.001
    assert "4" not in shown


def test_near_noise_goes_both_ways() -> None:
    shown = [noised("9", i, rate=1, how="near").text for i in range(400)]
    assert set(shown) == {"8", "0"}
    assert binomtest(shown.count("8"), 400, 0.5).pvalue > 0.001


@pytest.mark.parametrize("rate", ["1.01", "-0.01", "2", ".inf", ".nan"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(HeistError, match=r"noise_answers: rate=.*(is not between 0 and 1|expected a finite number)"):
        registry.build("defense", f"noise_answers(rate={rate})")


# tool calls

ARGUMENTS = {"thoughts": "3 plus 4 is 7", "answer": "7", "unit": "apples"}


def called(arguments: dict[str, str], text: str = "", seed: int = 0, rate: float = 1) -> Exposure:
    defense = registry.build("defense", f"noise_answers(rate={rate})")
    return defense.release(Prompt.of("q"), Reply("t", None, text, Usage(), "stop", arguments), Random(seed))


@given(seeds)
def test_a_call_is_noised_as_text_is_and_does_not_contradict_itself(seed: int) -> None:
    shown = called(ARGUMENTS, "It is 7.", seed)
    wrong = last_number(shown.arguments["answer"])
    assert wrong != "7"
    assert shown == Exposure(
        f"It is {wrong}.", None, arguments={**ARGUMENTS, "thoughts": f"3 plus 4 is {wrong}", "answer": wrong}
    )


@given(seeds)
def test_every_argument_loses_its_last_number(seed: int) -> None:
    shown = called({"a": "1 2", "b": "3 4"}, seed=seed).arguments
    assert shown["a"][:2] == "1 " != shown["a"] != "1 2"
    assert shown["b"][:2] == "3 " != shown["b"] != "3 4"


def test_a_call_is_struck_whole_or_not_at_all() -> None:
    shown = [called(ARGUMENTS, "7", seed, rate=0.5) for seed in range(300)]
    struck = [exposure.text != "7" for exposure in shown]
    assert struck == [exposure.arguments != ARGUMENTS for exposure in shown]
    assert 100 < sum(struck) < 200


def test_noise_on_a_text_does_not_hang_on_whether_there_is_a_call() -> None:
    assert [called({}, "7", seed).text for seed in range(50)] == [called(ARGUMENTS, "7", seed).text for seed in range(50)]


@hows
def test_a_number_of_ten_thousand_digits_is_struck_at_its_end(how: str) -> None:
    shown = noised("so " + "7" * 10_000, 0, rate=1, how=how).text
    assert shown != "so " + "7" * 10_000
    assert (len(shown), shown[:9_900]) == (10_003, "so " + "7" * 9_897)
