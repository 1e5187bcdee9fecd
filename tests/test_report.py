"""The line of a read."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb import report
from sqlcache_nb.changes import UNCHANGED, Changes
from sqlcache_nb.entry import Entry
from sqlcache_nb.freshness import Reason
from sqlcache_nb.lifetime import Lifetime, Until
from sqlcache_nb.result import Outcome, Result
from tests.flights import ENTRY, FETCHED, LOCAL, NOW


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3]})


def line_of(
    outcome: Outcome,
    reason: Reason,
    entry: Entry | None = ENTRY,
    elapsed: float | None = 18.4,
    detail: str = "",
    ttl: Lifetime | None = None,
) -> str:
    result = Result(
        outcome, reason, "flights.db", frame, detail=detail, entry=entry, elapsed=elapsed, ttl=ttl
    )
    return report.line(result, now=NOW)


def test_a_hit() -> None:
    assert line_of(Outcome.HIT, Reason.FILE_UNCHANGED, elapsed=None) == (
        f"hit · fetched {LOCAL} (2 h ago) · file unchanged · flights.db · 336,776 x 19 · took 18.4 s · ab12cd34"
    )


@pytest.mark.parametrize(
    ("reason", "ttl", "says"),
    [
        (Reason.WITHIN_TTL, None, "within its ttl"),
        (Reason.WITHIN_TTL, 86_400.0, "within its ttl of 1 day"),
        (Reason.WITHIN_TTL, math.inf, "within its ttl of forever"),
        (Reason.WITHIN_TTL, 7_200.0, "within the ttl given, 2 h"),
        (Reason.WITHIN_TTL, Until.TODAY, "fetched today"),
        (Reason.WITHIN_TTL, Until.SESSION, "fetched in this session"),
        (Reason.LOADED, None, "loaded as it was stored"),
    ],
)
def test_why_a_hit(reason: Reason, ttl: Lifetime | None, says: str) -> None:
    own = 60.0 if "given" in says else ttl
    assert f" · {says} · " in line_of(Outcome.HIT, reason, replace(ENTRY, ttl=own), None, ttl=ttl)


@pytest.mark.parametrize(
    ("reason", "ttl", "says"),
    [
        (Reason.FIRST_TIME, None, "first time"),
        (Reason.FILE_CHANGED, None, "file changed"),
        (Reason.EXPIRED, 3_600.0, "older than its ttl of 1 h"),
        (Reason.EXPIRED, None, "older than its ttl"),
        (Reason.EXPIRED, 0.0, "older than the ttl given, 0 s"),
        (Reason.EXPIRED, Until.TODAY, "fetched on an earlier day"),
        (Reason.EXPIRED, Until.SESSION, "fetched in an earlier session"),
        (Reason.DAMAGED, None, "the stored file was damaged"),
        (Reason.FROM_FUTURE, None, "fetched in the future"),
        (Reason.ANOTHER_DAY, None, "another day there"),
        (Reason.RANDOM, None, "what is stored was left to chance"),
    ],
)
def test_a_miss_says_why(reason: Reason, ttl: Lifetime | None, says: str) -> None:
    own = 60.0 if "given" in says else ttl
    line = line_of(Outcome.MISS, reason, replace(ENTRY, ttl=own), ttl=ttl)
    assert line == f"miss: {says} · flights.db · 336,776 x 19 · took 18.4 s · ab12cd34"


@pytest.mark.parametrize(
    ("outcome", "whom", "begins"),
    [
        (Outcome.HIT, "kernel 4711", "hit · fetched just now by kernel 4711 · waited 14 s · flights.db · "),
        (Outcome.HIT, None, "hit · fetched just now · waited 14 s · flights.db · "),
        (Outcome.MISS, "kernel 4711", "miss: first time · waited 14 s for kernel 4711 · flights.db · "),
        (Outcome.REFRESHED, None, "refreshed · waited 14 s · flights.db · "),
        (Outcome.BYPASSED, "kernel 4711", "not cached: too large · waited 14 s for kernel 4711 · "),
    ],
)
def test_who_has_waited_is_told_for_whom(outcome: Outcome, whom: str | None, begins: str) -> None:
    result = Result(
        outcome,
        Reason.FIRST_TIME,
        "flights.db",
        frame,
        detail="too large" if outcome is Outcome.BYPASSED else "",
        entry=ENTRY,
        waited=14.0,
        waited_for=whom,
    )
    told = report.line(result, now=FETCHED + timedelta(seconds=ENTRY.provenance.elapsed))
    assert told.startswith(begins)


def test_a_miss_of_what_was_invalidated_says_when() -> None:
    result = Result(
        Outcome.MISS,
        Reason.INVALIDATED,
        "flights.db",
        frame,
        entry=ENTRY,
        elapsed=18.4,
        invalidated_at=NOW - timedelta(minutes=5),
    )
    assert report.line(result, now=NOW).startswith("miss: invalidated 5 min ago · flights.db · ")


def test_what_asks_for_the_time_is_fresh_for_an_hour() -> None:
    line = line_of(Outcome.MISS, Reason.EXPIRED, replace(ENTRY, ttl=86_400.0, volatile=True), ttl=3_600.0)
    assert "older than its ttl of 1 h ·" in line


def test_what_bounds_an_answer_is_said_when_it_is_stored_and_when_it_is_served() -> None:
    volatile = replace(ENTRY, volatile=True)
    told = " · for 1 h at most: it asks for the time or a catalog · "
    assert told in line_of(Outcome.MISS, Reason.FIRST_TIME, volatile)
    assert told in line_of(Outcome.REFRESHED, Reason.ASKED, volatile)
    assert told in line_of(Outcome.HIT, Reason.WITHIN_TTL, volatile)
    assert told not in line_of(Outcome.MISS, Reason.FIRST_TIME, replace(volatile, ttl=60.0))
    daily = replace(ENTRY, zone="Europe/Berlin", day="2026-11-20")
    line = line_of(Outcome.MISS, Reason.FIRST_TIME, daily)
    assert line.startswith("miss: first time · 2026-11-20 in Europe/Berlin · flights.db · ")
    line = line_of(Outcome.HIT, Reason.FILE_UNCHANGED, daily)
    assert " · file unchanged · still 2026-11-20 in Europe/Berlin · flights.db · " in line
    by_chance = replace(ENTRY, random=True)
    assert " · within its ttl · left to chance · " in line_of(Outcome.HIT, Reason.WITHIN_TTL, by_chance)
    assert line_of(Outcome.HIT, Reason.LOADED, volatile) == line_of(Outcome.HIT, Reason.LOADED, ENTRY)


def test_a_refresh() -> None:
    line = line_of(Outcome.REFRESHED, Reason.ASKED)
    assert line == "refreshed · flights.db · 336,776 x 19 · took 18.4 s · ab12cd34"


@pytest.mark.parametrize(
    ("changes", "says", "shape"),
    [
        (Changes(rows=312), "336,776 rows (+312)", "19 columns"),
        (Changes(rows=-1_312), "336,776 rows (-1,312)", "19 columns"),
        (Changes(), "336,776 rows (±0)", "19 columns"),
        (UNCHANGED, "same answer", "336,776 x 19"),
        (
            Changes(312, retyped={"a": ("int64", "float64"), "b": ("bool", "object")}),
            "336,776 rows (+312) · 2 columns changed type",
            "19 columns",
        ),
        (
            Changes(0, ("a",), ("b", "c"), {"d": ("int64", "float64")}),
            "336,776 rows (±0) · 1 column added · 2 columns removed · 1 column changed type",
            "19 columns",
        ),
    ],
)
def test_what_replaced_another_answer_says_how_it_differs(changes: Changes, says: str, shape: str) -> None:
    for outcome, begins in ((Outcome.REFRESHED, "refreshed"), (Outcome.MISS, "miss: file changed")):
        result = Result(
            outcome,
            Reason.FILE_CHANGED,
            "flights.db",
            frame,
            entry=ENTRY,
            elapsed=18.4,
            changes=changes,
        )
        told = report.line(result, now=NOW)
        assert told == f"{begins} · {says} · flights.db · {shape} · took 18.4 s · ab12cd34"


def test_a_bypass_says_why() -> None:
    line = line_of(Outcome.BYPASSED, Reason.REFUSED, None, 0.012, "several statements\nat once")
    assert line == "not cached: several statements at once · flights.db · 3 x 1 · took 12 ms"


def test_chunks_have_no_shape() -> None:
    chunks = Result(Outcome.BYPASSED, Reason.REFUSED, "flights.db", lambda: iter([frame()]), detail="chunks")
    assert report.line(chunks, now=NOW) == "not cached: chunks · flights.db"


@given(st.sampled_from(Outcome), st.sampled_from(Reason), st.text(), st.floats(0, 1e9))
def test_a_line_is_one_line(outcome: Outcome, reason: Reason, detail: str, elapsed: float) -> None:
    entry = None if outcome is Outcome.BYPASSED else ENTRY
    line = line_of(outcome, reason, entry, elapsed, detail)
    assert len(line.splitlines()) == 1
    assert "flights.db" in line
