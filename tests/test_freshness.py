"""The judgement: pure, and the same for the same facts."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.entry import Entry, Provenance
from sqlcache_nb.errors import ConfigError
from sqlcache_nb.freshness import (
    DEFAULT_TTL,
    VOLATILE_TTL,
    Freshness,
    Reason,
    Verdict,
    day_in,
    is_zone,
    parse_ttl,
)

FETCHED = datetime(2026, 11, 20, 9, tzinfo=UTC)
PROVENANCE = Provenance(
    key="ab" * 32,
    parts={},
    kind="string",
    sql="select 1",
    items={},
    source="flights.db",
    dialect="sqlite",
    tables=(),
    fetched_at=FETCHED,
    elapsed=1.0,
    rows=1,
    columns=1,
    chunks=None,
    versions={},
)
ages = st.floats(-1e8, 1e8).map(lambda seconds: timedelta(seconds=seconds))
ttls = st.none() | st.floats(0, 1e8) | st.just(math.inf)
tokens = st.none() | st.sampled_from(["one", "other"])
policies = st.builds(
    Freshness,
    ttl=ttls,
    default_ttl=st.floats(0, 1e8) | st.just(math.inf),
    validate=st.booleans(),
    random=st.booleans(),
)
zones = st.sampled_from(
    [
        "UTC",
        "Etc/UTC",
        "Europe/Berlin",
        "Pacific/Kiritimati",
        "Pacific/Niue",
        "Asia/Kathmandu",
        "America/New_York",
    ]
)
entries = st.builds(
    lambda zone, **facts: Entry(PROVENANCE, zone=zone, day=day_in(zone, FETCHED), **facts),
    zone=st.none() | zones,
    ttl=ttls,
    token=tokens,
    exact=st.booleans(),
    volatile=st.booleans(),
    invalidated_at=st.none() | ages.map(lambda age: FETCHED + age),
    random=st.booleans(),
)


def entry(**facts: Any) -> Entry:
    return Entry(PROVENANCE, **facts)


def judge(entry: Entry, age: float, token: str | None = None, **policy: Any) -> Verdict:
    return Freshness(**policy).judge(entry, FETCHED + timedelta(seconds=age), token)


FRESH, STALE = True, False
HOUR = 3_600.0
DAY = {"day": "2026-11-20"}
FILE = {"token": "one", "exact": True}


@pytest.mark.parametrize(
    ("facts", "policy", "age", "token", "expected"),
    [
        # age alone
        ({}, {}, 0, None, (FRESH, Reason.WITHIN_TTL)),
        ({}, {}, DEFAULT_TTL - 1, None, (FRESH, Reason.WITHIN_TTL)),
        ({}, {}, DEFAULT_TTL, None, (STALE, Reason.EXPIRED)),
        ({}, {}, -1, None, (STALE, Reason.FROM_FUTURE)),
        ({"ttl": math.inf}, {}, 1e9, None, (FRESH, Reason.WITHIN_TTL)),
        ({"ttl": 0.0}, {}, 0, None, (STALE, Reason.EXPIRED)),
        # argument > stored > default
        ({"ttl": 100.0}, {}, 60, None, (FRESH, Reason.WITHIN_TTL)),
        ({"ttl": 100.0}, {"default_ttl": 5.0}, 60, None, (FRESH, Reason.WITHIN_TTL)),
        ({"ttl": 100.0}, {"ttl": 30.0}, 60, None, (STALE, Reason.EXPIRED)),
        ({"ttl": 30.0}, {"ttl": 100.0}, 60, None, (FRESH, Reason.WITHIN_TTL)),
        ({"ttl": math.inf}, {"ttl": 0.0}, 0, None, (STALE, Reason.EXPIRED)),
        ({}, {"default_ttl": 30.0}, 60, None, (STALE, Reason.EXPIRED)),
        ({}, {"ttl": 100.0, "default_ttl": 30.0}, 60, None, (FRESH, Reason.WITHIN_TTL)),
        # what asks for the time
        ({"volatile": True}, {}, VOLATILE_TTL - 1, None, (FRESH, Reason.WITHIN_TTL)),
        ({"volatile": True}, {}, VOLATILE_TTL, None, (STALE, Reason.EXPIRED)),
        ({"volatile": True}, {"ttl": math.inf}, VOLATILE_TTL, None, (STALE, Reason.EXPIRED)),
        ({"volatile": True, "ttl": math.inf}, {}, VOLATILE_TTL, None, (STALE, Reason.EXPIRED)),
        ({"volatile": True}, {"ttl": 5.0}, 5, None, (STALE, Reason.EXPIRED)),
        # an exact token decides alone
        ({"token": "one", "exact": True}, {}, 1e9, "one", (FRESH, Reason.FILE_UNCHANGED)),
        ({"token": "one", "exact": True}, {"ttl": 0.0}, 1e9, "one", (FRESH, Reason.FILE_UNCHANGED)),
        ({"token": "one", "exact": True, "ttl": 0.0}, {}, 5, "one", (FRESH, Reason.FILE_UNCHANGED)),
        ({"token": "one", "exact": True}, {"ttl": math.inf}, 0, "other", (STALE, Reason.FILE_CHANGED)),
        # "cannot tell" is never "unchanged"
        ({"token": "one", "exact": True}, {"ttl": math.inf}, 0, None, (STALE, Reason.FILE_CHANGED)),
        # a token that does not cover the statement only ever proves a change
        ({"token": "one"}, {}, 1, "one", (FRESH, Reason.WITHIN_TTL)),
        ({"token": "one"}, {}, DEFAULT_TTL, "one", (STALE, Reason.EXPIRED)),
        ({"token": "one"}, {}, 1, "other", (STALE, Reason.FILE_CHANGED)),
        ({"token": "one"}, {}, -1, "one", (STALE, Reason.FROM_FUTURE)),
        # no token then, one now: only the age can decide
        ({}, {}, 1, "one", (FRESH, Reason.WITHIN_TTL)),
        ({}, {}, DEFAULT_TTL, "one", (STALE, Reason.EXPIRED)),
        # the date: 09:00 in UTC, 10:00 in Berlin, 23:00 in Kiritimati, 22:00 of the day before in Niue
        (DAY | {"zone": "UTC"}, {}, 15 * HOUR - 1, None, (FRESH, Reason.WITHIN_TTL)),
        (DAY | {"zone": "UTC"}, {}, 15 * HOUR, None, (STALE, Reason.ANOTHER_DAY)),
        (DAY | {"zone": "Europe/Berlin"}, {}, 14 * HOUR - 1, None, (FRESH, Reason.WITHIN_TTL)),
        (DAY | {"zone": "Europe/Berlin"}, {}, 14 * HOUR, None, (STALE, Reason.ANOTHER_DAY)),
        (DAY | {"zone": "Pacific/Kiritimati"}, {}, HOUR - 1, None, (FRESH, Reason.WITHIN_TTL)),
        (DAY | {"zone": "Pacific/Kiritimati"}, {}, HOUR, None, (STALE, Reason.ANOTHER_DAY)),
        (DAY | {"zone": "Pacific/Niue"}, {}, 0, None, (STALE, Reason.ANOTHER_DAY)),
        ({"zone": "Pacific/Niue", "day": "2026-11-19"}, {}, 2 * HOUR - 1, None, (FRESH, Reason.WITHIN_TTL)),
        ({"zone": "Pacific/Niue", "day": "2026-11-19"}, {}, 2 * HOUR, None, (STALE, Reason.ANOTHER_DAY)),
        (DAY | {"zone": "UTC"}, {"ttl": math.inf}, 24 * HOUR, None, (STALE, Reason.ANOTHER_DAY)),
        (DAY | {"zone": "UTC"}, {"ttl": 60.0}, 60, None, (STALE, Reason.EXPIRED)),
        (DAY | {"zone": "UTC", "volatile": True}, {}, HOUR, None, (STALE, Reason.EXPIRED)),
        (DAY | FILE | {"zone": "UTC"}, {"ttl": 0.0}, 14 * HOUR, "one", (FRESH, Reason.FILE_UNCHANGED)),
        (DAY | FILE | {"zone": "UTC"}, {}, 15 * HOUR, "one", (STALE, Reason.ANOTHER_DAY)),
        (DAY | FILE | {"zone": "UTC"}, {}, 15 * HOUR, "other", (STALE, Reason.FILE_CHANGED)),
        (DAY | FILE | {"zone": "UTC"}, {"validate": False}, 15 * HOUR, "one", (STALE, Reason.ANOTHER_DAY)),
        # a zone that this machine does not know
        (DAY | {"zone": "Mars/Olympus"}, {}, 0, None, (STALE, Reason.ANOTHER_DAY)),
        # what was left to chance
        ({"random": True}, {}, 0, None, (STALE, Reason.RANDOM)),
        ({"random": True}, {"random": True}, 0, None, (FRESH, Reason.WITHIN_TTL)),
        ({"random": True}, {"random": True}, DEFAULT_TTL, None, (STALE, Reason.EXPIRED)),
        ({"random": True, "token": "one"}, {"random": True}, 0, "other", (STALE, Reason.FILE_CHANGED)),
        # validate=False trusts the ttl
        ({"token": "one", "exact": True}, {"validate": False}, 1, "other", (FRESH, Reason.WITHIN_TTL)),
        ({"token": "one", "exact": True}, {"validate": False}, DEFAULT_TTL, "one", (STALE, Reason.EXPIRED)),
    ],
)
def test_the_verdict(
    facts: dict[str, Any],
    policy: dict[str, Any],
    age: float,
    token: str | None,
    expected: tuple[bool, Reason],
) -> None:
    assert judge(entry(**facts), age, token, **policy) == Verdict(*expected)


@given(entry=entries, policy=policies, token=tokens, ages=st.tuples(ages, ages))
def test_what_is_stale_never_becomes_fresh_by_waiting(
    entry: Entry, policy: Freshness, token: str | None, ages: tuple[timedelta, timedelta]
) -> None:
    early, late = sorted(map(abs, ages))  # an entry from the future is stale until its time has come
    then = policy.judge(entry, FETCHED + early, token)
    now = policy.judge(entry, FETCHED + late, token)
    assert then.fresh or not now.fresh


@given(entry=entries, policy=policies, token=tokens, age=ages)
def test_the_reason_fits_the_verdict(
    entry: Entry, policy: Freshness, token: str | None, age: timedelta
) -> None:
    verdict = policy.judge(entry, FETCHED + age, token)
    assert verdict.fresh == (verdict.reason in {Reason.WITHIN_TTL, Reason.FILE_UNCHANGED})


@given(entry=entries, policy=policies, age=ages)
def test_another_token_is_stale_at_any_age(entry: Entry, policy: Freshness, age: timedelta) -> None:
    entry = replace(entry, token="one", invalidated_at=None, random=False)
    policy = replace(policy, validate=True)
    assert policy.judge(entry, FETCHED + age, "other") == Verdict(False, Reason.FILE_CHANGED)


@given(entry=entries, policy=policies, token=tokens, age=ages, when=ages)
def test_what_was_invalidated_is_stale_whatever_else_is_said(
    entry: Entry, policy: Freshness, token: str | None, age: timedelta, when: timedelta
) -> None:
    entry = replace(entry, invalidated_at=FETCHED + when)
    verdict = policy.judge(entry, FETCHED + age, token)
    assert verdict == Verdict(False, Reason.INVALIDATED, FETCHED + when)


@given(entry=entries, policy=policies, token=tokens, age=st.floats(VOLATILE_TTL, 1e8))
def test_what_asks_for_the_time_is_never_served_after_an_hour_by_its_age(
    entry: Entry, policy: Freshness, token: str | None, age: float
) -> None:
    verdict = policy.judge(replace(entry, volatile=True), FETCHED + timedelta(seconds=age), token)
    assert verdict.reason is not Reason.WITHIN_TTL


@given(entry=entries, policy=policies, token=tokens, zone=zones, age=ages)
def test_an_answer_about_a_day_is_served_on_that_day_alone(
    entry: Entry, policy: Freshness, token: str | None, zone: str, age: timedelta
) -> None:
    entry = replace(entry, zone=zone, day=day_in(zone, FETCHED), invalidated_at=None)
    is_that_day = day_in(zone, FETCHED + age) == entry.day
    undated = policy.judge(replace(entry, zone=None, day=None), FETCHED + age, token)
    verdict = policy.judge(entry, FETCHED + age, token)
    assert verdict.fresh == (undated.fresh and is_that_day)
    assert is_that_day or verdict.reason in {Reason.ANOTHER_DAY, Reason.FILE_CHANGED, Reason.RANDOM}


@given(
    fetched=st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    zone=zones,
    age=st.floats(0, 2 * 86_400),
    behind=st.floats(0, 299),
    clock=st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-11))]),
)
def test_no_day_is_served_a_day_long_for_another(
    fetched: datetime, zone: str, age: float, behind: float, clock: timezone
) -> None:
    """A server whose clock is some minutes behind may have answered for the day before: an hour at most."""
    stored = Entry(replace(PROVENANCE, fetched_at=fetched), zone=zone, day=day_in(zone, fetched))
    meant = day_in(zone, fetched - timedelta(seconds=behind))
    now = (fetched + timedelta(seconds=age)).astimezone(clock)
    if Freshness(ttl=math.inf).judge(stored, now, None).fresh and day_in(zone, now) != meant:
        assert age < VOLATILE_TTL


def test_a_day_that_begins_twice_or_never() -> None:
    """Clocks that go back at midnight, and an island that left out a day."""
    havana = datetime(2026, 11, 1, 4, 30, tzinfo=UTC)  # 00:30, and 00:30 again an hour later
    assert day_in("America/Havana", havana) == day_in("America/Havana", havana + timedelta(hours=1))
    apia = datetime(2011, 12, 30, 9, 59, tzinfo=UTC)
    assert day_in("Pacific/Apia", apia) == "2011-12-29"
    assert day_in("Pacific/Apia", apia + timedelta(minutes=1)) == "2011-12-31"


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "GMT", "Etc/GMT+2", "EST5EDT"])
def test_a_zone_that_is_known(name: str) -> None:
    assert is_zone(name)


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "localtime",
        "Factory",
        "<+02>-02",
        "SYSTEM",
        "+02:00",
        "../etc/passwd",
        "/etc/localtime",
        "\0",
    ],
)
def test_a_zone_that_is_not(name: str | None) -> None:
    assert not is_zone(name)
    assert day_in(name, FETCHED) is None


def test_the_zone_of_the_clock_does_not_matter() -> None:
    tokyo = timezone(timedelta(hours=9))
    now = (FETCHED + timedelta(seconds=30)).astimezone(tokyo)
    assert Freshness(ttl=60.0).judge(entry(), now, None).fresh


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
