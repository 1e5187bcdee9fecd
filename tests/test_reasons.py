"""The words for why an answer is fresh, stale or not there, and up to when it is fresh."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from sqlcache_nb import reasons
from sqlcache_nb.entry import Entry
from tests.flights import ENTRY, FETCHED, LOCAL, NOW


def test_what_was_invalidated_is_fresh_no_longer() -> None:
    entry = replace(ENTRY, exact=True, tokens={"file": "one"}, invalidated_at=FETCHED)
    told = reasons.fresh_while(entry, default_ttl=math.inf, now=NOW)
    assert told == f"no longer; it was invalidated {LOCAL} (2 h ago)"


def until(**ages: float) -> str:
    return f"{(FETCHED + timedelta(**ages)).astimezone():%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (replace(ENTRY, exact=True, tokens={"file": "t"}), "as long as the database file is unchanged"),
        (ENTRY, f"for 12 h, until {until(hours=12)}"),
        (replace(ENTRY, ttl=math.inf), "forever"),
        (replace(ENTRY, ttl=1e15), "for 11,574,074,074 days 2 h"),
        (replace(ENTRY, ttl=10_800.0), f"for 3 h, until {until(hours=3)}"),
        (replace(ENTRY, ttl=3_600.0), f"no longer; it was for 1 h, until {until(hours=1)}"),
        (
            replace(ENTRY, ttl=10_800.0, tokens={"file": "t"}),
            f"for 3 h, until {until(hours=3)}, as long as the database file is unchanged",
        ),
    ],
)
def test_up_to_when_an_entry_is_served(entry: Entry, says: str) -> None:
    assert reasons.fresh_while(entry, default_ttl=43_200.0, now=NOW) == says


def test_an_entry_that_asks_for_the_time_is_served_for_an_hour_at_most() -> None:
    def said(entry: Entry) -> str:
        return reasons.fresh_while(entry, default_ttl=86_400.0, now=FETCHED)

    volatile = replace(ENTRY, volatile=True)
    assert said(volatile) == f"for 1 h at most, until {until(hours=1)}: it asks for the time or a catalog"
    assert said(replace(volatile, ttl=math.inf)) == said(volatile)
    assert said(replace(volatile, ttl=60.0)) == f"for 1 min, until {until(minutes=1)}"


def test_an_entry_that_asks_for_the_date_is_served_on_that_day() -> None:
    def said(entry: Entry, **ages: float) -> str:
        return reasons.fresh_while(entry, default_ttl=86_400.0, now=FETCHED + timedelta(**ages))

    daily = replace(ENTRY, zone="UTC", day=FETCHED.date().isoformat())
    assert said(daily) == f"on {daily.day} in UTC, for 1 day, until {until(days=1)}"
    assert said(daily, hours=23).startswith(f"no longer; it was on {daily.day} in UTC, for 1 day")
    in_file = replace(daily, tokens={"file": "t"}, exact=True)
    assert said(in_file) == f"on {daily.day} in UTC, as long as the database file is unchanged"
    assert said(in_file, days=1) == f"no longer; it was on {daily.day} in UTC"
