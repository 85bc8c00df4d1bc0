"""JSON that anybody may have written, read in the strict sense: each key once, finite numbers, text that can be written again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

NESTED = 32
"""Objects and lists inside each other."""
DIGITS = 18
"""Of a whole number."""
_TOO_DEEP = f"nests more than {NESTED} objects and lists"


def strict_json(content: bytes) -> Any:
    """The value of a file. Raises ValueError that says in one line why there is none."""
    try:
        text = content.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair cannot be written
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except UnicodeEncodeError:
        raise ValueError("is not text: it holds half of a surrogate pair") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 ({error.reason} at byte {error.start})") from None
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if any(level == NESTED and _inner(item) for level, item in levels(value)):
        raise ValueError(_TOO_DEEP)
    return value


def levels(value: Any) -> Iterator[tuple[int, Any]]:
    """Every value in a value, level by level from 1, itself first; none below `NESTED`."""
    level = [value]
    for depth in range(1, NESTED + 1):
        yield from ((depth, item) for item in level)
        level = [inner for outer in level for inner in _inner(outer)]


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise ValueError(f"key {key[:40]!r} stands twice")
        fields[key] = value
    return fields


def _float(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"number {text[:40]} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"number {text[:40]} is too large")
    return int(text)


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no number")
