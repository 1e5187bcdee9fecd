"""The judgement: pure, and the same for the same facts."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.entry import Entry, Provenance
from sqlcache_nb.freshness import (
    DEFAULT_TTL,
    FILE,
    VOLATILE_TTL,
    Freshness,
    Reason,
    Strength,
    Token,
    Verdict,
    day_in,
    is_zone,
)
from sqlcache_nb.lifetime import Lifetime, Until

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
lifetimes: st.SearchStrategy[Lifetime] = st.floats(0, 1e8) | st.just(math.inf) | st.sampled_from(Until)
ttls = st.none() | lifetimes
values = st.sampled_from(["one", "other"])
tokens = st.none() | st.builds(
    Token, st.sampled_from([FILE, "snapshot"]), st.sampled_from(Strength), values | st.just("")
)
windows = st.floats(0, 1e8)
policies = st.builds(
    Freshness,
    ttl=ttls,
    default_ttl=ttls,
    random=st.booleans(),
    stale_while_revalidate=windows,
    stale_if_error=windows,
    started=st.none() | ages.map(lambda age: FETCHED + age),
    zone=st.just(UTC),
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
    tokens=st.dictionaries(st.sampled_from([FILE, "snapshot"]), values),
    exact=st.booleans(),
    volatile=st.booleans(),
    invalidated_at=st.none() | ages.map(lambda age: FETCHED + age),
    random=st.booleans(),
    validated_at=st.none() | ages.map(lambda age: FETCHED + abs(age)),
)


def entry(**facts: Any) -> Entry:
    return Entry(PROVENANCE, **facts)


def judge(entry: Entry, age: float, token: str | None = None, **policy: Any) -> Verdict:
    told = None if token is None else Token(FILE, Strength.EXACT, token)
    return Freshness(**policy).judge(entry, FETCHED + timedelta(seconds=age), told)


FRESH, STALE = True, False
HOUR = 3_600.0
DAY = {"day": "2026-11-20"}
IN_FILE = {"tokens": {FILE: "one"}, "exact": True}


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
        (IN_FILE, {}, 1e9, "one", (FRESH, Reason.FILE_UNCHANGED)),
        (IN_FILE, {"ttl": 0.0}, 1e9, "one", (FRESH, Reason.FILE_UNCHANGED)),
        (IN_FILE | {"ttl": 0.0}, {}, 5, "one", (FRESH, Reason.FILE_UNCHANGED)),
        (IN_FILE, {"ttl": math.inf}, 0, "other", (STALE, Reason.FILE_CHANGED)),
        # "cannot tell" is never "unchanged"
        (IN_FILE, {"ttl": math.inf}, 0, "", (STALE, Reason.FILE_CHANGED)),
        # a token that does not cover the statement only ever proves a change
        ({"tokens": {FILE: "one"}}, {}, 1, "one", (FRESH, Reason.WITHIN_TTL)),
        ({"tokens": {FILE: "one"}}, {}, DEFAULT_TTL, "one", (STALE, Reason.EXPIRED)),
        ({"tokens": {FILE: "one"}}, {}, 1, "other", (STALE, Reason.FILE_CHANGED)),
        ({"tokens": {FILE: "one"}}, {}, -1, "one", (STALE, Reason.FROM_FUTURE)),
        # no token then, one now: nothing is proven
        ({}, {}, 1, "one", (STALE, Reason.UNPROVEN)),
        ({"ttl": math.inf}, {}, 1, "one", (STALE, Reason.UNPROVEN)),
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
        (DAY | IN_FILE | {"zone": "UTC"}, {"ttl": 0.0}, 14 * HOUR, "one", (FRESH, Reason.FILE_UNCHANGED)),
        (DAY | IN_FILE | {"zone": "UTC"}, {}, 15 * HOUR, "one", (STALE, Reason.ANOTHER_DAY)),
        (DAY | IN_FILE | {"zone": "UTC"}, {}, 15 * HOUR, "other", (STALE, Reason.FILE_CHANGED)),
        # a zone that this machine does not know
        (DAY | {"zone": "Mars/Olympus"}, {}, 0, None, (STALE, Reason.ANOTHER_DAY)),
        # what was left to chance
        ({"random": True}, {}, 0, None, (STALE, Reason.RANDOM)),
        ({"random": True}, {"random": True}, 0, None, (FRESH, Reason.WITHIN_TTL)),
        ({"random": True}, {"random": True}, DEFAULT_TTL, None, (STALE, Reason.EXPIRED)),
        (
            {"random": True, "tokens": {FILE: "one"}},
            {"random": True},
            0,
            "other",
            (STALE, Reason.FILE_CHANGED),
        ),
        # where no validator is heard, the ttl decides
        (IN_FILE, {}, 1, None, (FRESH, Reason.WITHIN_TTL)),
        (IN_FILE, {}, DEFAULT_TTL, None, (STALE, Reason.EXPIRED)),
    ],
)
def test_the_verdict(
    facts: dict[str, Any],
    policy: dict[str, Any],
    age: float,
    token: str | None,
    expected: tuple[bool, Reason],
) -> None:
    verdict = judge(entry(**facts), age, token, **policy)
    assert (verdict.fresh, verdict.reason) == expected


@given(entry=entries, policy=policies, token=tokens, ages=st.tuples(ages, ages))
def test_what_is_stale_never_becomes_fresh_by_waiting(
    entry: Entry, policy: Freshness, token: Token | None, ages: tuple[timedelta, timedelta]
) -> None:
    entry = replace(entry, validated_at=None)  # a proof may come in between
    early, late = sorted(map(abs, ages))  # an entry from the future is stale until its time has come
    then = policy.judge(entry, FETCHED + early, token)
    now = policy.judge(entry, FETCHED + late, token)
    assert then.fresh or not now.fresh


@given(entry=entries, policy=policies, token=tokens, age=ages)
def test_the_reason_fits_the_verdict(
    entry: Entry, policy: Freshness, token: Token | None, age: timedelta
) -> None:
    verdict = policy.judge(entry, FETCHED + age, token)
    assert verdict.fresh == (verdict.reason in {Reason.WITHIN_TTL, Reason.FILE_UNCHANGED, Reason.UNCHANGED})
    assert verdict.token is None or verdict.token == token
    assert not (verdict.fresh and verdict.overdue is not None)
    assert verdict.fresh or not verdict.renew


@given(
    entry=entries,
    policy=policies,
    age=ages,
    validator=st.sampled_from([FILE, "snapshot"]),
    strength=st.sampled_from(Strength),
    value=st.sampled_from(["other", ""]),
    known=st.sampled_from([{}, {FILE: "one", "snapshot": "one"}]),
)
def test_what_a_token_does_not_prove_is_stale_at_any_age(
    entry: Entry,
    policy: Freshness,
    age: timedelta,
    validator: str,
    strength: Strength,
    value: str,
    known: dict[str, str],
) -> None:
    entry = replace(entry, tokens=known)
    assert not policy.judge(entry, FETCHED + age, Token(validator, strength, value)).fresh


@given(entry=entries, policy=policies, token=tokens, age=ages)
def test_what_is_proven_says_which_validator_it_was(
    entry: Entry, policy: Freshness, token: Token | None, age: timedelta
) -> None:
    verdict = policy.judge(entry, FETCHED + age, token)
    if verdict.reason in {Reason.FILE_UNCHANGED, Reason.UNCHANGED}:
        assert token is not None
        assert entry.tokens[token.validator] == token.value != ""
        assert entry.exact or (token.strength is Strength.HEURISTIC and not (entry.volatile or entry.random))


@given(entry=entries, policy=policies, token=tokens, age=ages)
def test_what_is_renewed_is_fresh_by_its_age_right_after(
    entry: Entry, policy: Freshness, token: Token | None, age: timedelta
) -> None:
    now = FETCHED + age
    verdict = policy.judge(entry, now, token)
    if verdict.renew:
        assert not entry.volatile
        renewed = replace(entry, validated_at=now)
        again = replace(policy, started=now).judge(renewed, now, token)
        assert (again.fresh, again.renew) == (True, False)


@given(entry=entries, policy=policies, token=tokens, age=ages, more=windows)
def test_a_window_only_widens(
    entry: Entry, policy: Freshness, token: Token | None, age: timedelta, more: float
) -> None:
    verdict = policy.judge(entry, FETCHED + age, token)
    wider = replace(
        policy,
        stale_while_revalidate=policy.stale_while_revalidate + more,
        stale_if_error=policy.stale_if_error + more,
    )
    assert wider.judge(entry, FETCHED + age, token) == verdict
    assert wider.may_wait(verdict) >= policy.may_wait(verdict)
    assert wider.may_stand_in(verdict) >= policy.may_stand_in(verdict)
    closed = replace(policy, stale_while_revalidate=0.0, stale_if_error=0.0)
    assert not closed.may_wait(verdict)
    assert not closed.may_stand_in(verdict)


@given(entry=entries, policy=policies, token=tokens, ages=st.tuples(ages, ages))
def test_a_window_that_has_closed_stays_closed(
    entry: Entry, policy: Freshness, token: Token | None, ages: tuple[timedelta, timedelta]
) -> None:
    entry = replace(entry, invalidated_at=None, validated_at=None, day=None, zone=None)
    early, late = sorted(map(abs, ages))
    then = policy.judge(entry, FETCHED + early, token)
    now = policy.judge(entry, FETCHED + late, token)
    served_then, served_now = (each.fresh or policy.may_stand_in(each) for each in (then, now))
    assert served_then or not served_now


@given(entry=entries, policy=policies, token=tokens, age=ages, shorter=st.floats(0, 1))
def test_a_shorter_ttl_only_narrows(
    entry: Entry, policy: Freshness, token: Token | None, age: timedelta, shorter: float
) -> None:
    if not isinstance(policy.ttl, float):
        return
    less = replace(policy, ttl=policy.ttl * shorter if policy.ttl < math.inf else shorter * 1e8)
    now = FETCHED + age
    assert policy.judge(entry, now, token).fresh >= less.judge(entry, now, token).fresh


@given(entry=entries, policy=policies, token=tokens, age=ages)
def test_what_is_not_validated_only_narrows_to_its_age(
    entry: Entry, policy: Freshness, token: Token | None, age: timedelta
) -> None:
    """A validator may prove more than the age does, and refute it; it may not make another's day this one."""
    with_it, without = (policy.judge(entry, FETCHED + age, each) for each in (token, None))
    if with_it.fresh and not without.fresh:
        assert with_it.reason in {Reason.FILE_UNCHANGED, Reason.UNCHANGED}


@pytest.mark.parametrize(
    ("zone", "fetched", "until"),
    [
        ("UTC", "2026-11-20T09:00+00:00", "2026-11-21T00:00+00:00"),
        ("Europe/Berlin", "2026-11-20T22:59+00:00", "2026-11-20T23:00+00:00"),
        ("Europe/Berlin", "2026-11-20T23:00+00:00", "2026-11-21T23:00+00:00"),
        # 23 hours and 25 hours
        ("Europe/Berlin", "2026-03-28T23:30+00:00", "2026-03-29T22:00+00:00"),
        ("Europe/Berlin", "2026-10-24T22:30+00:00", "2026-10-25T23:00+00:00"),
        # a day that begins at one o'clock, one that begins twice, and one that was left out
        ("America/Santiago", "2026-09-05T12:00+00:00", "2026-09-06T04:00+00:00"),
        ("America/Havana", "2026-10-31T12:00+00:00", "2026-11-01T04:00+00:00"),
        ("Pacific/Apia", "2011-12-30T05:00+00:00", "2011-12-30T10:00+00:00"),
    ],
)
def test_today_ends_at_midnight(zone: str, fetched: str, until: str) -> None:
    when, end = map(datetime.fromisoformat, (fetched, until))
    stored = Entry(replace(PROVENANCE, fetched_at=when))
    policy = Freshness(ttl=Until.TODAY, zone=ZoneInfo(zone), stale_if_error=1e6)
    before, at = (policy.judge(stored, end + timedelta(seconds=each), None) for each in (-1, 0))
    assert (before.fresh, at.fresh, at.reason, at.overdue) == (True, False, Reason.EXPIRED, 0.0)
    assert policy.judge(stored, when - timedelta(seconds=1), None).reason is Reason.FROM_FUTURE


def test_a_session_takes_what_it_has_seen_itself() -> None:
    later, sooner = FETCHED + timedelta(seconds=1), FETCHED - timedelta(seconds=1)
    assert judge(entry(), 1e6, ttl=Until.SESSION, started=sooner).reason is Reason.WITHIN_TTL
    assert judge(entry(), 1e6, ttl=Until.SESSION, started=later).reason is Reason.EXPIRED
    assert judge(entry(), 1e6, ttl=Until.SESSION, started=None).reason is Reason.EXPIRED
    proven = entry(validated_at=later)
    assert judge(proven, 1e6, ttl=Until.SESSION, started=later).reason is Reason.WITHIN_TTL
    assert judge(entry(volatile=True), HOUR, ttl=Until.SESSION, started=sooner).reason is Reason.EXPIRED


def test_a_proof_lets_the_ttl_count_anew() -> None:
    stale = judge(entry(**IN_FILE, ttl=60.0), 61, "one")
    assert (stale.reason, stale.renew) == (Reason.FILE_UNCHANGED, True)
    renewed = entry(**IN_FILE, ttl=60.0, validated_at=FETCHED + timedelta(seconds=61))
    assert not judge(renewed, 120, "one").renew
    assert judge(renewed, 120).reason is Reason.WITHIN_TTL
    assert judge(renewed, 121).reason is Reason.EXPIRED
    # a proof in times to come (a clock set back), and one of what is never proven
    assert judge(renewed, 60).reason is Reason.EXPIRED
    assert judge(replace(renewed, volatile=True), 120).reason is Reason.EXPIRED


def test_what_has_no_limit_or_none_at_all_is_never_renewed() -> None:
    assert not judge(entry(**IN_FILE), 1e9, "one").renew
    assert not judge(entry(**IN_FILE), 1e9, "one", ttl=0.0).renew
    assert not judge(entry(**IN_FILE), -5, "one", ttl=60.0).renew


@given(entry=entries, policy=policies, token=tokens, age=ages, when=ages)
def test_what_was_invalidated_is_stale_whatever_else_is_said(
    entry: Entry, policy: Freshness, token: Token | None, age: timedelta, when: timedelta
) -> None:
    entry = replace(entry, invalidated_at=FETCHED + when)
    verdict = policy.judge(entry, FETCHED + age, token)
    assert (verdict.fresh, verdict.reason, verdict.since) == (False, Reason.INVALIDATED, FETCHED + when)
    assert not policy.may_wait(verdict)


@given(entry=entries, policy=policies, token=tokens, age=st.floats(VOLATILE_TTL, 1e8))
def test_what_asks_for_the_time_is_never_served_after_an_hour_by_its_age(
    entry: Entry, policy: Freshness, token: Token | None, age: float
) -> None:
    verdict = policy.judge(replace(entry, volatile=True), FETCHED + timedelta(seconds=age), token)
    assert verdict.reason is not Reason.WITHIN_TTL


@given(entry=entries, policy=policies, token=tokens, zone=zones, age=ages)
def test_an_answer_about_a_day_is_served_on_that_day_alone(
    entry: Entry, policy: Freshness, token: Token | None, zone: str, age: timedelta
) -> None:
    entry = replace(entry, zone=zone, day=day_in(zone, FETCHED), invalidated_at=None)
    is_that_day = day_in(zone, FETCHED + age) == entry.day
    undated = policy.judge(replace(entry, zone=None, day=None), FETCHED + age, token)
    verdict = policy.judge(entry, FETCHED + age, token)
    assert verdict.fresh == (undated.fresh and is_that_day)
    assert is_that_day or not verdict.fresh


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
