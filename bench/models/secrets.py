"""Secrets kept in: keys are removed from what a server sends, and libraries are kept from logging it."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from heistbench.bench.contracts.errors import printable

SHORTEST_KEY = 8
"""In characters; a shorter value is not a key, and may be an ordinary word."""
LONGEST_LINE = 300
"""How many characters of an error are shown."""
_KEY_NAME = re.compile(r"_(API_KEY|ACCESS_KEY|TOKEN|SECRET)$")
_MARKUP = re.compile(r"\[/?[a-z ]+\]")
_PARAGRAPH = re.compile(r"(?<![:\s])\s*\n\n")


def clear(text: str) -> str:
    """Text without any key from this process's environment, and without lone surrogates, which cannot be written to a file."""
    values = {value for name, value in os.environ.items() if _KEY_NAME.search(name) and len(value) >= SHORTEST_KEY}
    for secret in sorted(values, key=len, reverse=True):  # one may be the start of another
        text = text.replace(secret, "[key]")
    return text.encode("utf-8", "replace").decode("utf-8")


def one_line(error: BaseException) -> str:
    """The message of an error from Inspect or a provider's client, in one short printable line without markup or keys."""
    message = str(getattr(error, "provider_message", None) or error) or type(error).__name__
    message = clear(_MARKUP.sub("", message)).removeprefix("ERROR: ")
    return " ".join(printable(word) for word in _PARAGRAPH.sub("; ", message).split())[:LONGEST_LINE]


@contextmanager
def silence() -> Iterator[None]:
    """Silence all loggers and warnings: those of Inspect and of HTTP libraries may quote what was sent and received."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
