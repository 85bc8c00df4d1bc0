"""The harness's own exceptions: for users, for cells whose plugin failed, and for control flow."""

from __future__ import annotations

import json
from pathlib import Path

LONGEST = 2000
"""Characters of a message that are shown."""


class HeistError(Exception):
    """Bad input from a user: one clear line, printed by the command line, exit code 2."""


class PluginFailure(Exception):
    """A plugin raised, tried to end the process, or returned what its contract does not allow.

    `reason` is one line that names the plugin's file and line. `log` is the file that holds the traceback, where there is one;
    `details` is the traceback itself, where it is that of another process.
    """

    def __init__(self, reason: str, log: Path | None = None, details: str = "") -> None:
        super().__init__(reason, log, details)
        self.reason, self.log, self.details = reason, log, details

    def __str__(self) -> str:
        return f"{self.reason} (traceback: {self.log})" if self.log else self.reason


class BudgetExceeded(Exception):
    """A target was asked more questions than the suite allows; raised before the query is sent."""


class Busy(BaseException):
    """Another process is computing an artifact that this one needs; try again later.

    Derives from BaseException so that a plugin's `except Exception` cannot swallow it.
    """


def one_line(text: object) -> str:
    r"""Text of any origin as one line that is safe to print: escape sequences of terminals are spelt out, not obeyed.

    >>> one_line("red:\x1b[31m\n  alert")
    'red:\\x1b[31m alert'
    """
    line = " ".join(printable(part) for part in str(text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def printable(text: str) -> str:
    """Text whose control characters, invisible marks and halves of characters are spelt as Python would write them."""
    if text.isprintable():  # nearly all of it, and a hundred times faster
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def printable_json(text: str) -> str:
    r"""JSON of the same value whose strings are safe to print.

    >>> printable_json('{"a": "\x9b31m"}')
    '{"a": "\\u009b31m"}'
    """
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
