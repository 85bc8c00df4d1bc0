"""The ledger: what was replied is there whole or not at all, whoever dies while it is written."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heistbench.bench import HeistError, Message, Prompt, Reply, Tool, Usage
from heistbench.bench.contracts.errors import Busy
from heistbench.bench.contracts.nouns import Stop
from heistbench.bench.storage.ledger import Ledger, Query, ledgers, reply_from
from heistbench.bench.storage.store import Store, canonical

SPEC = {"model": "m", "api": None}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
COUNTS = st.integers(0, 2**40)
REPLIES = st.builds(
    Reply,
    TEXTS | st.none(),
    TEXTS | st.none(),
    TEXTS,
    st.builds(Usage, COUNTS, COUNTS, COUNTS),
    st.sampled_from(get_args(Stop)),
    st.dictionaries(TEXTS, TEXTS),
)
TOOLS = st.builds(Tool, TEXTS, TEXTS, st.lists(st.tuples(TEXTS, TEXTS)).map(tuple))
MESSAGES = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), TEXTS)).map(tuple)
QUERIES = st.tuples(st.builds(Prompt, MESSAGES, TOOLS | st.none(), st.booleans()), st.integers(0, 3))


def query(number: int, before: int = 0) -> Query:
    return Prompt.of(f"question {number}"), before


def reply(number: int) -> Reply:
    return Reply(f"trace {number} " * 50, None, f"answer {number}", Usage(1, 2, 1), "stop")


def fill(ledger: Ledger, numbers: range, dollars: float = 0.0) -> None:
    with ledger.writing() as keep:
        for number in numbers:
            keep(query(number), reply(number), dollars)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store(tmp_path), SPEC)


def file_of(ledger: Ledger) -> Path:
    return ledger._path


# what is written is read


@settings(max_examples=20)
@given(st.dictionaries(QUERIES, REPLIES, max_size=8))
def test_replies_come_back_as_they_were(rows: dict[Query, Reply]) -> None:
    with TemporaryDirectory() as folder:
        with Ledger(Store(Path(folder)), SPEC).writing() as keep:
            for asked, said in rows.items():
                keep(asked, said, 0.25)
        again = Ledger(Store(Path(folder)), SPEC)
        assert again.find(list(rows)) == dict(enumerate(rows.values()))
        assert again.spent() == (len(rows), 0.25 * len(rows))


@given(REPLIES)
def test_a_reply_comes_back_from_its_json(said: Reply) -> None:
    import json

    assert reply_from(json.loads(canonical(said))) == said


def test_replies_are_found_by_place(ledger: Ledger) -> None:
    fill(ledger, range(0, 3000, 2))
    found = ledger.find([query(number) for number in (*range(1700), 4)])
    assert found == {**{number: reply(number) for number in range(0, 1700, 2)}, 1700: reply(4)}


def test_nothing_is_found_where_nothing_was_asked(ledger: Ledger) -> None:
    assert ledger.find([query(1)]) == ledger.find([]) == {}
    assert ledger.spent() == (0, 0.0)


@pytest.mark.parametrize(
    "other",
    [
        query(1, before=1),
        (Prompt.of("question 1", "a system"), 0),
        (Prompt((Message("assistant", "question 1"),)), 0),
        (Prompt(query(1)[0].messages, think=False), 0),
        (Prompt(query(1)[0].messages, Tool("t", "", ())), 0),
    ],
)
def test_all_that_is_sent_makes_a_query(ledger: Ledger, other: Query) -> None:
    fill(ledger, range(1, 2))
    assert ledger.find([other, query(1)]) == {1: reply(1)}


def test_what_an_outage_swallowed_is_counted(ledger: Ledger) -> None:
    assert ledger.outcomes() == (0, 0)
    fill(ledger, range(5))
    with ledger.writing() as keep:
        keep(query(7), Reply(None, None, "", Usage(), "error"), 0.0)
    assert ledger.outcomes() == (6, 1)


def test_what_was_sent_in_vain_is_paid_for_and_asked_again(ledger: Ledger) -> None:
    fill(ledger, range(2))
    ledger.charge(0.25)
    ledger.charge(0.5)
    assert ledger.spent() == (4, 0.75)
    assert ledger.outcomes() == (2, 0)
    assert ledger.find([query(0), query(9)]).keys() == {0}


def test_what_was_neither_answered_nor_billed_is_counted_apart(ledger: Ledger) -> None:
    fill(ledger, range(2))
    ledger.charge(0.0)
    ledger.charge(0.5)
    with ledger.writing() as keep:
        keep(query(7), Reply(None, None, "", Usage(), "error"), 0.0)
        keep(query(8), Reply(None, None, "", Usage(), "error"), 0.25)
    assert ledger.spent() == (4, 0.75)
    assert ledger.unanswered() == 2


def test_every_victim_has_its_own(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger(Store(tmp_path), {"model": "other", "api": {"effort": "high"}})
    fill(ledger, range(3))
    assert other.find([query(1)]) == {}
    assert {folder.parent for folder in ledgers(Store(tmp_path))} == {tmp_path / "victims"}
    assert len(list(ledgers(Store(tmp_path)))) == 2


# who dies while it is written

WRITER = """
import sys
from pathlib import Path
from heistbench.bench import Prompt, Reply, Usage
from heistbench.bench.storage.ledger import Ledger
from heistbench.bench.storage.store import Store

root, start, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with Ledger(Store(root), {"model": "m", "api": None}).writing() as keep:
    for n in range(start, start + count):
        said = Reply(f"trace {n} " * 50, None, f"answer {n}", Usage(1, 2, 1), "stop")
        keep((Prompt.of(f"question {n}"), 0), said, 0.5)
        print(n, flush=True)
"""


def writer(root: Path, start: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), str(start), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("told", [1, 60])
def test_a_killed_writer_leaves_whole_rows_and_all_it_told_of(ledger: Ledger, tmp_path: Path, told: int) -> None:
    with writer(tmp_path, 0, 100_000) as child:
        assert child.stdout is not None
        for _ in range(told):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    queries, dollars = ledger.spent()
    assert told <= queries < 100_000
    assert dollars == queries / 2
    assert ledger.find([query(number) for number in range(queries + 50)]) == {n: reply(n) for n in range(queries)}
    fill(ledger, range(queries, queries + 5))  # and it goes on
    assert ledger.spent()[0] == queries + 5


def test_two_processes_may_write_at_once(ledger: Ledger, tmp_path: Path) -> None:
    children = [writer(tmp_path, start, 150) for start in (0, 1000)]
    assert [len(child.communicate()[0].split()) for child in children] == [150, 150]
    assert [child.returncode for child in children] == [0, 0]
    found = ledger.find([query(number) for number in (*range(150), *range(1000, 1150))])
    assert list(found.values()) == [reply(number) for number in (*range(150), *range(1000, 1150))]


def test_one_process_at_a_time_asks(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.lock():
        with pytest.raises(Busy), Ledger(Store(tmp_path), SPEC).lock():
            pass
        with Ledger(Store(tmp_path), {"model": "other", "api": None}).lock():
            pass
    with Ledger(Store(tmp_path), SPEC).lock():
        pass


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose writer died with twelve rows in the write-ahead log and none yet in the file itself."""
    live, dead = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("dead")
    ledger = Ledger(Store(live), SPEC)
    with ledger.writing() as keep:
        for number in range(12):
            keep(query(number), reply(number), 0.0)
        shutil.copytree(live, dead, dirs_exist_ok=True)
    return dead


@settings(max_examples=40)
@given(st.floats(0, 1), st.binary(max_size=40))
def test_a_log_torn_anywhere_holds_the_first_rows_whole(unfinished: Path, share: float, garbage: bytes) -> None:
    with TemporaryDirectory() as folder:
        shutil.copytree(unfinished, folder, dirs_exist_ok=True)
        ledger = Ledger(Store(Path(folder)), SPEC)
        log = file_of(ledger).with_name("replies.sqlite-wal")
        whole = log.read_bytes()
        assert len(whole) > 10_000
        log.write_bytes(whole[: round(share * len(whole))] + garbage)
        found = ledger.find([query(number) for number in range(12)])
        assert found == {number: reply(number) for number in range(len(found))}


# damage


def test_what_is_no_database_is_named(ledger: Ledger) -> None:
    fill(ledger, range(5))
    file_of(ledger).write_bytes(b"not a database at all" * 100)
    with pytest.raises(HeistError, match=r"ledger .*replies\.sqlite: file is not a database; delete it to query"):
        ledger.find([query(1)])


def test_a_damaged_database_is_named(ledger: Ledger) -> None:
    fill(ledger, range(500))
    content = bytearray(file_of(ledger).read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file_of(ledger).write_bytes(content)
    with pytest.raises(HeistError, match=r"ledger .*replies\.sqlite: .*malformed"):
        ledger.find([query(number) for number in range(500)])


@pytest.mark.parametrize("row", ["", "{", "[]", "7", '{"text": "7"}', '{"usage": {}}', '{"usage": {"queries": 1}}'])
def test_a_row_that_is_no_reply_is_named(ledger: Ledger, row: str) -> None:
    fill(ledger, range(3))
    with sqlite3.connect(file_of(ledger)) as base:
        base.execute("UPDATE replies SET reply = ?", (row,))
    base.close()
    with pytest.raises(HeistError, match=r"ledger .*replies\.sqlite: contains a row that is not a reply; delete it to query"):
        ledger.find([query(1)])


def test_what_is_not_damage_is_not_to_be_deleted(ledger: Ledger) -> None:
    file_of(ledger).mkdir()
    with pytest.raises(HeistError, match=r"ledger .*replies\.sqlite: unable to open") as caught:
        ledger.find([query(1)])
    assert "delete" not in str(caught.value)
