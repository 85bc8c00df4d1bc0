"""Reads pages: their tags, attributes and text."""

from __future__ import annotations

import unicodedata
from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "br", "wbr", "link", "input"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>{{ 7*7 }}&amp;\x1b[31m\u202e\u2066\u200b"
LITERAL = "<script>alert(1)</script>\"'><img src=x onerror=y>{{ 7*7 }}&amp;\ufffd[31m\ufffd\ufffd\ufffd"
"""What a page must show of it."""


class Reader(HTMLParser):
    """Reads a page, and fails on tags that do not nest, on ids that are there twice, on heading levels that are skipped."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.headings: list[int] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open
        assert len(set(self.all("id"))) == len(self.all("id"))
        assert self.headings[0] == 1
        assert self.headings.count(1) == 1
        assert all(after <= before + 1 for before, after in zip(self.headings, self.headings[1:], strict=False))

    def all(self, name: str) -> list[str]:
        """The values of an attribute."""
        return [value for _, key, value in self.attributes if key == name]

    def shown(self) -> str:
        """The text, one space between words."""
        return " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))
        if tag in ("td", "th", "dt", "dd", "p", "li", "br"):
            self.text += " "
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def harmless(page: str) -> Reader:
    """Read a page of hostile text: no element, no attribute and no invisible character may come of it."""
    reader = Reader(page)
    assert not {"img", "iframe", "style", "form", "base", "object"} & set(reader.tags)
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert reader.tags["script"] == reader.tags["figure"] + 1
    assert not {char for char in page if char != "\n" and unicodedata.category(char) in {"Cc", "Cf", "Cs"}}
    page.encode()
    return reader
