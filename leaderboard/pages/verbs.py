"""What `heist leaderboard build` and `serve` do."""

from __future__ import annotations

import io
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

from heistbench.bench.contracts.errors import HeistError, printable
from heistbench.bench.storage.failures import read_failures
from heistbench.leaderboard.pages.site import build_site

HOST = "127.0.0.1"
"""Nobody else reaches a board that is served."""
NAMES = (HOST, "localhost")
"""What this server is called. A page of a stranger that has its own name lead here is not answered (DNS rebinding)."""
PATIENCE = 30
"""Seconds that a reader may keep silent in a request."""


def build(results: Path, site: Path) -> None:
    """Build the site of a folder of result files, and say where it is."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console()
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("result files", total=None)
        failures = read_failures(results.parent)
        build_site(results, site, lambda done, total: progress.update(bar, completed=done, total=total), failures=failures)
    console.print(printable(f"pages    {site / 'index.html'}"), highlight=False, markup=False, soft_wrap=True)


def serve(site: Path, port: int) -> None:
    """Serve a site to this machine until Ctrl-C. Raises HeistError where there is no site, or the port is taken."""
    if not (site / "index.html").is_file():
        raise HeistError(f"no site in {site}: expected index.html; `heist leaderboard build` makes one")
    try:
        server = server_of(site, port)
    except (OSError, OverflowError) as error:
        raise HeistError(f"--port {port}: cannot listen there ({error})") from None
    with server:
        print(f"http://{HOST}:{server.server_address[1]}/  (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def server_of(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of the files of a site; port 0 takes a free one."""
    return _Server((HOST, port), partial(_Handler, directory=str(site)))


class _Server(ThreadingHTTPServer):
    """Answers each request in a thread, and makes nothing of readers who leave or fall silent before they have all of it."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Report an error of our own."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(SimpleHTTPRequestHandler):
    """Serves the files of its folder, nothing that a link in it leads to, and keeps quiet about it."""

    timeout = PATIENCE

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """The start of an answer, and its content where there is one."""
        if self.headers.get("Host", "").partition(":")[0].lower() not in NAMES:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        elif self._is_there():
            return super().send_head()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)
        return None

    def _is_there(self) -> bool:
        """Whether a page lies inside the folder, as a file or as a folder with an index."""
        try:
            page = Path(self.translate_path(self.path))
            page = (page / "index.html" if page.is_dir() else page).resolve(strict=True)
            return page.is_file() and page.is_relative_to(Path(self.directory).resolve())
        except (OSError, ValueError):  # no such file; a name that no file can have
            return False

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
