"""A pin freezes an answer: it is not evicted, and is a hit at any age, until it is unpinned or refreshed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from sqlcache_nb import (
    ConfigError,
    Entry,
    EntryNotFound,
    NotCachedWarning,
    Outcome,
    QueryCache,
    cached_read_sql,
    reasons,
    report,
)
from sqlcache_nb.freshness import Freshness, Reason, Verdict
from tests.conftest import Clock, Statements

QUERY = "select count(*) as n from sales"


def numbers(result: Any) -> list[int]:
    return result.frame["n"].tolist()  # type: ignore[no-any-return]


@pytest.fixture
def pinned(cache: QueryCache, sales: Engine) -> Entry:
    """The entry of `QUERY`, pinned when the table had six rows."""
    cache.read(QUERY, sales, pin=True, name="six")
    return cache.find("six")


class TestAPinnedEntry:
    def test_says_so(self, pinned: Entry) -> None:
        assert pinned.pinned
        assert Entry.from_json(pinned.to_json()) == pinned

    def test_is_the_answer_after_a_write(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None], pinned: Entry
    ) -> None:
        write("delete from sales")
        result = cache.read(QUERY, sales)
        assert (result.outcome, result.reason, numbers(result)) == (Outcome.HIT, Reason.PINNED, [6])

    def test_is_the_answer_at_any_age_under_any_ttl(
        self, cache: QueryCache, sales: Engine, clock: Clock, pinned: Entry
    ) -> None:
        clock.forward(days=4_000)
        assert cache.read(QUERY, sales, ttl=0, validate=False).reason is Reason.PINNED
        clock.forward(days=-8_000)
        assert cache.read(QUERY, sales, ttl=0, validate=False).reason is Reason.PINNED

    def test_is_the_answer_though_its_statement_asks_for_the_time_or_is_left_to_chance(
        self, cache: QueryCache, sales: Engine, clock: Clock
    ) -> None:
        time = "select current_timestamp as now"
        chance = "select random() as n"
        first = [cache.read(time, sales, pin=True).frame["now"][0]]
        first.append(cache.read(chance, sales, pin=True, store_random=True).frame["n"][0])
        clock.forward(days=3)
        again = [cache.read(time, sales).frame["now"][0], cache.read(chance, sales).frame["n"][0]]
        assert first == again

    def test_is_told_in_the_line_with_its_age(
        self, cache: QueryCache, sales: Engine, clock: Clock, pinned: Entry
    ) -> None:
        clock.forward(hours=2)
        line = report.line(cache.read(QUERY, sales), now=clock())
        assert "(2 h ago) · pinned · sales.db" in line
        assert str(cache.why(QUERY, sales)).startswith("hit · fetched")
        assert "· pinned ·" in str(cache.why(QUERY, sales))

    def test_can_be_loaded_listed_and_counted(
        self, cache: QueryCache, sales: Engine, clock: Clock, pinned: Entry
    ) -> None:
        clock.forward(minutes=1)
        cache.read("select 2 as n", sales)
        assert cache.entries()["pinned"].tolist() == [False, True]
        assert cache.stats().pinned == 1
        assert numbers(cache.load("six")) == [6]

    def test_is_told_to_be_fresh_until_then(self, pinned: Entry, clock: Clock) -> None:
        told = reasons.fresh_while(pinned, default_ttl=60.0, now=clock())
        assert told == "forever, until it is unpinned or refreshed"
        stale = replace(pinned, invalidated_at=clock())
        assert reasons.fresh_while(stale, default_ttl=60.0, now=clock()).startswith(
            f"{told}; it was invalidated "
        )


class TestAnInvalidation:
    """It is noted, and counts once the entry is unpinned."""

    def test_waits_for_the_pin_to_end(
        self, cache: QueryCache, sales: Engine, clock: Clock, pinned: Entry
    ) -> None:
        assert cache.execute("delete from sales", sales).invalidated == 1
        clock.forward(minutes=5)
        result = cache.read(QUERY, sales)
        assert (result.reason, numbers(result)) == (Reason.PINNED, [6])
        assert "· pinned; invalidated 5 min ago ·" in report.line(result, now=clock())
        assert not cache.unpin("six").pinned
        result = cache.read(QUERY, sales)
        assert (result.outcome, result.reason, numbers(result)) == (Outcome.MISS, Reason.INVALIDATED, [0])


class TestThePinEnds:
    def test_when_it_is_unpinned(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None], pinned: Entry
    ) -> None:
        write("delete from sales")
        assert cache.unpin(pinned.key[:12]) == replace(pinned, pinned=False)
        result = cache.read(QUERY, sales)
        assert (result.reason, numbers(result)) == (Reason.FILE_CHANGED, [0])

    def test_when_it_is_refreshed_and_that_is_said(
        self,
        cache: QueryCache,
        sales: Engine,
        write: Callable[[str], None],
        pinned: Entry,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO, "sqlcache_nb")
        write("delete from sales where id = 1")
        assert numbers(cache.read(QUERY, sales, refresh=True)) == [5]
        assert caplog.messages == [f"{pinned.key[:8]} is no longer pinned: it was fetched again"]
        assert not cache.find("six").pinned
        write("delete from sales where id = 2")
        assert numbers(cache.read(QUERY, sales)) == [4]

    def test_and_begins_again_where_the_refresh_asks_for_it(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None], pinned: Entry
    ) -> None:
        write("delete from sales")
        result = cache.read(QUERY, sales, refresh=True, pin=True)
        assert "· pinned ·" in report.line(result, now=pinned.provenance.fetched_at)
        write("insert into sales (id) values (1)")
        assert numbers(cache.read(QUERY, sales)) == [0]


class TestWhatDoesNotEndIt:
    def test_a_refresh_that_cannot_be_stored(self, cache: QueryCache, sales: Engine, pinned: Entry) -> None:
        with (
            QueryCache(cache.directory, size_limit=10) as small,
            pytest.warns(NotCachedWarning, match="size_limit"),
        ):
            assert small.read(QUERY, sales, refresh=True).outcome is Outcome.BYPASSED
        assert cache.find("six") == pinned

    def test_a_miss_that_found_it_pinned_when_it_was_to_be_stored(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None]
    ) -> None:
        with QueryCache(cache.directory) as other:
            chunks = cache.read(QUERY, sales, chunksize=10).frame
            frozen = other.read(QUERY, sales, chunksize=10, pin=True)
            assert [len(chunk) for chunk in frozen.frame] == [1]
            with pytest.warns(NotCachedWarning, match="what is stored of this question is pinned"):
                assert [len(chunk) for chunk in chunks] == [1]
            assert [entry.pinned for entry in cache.entry_list()] == [True]

    def test_an_update_by_someone_who_had_not_seen_it(self, cache: QueryCache, sales: Engine) -> None:
        seen = cache.read(QUERY, sales).entry
        assert seen is not None
        cache.pin(seen.key)
        cache._store().update(seen.labelled("mine", ()))
        assert (cache.find("mine").pinned, cache.find("mine").name) == (True, "mine")
        cache._store().update(replace(cache.find("mine"), pinned=False))
        assert cache.find("mine").pinned


def test_a_hit_may_bring_a_pin(cache: QueryCache, sales: Engine, statements: Statements) -> None:
    cache.read(QUERY, sales)
    result = cache.read(QUERY, sales, pin=True, tag="golden")
    assert result.outcome is Outcome.HIT
    assert result.entry is not None
    assert (result.entry.pinned, result.entry.tags) == (True, ("golden",))
    assert cache.entry_list() == [result.entry]
    assert len(statements) == 1


def test_the_plain_function_pins(cache: QueryCache, sales: Engine, write: Callable[[str], None]) -> None:
    cached_read_sql(QUERY, sales, pin=True, cache=cache)
    write("delete from sales")
    assert cached_read_sql(QUERY, sales, cache=cache)["n"].tolist() == [6]


def test_chunks_are_pinned_once_they_are_stored(
    cache: QueryCache, sales: Engine, write: Callable[[str], None]
) -> None:
    for _ in range(2):
        chunks = list(cache.read("select id from sales", sales, chunksize=4, pin=True).frame)
        assert [len(chunk) for chunk in chunks] == [4, 2]
        write("delete from sales")
    assert cache.entry_list()[0].pinned


def test_pin_and_no_store_exclude_each_other(cache: QueryCache, sales: Engine) -> None:
    with pytest.raises(ConfigError, match="pin keeps the answer"):
        cache.read(QUERY, sales, pin=True, no_store=True)


@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_what_is_not_there_cannot_be_pinned(cache: QueryCache, verb: str) -> None:
    with pytest.raises(EntryNotFound, match="'nothing'"):
        getattr(cache, verb)("nothing")


def test_the_verdict_knows_no_but(pinned: Entry, clock: Clock) -> None:
    frozen = replace(
        pinned,
        random=True,
        tokens={"file": "other"},
        day="1999-01-01",
        zone="UTC",
        invalidated_at=clock(),
        ttl=0.0,
    )
    assert Freshness(ttl=0.0).judge(frozen, clock(), None) == Verdict(True, Reason.PINNED)
    loose = replace(frozen, pinned=False)
    assert not Freshness(ttl=0.0).judge(loose, clock(), None).fresh
