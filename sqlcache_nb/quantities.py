"""The words for times, sizes and numbers: one wording for notebook, log and messages."""

from __future__ import annotations

import math
from datetime import datetime
from itertools import pairwise

_DAY = 86_400
_UNITS = ((_DAY, "day"), (3_600, "h"), (60, "min"), (1, "s"))


def moment(when: datetime) -> str:
    """A time in the local zone, to the minute.

    Args:
        when: the time, with a zone.
    """
    return f"{when.astimezone():%Y-%m-%d %H:%M}"


def moment_and_age(when: datetime, now: datetime) -> str:
    """A time, and how long ago that was.

    Args:
        when: the time, with a zone.
        now: the present, with a zone.
    """
    return f"{moment(when)} ({ago((now - when).total_seconds())})"


def age(seconds: float) -> str:
    """An age in its largest unit, rounded down.

    Args:
        seconds: now - fetched_at.

    Example:
        >>> age(7_300), age(90_000 * 2)
        ('2 h', '2 days')
    """
    for size_of_unit, unit in _UNITS:
        if seconds >= size_of_unit:
            return _quantity(int(seconds // size_of_unit), unit)
    return "0 s"


def ago(seconds: float) -> str:
    """How long ago something was.

    Args:
        seconds: now - then; less than nothing where a clock was set back.

    Example:
        >>> ago(2.5), ago(7_300)
        ('just now', '2 h ago')
    """
    if seconds < 0:
        return "in the future"
    return "just now" if seconds < 10 else f"{age(seconds)} ago"


def duration(seconds: float) -> str:
    """How long something took or holds.

    Args:
        seconds: its length; `math.inf` for one without end.

    Example:
        >>> duration(0.0123), duration(18.44), duration(5_400), duration(86_400)
        ('12 ms', '18.4 s', '1 h 30 min', '1 day')
    """
    if seconds == math.inf:
        return "forever"
    if seconds == 0:
        return "0 s"
    milliseconds = round(seconds * 1_000)
    if milliseconds < 1_000:
        return "under 1 ms" if milliseconds < 1 else f"{milliseconds} ms"
    tenths = round(seconds, 1)
    if tenths < 60:
        return f"{tenths:.1f}".removesuffix(".0") + " s"
    return _two_units(round(seconds))


def _two_units(seconds: int) -> str:
    """The largest unit and the next, rounded to the latter: 3 days 4 h."""
    (large, name), (small, next_name) = next(pair for pair in pairwise(_UNITS) if seconds >= pair[0][0])
    whole, rest = divmod(round(seconds / small) * small, large)
    if rest:
        return f"{_quantity(whole, name)} {_quantity(rest // small, next_name)}"
    return "1 day" if (whole, name) == (24, "h") else _quantity(whole, name)


def _quantity(number: int, unit: str) -> str:
    return count(number, unit) if unit == "day" else f"{number:,} {unit}"


def size(number: float) -> str:
    """A number of bytes.

    Args:
        number: bytes.

    Example:
        >>> size(0), size(1_250), size(84_200_000)
        ('0 bytes', '1.2 kB', '84.2 MB')
    """
    if number < 1_000:
        return count(round(number), "byte")
    for unit in ("kB", "MB", "GB"):
        number /= 1_000
        if round(number, 1) < 1_000:
            return f"{number:.1f} {unit}"
    return f"{number / 1_000:,.1f} TB"


def count(number: int, noun: str) -> str:
    """A number of things.

    Args:
        number: how many.
        noun: what one of them is called.

    Example:
        >>> count(1, "entry"), count(1_234, "entry"), count(0, "row")
        ('1 entry', '1,234 entries', '0 rows')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {_plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("s"):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"


def shape(rows: int, columns: int) -> str:
    """Rows and columns of a frame.

    Example:
        >>> shape(336_776, 19)
        '336,776 x 19'
    """
    return f"{rows:,} x {columns:,}"
