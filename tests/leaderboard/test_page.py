"""The page: self-contained, escaped, accessible, the same bytes again."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench._record import Record
from heistbench.leaderboard.board import Board, build
from heistbench.leaderboard.colours import DARK, LIGHT, contrast, fill, ink
from heistbench.leaderboard.page import render

VOID = {"meta", "br", "wbr"}
Make = Callable[..., Record]


class Reader(HTMLParser):
    """Reads a page into tags, attributes and text, and fails on tags that do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(board: Board) -> str:
    return render(board, "A board")


def test_the_page_is_one_file_without_script_or_network(page: str) -> None:
    read = Reader(page)
    assert page.startswith("<!doctype html>")
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(read.tags)
    assert {value[0] for _, name, value in read.attributes if name in {"href", "src", "action"}} == {"#"}
    assert not any(name.startswith("on") for _, name, _ in read.attributes)
    assert "url(" not in page
    assert "@import" not in page


def test_the_same_records_give_the_same_bytes_in_any_order(sample: list[Record], page: str) -> None:
    assert render(build(sample[::-1]), "A board") == page
    assert "2026" not in page


def test_tables_have_captions_and_headers_have_scopes(page: str) -> None:
    read = Reader(page)
    assert read.tags["table"] == read.tags["caption"] == 4
    assert read.tags["th"] == sum(tag == "th" and name == "scope" for tag, name, _ in read.attributes)
    assert ("html", "lang", "en") in read.attributes


def test_it_says_what_a_reader_needs(page: str) -> None:
    text = " ".join(Reader(page).text.split())
    for phrase in ("▲ steals", "worst case", "honest user", "not run: answer_only", "over surrogate_trace", "12,345"):
        assert phrase in text
    assert "not evidence about real models" in text


def test_pocket_and_unranked_are_said_only_where_they_are_so(make: Make, boards: Callable[..., Board], page: str) -> None:
    other = render(build([make(arm__task__name="math", arm__task__spec="math", arm__student="s")]), "x")
    assert "model organisms" not in other
    assert "<sup" not in page
    assert "<sup" in render(boards(seeds=1), "x")


def test_a_missing_pair_is_a_dash_and_a_board_may_be_empty(page: str) -> None:
    assert page.count('<td class="blank">–</td>') == 1  # noqa: RUF001
    assert "No results yet." in Reader(render(build([]), "x")).text


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>{{ 7*7 }}&amp;\x1b[31m\u202e\u2066\u200b"


def test_hostile_strings_show_only_themselves(make: Make, control: Make) -> None:
    texts = (
        "arm__victim",
        "arm__student",
        "arm__threat",
        "arm__attack__paper",
        "arm__attack__version",
        "overlap__words__signature",
    )
    fields = dict.fromkeys((*texts, "arm__task__spec", "arm__task__version"), HOSTILE)
    page = render(build([make(HOSTILE, HOSTILE, **fields), control(HOSTILE, 0.1, **fields)]), f"{HOSTILE}\udc80")
    read = Reader(page)
    assert not {"script", "img"} & set(read.tags)
    assert {name for _, name, _ in read.attributes}.isdisjoint({"onerror", "src"})
    assert "{{ 7*7 }}&amp;\ufffd[31m\ufffd\ufffd\ufffd\ufffd" in read.text
    assert not {char for char in page if char != "\n" and unicodedata.category(char) in {"Cc", "Cf", "Cs"}}
    page.encode()


def test_a_names_text_survives_its_line_breaks(page: str) -> None:
    assert "trace<wbr>_inversion<wbr>(use<wbr>_summary<wbr>=false)" in page


@given(st.floats(0, 1), st.sampled_from([LIGHT, DARK]))
def test_ink_can_be_read_on_every_fill(share: float, anchors: tuple[str, ...]) -> None:
    background = fill(share, anchors)
    assert re.fullmatch("#[0-9a-f]{6}", background)
    assert contrast(ink(background), background) >= 4.5


@pytest.mark.parametrize(("anchors", "sign"), [(LIGHT, -1), (DARK, 1)])
def test_lightness_alone_orders_the_scale(anchors: tuple[str, ...], sign: int) -> None:
    light = [contrast(fill(i / 50, anchors), "#000000") * sign for i in range(51)]
    assert light == sorted(light)


def test_the_scale_ends_at_its_anchors_and_stays_there() -> None:
    assert (fill(0), fill(1), fill(-1), fill(2)) == (LIGHT[0], LIGHT[-1], LIGHT[0], LIGHT[-1])
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
