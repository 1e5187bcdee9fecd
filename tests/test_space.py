"""The room that a store takes: its limit, what goes when it is reached, and what nobody uses."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.ledger import Ledger
from sqlcache_nb.space import Space
from sqlcache_nb.stores import Stored
from sqlcache_nb.stores.disk import DiskStore
from tests.conftest import Clock
from tests.oracle import inconsistencies
from tests.store_contract import entry_of

DAY = 86_400.0


class Room:
    """A store that was filled by hand, and what keeps it within its limits."""

    def __init__(self, store: DiskStore, clock: Clock, size_limit: int, clear_unused: float) -> None:
        self.store = store
        self.clock = clock
        self.ledger = Ledger(lambda: store, clock, every=3_600.0)
        self.space = Space(size_limit, clear_unused, clock)
        self.listed = 0
        self._each = store.each
        store.each = self._counted  # type: ignore[method-assign]

    def _counted(self) -> Iterator[Stored]:
        self.listed += 1
        return self._each()

    def add(
        self, name: str, size: int = 10, elapsed: float = 1.0, *, pinned: bool = False, keep: int = 0
    ) -> None:
        entry = entry_of(name.ljust(64, "0"), pinned=pinned)
        provenance = replace(entry.provenance, fetched_at=self.clock.now, elapsed=elapsed)
        stored = self.store.write(replace(entry, provenance=provenance), memoryview(bytes(size)), keep=keep)
        self.space.make(self.store, self.ledger, stored.entry.key)

    def use(self, name: str) -> None:
        stored = self.store.lookup(name.ljust(64, "0"))
        assert stored is not None
        self.ledger.use(stored.entry)

    @property
    def versions(self) -> dict[str, tuple[int, int]]:
        """The sizes of what replaced another answer that is kept, and of that."""
        return {
            stored.entry.key.rstrip("0"): (stored.entry.bytes, previous.entry.bytes)
            for stored in self.store.entries()
            if (previous := self.store.previous(stored.entry.key)) is not None
        }

    @property
    def names(self) -> set[str]:
        return {stored.entry.key.rstrip("0") for stored in self.store.entries()}


@pytest.fixture
def room(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Room]]:
    rooms = []

    def make(size_limit: int = 10**6, clear_unused: float = 90 * DAY) -> Room:
        rooms.append(Room(DiskStore(tmp_path / "store"), clock, size_limit, clear_unused))
        return rooms[-1]

    yield make
    for each in rooms:
        each.ledger.flush()
        each.store.close()
    assert inconsistencies(tmp_path / "store") == []


class TestTheLimit:
    def test_it_is_a_tenth_of_the_room_there_is_when_the_store_is_opened(self, tmp_path: Path) -> None:
        with QueryCache(tmp_path / "cache") as cache:
            cache.stats()
            free = shutil.disk_usage(tmp_path).free
            assert cache.size_limit == cache.stats().size_limit
            assert cache.size_limit == 10 * 2**30 or abs(cache.size_limit - free / 10) < free / 100

    def test_what_is_given_wins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SQLCACHE_NB_SIZE_LIMIT", "1GiB")
        with (
            QueryCache(tmp_path / "cache") as configured,
            QueryCache(tmp_path / "cache", size_limit=5) as given,
        ):
            assert (configured.stats().size_limit, given.stats().size_limit) == (2**30, 5)

    def test_where_no_disk_can_be_asked_it_is_ten_gib(self, tmp_path: Path, clock: Clock) -> None:
        with closing(DiskStore(tmp_path / "store")) as store:
            store.directory = tmp_path / "elsewhere"
            space = Space(None, DAY, clock)
            space.opened(store)
            assert space.limit == 10 * 2**30

    def test_what_will_never_fit_is_refused(self, clock: Clock) -> None:
        space = Space(100, DAY, clock)
        space.check(100)
        with pytest.raises(NotCacheable, match="larger than size_limit, 100 bytes"):
            space.check(101)


class TestEviction:
    def test_what_is_worth_least_goes_and_some_room_is_left_for_the_next(
        self, room: Callable[..., Room]
    ) -> None:
        small = room(size_limit=100)
        for number in range(10):
            small.add(f"{number:x}", elapsed=1.0 + number)
        assert small.listed == 1  # the first write, when it was time to look for what is unused
        small.add("a", elapsed=0.1)
        assert small.names == set("23456789a")
        assert small.store.size() == 90
        small.add("b")
        assert small.listed == 2

    def test_what_was_used_stays_longer(self, room: Callable[..., Room], clock: Clock) -> None:
        small = room(size_limit=100)
        for name in "abcdefghij":
            small.add(name)
        clock.forward(days=1)
        for name in "abcdefgh":
            small.use(name)
        small.add("k")
        assert small.names == set("abcdefghk")

    def test_it_counts_what_another_kernel_has_used(self, room: Callable[..., Room], clock: Clock) -> None:
        small, other = room(size_limit=100), room(size_limit=100)
        for name in "abcdefghij":
            small.add(name)
        clock.forward(days=1)
        for name in "abcdefgh":
            other.use(name)
        other.ledger.flush()
        small.add("k")
        assert small.names == set("abcdefghk")

    def test_no_pin_goes_and_not_the_newest(self, room: Callable[..., Room], clock: Clock) -> None:
        small = room(size_limit=100)
        small.add("a", size=60, elapsed=0.0, pinned=True)
        small.add("b", size=40)
        clock.forward(days=400)
        small.add("c", size=80, elapsed=0.0)
        assert small.names == set("ac")

    def test_a_pin_that_comes_at_the_last_moment_holds(self, room: Callable[..., Room]) -> None:
        small = room()
        for name in "ab":
            small.add(name)
        seen = small.store.entries()
        small.store.pin("a".ljust(64, "0"), pinned=True)
        assert small.store.delete(seen, pinned=False).entries == 1
        assert small.names == {"a"}

    def test_what_was_replaced_meanwhile_stays(self, room: Callable[..., Room], clock: Clock) -> None:
        small = room()
        small.add("a")
        seen = small.store.entries()
        clock.forward(hours=1)
        small.add("a", size=20)
        assert small.store.delete(seen, pinned=True).entries == 0
        assert small.store.size() == 20

    def test_what_was_replaced_goes_first_however_dear_and_recent_it_is(
        self, room: Callable[..., Room], clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "sqlcache_nb")
        small = room(size_limit=100)
        for name in "abcd":
            small.add(name, elapsed=0.0)
        clock.forward(days=1)
        for size in (10, 15):
            small.add("e", size=size, elapsed=1e6, keep=1)
            clock.forward(hours=1)
        assert small.versions == {"e": (15, 10)}
        small.add("f", size=40)
        assert (small.names, small.versions) == (set("abcdef"), {})
        assert caplog.messages == []

    def test_a_large_replaced_version_makes_room_for_what_replaced_it(
        self, room: Callable[..., Room], clock: Clock
    ) -> None:
        small = room(size_limit=100)
        small.add("a", size=10, elapsed=0.0)
        for size in (60, 80, 90):
            clock.forward(hours=1)
            small.add("b", size=size, keep=1)
            assert (small.names, small.versions, small.store.size()) == (set("ab"), {}, 10 + size)

    def test_a_pin_holds_no_replaced_version(self, room: Callable[..., Room], clock: Clock) -> None:
        small = room(size_limit=100)
        for _ in range(2):
            small.add("a", size=40, pinned=True, keep=1)
            clock.forward(hours=1)
        small.add("b", size=30)
        assert (small.names, small.versions) == (set("ab"), {})

    @pytest.mark.parametrize(("elapsed", "is_said"), [(20.0, False), (40.0, True)])
    def test_what_was_dear_is_said_in_one_line(
        self, room: Callable[..., Room], caplog: pytest.LogCaptureFixture, elapsed: float, is_said: bool
    ) -> None:
        caplog.set_level(logging.INFO, "sqlcache_nb")
        small = room(size_limit=100)
        for name in "abcdefghij":
            small.add(name, elapsed=elapsed)
        small.add("k", elapsed=1e5)
        told = ["removed 2 entries (20 bytes, 1 min 20 s of queries) to stay within size_limit, 100 bytes"]
        assert caplog.messages == (told if is_said else [])


class TestWhatNobodyUses:
    def test_goes_after_its_time_whatever_room_there_is(
        self, room: Callable[..., Room], clock: Clock
    ) -> None:
        large = room()
        for name in "abc":
            large.add(name)
        large.add("d", pinned=True)
        clock.forward(days=60)
        large.use("b")
        clock.forward(days=31)
        large.add("e")
        assert large.names == set("bde")

    def test_what_was_replaced_goes_with_its_entry_or_alone_if_that_is_pinned(
        self, room: Callable[..., Room], clock: Clock
    ) -> None:
        large = room()
        for name in "abc":
            for _ in range(2):
                large.add(name, pinned=name == "b", keep=1)
                clock.forward(minutes=1)
        clock.forward(days=60)
        large.use("c")
        clock.forward(days=31)
        large.add("d")
        assert (large.names, large.versions) == (set("bcd"), {"c": (10, 10)})

    def test_is_looked_for_once_a_day(self, room: Callable[..., Room], clock: Clock) -> None:
        large, other = room(), room()
        for name in "abc":
            large.add(name)
            other.add(name.upper())
        assert (large.listed, other.listed) == (1, 0)
        clock.forward(hours=25)
        other.add("f")
        large.add("g")
        assert (large.listed, other.listed) == (1, 1)

    def test_stays_for_ever_where_that_is_wanted(self, room: Callable[..., Room], clock: Clock) -> None:
        large = room(clear_unused=float("inf"))
        large.add("a")
        clock.forward(days=9_000)
        large.add("b")
        assert large.names == set("ab")

    def test_stays_where_nobody_knows_what_was_used(self, room: Callable[..., Room], clock: Clock) -> None:
        large = room()
        large.add("a")
        clock.forward(days=91)
        (large.store.directory / "v1" / "ledger.db").write_bytes(b"garbage " * 1_000)
        large.add("b")
        large.space = Space(10**6, 90 * DAY, clock)  # another kernel
        large.add("c")
        assert large.names == set("abc")

    def test_is_forgotten_with_its_use(self, room: Callable[..., Room], clock: Clock) -> None:
        large = room()
        for name in "ab":
            large.add(name)
            large.use(name)
        large.ledger.flush()
        clock.forward(days=91)
        large.add("c")
        clock.forward(days=1)
        large.add("d")
        assert large.store.uses.last() == {}

    def test_is_said_where_it_was_dear(
        self, room: Callable[..., Room], clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "sqlcache_nb")
        large = room()
        large.add("a", elapsed=600.0)
        clock.forward(days=91)
        large.add("b")
        assert caplog.messages == ["removed 1 entry (10 bytes, 10 min of queries) unused for 90 days"]

    def test_a_clock_that_is_set_back_takes_nothing_with_it(
        self, room: Callable[..., Room], clock: Clock
    ) -> None:
        large = room()
        large.add("a")
        clock.forward(days=-400)
        for name in "bc":
            clock.forward(days=2)
            large.add(name)
        assert large.names == set("abc")


class TestInACache:
    def test_what_is_worth_least_makes_room(self, tmp_path: Path, sales: Engine, clock: Clock) -> None:
        with QueryCache(tmp_path / "one", clock=clock) as cache:
            size = cache.read("select 1 as n", sales).entry.bytes  # type: ignore[union-attr]
        limits = {"size_limit": int(size * 3.5), "clear_unused": "never"}
        with QueryCache(tmp_path / "three", clock=clock, **limits) as cache:  # type: ignore[arg-type]
            for n in range(1, 6):
                cache.read(f"select {n} as n", sales)
                clock.forward(days=20 * n)  # much more than one of these can take longer than another
            assert len(cache.entries()) == 3
            assert cache.entry_list()[0].provenance.sql == "select 5 as n"
        assert inconsistencies(tmp_path / "three") == []

    def test_chunks_over_the_limit_are_not_stored(self, tmp_path: Path, sales: Engine) -> None:
        with QueryCache(tmp_path / "small", size_limit=10) as cache:
            with pytest.warns(NotCachedWarning, match="larger than size_limit, 10 bytes"):
                list(cache.read("select * from sales", sales, chunksize=2).frame)
            assert cache.stats().entries == 0

    def test_a_fault_while_room_is_made_costs_no_answer(
        self, cache: QueryCache, sales: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.read("select 1 as n", sales)
        with closing(sqlite3.connect(cache.directory / "v1" / "ledger.db")) as con, con:
            con.execute("PRAGMA user_version = 99")
        monkeypatch.setattr(cache._space, "_next_sweep", None)
        assert cache.read("select 2 as n", sales).outcome is Outcome.MISS
        assert len(cache.entries()) == 2
