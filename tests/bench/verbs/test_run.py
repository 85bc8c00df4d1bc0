"""What options of the command line put in the place of what a suite says."""

from __future__ import annotations

from pathlib import Path

import pytest

from heistbench.bench.stages.budget import NO_LIMIT
from heistbench.bench.suites.files import load_suite
from heistbench.bench.suites.settings import Victim
from heistbench.bench.verbs.run import Options, customised


def victims(suite: str, *names: str) -> list[Victim]:
    options = Options(None, None, None, [*names], None, None, "full", Path("out"), None, None, NO_LIMIT, False, ())
    return customised(load_suite(suite), options).victims


@pytest.mark.parametrize("suite", ["rep", "pocket-full", "trace-inversion-api"])
def test_a_victim_of_the_suite_keeps_its_settings_by_label_and_by_model(suite: str) -> None:
    for victim in load_suite(suite).victims:
        assert victims(suite, victim.label) == victims(suite, victim.model) == [victim]


def test_another_victim_is_decoded_as_the_first() -> None:
    (other,) = victims("rep", "pocket/victim-1")
    assert (other.model, other.decoding) == ("pocket/victim-1", load_suite("rep").victims[0].decoding)
