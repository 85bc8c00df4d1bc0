"""What errors mean, whatever library raised them, and how long a provider asks to wait."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench.models.provider_errors import seconds_until, trouble_of


class Failed(Exception):
    """As a provider's client raises it."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"status {status}")
        self.status_code, self.response = status, SimpleNamespace(headers={k.replace("_", "-"): v for k, v in headers.items()})


class ConnectError(Exception):
    """As HTTP libraries name it."""


class RetryError(Exception):
    """As tenacity raises it."""

    def __init__(self, cause: BaseException) -> None:
        self.last_attempt = SimpleNamespace(exception=lambda: cause)


def raised(error: Exception, cause: BaseException) -> Exception:
    """An error that another one led to."""
    try:
        raise error from cause
    except Exception as chained:
        return chained


@pytest.mark.parametrize(
    ("status", "hopeless", "refused"),
    [
        (400, False, True),
        (401, True, True),
        (402, True, True),
        (403, False, True),
        (404, True, True),
        (408, False, False),
        (429, False, False),
        (500, False, False),
        (503, False, False),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_status_says_whom_it_concerns(status: int, hopeless: bool, refused: bool, wrapped: bool) -> None:
    error: Exception = Failed(status)
    trouble = trouble_of(RetryError(error) if wrapped else error)
    assert (trouble.hopeless, trouble.refused, trouble.unreachable) == (hopeless, refused, False)
    assert trouble.line == f"status {status}"


@pytest.mark.parametrize(
    "cause",
    [ConnectError("[Errno 111] no"), ConnectionRefusedError(111, "no"), socket.gaierror(-2, "no")],
    ids=lambda cause: type(cause).__name__,
)
def test_no_connection_is_told_apart_and_named_by_its_first_cause(cause: Exception) -> None:
    trouble = trouble_of(RetryError(raised(RuntimeError("Connection error."), cause)))
    assert trouble.unreachable
    assert trouble.line == f"cannot connect: {cause}"


def test_a_connection_that_took_too_long_is_one_that_was_not_there() -> None:
    class ConnectTimeout(Exception):
        """As HTTP libraries name it."""

    ended = raised(TimeoutError(), asyncio.CancelledError("by the scope 7fe802ed58a0"))
    assert trouble_of(raised(RuntimeError(), raised(ConnectTimeout(), ended))).line == "cannot connect: TimeoutError"


@pytest.mark.parametrize("error", [ConnectionResetError("cut"), TimeoutError("late"), ValueError("half a body")])
def test_a_connection_that_broke_is_no_missing_one(error: Exception) -> None:
    assert not trouble_of(raised(RuntimeError("Connection error."), error)).unreachable


def test_errors_that_led_to_each_other_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert trouble_of(one).line == "one"


def test_what_a_server_says_is_printable() -> None:
    assert trouble_of(ValueError("red \x1b[31m\n alert \u202e")).line == "red \\x1b[31m alert \\u202e"


# how long to wait


def date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("40", 40),
        (" 1.5 ", 1.5),
        ("0", 0),
        ("-3", 0),
        ("nan", 0),
        ("inf", float("inf")),
        ("1e999", float("inf")),
        ("soon", 0),
        ("", 0),
    ],
)
def test_seconds_are_read(value: str, seconds: float) -> None:
    assert seconds_until(value) == seconds


@pytest.mark.parametrize(("ahead", "at_least", "at_most"), [(90, 85, 90), (-90, 0, 0)])
def test_a_date_is_read(ahead: float, at_least: float, at_most: float) -> None:
    assert at_least <= seconds_until(date(ahead)) <= at_most


def test_a_date_of_another_zone_is_read() -> None:
    when = datetime.now(timezone(timedelta(hours=5))) + timedelta(seconds=90)
    assert 85 <= seconds_until(format_datetime(when)) <= 90


@given(st.text() | st.floats().map(str) | st.datetimes().map(format_datetime))
def test_whatever_a_header_holds_is_some_wait(value: str) -> None:
    assert seconds_until(value) >= 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "40"}, 40),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after_ms": "250", "retry_after": "1"}, 1),
        ({}, 0),
    ],
)
def test_the_header_is_found(headers: dict[str, Any], seconds: float) -> None:
    assert trouble_of(RetryError(Failed(429, **headers))).retry_after == seconds
    assert trouble_of(raised(RuntimeError(), Failed(503, **headers))).retry_after == seconds


def test_no_response_asks_for_no_wait() -> None:
    assert trouble_of(ValueError()).retry_after == 0
