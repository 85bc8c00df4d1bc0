"""What must not get out: keys in what a server says, and what libraries would log of it."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

SHORTEST_KEY = 8
"""Characters; a shorter value is no key, and might be a word of any text."""
LONGEST_LINE = 300
"""Characters of an error that are shown."""
_KEY_NAME = re.compile(r"_(API_KEY|ACCESS_KEY|TOKEN|SECRET)$")
_MARKUP = re.compile(r"\[/?[a-z ]+\]")
_PARAGRAPH = re.compile(r"(?<![:\s])\s*\n\n")


def clear(text: str) -> str:
    """Text without any key of this process's environment, and without halves of characters, which no file takes."""
    values = {value for name, value in os.environ.items() if _KEY_NAME.search(name) and len(value) >= SHORTEST_KEY}
    for secret in sorted(values, key=len, reverse=True):  # one may be the start of another
        text = text.replace(secret, "[key]")
    return text.encode("utf-8", "replace").decode("utf-8")


def one_line(error: BaseException) -> str:
    """What an error of Inspect or of a provider's client says, in one short line without markup and keys."""
    message = str(getattr(error, "provider_message", None) or error) or type(error).__name__
    message = clear(_MARKUP.sub("", message)).removeprefix("ERROR: ")
    return " ".join(_PARAGRAPH.sub("; ", message).split())[:LONGEST_LINE]


@contextmanager
def silence() -> Iterator[None]:
    """Keep every logger and warning from writing: Inspect's and the HTTP libraries' may quote what was sent and received."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
