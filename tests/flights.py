"""One stored answer, of which the tests of the words speak."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlcache_nb.entry import Entry, Provenance

FETCHED = datetime(2026, 11, 20, 9, 14, tzinfo=UTC)
NOW = FETCHED + timedelta(hours=2, minutes=5)
LOCAL = f"{FETCHED.astimezone():%Y-%m-%d %H:%M}"

ENTRY = Entry(
    provenance=Provenance(
        key="ab12cd34" + "0" * 56,
        parts={},
        kind="text",
        sql="select * from flights",
        items={},
        source="flights.db",
        dialect="sqlite",
        tables=("flights",),
        fetched_at=FETCHED,
        elapsed=18.4,
        rows=336_776,
        columns=19,
        chunks=None,
        versions={},
    ),
    checksum="",
    bytes=10,
)
