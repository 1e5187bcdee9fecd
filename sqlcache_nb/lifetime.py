"""How long a result is fresh, as a person words it: "5m", "today", "forever"."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum

from sqlcache_nb.errors import ConfigError

Ttl = str | float | timedelta
"""What a person may write for a time to live; `parse_ttl` understands it."""


class Until(StrEnum):
    """A time to live that ends with something, and not after some seconds."""

    TODAY = "today"
    """Until midnight, by the calendar of this machine."""
    SESSION = "session"
    """As long as the kernel lives that fetched or validated it: one that starts later fetches anew."""


Lifetime = float | Until
"""A time to live as `parse_ttl` understood it: seconds, `math.inf` for ever, or an `Until`."""

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", re.ASCII)
_FORMS = 'give seconds, a timedelta, "90s", "5m", "1h", "7d"'


def parse_ttl(value: Ttl) -> Lifetime:
    """A time to live.

    Args:
        value: what `parse_age` takes, "today" (until midnight here) or "session" (what was fetched since this
            kernel started).

    Raises:
        ConfigError: anything else, or less than nothing.

    Example:
        >>> parse_ttl("1h"), parse_ttl(90), parse_ttl("today")
        (3600.0, 90.0, <Until.TODAY: 'today'>)
    """
    if isinstance(value, str):
        with suppress(ValueError):
            return Until(value.strip().lower())
    seconds = _seconds(value)
    if seconds is None:
        raise ConfigError(f'ttl={value!r} is not a time: {_FORMS}, "today", "session" or "forever"')
    return seconds


def parse_age(value: Ttl, name: str = "age") -> float:
    """Seconds of an age or a span.

    Args:
        value: seconds, a timedelta, "forever", or a number with one of s, m, h, d, w
            ("90s", "5m" = minutes, "1h", "7d").
        name: what it is called where it was given.

    Returns:
        Seconds; `math.inf` for "forever".

    Raises:
        ConfigError: anything else, or less than nothing.

    Example:
        >>> parse_age("90d")
        7776000.0
    """
    seconds = _seconds(value)
    if seconds is None:
        raise ConfigError(f'{name}={value!r} is not a time: {_FORMS} or "forever"')
    return seconds


def parse_window(value: Ttl, name: str) -> float:
    """Seconds for which something stale may be served: never without a bound.

    Args:
        value: as for `parse_age`, "forever" apart; False is none, as is 0.
        name: the option's name.

    Raises:
        ConfigError: anything else.

    Example:
        >>> parse_window("1d", "stale_if_error")
        86400.0
    """
    seconds = _seconds(value)
    if isinstance(value, bool) and not value:
        seconds = 0.0
    if seconds is None or seconds == math.inf:
        raise ConfigError(f"{name}={value!r} is not a bounded time: {_FORMS}, or 0")
    return seconds


def _seconds(value: object) -> float | None:
    """Seconds, None of what is no time."""
    seconds = math.nan
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        text = value.strip().lower()
        if text == "forever":
            return math.inf
        if match := _DURATION.fullmatch(text):
            seconds = float(match[1]) * _UNITS[match[2] or "s"]
    elif type(value) in (int, float):
        with suppress(OverflowError):
            seconds = float(value)  # type: ignore[arg-type]  # as the type says
    return seconds if seconds >= 0 else None  # NaN is not
