"""Answers in chunks: through the whole cache, since what matters is when something is stored."""

from __future__ import annotations

import gc
import logging
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache, StoreWarning
from sqlcache_nb.chunks import started, timed
from sqlcache_nb.errors import CodecError
from tests.conftest import Clock, Statements
from tests.strict import differences

QUERY = "select * from sales order by id"
MANY = "with recursive n(i) as (select 0 union all select i + 1 from n where i < {}) select i, i * 0.5 as x from n"


def unlike(cache: QueryCache, sql: Any, con: Any, **options: Any) -> list[str]:
    """What a first and a second read give otherwise than pandas, chunk by chunk."""
    expected = list(pd.read_sql(sql, con, **options))
    found = []
    for outcome in (Outcome.MISS, Outcome.HIT):
        result = cache.read(sql, con, **options)
        chunks = list(result.frame)
        if result.outcome is not outcome:
            found.append(f"{result.outcome} for {outcome}: {result.detail}")
        if len(chunks) != len(expected):
            found.append(f"{len(chunks)} chunks for {len(expected)}")
        found += [told for pair in zip(expected, chunks, strict=False) for told in differences(*pair)]
    return found


class TestReading:
    @pytest.mark.parametrize("chunksize", [1, 4, 6, 100])
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"index_col": "id"},
            {"index_col": ["region", "id"]},
            {"parse_dates": ["day"]},
            {"dtype_backend": "numpy_nullable"},
            {"dtype_backend": "pyarrow"},
            {"dtype": {"amount": "float32"}},
        ],
        ids=str,
    )
    def test_miss_and_hit_are_what_pandas_gives(
        self, cache: QueryCache, sales: Engine, chunksize: int, options: dict[str, Any]
    ) -> None:
        assert unlike(cache, QUERY, sales, chunksize=chunksize, **options) == []

    def test_a_chunk_may_have_other_dtypes_than_the_next(self, cache: QueryCache, sales: Engine) -> None:
        values = ("1", "2.5", "null", "'text'", "null", "x'00ff'", "3", "9223372036854775807")
        sql = " union all ".join(f"select {number} as n, {value} as v" for number, value in enumerate(values))
        assert unlike(cache, sql, sales, chunksize=1) == []
        assert unlike(cache, sql, sales, chunksize=3) == []

    def test_an_empty_answer_is_one_chunk_without_rows(self, cache: QueryCache, sales: Engine) -> None:
        assert unlike(cache, "select * from sales where id < 0", sales, chunksize=3) == []

    def test_from_a_raw_connection_and_a_url(self, cache: QueryCache, sales: Engine, sales_db: Path) -> None:
        with closing(sqlite3.connect(sales_db)) as con:
            assert unlike(cache, QUERY, con, chunksize=4) == []
        assert unlike(cache, QUERY, f"sqlite:///{sales_db}", chunksize=4) == []

    def test_from_a_connection_and_a_table_by_name(self, cache: QueryCache, sales: Engine) -> None:
        with sales.connect() as con:
            assert unlike(cache, "sales", con, chunksize=4) == []

    def test_the_size_of_a_chunk_is_part_of_the_question(self, cache: QueryCache, sales: Engine) -> None:
        for options in ({}, {"chunksize": 4}, {"chunksize": 5}):
            result = cache.read(QUERY, sales, **options)  # type: ignore[arg-type]
            assert result.outcome is Outcome.MISS
            assert len(list(result.frame)) > 0
        assert len(cache.entries()) == 3

    def test_a_hit_asks_nobody(self, cache: QueryCache, sales: Engine, statements: Statements) -> None:
        list(cache.read_sql(QUERY, sales, chunksize=4))
        statements.clear()
        hit = cache.read(QUERY, sales, chunksize=4)
        assert (hit.outcome, hit.shape, len(list(hit.frame))) == (Outcome.HIT, (6, 4), 2)
        assert statements == []

    def test_what_was_handed_out_is_nobody_elses(self, cache: QueryCache, sales: Engine) -> None:
        for _ in range(2):  # the fetched chunks, and stored ones
            for chunk in cache.read_sql(QUERY, sales, chunksize=4):
                chunk.loc[:, "amount"] = -1.0
        assert unlike(cache, QUERY, sales, chunksize=4) == ["hit for miss: "]

    def test_it_is_loaded_by_its_name(self, cache: QueryCache, sales: Engine) -> None:
        expected = list(cache.read_sql(QUERY, sales, chunksize=4, name="mine"))
        loaded = list(cache.load("mine").frame)
        assert [differences(*pair) for pair in zip(expected, loaded, strict=True)] == [[], []]
        assert cache.find("mine").provenance.chunks == 2

    def test_the_log_says_when_it_is_stored(
        self, cache: QueryCache, sales: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "sqlcache_nb"):
            list(cache.read_sql(QUERY, sales, chunksize=4))
            list(cache.read_sql(QUERY, sales, chunksize=4))
        first, second = caplog.messages
        assert first == "miss: first time · stored once its last chunk is read · sales.db"
        assert second.startswith("hit · fetched 2026-11-20 ")
        assert "6 x 4" in second

    def test_memory_is_bounded_by_the_chunk(self, cache: QueryCache, sales: Engine) -> None:
        import tracemalloc

        sql = MANY.format(400_000)
        for outcome in (Outcome.MISS, Outcome.HIT):
            tracemalloc.start()
            result = cache.read(sql, sales, chunksize=5_000)
            rows = sum(len(chunk) for chunk in result.frame)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert (result.outcome, rows) == (outcome, 400_001)
            assert peak < 4_000_000  # the whole is more than 6.4 MB, and 60 MB as Python's objects


class TestNothingIsStored:
    def test_before_the_last_chunk(self, cache: QueryCache, sales: Engine) -> None:
        chunks = cache.read_sql(QUERY, sales, chunksize=2)
        for _ in range(3):
            next(chunks)
            assert len(cache.entries()) == 0
        assert next(chunks, None) is None
        assert len(cache.entries()) == 1

    @pytest.mark.parametrize("read", [0, 1, 2])
    @pytest.mark.parametrize("stop", ["close", "forget"])
    def test_when_the_reader_stops_early(
        self, cache: QueryCache, sales: Engine, read: int, stop: str
    ) -> None:
        chunks = cache.read_sql(QUERY, sales, chunksize=2)
        for _ in range(read):
            next(chunks)
        if stop == "close":
            chunks.close()
        del chunks
        gc.collect()
        assert len(cache.entries()) == 0
        assert sales.pool.checkedout() == 0  # type: ignore[attr-defined]
        assert unlike(cache, QUERY, sales, chunksize=2) == []

    def test_when_the_database_fails_in_between(self, cache: QueryCache, sales: Engine) -> None:
        sql = "select id, abs(case when id = 5 then -9223372036854775808 else id end) as n from sales"
        chunks = cache.read_sql(text(sql), sales, chunksize=2)
        assert len(next(chunks)) == 2
        with pytest.raises(Exception, match="integer overflow"):
            list(chunks)
        assert len(cache.entries()) == 0

    def test_and_what_was_stored_stays_when_a_refresh_stops(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None]
    ) -> None:
        list(cache.read_sql(QUERY, sales, chunksize=2))
        refreshed = cache.read(QUERY, sales, chunksize=2, refresh=True)
        assert refreshed.outcome is Outcome.REFRESHED
        refreshed.frame.close()
        assert cache.read(QUERY, sales, chunksize=2).outcome is Outcome.HIT

    def test_when_it_is_asked_for(self, cache: QueryCache, sales: Engine) -> None:
        result = cache.read(QUERY, sales, chunksize=4, no_store=True)
        assert (result.outcome, [len(chunk) for chunk in result.frame]) == (Outcome.BYPASSED, [4, 2])
        assert len(cache.entries()) == 0

    def test_of_a_chunk_that_is_not_kept(self, cache: QueryCache, sales: Engine) -> None:
        result = cache.read(QUERY, sales, chunksize=2, dtype={"amount": "complex128"})
        with pytest.warns(NotCachedWarning, match="column 'amount' is of dtype complex128") as seen:
            assert [len(chunk) for chunk in result.frame] == [2, 2, 2]
        assert len(seen) == 1
        assert len(cache.entries()) == 0

    def test_of_more_than_the_cache_may_hold(self, tmp_path: Path, sales: Engine) -> None:
        with QueryCache(tmp_path / "small", size_limit="20kB") as cache:
            with pytest.warns(NotCachedWarning, match="larger than size_limit"):
                assert sum(map(len, cache.read_sql(MANY.format(300_000), sales, chunksize=1_000))) == 300_001
            assert len(cache.entries()) == 0

    @pytest.mark.parametrize("rolled_back", [False, True])
    def test_of_a_connection_that_wrote_in_between(
        self, cache: QueryCache, sales_db: Path, rolled_back: bool
    ) -> None:
        with closing(sqlite3.connect(sales_db)) as con:
            chunks = cache.read_sql(MANY.format(1_000) + ", sales where sales.id = 6", con, chunksize=2)
            next(chunks)
            con.execute("update sales set amount = -1 where id = 6")
            if rolled_back:
                con.execute("savepoint s")
                con.execute("rollback to s")
            with pytest.warns(NotCachedWarning, match="in a transaction|was written to"):
                list(chunks)
            con.rollback()
        assert len(cache.entries()) == 0


class TestFaults:
    def test_a_full_disk_does_not_end_the_chunks(
        self, cache: QueryCache, sales: Engine, tmp_path: Path
    ) -> None:
        list(cache.read_sql("select 1 as n", sales, chunksize=2))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        try:
            with pytest.warns(StoreWarning, match="chunks cannot be stored .File too large"):
                assert sum(map(len, cache.read_sql(MANY.format(300_000), sales, chunksize=1_000))) == 300_001
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert len(cache.entries()) == 1

    def test_chunks_that_cannot_be_decoded_are_fetched_again(
        self, cache: QueryCache, sales: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = list(cache.read_sql(QUERY, sales, chunksize=4))
        hit = cache.read(QUERY, sales, chunksize=4)
        monkeypatch.setattr("sqlcache_nb.codec.payload.put_together", lambda *args: 1 / 0)
        with pytest.warns(StoreWarning, match="cannot be decoded"):
            chunks = list(hit.frame)
        assert [differences(*pair) for pair in zip(expected, chunks, strict=True)] == [[], []]
        assert len(cache.entries()) == 0

    def test_after_the_first_chunk_an_error_says_so(
        self, cache: QueryCache, sales: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        list(cache.read_sql(QUERY, sales, chunksize=4))
        chunks = cache.read_sql(QUERY, sales, chunksize=4)
        next(chunks)
        monkeypatch.setattr("sqlcache_nb.codec.payload.put_together", lambda *args: 1 / 0)
        with pytest.raises(CodecError, match="cannot be decoded"):
            next(chunks)

    def test_a_hit_goes_on_though_the_entry_is_deleted(self, cache: QueryCache, sales: Engine) -> None:
        list(cache.read_sql(QUERY, sales, chunksize=2))
        chunks = cache.read_sql(QUERY, sales, chunksize=2)
        next(chunks)
        cache.clear()
        assert len(list(chunks)) == 2


@pytest.mark.server
def test_from_a_server(
    cache: QueryCache, postgresql_url: str, engines: Callable[..., Engine], clock: Clock
) -> None:
    engine = engines(postgresql_url)
    sql = text(
        "select i, case when i > 3 then i::numeric / 7 end as x, now()::date as d from generate_series(1, 9) i"
    )
    assert unlike(cache, sql, engine, chunksize=3) == []
    assert unlike(cache, sql, engine, chunksize=2, coerce_float=False) == []
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_generator_that_was_started_is_closed() -> None:
    closed = []

    def generator() -> Iterator[int | None]:
        try:
            yield None
            yield 1
        finally:
            closed.append(True)

    generator().close()  # type: ignore[attr-defined]
    assert closed == []
    started(generator()).close()  # type: ignore[arg-type]
    assert closed == [True]


def test_timed_gives_each_chunk_with_its_seconds() -> None:
    frames = [pd.DataFrame({"n": [1]}), pd.DataFrame({"n": [2]})]
    assert [chunk is frame for frame, (chunk, _) in zip(frames, timed(iter(frames)), strict=True)] == [
        True,
        True,
    ]
    assert all(seconds >= 0 for _, seconds in timed(iter(frames)))
