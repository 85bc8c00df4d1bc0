"""The circuit breaker: when it opens, who else learns of it, and when it is tried again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from heistbench.bench import HeistError
from heistbench.bench.models.breaker import COOL_DOWN, FILE, LOST_IN_A_ROW, Breaker


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "victims" / "x" / FILE


def lose(breaker: Breaker, times: int = 1, trouble: str = "status 500") -> None:
    breaker.trouble = trouble
    for _ in range(times):
        breaker.lost()


def opened(file: Path) -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker("v-1", file)
    with pytest.raises(HeistError):
        lose(breaker, LOST_IN_A_ROW)
    return breaker


def set_back(file: Path, seconds: float) -> None:
    """Make what a file says so much older."""
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "when": said["when"] - seconds}))


def test_it_opens_at_the_last_of_some_in_a_row(file: Path) -> None:
    breaker = Breaker("v-1", file)
    lose(breaker, LOST_IN_A_ROW - 1)
    with pytest.raises(HeistError) as caught:
        lose(breaker, trouble="status 503")
    assert str(caught.value) == (
        "victim v-1: 5 queries in a row got no reply (status 503); what was replied is kept, and the same command asks again"
    )


def test_a_reply_makes_all_well(file: Path) -> None:
    breaker = Breaker("v-1", file)
    for _ in range(3):
        lose(breaker, LOST_IN_A_ROW - 1)
        assert file.exists()
        breaker.replied()
        assert not file.exists()
    assert (breaker.alive, breaker.in_a_row, breaker.left) == (True, 0, LOST_IN_A_ROW)


def test_one_query_may_be_proof_enough() -> None:
    breaker = Breaker("v-1")
    breaker.trouble = "cannot connect"
    with pytest.raises(HeistError, match=r"^victim v-1: 1 query got no reply \(cannot connect\);"):
        breaker.lost(outage=True)


def test_other_processes_of_the_run_learn_of_it(file: Path) -> None:
    began = time.time()
    opened(file)
    with pytest.raises(HeistError, match=r"victim v-1: 5 queries in a row got no reply \(status 500\), 0 s ago;"):
        Breaker("v-1", file, began).check()


def test_processes_count_on_where_others_stopped(file: Path) -> None:
    began = time.time()
    lose(Breaker("v-1", file, began), 3)
    other = Breaker("v-1", file, began)
    other.check()
    assert (other.in_a_row, other.left) == (3, LOST_IN_A_ROW - 3)
    lose(other)
    with pytest.raises(HeistError):
        lose(other)


def test_a_later_run_starts_anew(file: Path) -> None:
    opened(file)
    later = Breaker("v-1", file, time.time())
    later.check()
    assert (later.in_a_row, later.left) == (0, LOST_IN_A_ROW)


def test_after_a_while_one_query_is_sent_to_see(file: Path) -> None:
    opened(file)
    set_back(file, COOL_DOWN)
    probing = Breaker("v-1", file)
    probing.check()
    assert probing.left == 1
    with pytest.raises(HeistError, match="6 queries in a row"):
        lose(probing)
    with pytest.raises(HeistError):
        Breaker("v-1", file).check()


def test_a_reply_to_the_probe_closes_it_for_all(file: Path) -> None:
    opened(file)
    set_back(file, COOL_DOWN)
    probing = Breaker("v-1", file)
    probing.check()
    probing.replied()
    other = Breaker("v-1", file)
    other.check()
    assert other.left == LOST_IN_A_ROW


def test_a_reply_clears_away_what_an_earlier_run_left(file: Path) -> None:
    opened(file)
    Breaker("v-1", file, time.time()).replied()
    assert not file.exists()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", "{}", '{"when": "x", "in_a_row": 5, "outage": true, "trouble": ""}', '{"when": NaN, "in_a_row": 5,'
     ' "outage": true, "trouble": ""}', '{"when": 1e400, "in_a_row": 1e400, "outage": true, "trouble": ""}'],
)  # fmt: skip
def test_a_damaged_file_is_no_outage(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(content)
    Breaker("v-1", file).check()


def test_a_clock_that_was_set_back_stops_nobody(file: Path) -> None:
    opened(file)
    set_back(file, -3600)
    Breaker("v-1", file).check()


def test_without_a_file_it_remembers_by_itself() -> None:
    breaker = Breaker("v-1")
    lose(breaker, 3)
    breaker.check()
    assert breaker.in_a_row == 3
