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
        if "\\u" in text:  # which half of a surrogate pair is written as
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except UnicodeEncodeError:
        raise ValueError("is not text: it holds half of a surrogate pair") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 ({error.reason} at byte {error.start})") from None
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    *_, (depth, lowest) = enumerate(levels(value), 1)
    if depth == NESTED and any(map(_inner, lowest)):
        raise ValueError(_TOO_DEEP)
    return value


def levels(value: Any) -> Iterator[list[Any]]:
    """Every value in a value, level by level, itself first; none below `NESTED`."""
    level, depth = [value], 0
    while level and depth < NESTED:
        yield level
        level, depth = [inner for outer in level if isinstance(outer, (dict, list)) for inner in _inner(outer)], depth + 1


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
