from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from heistbench.bench import DataFile, HeistError
from heistbench.bench.storage import data_files as data
from heistbench.bench.storage.data_files import as_pinned

CONTENT = b"1 Mary went to the office.\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, with downloads allowed."""
    monkeypatch.setenv("HEIST_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    return tmp_path / "data"


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A web server with one file, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == "/there.txt" else 404)
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", asked
        http.shutdown()
        thread.join()


def expect(monkeypatch: pytest.MonkeyPatch, **digests: str) -> None:
    """State the checksums of files."""
    monkeypatch.setattr(data, "_checksums", lambda: {f"{name}.txt": digest for name, digest in digests.items()})


def test_a_file_is_downloaded_once(folder: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    url, asked = server
    file = DataFile("set/there.txt", f"{url}/there.txt")
    monkeypatch.setattr(data, "_checksums", lambda: {"set/there.txt": hashlib.sha256(CONTENT).hexdigest()})
    assert file.locate() == folder / "set" / "there.txt"
    assert file.locate().read_bytes() == CONTENT
    assert file.digest() == file.sha256
    assert asked == ["/there.txt"]


def test_a_download_with_another_hash_is_refused(folder: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    expect(monkeypatch, there="0" * 64)
    with pytest.raises(HeistError, match=rf"/there\.txt: sha256 is [0-9a-f]{{64}}, expected {'0' * 64}; nothing was kept"):
        DataFile("there.txt", f"{server[0]}/there.txt").locate()
    assert not folder.exists()


def test_a_file_without_known_hash_is_taken(folder: Path, server) -> None:
    assert DataFile("there.txt", f"{server[0]}/there.txt").locate().read_bytes() == CONTENT


def test_a_users_own_file_is_used_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect(monkeypatch, mine="0" * 64)
    folder.mkdir()
    (folder / "mine.txt").write_bytes(b"mine")
    file = DataFile("mine.txt", "http://127.0.0.1:1/mine.txt")
    assert file.digest() == hashlib.sha256(b"mine").hexdigest() != file.sha256


def unreachable() -> str:
    """An address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("what", ["no such file", "no server", "offline"])
def test_what_is_neither_here_nor_to_be_had_says_what_to_do(
    folder: Path, server, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    url = unreachable() if what == "no server" else server[0]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1" if what == "offline" else "0")
    with pytest.raises(HeistError) as raised:
        DataFile("gone.txt", f"{url}/gone.txt").locate()
    message = str(raised.value)
    assert message.startswith(f"gone.txt is not in the data folder {folder} and ")
    assert f"put {url}/gone.txt there, or name another folder with --data DIR or HEIST_DATA" in message
    assert "\n" not in message
    assert ("offline" in what) == ("HF_HUB_OFFLINE forbids" in message)
    assert not folder.exists()


def test_shipped_checksums_are_whole() -> None:
    found = data._checksums()
    assert len(found) >= 39
    assert all(len(digest) == 64 and not path.startswith("/") for path, digest in found.items())


def test_pinned_is_what_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    expect(monkeypatch, a="1" * 64, b="2" * 64)
    assert as_pinned(f"{'1' * 64} {'2' * 64}")
    assert as_pinned("")
    assert not as_pinned(f"{'1' * 64} {'3' * 64}")


def test_a_run_on_other_files_says_so(tmp_path: Path, heist: Callable) -> None:
    folder = tmp_path / "babi" / "en-10k"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        stories = (f"1 Mary went to {part} {i}.\n2 Where is Mary?\t{i}\t1\n" for i in range(300))
        (folder / f"qa12_conjunction_{part}.txt").write_text("".join(stories))
    ended = heist("run", "babi", "--data", tmp_path, "--out", tmp_path / "out", "--dry-run")
    assert ended.code == 0, ended.err
    assert "babi: its data files are not the ones tasks/data.sha256 lists" in ended.out


def test_a_run_on_the_pinned_files_says_nothing(test_data: Path, tmp_path: Path, heist: Callable) -> None:
    ended = heist("run", "babi", "--data", test_data, "--out", tmp_path / "out", "--dry-run")
    assert ended.code == 0, ended.err
    assert "data.sha256" not in ended.out
