"""What an error of Inspect or of a provider's client means: for the query that met it, and for all others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from heistbench.bench.models.secrets import one_line

_HOPELESS = (401, 402, 404)
"""HTTP statuses for a wrong key, lack of credit, and an unknown model."""
_PASSING = (408, 409, 425, 429)
"""The only statuses from 400 to 499 after which the same query may still be answered later."""
_UNREACHABLE = {"ConnectError", "ConnectTimeout", "ClientConnectorError", "ConnectionRefusedError", "gaierror"}
"""Names of the errors with which HTTP libraries and the system say that no connection came about."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an attempt got no reply.

    `line` is one line without secrets; `hopeless` says that no query will ever be answered, `refused` that this one will not be,
    `unreachable` that no connection came about; `retry_after` is how many seconds the provider asks to wait.
    """

    line: str
    hopeless: bool = False
    refused: bool = False
    unreachable: bool = False
    retry_after: float = 0.0


def trouble_of(error: Exception) -> Trouble:
    """What an error means."""
    exhausted = getattr(error, "last_attempt", None)  # tenacity's: Inspect wraps what it would try again
    chain = list(_chain((exhausted.exception() if exhausted else None) or error))
    cause, status = chain[0], _status(chain[0])
    unreachable = any(type(link).__name__ in _UNREACHABLE for link in chain)
    first = [link for link in chain if isinstance(link, Exception)][-1]  # what a time-out cancels is no news
    return Trouble(
        f"cannot connect: {one_line(first)}" if unreachable else one_line(cause),
        _is_hopeless(cause),
        400 <= status < 500 and status not in _PASSING,
        unreachable,
        _retry_after(chain),
    )


def seconds_until(retry_after: str) -> float:
    """Seconds that the value of a Retry-After header asks to wait: a number or an HTTP date; 0 where it is neither.

    >>> seconds_until("40"), seconds_until("Wed, 21 Oct 2015 07:28:00 GMT"), seconds_until("soon")
    (40.0, 0.0, 0.0)
    """
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _until(retry_after)
    return seconds if seconds > 0 else 0.0


def _until(date: str) -> float:
    try:
        when = parsedate_to_datetime(date)
        return when.replace(tzinfo=when.tzinfo or UTC).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0


def _retry_after(chain: list[BaseException]) -> float:
    for link in chain:
        headers = getattr(getattr(link, "response", None), "headers", None)
        if isinstance(headers, Mapping):
            waits = (headers.get("retry-after"), 1), (headers.get("retry-after-ms"), 1000)
            return max(seconds_until(value) / unit if value else 0.0 for value, unit in waits)
    return 0.0


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it, the first cause last."""
    seen, link = set[int](), error
    while id(link) not in seen:
        yield link
        seen.add(id(link))
        link = link.__cause__ or link.__context__ or link


def _is_hopeless(error: BaseException) -> bool:
    """Whether an error means that no query will ever be answered: no key, no credit, no such model, no such package."""
    named = type(error).__name__ == "PrerequisiteError" or getattr(error, "code", "") == "insufficient_quota"
    return named or isinstance(error, ImportError) or _status(error) in _HOPELESS


def _status(error: BaseException) -> int:
    """The HTTP status of a provider's error, under the names that clients use for it; 0 if there is none."""
    statuses = (getattr(error, name, None) for name in ("status_code", "code"))
    return next((status for status in statuses if isinstance(status, int)), 0)
