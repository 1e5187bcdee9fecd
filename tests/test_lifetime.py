"""Times to live, as people word them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.errors import ConfigError
from sqlcache_nb.lifetime import Until, parse_age, parse_ttl, parse_window


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (90, 90.0),
        (1.5, 1.5),
        (math.inf, math.inf),
        ("0", 0.0),
        ("90", 90.0),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h", 3_600.0),
        ("1.5 H", 5_400.0),
        (" 7d ", 604_800.0),
        ("2w", 1_209_600.0),
        ("Forever", math.inf),
        (timedelta(minutes=2), 120.0),
    ],
)
def test_a_ttl_is_understood(value: Any, seconds: float) -> None:
    assert parse_ttl(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("", "h", "1 month", "1h30m", "-1", "-1h", "1e3", "never", "inf", "nan", "\u0661h", "1M2"),
        *(-1, -0.5, math.nan, -math.inf, True, None, [], b"1h", 10**400, np.float64("nan")),
        *(timedelta(seconds=-1), datetime(2026, 1, 1)),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_time_is_an_error_that_shows_how(value: Any) -> None:
    with pytest.raises(ConfigError, match='give seconds, a timedelta, "90s"'):
        parse_ttl(value)


@given(st.floats(0, 1e12))
def test_seconds_stay_what_they_are(seconds: float) -> None:
    assert parse_ttl(seconds) == seconds


@pytest.mark.parametrize(
    ("value", "until"), [("today", Until.TODAY), (" Session ", Until.SESSION), (Until.TODAY, Until.TODAY)]
)
def test_a_ttl_may_end_with_something(value: str, until: Until) -> None:
    assert parse_ttl(value) is until


def test_an_age_has_a_length() -> None:
    assert (parse_age("1h"), parse_age("forever")) == (3_600, math.inf)
    with pytest.raises(
        ConfigError, match=r"older_than='today' is not a time: give seconds.* or \"forever\"$"
    ):
        parse_age("today", "older_than")


@pytest.mark.parametrize("value", ["forever", math.inf, "today", "soon", -1, True, None])
def test_a_window_is_bounded(value: Any) -> None:
    assert [parse_window(each, "") for each in ("5m", 0, False)] == [300, 0, 0]
    with pytest.raises(
        ConfigError, match=r"stale_if_error=.* is not a bounded time: give seconds.*\"7d\", or 0$"
    ):
        parse_window(value, "stale_if_error")
