"""The site: the same bytes for the same files, whole or not at all, every link to something that is there."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pyarrow.parquet as pq
import pytest
from leaderboard.conftest import sample_records
from leaderboard.markup import Reader

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_record, read_records, result_files, write_record
from heistbench.leaderboard.board.build import build
from heistbench.leaderboard.pages import parquet, render, site
from heistbench.leaderboard.pages.site import build_site
from heistbench.leaderboard.pages.verbs import HOST, serve, server_of

Make = Callable[..., Record]
Folder = Callable[..., Path]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written(folder: Path, records: Sequence[Record]) -> Path:
    """A folder that holds these records as results of two suites."""
    for record in records:
        write_record(folder / "results" / ("early" if record.arm.release == "1" else "late"), record)
    return folder


def everything(make: Make, control: Make) -> list[Record]:
    """Three contests: two releases, two budgets, and one of a task whose exam is another."""
    second = {"arm__release": "2"}
    released = [make("rep", wall, 0.5, seed, **second) for wall in ("none", "wall") for seed in range(3)]
    swept = [make("rep", arm__budget=budget, arm__victim="swept", provenance__data={}) for budget in (0, 9)]
    other = [make("rep", arm__task__spec="a (b)/c%20#d?e", arm__student="über"), control(arm__task__spec="a (b)/c%20#d?e")]
    other = [r.model_copy(update={"arm": r.arm.model_copy(update={"student": "über"})}) for r in other]
    return [*sample_records(), *released, *(control(seed=s, **second) for s in range(3)), *swept, *other]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, make: Make, control: Make) -> Path:
    """A folder with results and their site."""
    folder = written(tmp_path_factory.mktemp("board"), everything(make, control))
    build_site(folder / "results", folder / "site")
    return folder


@pytest.fixture
def small(tmp_path: Path, make: Make) -> Path:
    """A folder with one result file and its site."""
    folder = written(tmp_path, [make()])
    build_site(folder / "results", folder / "site")
    return folder


# the same bytes


def test_the_order_of_files_makes_no_difference(
    built: Path, tmp_path: Path, make: Make, control: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, everything(make, control)[::-1])
    listed = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: sorted(listed(self, pattern), reverse=True))
    build_site(tmp_path / "results", tmp_path / "site")
    monkeypatch.undo()
    assert contents(tmp_path / "site") == contents(built / "site")


def test_many_files_are_built_by_several_processes_to_the_same_bytes(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "FEW", 0)
    (tmp_path / "results").symlink_to(built / "results")
    progress: list[tuple[int, int]] = []
    build_site(tmp_path / "results", tmp_path / "site", lambda done, total: progress.append((done, total)))
    assert contents(tmp_path / "site") == contents(built / "site")
    assert [total for _, total in progress] == [progress[-1][0]] * 3


@pytest.mark.parametrize("few", [0, 1000])
def test_the_board_of_a_site_is_that_of_its_records(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(site, "FEW", few)
    assert build_site(built / "results", tmp_path / "site") == build(read_records(built / "results"))


# whole or not at all


def test_pages_of_what_is_gone_vanish(small: Path, make: Make) -> None:
    (old,) = (small / "results").rglob("seed-*.json")
    old.unlink()
    written(small, [make("other")])
    build_site(small / "results", small / "site")
    assert [path.parent.parent.name for path in (small / "site" / "cells").rglob("*.html")] == ["other"]
    assert sorted(path.name for path in small.iterdir()) == ["results", "site"]


def test_a_build_that_is_stopped_leaves_the_old_site_whole(small: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(small / "site")
    written(small, [make("other")])

    def stopped(*about: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(render, "index_page", stopped)
    with pytest.raises(KeyboardInterrupt):
        build_site(small / "results", small / "site")
    assert contents(small / "site") == before
    assert sorted(path.name for path in small.iterdir()) == ["results", "site"]


def test_a_folder_that_is_no_site_is_never_replaced(small: Path) -> None:
    (small / "site" / "assets" / "heist.css").unlink()
    before = contents(small)
    with pytest.raises(HeistError, match="is there and is no site"):
        build_site(small / "results", small / "site")
    with pytest.raises(HeistError, match="is there and is no site"):
        build_site(small / "results", small)
    assert contents(small) == before


def test_an_empty_folder_may_become_a_site(small: Path) -> None:
    (small / "new").mkdir()
    build_site(small / "results", small / "new")
    assert contents(small / "new").keys() == contents(small / "site").keys()


def test_no_results_are_no_site(tmp_path: Path) -> None:
    with pytest.raises(HeistError, match="no result files"):
        build_site(tmp_path, tmp_path / "site")
    assert [*tmp_path.iterdir()] == []


def test_a_file_that_lies_where_its_arm_does_not_say_is_refused(small: Path) -> None:
    (file,) = (small / "results").rglob("seed-*.json")
    file.rename(file.with_name("seed-7.json"))
    with pytest.raises(HeistError, match=r"seed-7\.json: expected it at .*seed-0\.json"):
        build_site(small / "results", small / "site")


def test_results_that_cannot_share_a_page_are_refused(tmp_path: Path, make: Make) -> None:
    for suite, version in (("a", "1-A"), ("b", "2-A")):
        write_record(tmp_path / "results" / suite, make(seed=int(version[0]), arm__task__version=version))
    with pytest.raises(HeistError, match="two versions of a task would share this page"):
        build_site(tmp_path / "results", tmp_path / "site")


def test_names_that_are_one_in_paths_are_refused(tmp_path: Path, make: Make) -> None:
    for seed, student in enumerate(("pocket/base", "pocket-base")):
        write_record(tmp_path / "results", make(seed=seed, arm__student=student))
    with pytest.raises(HeistError, match="share a name in paths"):
        build_site(tmp_path / "results", tmp_path / "site")


# links


def test_every_link_leads_to_something_that_is_there(built: Path) -> None:
    seen = set()
    for page in (built / "site").rglob("*.html"):
        read = Reader(page.read_text(encoding="utf-8"))
        for tag, name, value in read.attributes:
            if name not in ("href", "src") or value == "data:,":
                continue
            link = urlsplit(value)
            assert not link.scheme
            assert not link.netloc
            target = page.parent / unquote(link.path) if link.path else page
            assert target.is_file(), f"{page}: {value}"
            assert not link.fragment or unquote(link.fragment) in Reader(target.read_text(encoding="utf-8")).all("id")
            seen.add((tag, target.resolve()))
    files = {("a", path.resolve()) for path in (built / "results").rglob("seed-*.json")}
    cells = {("a", path.resolve()) for path in (built / "site").rglob("*.html")}
    assert files | cells <= seen


def test_nothing_is_loaded_from_elsewhere(built: Path) -> None:
    assert "url(" not in (built / "site" / "assets" / "heist.css").read_text()
    for page in (built / "site").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = [line for line in text.splitlines() if "<link" in line or "<script " in line]
        assert len([line for line in loaded if "src=" in line or "stylesheet" in line]) == 2
        assert "default-src 'none'" in text
        assert "://" not in text.replace("http://www.w3.org", "")


def test_the_index_lists_contests_not_cells(built: Path) -> None:
    text = (built / "site" / "index.html").read_text()
    assert text.count('<th scope="row">') == 3
    assert "cells/" not in text


def test_the_newest_release_stands_first(built: Path) -> None:
    (page,) = (built / "site").glob("pocket,oracle,pocket-base/index.html")
    text = page.read_text()
    assert 0 < text.index("<h2>pocket 1-A · victim oracle-2") < text.index("<h2>pocket 1-A · victim oracle-1")
    assert 'id="releases"' in text


# the data


def test_the_boards_of_the_json_are_those_of_the_records(built: Path, make: Make, control: Make) -> None:
    boards = json.loads((built / "site" / "board.json").read_text())
    assert list(boards) == sorted(path.parent.name for path in (built / "site").glob("*/index.html"))
    swept = [record for record in everything(make, control) if record.arm.victim == "swept"]
    expected = json.loads(build(swept).to_json())
    assert boards["pocket,swept,pocket-base"] == {**expected, "panels": expected["panels"][::-1]}, "the largest budget first"


def test_the_table_has_a_row_a_file_with_every_verdict(built: Path) -> None:
    rows = pq.read_table(built / "site" / "results.parquet").to_pylist()
    files = {path.relative_to(built / "results").as_posix(): read_record(path) for path in result_files(built / "results")}
    assert sorted(row["file"] for row in rows) == sorted(files)
    for row in rows:
        record = files[row["file"]]
        arm, exam = record.arm, record.exam
        assert dict(zip(row["questions"], row["verdicts"], strict=True)) == exam.verdicts
        assert (row["attack"], row["seed"], row["accuracy"]) == (arm.attack.spec, arm.seed, exam.accuracy)
        expected = (record.loot.rows, 0.97, record.bill.queries)
        assert (row["loot_rows"], row["utility_accuracy"], row["queries"]) == expected
        assert dict(row["overlap"]).get("words.stolen.lcs_f") == (0.61 if record.overlap else None)


def test_long_names_make_folders_that_a_file_system_takes(tmp_path: Path, make: Make) -> None:
    long = {"arm__victim": "v" * 190, "arm__student": "s" * 190}
    folder = written(tmp_path, [make("rep", **long), make("rep", **{**long, "arm__student": "s" * 189 + "t"})])
    build_site(folder / "results", folder / "site")
    assert len(list((folder / "site").glob("pocket,*/index.html"))) == 2


# serving


@pytest.fixture
def address(small: Path) -> Iterator[str]:
    """Where a site is served."""
    with server_of(small / "site", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://{HOST}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_it_serves_the_site_to_this_machine_and_nothing_else(address: str, small: Path) -> None:
    with urlopen(f"{address}/") as reply:
        assert reply.read() == (small / "site" / "index.html").read_bytes()
    with pytest.raises(HTTPError) as missing:
        urlopen(f"{address}/../results/")
    missing.value.close()
    assert missing.value.code == 404
    assert HOST == "127.0.0.1"


@pytest.mark.parametrize(
    "path", ["/secret.txt", "/folder/secret.txt", "/linked/", "/%00", "/%00/index.html", "/pipe", "/assets/"]
)
def test_nothing_but_pages_is_served(address: str, small: Path, path: str, capfd: pytest.CaptureFixture[str]) -> None:
    (small / "secret.txt").write_text("secret")
    (small / "site" / "secret.txt").symlink_to(small / "secret.txt")
    (small / "site" / "folder").symlink_to(small)
    (small / "site" / "linked").mkdir()
    (small / "site" / "linked" / "index.html").symlink_to(small / "secret.txt")
    os.mkfifo(small / "site" / "pipe")
    with pytest.raises(HTTPError) as missing:
        urlopen(f"{address}{path}", timeout=10)
    missing.value.close()
    assert missing.value.code == 404
    assert capfd.readouterr().err == ""


def ask(address: str, request: bytes, host: bytes = b"127.0.0.1") -> bytes:
    """The answer to a request as it stands."""
    port = int(address.rpartition(":")[2])
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(request + b"\r\nHost: " + host + b":%d\r\n\r\n" % port)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", 200),
        (b"HEAD / HTTP/1.1", 200),
        (b"GET //etc/passwd HTTP/1.1", 404),
        (b"GET /%2e%2e/%2e%2e/%2e%2e/etc/passwd HTTP/1.1", 404),
        (b"GET /..%2f..%2fetc/passwd HTTP/1.1", 404),
        (b"GET /\\..\\..\\etc HTTP/1.1", 404),
        (b"GET http://elsewhere/results/ HTTP/1.1", 404),
        (b"GET /%ff%fe HTTP/1.1", 404),
        (b"HEAD /%00 HTTP/1.1", 404),
        (b"GET /" + b"a" * 5_000 + b" HTTP/1.1", 404),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1", 414),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200, 431),
        (b"POST / HTTP/1.1", 501),
    ],
)
def test_odd_requests_are_answered_briefly(
    address: str, request_line: bytes, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = ask(address, request_line)
    assert answer.startswith(b"HTTP/1.0 %d " % status)
    assert (b"\r\n\r\n" in answer and not answer.endswith(b"\r\n\r\n")) == (b"HEAD" not in request_line)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("garbage", [b"GARBAGE", b"GET", b"\x00\xff", b"GET / HTTP/9.9", b"GET / HTTP/x"])
def test_what_is_no_request_is_refused(address: str, garbage: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert re.search(rb"Error code: (400|505)", ask(address, garbage))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("host", "status"), [(b"localhost", 200), (b"LOCALHOST", 200), (b"evil.example", 421), (b"", 421)])
def test_it_answers_to_its_own_names_alone(address: str, host: bytes, status: int) -> None:
    """A stranger's page whose name was made to lead to this machine cannot read the board."""
    assert ask(address, b"GET / HTTP/1.1", host).startswith(b"HTTP/1.0 %d " % status)


def test_a_reader_who_leaves_makes_no_noise(address: str, small: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (small / "site" / "large.html").write_bytes(b"x" * 20_000_000)
    with socket.create_connection((HOST, int(address.rpartition(":")[2]))) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"GET /large.html HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(1)
    while any("process_request_thread" in thread.name for thread in threading.enumerate()):
        time.sleep(0.01)
    assert capfd.readouterr().err == ""


def test_there_must_be_a_site_and_a_port_to_serve_it(small: Path, address: str) -> None:
    with pytest.raises(HeistError, match=r"no site in .*heist leaderboard build"):
        serve(small / "results", 0)
    for port in (int(address.rpartition(":")[2]), -1, 65536):
        with pytest.raises(HeistError, match=f"--port {port}: cannot listen"):
            serve(small / "site", port)


def test_it_says_where_it_is_served_and_ctrl_c_ends_it(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: ThreadingHTTPServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", interrupted)
    serve(small / "site", 0)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/  \(Ctrl-C ends it\)\n", capsys.readouterr().out)


# the verbs


def test_the_verb_builds_beside_the_results_or_where_it_is_told(small: Path, heist: Callable[..., Any]) -> None:
    before = contents(small / "site")
    (small / "site" / "index.html").unlink()
    ended = heist("leaderboard", "build", small / "results")
    assert (ended.code, ended.err) == (0, "")
    assert str(small / "site" / "index.html") in ended.out.replace("\n", "")
    assert contents(small / "site") == before
    assert heist("leaderboard", "build", small / "results", "--out", small / "other").code == 0
    assert contents(small / "other") == before


def test_the_verb_says_in_a_line_what_is_wrong(tmp_path: Path, heist: Callable[..., Any]) -> None:
    ended = heist("leaderboard", "build", tmp_path)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "no result files" in ended.err
    assert heist("leaderboard", "serve", tmp_path).code == 2


def test_a_long_table_is_joined_part_by_part(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH", 2)
    records = [make("rep", seed=seed, n=3 + seed % 2) for seed in range(11)]
    files = [f"seed-{record.arm.seed}.json" for record in records]
    parquet.write_part(tmp_path / "a.parquet", records[:4], files[:4])
    parquet.write_part(tmp_path / "b.parquet", records[4:], files[4:])
    parquet.join(tmp_path / "all.parquet", [tmp_path / "a.parquet", tmp_path / "b.parquet"])
    rows = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert [row["file"] for row in rows] == files
    assert [dict(zip(row["questions"], row["verdicts"], strict=True)) for row in rows] == [
        {question: str(verdict) for question, verdict in sorted(record.exam.verdicts.items())} for record in records
    ]
