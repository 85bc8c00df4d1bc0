"""What options of the command line put in the place of what a suite says."""

from __future__ import annotations

import pytest

from heistbench.bench.runs.schedule import Plan
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite
from heistbench.bench.suites.settings import Victim
from heistbench.bench.verbs.run import Options, _size, customised, how_long


def victims(suite: str, *names: str) -> list[Victim]:
    return customised(load_suite(suite), Options(victim=[*names])).victims


@pytest.mark.parametrize("suite", ["rep", "pocket-full", "trace-inversion-api"])
def test_a_victim_of_the_suite_keeps_its_settings_by_label_and_by_model(suite: str) -> None:
    for victim in load_suite(suite).victims:
        assert victims(suite, victim.label) == victims(suite, victim.model) == [victim]


def test_another_victim_is_decoded_as_the_first() -> None:
    (other,) = victims("rep", "pocket/victim-1")
    assert (other.model, other.decoding) == ("pocket/victim-1", load_suite("rep").victims[0].decoding)


@pytest.mark.parametrize(
    ("seconds", "jobs", "about"),
    [
        (30, 1, "30 s on 1 process"),
        (600, 1, "10 min on 1 process"),
        (600, 2, "5 min on 2 processes"),
        (6000, 50, "10 min on 50 processes"),  # more processes than cells do not help
    ],
)
def test_a_run_says_how_much_there_is_to_do_and_how_long_it_takes(seconds: float, jobs: int, about: str) -> None:
    ten = Plan(cells(load_suite("pocket"))[:10], list(range(10)))
    assert (_size(ten), how_long(ten, seconds, jobs)) == ("10 cells, 10 to compute", f"about {about}")


def test_a_run_says_when_there_is_nothing_to_do() -> None:
    assert _size(Plan(cells(load_suite("pocket"))[:10], [])) == "10 cells, all of them computed before"
