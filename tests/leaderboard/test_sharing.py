"""Records in little memory are the same records."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.build import build
from heistbench.leaderboard.pages.sharing import Column, Sharing, Values


def test_a_column_is_the_mapping_that_it_was_made_of() -> None:
    plain = {"q2": "b", "q1": "a"}
    values = Values()
    others = Column({"q1": 0, "q2": 1}, values, {"q1": "b", "q2": "c"})
    column = Column({"q1": 0, "q2": 1}, values, plain)
    assert values == ["b", "c", "a"]
    assert dict(others) == {"q1": "b", "q2": "c"}
    assert column == plain
    assert dict(column.items()) == plain
    assert column.keys() == plain.keys()
    assert len(column) == 2
    with pytest.raises(KeyError):
        column["q3"]


def test_the_board_of_lean_records_is_that_of_the_records(sample: list[Record]) -> None:
    sharing = Sharing()
    assert build([*map(sharing.lean, sample)]) == build(sample)


def test_lean_records_hold_equal_things_once(make: Callable[..., Record]) -> None:
    sharing = Sharing()
    one, other = (sharing.lean(make("rep", seed=seed)) for seed in range(2))
    assert one.provenance.settings is other.provenance.settings
    assert one.arm.task is other.arm.task
    assert one.exam.verdicts.keys() == other.exam.verdicts.keys()
    third = sharing.lean(make("rep", n=7, arm__attack__version="2-A"))
    assert len(third.exam.verdicts) == 7
    assert (third.arm.attack.version, one.arm.attack.version) == ("2-A", "1-A")


def test_what_is_said_of_a_record_stays(make: Callable[..., Record]) -> None:
    record = make("rep", exam__traces={f"q{i:04}": "right 4" for i in range(120)})
    lean = Sharing().lean(record)
    assert (lean.arm, lean.provenance) == (record.arm, record.provenance)
    assert (len(lean.examples), [*lean.examples], lean.examples[0]) == (2, record.examples, record.examples[0])
    assert (dict(lean.exam.verdicts), dict(lean.exam.traces or {})) == (record.exam.verdicts, record.exam.traces)
    assert Sharing().lean(make("rep")).exam.traces is None
