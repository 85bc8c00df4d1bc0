"""The ledger: what was replied is there whole or not at all, whoever dies while it is written."""

from __future__ import annotations

import errno
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heistbench.bench import HeistError, Message, Prompt, Reply, Tool, Usage
from heistbench.bench.contracts.errors import Busy
from heistbench.bench.contracts.nouns import Stop
from heistbench.bench.storage.ledger import Ledger, is_paid, ledgers, reply_from
from heistbench.bench.storage.owner import Query
from heistbench.bench.storage.replies import Replies, Row
from heistbench.bench.storage.salvage import condition, repair
from heistbench.bench.storage.store import Store, canonical, hash_of

SPEC = {"model": "m", "api": None}
PAID = {"model": "m", "api": {"shows": "trace"}}
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
    return ledger._replies.path


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
    assert len(list(ledgers(Store(tmp_path)))) == 1
    fill(other, range(7, 8))
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
    fill(ledger, range(5000, 5001))
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


@settings(max_examples=25)
@given(st.floats(0, 1), st.binary(max_size=40))
def test_of_a_torn_log_the_first_rows_are_kept_and_the_loss_is_told(unfinished: Path, share: float, garbage: bytes) -> None:
    with TemporaryDirectory() as folder:
        shutil.copytree(unfinished, folder, dirs_exist_ok=True)
        lines = list[str]()
        ledger = Ledger(Store(Path(folder), lines.append), SPEC)
        log = file_of(ledger).with_name("replies.sqlite-wal")
        whole = log.read_bytes()
        assert len(whole) > 10_000
        log.write_bytes(whole[: round(share * len(whole))] + garbage)
        kept = ledger.find([query(number) for number in range(12)])
        assert kept == {number: reply(number) for number in range(len(kept))}
        assert len(lines) == (len(kept) < 12)
        assert not lines or f"{12 - len(kept)} of 12 replies are damaged or missing" in lines[0]


MANY = 40


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with forty paid replies at half a dollar each."""
    root = tmp_path_factory.mktemp("paid")
    fill(Ledger(Store(root), PAID), range(MANY), 0.5)
    return root


@pytest.fixture(scope="module")
def paid_unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, whose writer died before the log was moved into the file."""
    live, dead = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("dead")
    with Ledger(Store(live), PAID).writing() as keep:
        for number in range(MANY):
            keep(query(number), reply(number), 0.5)
        shutil.copytree(live, dead, dirs_exist_ok=True)
    return dead


def known(ledger: Ledger, count: int = MANY) -> dict[int, Reply]:
    """What a victim would take for known, and not ask for."""
    replies = ledger.find([query(number) for number in range(count)])
    if len(replies) < count:
        with ledger.lock():
            replies = ledger.find([query(number) for number in range(count)])
    return replies


def nothing_is_asked_again_silently(root: Path) -> bool:
    """Whether all is whole.

    Where it is not, an error says so, and after a repair what is sound is kept and all stays paid for.
    """
    ledger = Ledger(Store(root), PAID)
    try:
        replies = known(ledger)
    except HeistError:
        replies = None
    if replies is not None:
        assert replies == {number: reply(number) for number in range(MANY)}
        return True
    before = condition(ledger._replies)
    repair(ledger._replies, root)
    replies = known(ledger)
    assert len(replies) == before.sound
    assert all(reply(number) == replies[number] for number in replies)
    if before.certain:
        assert ledger.spent() == (MANY, pytest.approx(MANY / 2))
    assert list((root / "damaged" / "victims").iterdir())
    return False


def files_of(root: Path) -> list[Path]:
    names = ("replies.sqlite", "replies.sqlite-wal", "tally.json")
    return sorted(path for path in root.glob("victims/*/*") if path.name in names)


@settings(max_examples=60)
@given(st.data())
@pytest.mark.parametrize("state", ["paid", "paid_unfinished"])
def test_any_flipped_bit_is_noticed_or_harms_nothing(request: pytest.FixtureRequest, state: str, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        shutil.copytree(request.getfixturevalue(state), folder, dirs_exist_ok=True)
        path = data.draw(st.sampled_from(files_of(Path(folder))))
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, min(len(content), 110) - 1))
        content[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        nothing_is_asked_again_silently(Path(folder))


@settings(max_examples=20)
@given(st.data())
@pytest.mark.parametrize("state", ["paid", "paid_unfinished"])
def test_any_tail_that_is_cut_is_noticed(request: pytest.FixtureRequest, state: str, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        shutil.copytree(request.getfixturevalue(state), folder, dirs_exist_ok=True)
        path = data.draw(st.sampled_from([p for p in files_of(Path(folder)) if p.stat().st_size]))
        content = path.read_bytes()
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        nothing_is_asked_again_silently(Path(folder))


@settings(max_examples=25)
@given(st.sets(st.integers(1, MANY), min_size=1), st.booleans())
def test_deleted_rows_are_noticed(paid: Path, numbers: set[int], last: bool) -> None:
    with TemporaryDirectory() as folder:
        shutil.copytree(paid, folder, dirs_exist_ok=True)
        with sqlite3.connect(file_of(Ledger(Store(Path(folder)), PAID))) as base:
            base.executemany("DELETE FROM replies WHERE number = ?", [(MANY + 1 - n if last else n,) for n in numbers])
        base.close()
        assert not nothing_is_asked_again_silently(Path(folder))


@pytest.mark.parametrize("name", ["replies.sqlite", "tally.json"])
def test_a_file_that_vanished_is_noticed(paid: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(paid, tmp_path, dirs_exist_ok=True)
    file_of(Ledger(Store(tmp_path), PAID)).with_name(name).unlink()
    assert not nothing_is_asked_again_silently(tmp_path)


@pytest.mark.parametrize("rows", [0, MANY - 1, MANY, MANY + 5])
def test_another_ledger_in_its_place_is_noticed(paid: Path, tmp_path: Path, rows: int) -> None:
    shutil.copytree(paid, tmp_path / "store")
    other = Ledger(Store(tmp_path / "other"), PAID)
    fill(other, range(100, 100 + rows), 0.5)
    with other.writing():
        pass
    shutil.copyfile(file_of(other), file_of(Ledger(Store(tmp_path / "store"), PAID)))
    with pytest.raises(HeistError, match="damaged"):
        known(Ledger(Store(tmp_path / "store"), PAID))


def test_a_damaged_ledger_says_what_is_lost_what_it_cost_and_how_to_accept_that(paid: Path, tmp_path: Path) -> None:
    shutil.copytree(paid, tmp_path / "out" / "store")
    ledger = Ledger(Store(tmp_path / "out" / "store"), PAID)
    with sqlite3.connect(file_of(ledger)) as base:
        base.execute("DELETE FROM replies WHERE number IN (3, 40)")
        base.execute("UPDATE replies SET reply = replace(reply, 'answer', 'an swer') WHERE number = 7")
    base.close()
    for look in (lambda: known(ledger), ledger.spent, lambda: ledger.charge(0.5), ledger.outcomes):
        with pytest.raises(HeistError) as caught:
            look()
        assert str(file_of(ledger)) in str(caught.value)
        assert "3 of 40 replies are damaged or missing, which cost $1.50" in str(caught.value)
        assert f"heist store verify --out {tmp_path / 'out'} --repair" in str(caught.value)


def test_damaged_replies_that_cost_nothing_are_set_aside_and_asked_again(tmp_path: Path) -> None:
    lines = list[str]()
    ledger = Ledger(Store(tmp_path, lines.append), SPEC)
    fill(ledger, range(MANY))
    with sqlite3.connect(file_of(ledger)) as base:
        base.execute("UPDATE replies SET reply = replace(reply, '7', '8') WHERE reply LIKE '%answer 7%'")
    base.close()
    assert known(ledger).keys() == {*range(MANY)} - {7}
    (line,) = lines
    assert "1 of 40 replies are damaged or missing" in line
    assert [path.name for path in tmp_path.glob("damaged/victims/*/*.sqlite")] == ["replies.sqlite"]
    fill(ledger, range(7, 8))
    assert known(ledger).keys() == {*range(MANY)}
    assert len(lines) == 1


def test_an_index_that_is_damaged_costs_no_reply(tmp_path: Path) -> None:
    """Replies that only cannot be found by their key are all there: nothing needs to be accepted."""
    lines = list[str]()
    ledger = Ledger(Store(tmp_path, lines.append), PAID)
    fill(ledger, range(MANY), 0.5)
    (root,) = sqlite3.connect(file_of(ledger)).execute("SELECT rootpage FROM sqlite_master WHERE type = 'index'").fetchone()
    content = bytearray(file_of(ledger).read_bytes())
    page = slice((root - 1) * 4096, root * 4096)
    key = content[page].rfind(b"a")
    content[page.start + key] = ord("b")
    file_of(ledger).write_bytes(content)
    assert known(ledger) == {number: reply(number) for number in range(MANY)}
    assert "was damaged; no reply is lost; what was there is kept in" in lines[0]
    assert ledger.spent() == (MANY, MANY / 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
def test_a_repair_that_is_interrupted_anywhere_loses_nothing(paid_unfinished: Path, error: Any) -> None:
    """It fails at each of its steps in turn; the loss is still told, and the next repair keeps all that is sound."""
    ended, steps = False, 0
    while not ended:
        with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            shutil.copytree(paid_unfinished, folder, dirs_exist_ok=True)
            ledger = Ledger(Store(Path(folder)), PAID)
            with sqlite3.connect(file_of(ledger)) as base:
                base.execute("DELETE FROM replies WHERE number IN (3, 40)")
            base.close()
            ended = interrupted_repair(ledger, Path(folder), steps, error, patch)
            if not condition(ledger._replies).whole:
                with pytest.raises(HeistError, match="damaged"):
                    known(ledger)
                repair(ledger._replies, Path(folder))
            assert known(ledger) == {number: reply(number) for number in range(MANY) if number not in (2, 39)}
            assert ledger.spent() == (MANY, MANY / 2)
        steps += 1
    assert steps > 5


def interrupted_repair(ledger: Ledger, root: Path, steps: int, error: Any, patch: pytest.MonkeyPatch) -> bool:
    """Whether a repair ends before it has changed the disk so many times."""
    left = iter(range(steps))

    def counted(change: Callable) -> Callable:
        def change_or_fail(*words: Any, **options: Any) -> Any:
            if next(left, None) is None:
                raise error
            return change(*words, **options)

        return change_or_fail

    with patch.context() as inner:
        for home, name in ((Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (shutil, "copy2"), (shutil, "rmtree")):
            inner.setattr(home, name, counted(getattr(home, name)))
        try:
            repair(ledger._replies, root)
        except (HeistError, KeyboardInterrupt):
            return False
    return True


@pytest.mark.parametrize("name", ["plain", "a?mode=ro", "100%41#"])
def test_replies_on_a_disk_that_cannot_be_written_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    ledger = Ledger(Store(tmp_path / name), PAID)
    fill(ledger, range(MANY), 0.5)
    monkeypatch.setattr("heistbench.bench.storage.replies.os.access", lambda *_: False)
    assert known(ledger) == {number: reply(number) for number in range(MANY)}
    with pytest.raises(HeistError, match="readonly"):
        fill(ledger, range(MANY, MANY + 1))


def test_a_spec_that_is_damaged_is_written_again(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, range(3))
    file_of(ledger).with_name("spec.json").write_text('{"model": "other", "api": null}')
    (folder,) = ledgers(Store(tmp_path))
    assert is_paid(folder)  # for all that is known
    Ledger(Store(tmp_path), SPEC)
    assert not is_paid(folder)


def test_a_writer_that_dies_between_row_and_tally_leaves_more_than_the_tally_says(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ledger, range(3))
    with monkeypatch.context() as patch:
        patch.setattr(Replies, "_write", lambda *_: None)
        fill(ledger, range(3, 6))
    assert ledger._replies.tally().rows == 3
    assert known(ledger, 6) == {number: reply(number) for number in range(6)}
    fill(ledger, range(6, 7))
    assert ledger._replies.tally().rows == 7


@pytest.mark.parametrize("steps", range(3))
def test_who_dies_while_he_makes_the_table_stops_nobody(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    left = iter(range(steps))
    replace = Path.replace

    def die(path: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            fill(ledger, range(3))
    assert known(ledger, 1).keys() == ({0} if steps == 2 else set())
    fill(ledger, range(1, 3))
    assert known(ledger, 3).keys() == {1, 2} | ({0} if steps == 2 else set())


def test_rows_are_written_all_or_none(ledger: Ledger) -> None:
    def rows() -> Iterator[Row]:
        yield Row(hash_of(query(1)), 0, "stop", 0.5, "", canonical(reply(1)))
        raise MemoryError

    fill(ledger, range(1), 0.5)
    with ledger._replies.writing() as base:
        with pytest.raises(MemoryError):
            ledger._replies.add(base, rows())
        ledger._replies.add(base, [Row(hash_of(query(2)), 0, "stop", 0.5, "", canonical(reply(2)))])
    assert known(ledger, 3) == {0: reply(0), 2: reply(2)}
    assert ledger.spent() == (2, 1.0)


def test_a_full_disk_is_one_line_and_loses_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(ledger, range(3))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(HeistError, match=r"ledger .*tally\.json: cannot be written \(No space left on device\)"):
            fill(ledger, range(3, 4))
    assert known(ledger, 4) == {number: reply(number) for number in range(4)}


@pytest.mark.parametrize("row", ["", "{", "[]", "7", '{"text": "7"}', '{"usage": {}}', '{"usage": {"queries": 1}}'])
def test_a_row_of_another_version_is_named(ledger: Ledger, row: str) -> None:
    with ledger._replies.writing() as base:
        ledger._replies.add(base, [Row(hash_of(query(1)), 0, "stop", 0.0, "", row)])
    with pytest.raises(HeistError, match=r"ledger .*replies\.sqlite: contains a row that is not a reply"):
        ledger.find([query(1)])


def test_what_is_not_damage_is_not_called_so(ledger: Ledger) -> None:
    file_of(ledger).mkdir()
    with pytest.raises(HeistError, match=r"ledger .*replies\.sqlite: unable to open") as caught:
        ledger.find([query(1)])
    assert "repair" not in str(caught.value)
