"""A site of synthetic records, and a Chromium to open it with. Every page that a test visits must be silent and stay at home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import write_record
from heistbench.leaderboard.pages.site import build_site

Make = Callable[..., Record]
Visit = Callable[..., Page]
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 10_000
"""Milliseconds to wait for what should be there at once: a busy machine may take its time."""
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}&amp;\x1b[31m\u202e\u2066\u200b"
WALLS = ("none", "wall(level=1)", "wall(level=2)")


def contested(make: Make, control: Make) -> list[Record]:
    """Two releases of one victim, the second closes `rep`; defenses of different worth, cells enough for a rank correlation."""
    records = []
    for release in "12":
        for seed in range(3):
            here = {"seed": seed, "arm__release": release}
            records += [control("untrained", 0.1, **here), control("true_trace", 0.95, queries=200, **here)]
            for at, wall in enumerate(WALLS):
                kept = {"utility__accuracy": 1 - at / 10, **here}
                strength = {"rep": 0.9 if release == "1" else 0.2} | {f"copy(shots={i})": 0.1 + i / 10 for i in (1, 2)}
                records += [make(attack, wall, how - at / 20, **kept) for attack, how in strength.items()]
    return records


def swept(make: Make, control: Make) -> list[Record]:
    """One attack at three budgets, with dollars."""
    records = []
    for at, queries in enumerate((0, 50, 1000)):
        here = {"arm__victim": "swept", "arm__budget": queries, "provenance__data": {}}
        records += [make("rep", wall, 0.2 + 0.3 * at, bill__dollars=at / 2, **here) for wall in ("none", "moat")]
        records += [control("untrained", 0.3, **here)]
    return records


def hostile(make: Make, control: Make) -> list[Record]:
    """Records whose every text would run, move or hide if it could."""
    row = {"id": "q0", **dict.fromkeys(("question", "exposed", "stolen", "answer", "hidden"), HOSTILE), "score": 0.5}
    fields = ("arm__victim", "arm__student", "arm__threat", "arm__attack__paper", "arm__attack__version", "volatile__hardware")
    here = {**dict.fromkeys(fields, HOSTILE), "examples": [row], "provenance__packages": {HOSTILE: HOSTILE}}
    arms = [{"seed": seed, "arm__release": release, **here} for seed in range(3) for release in "12"]
    return [
        *(make(HOSTILE, wall, 0.8, **arm) for wall in ("none", HOSTILE) for arm in arms),
        *(control(f"idle {HOSTILE}", 0.1, **arm) for arm in arms),
    ]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, make: Make, control: Make) -> Path:
    """The folder of the site."""
    folder = tmp_path_factory.mktemp("board")
    for record in [*contested(make, control), *swept(make, control), *hostile(make, control)]:
        write_record(folder / "results", record)
    build_site(folder / "results", folder / "site")
    return folder / "site"


@pytest.fixture(scope="session")
def pages(site: Path, make: Make) -> dict[str, Path]:
    """One page of each kind, and the hostile ones."""
    contests = {path: path.read_text(encoding="utf-8") for path in sorted(site.glob("*/index.html"))}

    def contest(*words: str) -> Path:
        return next(path for path, text in contests.items() if all(word in text for word in words))

    cells = sorted((site / "cells").rglob("*.html"))
    return {
        "index": site / "index.html",
        "contest": contest("releases-oracle"),
        "sweep": contest("budget-swept"),
        "cell": next(path for path in cells if "oracle-1/none/rep" in path.as_posix()),
        "hostile contest": contest("alert(1)"),
        "hostile cell": next(path for path in cells if "alert(1)" in path.read_text(encoding="utf-8")),
    }


@pytest.fixture(scope="session")
def literal() -> str:
    """What a page must show of HOSTILE."""
    return "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}&amp;\ufffd[31m\ufffd\ufffd\ufffd"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser. Of a module, not of the session: while Playwright runs, no other test here can have an event loop."""
    path = os.environ.get("HEIST_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("no Chromium here: install Debian's package chromium, or set HEIST_CHROMIUM to one")
    with sync_playwright() as playwright, closing(playwright.chromium.launch(executable_path=path, args=SWITCHES)) as browser:
        yield browser


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    """The address at which `heist leaderboard serve` shows the site."""
    heist = [sys.executable, "-c", "from heistbench.bench.cli import main; main()"]
    with subprocess.Popen(
        [*heist, "leaderboard", "serve", str(site), "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[0]
        server.terminate()


@pytest.fixture
def complaints() -> list[str]:
    """What pages complained of, and what they asked for beyond their own files."""
    return []


@pytest.fixture
def visit(chromium: Browser, site: Path, complaints: list[str]) -> Iterator[Visit]:
    """Opens a page of the site, by path or address, in a browser with options; at the end nobody may have complained."""
    contexts: list[BrowserContext] = []

    def opened(place: Path | str, **options: Any) -> Page:
        contexts.append(context := chromium.new_context(**options))
        context.set_default_timeout(PATIENCE)
        home = site.as_uri() if isinstance(place, Path) else place.split("/", 3)[2]
        context.on("page", lambda page: _watch(page, home, complaints))
        page = context.new_page()
        page.goto(place.as_uri() if isinstance(place, Path) else place)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _watch(page: Page, home: str, complaints: list[str]) -> None:
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: None if home in request.url else complaints.append(f"request: {request.url}"))
