"""What goes is the oldest, and no more than must."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.entry import Entry, Provenance
from sqlcache_nb.retention import to_evict

FIRST = datetime(2026, 11, 20, tzinfo=UTC)
PROVENANCE = Provenance("", {}, "string", "", {}, "", "", (), FIRST, 0.0, 0, 0, None, {})


def stored(key: str, day: int, size: int) -> Entry:
    fetched_at = FIRST + timedelta(days=day)
    return Entry(replace(PROVENANCE, key=key, fetched_at=fetched_at), bytes=size)


OLD, MIDDLE, NEW = stored("old", 0, 10), stored("middle", 1, 20), stored("new", 2, 30)
stores = st.lists(st.builds(stored, st.text(), st.integers(0, 9), st.integers(0, 99)))


@pytest.mark.parametrize(
    ("limit", "evicted"),
    [
        (60, []),
        (59, [OLD]),
        (50, [OLD]),
        (49, [OLD, MIDDLE]),
        (30, [OLD, MIDDLE]),
        (29, [OLD, MIDDLE, NEW]),
        (0, [OLD, MIDDLE, NEW]),
    ],
)
def test_the_oldest_go_first(limit: int, evicted: list[Entry]) -> None:
    assert to_evict([NEW, OLD, MIDDLE], limit) == evicted


@given(stores, st.integers(0, 500))
def test_what_stays_fits_and_nothing_goes_in_vain(entries: list[Entry], limit: int) -> None:
    total = sum(entry.bytes for entry in entries)
    evicted = to_evict(entries, limit)
    freed = sum(entry.bytes for entry in evicted)
    assert total - freed <= limit
    assert not evicted or total - freed + evicted[-1].bytes > limit


@given(stores, st.integers(0, 500))
def test_nothing_older_stays_than_what_goes(entries: list[Entry], limit: int) -> None:
    evicted = to_evict(entries, limit)
    ages = sorted(entry.provenance.fetched_at for entry in entries)
    assert [entry.provenance.fetched_at for entry in evicted] == ages[: len(evicted)]


def test_a_generator_will_do() -> None:
    assert to_evict((entry for entry in (OLD, NEW)), 30) == [OLD]
