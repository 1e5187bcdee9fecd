"""JSON that says one thing: no name twice, no number that is none, and no more of it than is sensible."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

LONGEST = 2**26
"""Characters of a text that is read at most: 64 MiB."""


def loads(text: str) -> Any:
    """What a JSON text says.

    Args:
        text: one value; how deep it may go is bounded by Python's recursion limit.

    Raises:
        ValueError: it is no JSON, is too long or too deep, says a name twice, or holds NaN or an infinity.

    Example:
        >>> loads('{"rows": 2}')
        {'rows': 2}
        >>> loads('{"rows": 2, "rows": 3}')
        Traceback (most recent call last):
        ValueError: a name twice in one object
    """
    if len(text) > LONGEST:
        raise ValueError("a text of more than 64 MiB")
    try:
        return _decode(text)
    except RecursionError as fault:
        raise ValueError("a text that nests too deep") from fault


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice in one object")
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):  # 1e999
        raise ValueError("a number beyond all bounds")
    return number


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


_decode = json.JSONDecoder(object_pairs_hook=_once, parse_float=_finite, parse_constant=_refuse).decode
