"""ADBC connections to SQLite."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.sources import source_of
from tests.source_contract import QUERY, SourceContract

dbapi = pytest.importorskip("adbc_driver_sqlite.dbapi", reason="adbc-driver-sqlite is not installed")


@pytest.fixture
def con(sales_db: Path) -> Iterator[Any]:
    with dbapi.connect(str(sales_db)) as con:
        yield con
        con.rollback()


class TestContract(SourceContract):
    label = "sales.db"

    @pytest.fixture
    def con(self, sales_db: Path) -> Iterator[Any]:
        with dbapi.connect(str(sales_db), autocommit=True) as con:  # which lets others write in between
            yield con


def run(con: Any, sql: str) -> None:
    with con.cursor() as cursor:
        cursor.execute(sql)


def test_it_is_cached_in_its_transaction_too(cache: QueryCache, con: Any) -> None:
    assert [cache.read(QUERY, con).outcome for _ in range(2)] == [Outcome.MISS, Outcome.HIT]


@pytest.mark.parametrize("sql", ["update sales set amount = 0", "create table other as select 1 as n"])
def test_what_it_wrote_may_be_its_own(cache: QueryCache, con: Any, sql: str) -> None:
    cache.read(QUERY, con)
    run(con, sql)
    with pytest.warns(NotCachedWarning, match="has written"):
        assert cache.read(QUERY, con).outcome is Outcome.BYPASSED


def test_a_transaction_that_was_begun_by_hand(cache: QueryCache, sales_db: Path) -> None:
    query = "select count(*) as n from sales"
    with dbapi.connect(str(sales_db), autocommit=True) as con:
        before = cache.read(query, con).frame["n"].tolist()
        run(con, "begin")
        run(con, "insert into sales (id) values (77)")
        with pytest.raises(NotCacheable, match="in a transaction"):
            source_of(con).identify()
        for question in (query, f"{query} -- again"):
            with warnings.catch_warnings(action="ignore", category=NotCachedWarning):
                result = cache.read(question, con)
            assert (result.outcome, result.frame["n"].tolist()) == (Outcome.BYPASSED, [before[0] + 1])
        run(con, "rollback")
        result = cache.read(query, con)
        assert (result.outcome, result.frame["n"].tolist()) == (Outcome.HIT, before)


def test_an_old_snapshot_is_not_taken_for_new(cache: QueryCache, sales_db: Path) -> None:
    with closing(sqlite3.connect(sales_db)) as other, other:
        other.execute("pragma journal_mode = wal")
    with dbapi.connect(str(sales_db)) as con:
        with pytest.warns(NotCachedWarning, match="snapshot"):
            assert cache.read(QUERY, con).outcome is Outcome.BYPASSED
        con.rollback()


def test_an_in_memory_database_has_no_identity(cache: QueryCache) -> None:
    with dbapi.connect() as con:
        with pytest.warns(NotCachedWarning, match="in-memory"):
            assert cache.read("select 1 as n", con).outcome is Outcome.BYPASSED
        con.rollback()


def test_a_file_that_was_replaced(con: Any, sales_db: Path) -> None:
    run(con, "select 1")
    sales_db.rename(sales_db.with_name("old.db"))
    sqlite3.connect(sales_db).close()
    sales_db.write_bytes(sales_db.with_name("old.db").read_bytes())
    with pytest.raises(NotCacheable, match="the file was replaced"):
        source_of(con).identify()


def test_a_transaction_over_several_files(con: Any, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("create table stock as select 1 as n")
    con.adbc_connection.set_options(**{"adbc.connection.autocommit": "true"})
    run(con, f"attach '{tmp_path}/other.db' as other")
    con.adbc_connection.set_options(**{"adbc.connection.autocommit": "false"})
    with pytest.raises(NotCacheable, match="a transaction over several files"):
        source_of(con).identify()


def test_a_file_that_changed_under_a_transaction(
    con: Any, sales_db: Path, write: Callable[[str], None]
) -> None:
    source_of(con).identify()
    con.rollback()
    write("update sales set amount = 0")
    with pytest.raises(NotCacheable, match="the file changed since the connection was first seen"):
        source_of(con).identify()


def test_a_closed_connection_does_not_answer(sales_db: Path) -> None:
    con = dbapi.connect(str(sales_db))
    source = source_of(con)
    con.close()
    with pytest.raises(NotCacheable, match="the connection does not answer: ProgrammingError"):
        source.identify()
    with pytest.raises(NotCacheable, match="the connection does not answer: ProgrammingError"):
        source_of(con).identify()
