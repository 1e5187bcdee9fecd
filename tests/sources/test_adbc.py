"""ADBC connections to SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
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
