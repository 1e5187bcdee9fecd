"""Hits, misses, and what they saved: in this process, and over all kernels."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from sqlcache_nb import Outcome, QueryCache, Tally
from sqlcache_nb.ledger import Ledger
from sqlcache_nb.stores.disk import DiskStore
from tests.conftest import Clock
from tests.store_contract import START, entry_of

QUERY = "select * from sales"
KEY = "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    store = DiskStore(tmp_path / "store")
    store.close()  # what is noted here needs no open connection
    return store


@pytest.fixture
def ledger(store: DiskStore, clock: Clock) -> Iterator[Ledger]:
    """One whose thread does not come into it."""
    ledger = Ledger(lambda: store, clock, every=3_600.0)
    yield ledger
    ledger.flush()


class TestCounting:
    def test_each_key_saves_once_a_kernel(self, ledger: Ledger) -> None:
        one, other = entry_of(KEY, bytes=10), entry_of("b" * 64, bytes=5)
        for entry in (one, one, other, one):
            ledger.count(Outcome.HIT, entry)
        for outcome in (Outcome.MISS, Outcome.REFRESHED, Outcome.BYPASSED):
            ledger.count(outcome, None)
        assert ledger.own == Tally(4, 1, 1, 1, saved=3.0, saved_bytes=15)

    def test_what_was_missed_saves_when_it_is_had_again(self, ledger: Ledger) -> None:
        ledger.count(Outcome.MISS, entry_of(KEY))
        assert ledger.own.saved == 0
        ledger.count(Outcome.HIT, entry_of(KEY))
        assert ledger.own.saved == 1.5

    def test_a_use_that_answered_nothing_counts_nothing(self, ledger: Ledger, store: DiskStore) -> None:
        ledger.use(entry_of(KEY))
        ledger.flush()
        assert ledger.own == Tally()
        assert list(store.uses.last()) == [KEY]

    def test_a_count_writes_nothing(self, ledger: Ledger, store: DiskStore) -> None:
        for _ in range(100):
            ledger.count(Outcome.HIT, entry_of(KEY))
        assert (store.uses.last(), store.uses.history()) == ({}, {})
        assert not (store.directory / "v1" / "ledger.db").exists()

    def test_a_day_is_that_of_a_persons_calendar(
        self, ledger: Ledger, store: DiskStore, clock: Clock
    ) -> None:
        for _ in range(3):
            ledger.count(Outcome.HIT, entry_of(KEY))
            clock.forward(days=1)
        first = (clock.now - timedelta(days=3)).astimezone().date()
        expected = [first + timedelta(days=number) for number in range(3)]
        assert list(ledger.days(store)) == expected
        ledger.flush()
        assert list(store.uses.history()) == expected


class TestWritingDown:
    def test_a_thread_does_it_after_a_while(self, store: DiskStore, clock: Clock) -> None:
        before = set(threading.enumerate())
        ledger = Ledger(lambda: store, clock, every=0.0)
        ledger.count(Outcome.HIT, entry_of(KEY))
        for thread in set(threading.enumerate()) - before:
            thread.join(30)
        assert store.uses.last() == {KEY: clock.now.timestamp()}
        assert [tally.hits for tally in store.uses.history().values()] == [1]

    def test_it_is_done_once(self, ledger: Ledger, store: DiskStore, clock: Clock) -> None:
        for _ in range(3):
            ledger.count(Outcome.HIT, entry_of(KEY, bytes=7))
            ledger.flush()
            ledger.flush()
        (tally,) = store.uses.history().values()
        assert tally == ledger.own == Tally(hits=3, saved=1.5, saved_bytes=7)

    def test_what_could_not_be_written_is_written_later(
        self, ledger: Ledger, store: DiskStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sqlcache_nb.stores.uses._WAIT", 0.0)
        store.uses.record({}, {}, 0.0)
        ledger.count(Outcome.HIT, entry_of(KEY))
        with closing(sqlite3.connect(store.directory / "v1" / "ledger.db")) as con:
            con.execute("BEGIN IMMEDIATE")
            ledger.flush()
        assert store.uses.last() == {}
        ledger.count(Outcome.HIT, entry_of(KEY))
        ledger.flush()
        assert [tally.hits for tally in store.uses.history().values()] == [2]
        assert list(store.uses.last()) == [KEY]

    def test_a_directory_that_is_gone_disturbs_nobody(self, ledger: Ledger, store: DiskStore) -> None:
        for path in sorted(store.directory.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        store.directory.rmdir()
        ledger.count(Outcome.HIT, entry_of(KEY))
        ledger.flush()
        assert not store.directory.exists()
        assert ledger.own.hits == 1

    def test_a_closed_cache_is_not_opened_for_it(self, clock: Clock) -> None:
        ledger = Ledger(lambda: None, clock, every=3_600.0)
        ledger.count(Outcome.BYPASSED, None)
        ledger.flush()
        assert ledger.own.bypassed == 1

    def test_threads_lose_no_count(self, store: DiskStore, clock: Clock) -> None:
        ledger = Ledger(lambda: store, clock, every=0.001)

        def ask() -> None:
            for _ in range(200):
                ledger.count(Outcome.HIT, entry_of(KEY))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ledger.flush()
        assert sum(tally.hits for tally in store.uses.history().values()) == ledger.own.hits == 800


class TestLastUse:
    def test_it_is_the_latest_of_fetch_note_and_what_is_not_noted_yet(
        self, ledger: Ledger, store: DiskStore, clock: Clock
    ) -> None:
        entry = entry_of(KEY)
        assert ledger.last_used(store)(KEY, START) == START
        clock.now = START + timedelta(days=1)
        store.uses.record({KEY: clock.now.timestamp()}, {}, 0.0)
        assert ledger.last_used(store)(KEY, START) == START + timedelta(days=1)
        clock.now = START + timedelta(days=2)
        ledger.use(entry)
        assert ledger.last_used(store)(KEY, START) == START + timedelta(days=2)

    def test_it_is_never_in_times_to_come(self, ledger: Ledger, store: DiskStore, clock: Clock) -> None:
        store.uses.record({KEY: 1e15, "b" * 64: float("inf")}, {}, 0.0)
        last = ledger.last_used(store)
        assert last(KEY, START) == last("b" * 64, START) == clock.now


def test_a_read_counts_and_its_use_is_shown(cache: QueryCache, sales: Engine, clock: Clock) -> None:
    cache.read(QUERY, sales)
    clock.forward(hours=3)
    entry = cache.read(QUERY, sales).entry
    assert entry is not None
    assert cache.last_used(entry) == clock.now
    assert cache.entries()["used_at"].tolist() == [pd.Timestamp(clock.now)]
    clock.forward(hours=3)
    cache.load(entry.key)
    assert cache.last_used(entry) == clock.now


def test_stats_tell_this_process_and_all(cache: QueryCache, sales: Engine, clock: Clock) -> None:
    for _ in range(3):
        size = cache.read(QUERY, sales).entry.bytes  # type: ignore[union-attr]
    with QueryCache(cache.directory, clock=clock) as other:
        other.read(QUERY, sales)
        assert (other.stats().hits, other.stats().misses) == (1, 0)
        assert (other.stats().total.hits, other.stats().saved_bytes) == (1, size)
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.saved_bytes) == (2, 1, size)
    assert astuple(stats.total)[:4] == (3, 1, 0, 0)
    assert stats.total.saved_bytes == 2 * size  # once a kernel
    assert stats.total.saved == pytest.approx(2 * stats.elapsed)


def test_history_is_a_frame_by_day(cache: QueryCache, sales: Engine, clock: Clock) -> None:
    assert cache.stats().history.columns.tolist() == (
        "day hits misses refreshed bypassed saved saved_bytes".split()
    )
    cache.read(QUERY, sales)
    clock.forward(days=1)
    cache.read(QUERY, sales)
    cache.read(QUERY, sales, no_store=True)
    frame = cache.stats().history
    assert frame[["hits", "misses", "bypassed"]].to_numpy().tolist() == [[0, 1, 0], [1, 0, 1]]
    assert (frame["day"].diff().iloc[1], frame["day"].dt.date.iloc[1]) == (
        timedelta(days=1),
        clock.now.astimezone().date(),
    )


def test_the_reads_of_a_closed_cache_are_counted(tmp_path: Path, sales: Engine) -> None:
    with QueryCache(tmp_path / "cache") as cache:
        cache.read(QUERY, sales)
    with QueryCache(tmp_path / "cache") as cache:
        assert (cache.stats().misses, cache.stats().total.misses) == (0, 1)


KERNEL = """
import sys
from sqlcache_nb import QueryCache

directory, url, times, end = sys.argv[1:]
cache = QueryCache(directory)
for _ in range(int(times)):
    cache.read("select * from sales", url).frame
print(cache.stats().hits, flush=True)
if end == "waits":
    sys.stdin.read()
"""


def kernel(directory: Path, url: str, times: int, end: str = "ends") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KERNEL, str(directory), url, str(times), end]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_kernels_add_up_when_they_end_of_themselves(tmp_path: Path, sales_db: Path) -> None:
    directory, url = tmp_path / "shared", f"sqlite:///{sales_db}"
    assert kernel(directory, url, 3).communicate(timeout=60) == ("2\n", "")
    assert kernel(directory, url, 5).communicate(timeout=60) == ("5\n", "")
    with QueryCache(directory) as cache:
        stats = cache.stats()
        assert (stats.hits, stats.total.hits, stats.total.misses) == (0, 7, 1)
        assert stats.total.saved == pytest.approx(2 * stats.elapsed)
        assert stats.total.saved_bytes == 2 * stats.bytes


def test_a_kernel_that_is_killed_takes_with_it_what_it_had_not_written_down(
    tmp_path: Path, sales_db: Path
) -> None:
    directory, url = tmp_path / "shared", f"sqlite:///{sales_db}"
    kernel(directory, url, 3).communicate(timeout=60)
    killed = kernel(directory, url, 4, "waits")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "4\n"
    killed.kill()
    killed.communicate(timeout=60)
    with QueryCache(directory) as cache:
        assert (cache.stats().total.hits, cache.stats().entries) == (2, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_does_not_count_again_what_its_parent_counts(tmp_path: Path, sales_db: Path) -> None:
    work = """
import os, sys, warnings
from sqlcache_nb import QueryCache

warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
directory, url = sys.argv[1:]
cache = QueryCache(directory)
for _ in range(3):
    cache.read("select * from sales", url).frame
child = os.fork()
if not child:
    cache._ledger.flush()
    os._exit(0)
os.waitpid(child, 0)
"""
    subprocess.run(
        [sys.executable, "-c", work, str(tmp_path / "shared"), f"sqlite:///{sales_db}"],
        check=True,
        timeout=60,
    )
    with QueryCache(tmp_path / "shared") as cache:
        assert (cache.stats().total.hits, cache.stats().total.misses) == (2, 1)
