"""The harness's own exceptions: one for users, two for control flow."""

from __future__ import annotations


class HeistError(Exception):
    """Bad input from a user: one clear line, printed by the command line, exit code 2."""


class BudgetExceeded(Exception):
    """A target was asked more questions than the suite allows; raised before the query is sent."""


class Busy(BaseException):
    """Another process is computing an artifact that this one needs; try again later.

    Derives from BaseException so that a plugin's `except Exception` cannot swallow it.
    """
