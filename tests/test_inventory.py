"""What is stored: listed, found by key or name, loaded, deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from sqlcache_nb import EntryNotFound, Outcome, QueryCache
from sqlcache_nb.freshness import Reason
from sqlcache_nb.stores import Removed, Stored
from tests.conftest import Clock
from tests.strict import differences


@pytest.fixture
def filled(cache: QueryCache, sales: Engine, clock: Clock) -> QueryCache:
    """Three results, an hour apart: two with the tag "daily", one named."""
    for number, options in enumerate(({"tag": "daily"}, {"tag": ["daily", "x"], "name": "mine"}, {})):
        cache.read(f"select {number} as n", sales, **options)  # type: ignore[arg-type]
        clock.forward(hours=1)
    return cache


def left(cache: QueryCache) -> list[str]:
    return [entry.provenance.sql for entry in cache.entry_list()]


def test_entries_are_a_frame_with_the_newest_first(filled: QueryCache) -> None:
    frame = filled.entries()
    assert frame["sql"].tolist() == ["select 2 as n", "select 1 as n", "select 0 as n"]
    assert list(frame.columns) == (
        "key name tags source sql rows columns bytes fetched_at used_at ttl elapsed pinned".split()
    )
    mine = frame[["name", "tags", "source", "rows", "columns"]].to_numpy()[1]
    assert list(mine) == ["mine", "daily, x", "sales.db", 1, 1]
    assert str(frame["fetched_at"].dt.tz) == "UTC"


def test_an_empty_cache_lists_nothing(cache: QueryCache) -> None:
    assert cache.entries().shape == (0, 13)
    assert cache.clear() == Removed(0, 0)
    assert cache.stats().entries == 0


def test_load_by_key_prefix_or_name(filled: QueryCache) -> None:
    key = filled.find("mine").key
    for word in ("mine", key, key[:12]):
        result = filled.load(word)
        assert (result.outcome, result.reason, result.source) == (Outcome.HIT, Reason.LOADED, "sales.db")
        assert result.frame["n"].tolist() == [1]


def test_load_reaches_what_no_question_reaches_any_more(
    filled: QueryCache, sales: Engine, write: Callable[[str], None], clock: Clock
) -> None:
    write("drop view northern")
    clock.forward(days=4_000)
    assert filled.load("mine").frame["n"].tolist() == [1]


def test_the_newest_of_a_name_is_meant(filled: QueryCache, sales: Engine) -> None:
    filled.read("select 3 as n", sales, name="mine")
    assert filled.load("mine").frame["n"].tolist() == [3]


@pytest.mark.parametrize("word", ["", "nothing", "zz"])
def test_what_is_not_there_is_an_error_that_says_where_to_look(filled: QueryCache, word: str) -> None:
    with pytest.raises(EntryNotFound, match="list what is stored"):
        filled.find(word)


def test_a_prefix_of_several_is_an_error_that_counts_them(cache: QueryCache, sales: Engine) -> None:
    for number in range(17):  # more than there are hex digits: two must begin alike
        cache.read(f"select {number} as n", sales)
    first = [entry.key[0] for entry in cache.entry_list()]
    twice = next(letter for letter in first if first.count(letter) > 1)
    with pytest.raises(EntryNotFound, match=f"{first.count(twice)} entries"):
        cache.find(twice)


def test_a_damaged_one_cannot_be_loaded_and_is_deleted(filled: QueryCache) -> None:
    path = filled.load("mine").path
    assert path is not None
    path.write_bytes(b"garbage")
    with pytest.raises(EntryNotFound, match="damaged"):
        filled.load("mine")
    assert len(filled.entries()) == 2


@pytest.mark.parametrize(
    ("filters", "remaining"),
    [
        ({}, []),
        ({"tag": "daily"}, [2]),
        ({"name": "mine"}, [2, 0]),
        ({"source": "sales.db"}, []),
        ({"source": "other.db"}, [2, 1, 0]),
        ({"older_than": "90m"}, [2]),
        ({"older_than": "90m", "tag": "x"}, [2, 0]),
        ({"older_than": 0, "name": "nobody's"}, [2, 1, 0]),
    ],
    ids=str,
)
def test_clear_deletes_what_fits_every_filter(
    filled: QueryCache, filters: dict[str, Any], remaining: list[int]
) -> None:
    before = filled.stats()
    removed = filled.clear(**filters)
    assert left(filled) == [f"select {number} as n" for number in remaining]
    after = filled.stats()
    assert removed == Removed(before.entries - after.entries, before.bytes - after.bytes)


def test_clear_and_delete_by_key(filled: QueryCache) -> None:
    keys = [entry.key for entry in filled.entry_list()]
    assert filled.clear(key=keys[0][:16]).entries == 1
    assert filled.delete(keys[1]).entries == 1
    with pytest.raises(EntryNotFound):
        filled.delete(keys[1])
    assert left(filled) == ["select 0 as n"]


def test_what_was_loaded_is_ones_own(filled: QueryCache) -> None:
    frame = filled.load("mine").frame
    frame.loc[0, "n"] = 99
    assert differences(filled.load("mine").frame, pd.DataFrame({"n": [1]})) == []


class TestWhatIsMeant:
    """The filters of `clear`, one by one; that they are all met is shown for any of them in test_invalidation."""

    def test_unused_for(self, filled: QueryCache, clock: Clock) -> None:
        filled.load(filled.entry_list()[2].key)  # select 0, three hours after its fetch
        clock.forward(minutes=30)
        assert filled.clear(unused_for="45m", dry_run=True).entries == 2
        assert filled.clear(unused_for="100m").entries == 1
        assert left(filled) == ["select 2 as n", "select 0 as n"]
        assert filled.clear(unused_for=0).entries == 2

    def test_unpinned_only(self, filled: QueryCache) -> None:
        filled.pin("mine")
        assert filled.clear(tag="daily", unpinned_only=True).entries == 1
        assert left(filled) == ["select 2 as n", "select 1 as n"]
        assert filled.clear(unpinned_only=True).entries == 1
        assert left(filled) == ["select 1 as n"]

    def test_without_it_what_is_pinned_goes_too(self, filled: QueryCache) -> None:
        filled.pin("mine")
        assert filled.clear(name="mine").entries == 1
        filled.pin(filled.entry_list()[0].key)
        assert filled.clear().entries == 2

    @pytest.mark.parametrize(
        "filters",
        [
            {},
            {"tag": "daily"},
            {"name": "mine"},
            {"older_than": "90m"},
            {"unused_for": "90m"},
            {"unpinned_only": True},
            {"source": "sales.db", "tag": "x"},
            {"table": "nowhere"},
        ],
        ids=str,
    )
    def test_a_dry_run_says_exactly_what_would_go(self, filled: QueryCache, filters: dict[str, Any]) -> None:
        filled.pin("mine")
        before = left(filled)
        told = filled.clear(**filters, dry_run=True)
        assert left(filled) == before
        assert filled.clear(**filters) == told
        assert told.entries == len(before) - len(left(filled))

    def test_rows_that_cannot_be_read_are_counted_where_everything_goes(self, filled: QueryCache) -> None:
        with closing(sqlite3.connect(filled.directory / "v1" / "cache.db")) as con, con:
            con.execute("UPDATE Cache SET value = '{}' WHERE rowid = 1")
        told = filled.clear(dry_run=True)
        assert told.entries == 3
        assert filled.clear() == told


def test_delete_by_name_or_key_with_or_without_deleting(filled: QueryCache) -> None:
    told = filled.delete("mine", dry_run=True)
    assert told == Removed(1, filled.find("mine").bytes)
    filled.pin("mine")
    assert filled.delete("mine") == told
    with pytest.raises(EntryNotFound):
        filled.delete("mine", dry_run=True)


def test_entries_are_listed_once_for_a_clear(filled: QueryCache, monkeypatch: pytest.MonkeyPatch) -> None:
    key = filled.entry_list()[0].key
    entries, listed = filled._store().entries, []

    def counted() -> list[Stored]:
        listed.append(1)
        return entries()

    monkeypatch.setattr(filled._store(), "entries", counted)
    filled.clear(key=key[:20], unused_for=0)
    assert len(listed) == 1


def test_last_use_is_the_fetch_as_long_as_there_was_no_other(filled: QueryCache, clock: Clock) -> None:
    for entry in filled.entry_list():
        assert filled.last_used(entry) == entry.provenance.fetched_at
    filled.load("mine")
    assert filled.last_used(filled.find("mine")) == clock.now
