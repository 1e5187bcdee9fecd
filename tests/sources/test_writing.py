"""A write runs once and is committed; what it returns is the frame that pandas would make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Numeric, Table, insert

from sqlcache_nb import QueryCache
from tests.strict import differences

PRICES = Table("prices", MetaData(), Column("id", Integer), Column("price", Numeric(10, 2)))


@pytest.fixture(params=["sqlite", "duckdb", pytest.param("postgresql", marks=pytest.mark.server)])
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, engines: Callable[..., Engine]
) -> Iterator[Engine]:
    """An engine of a database with an empty table of prices."""
    if request.param == "postgresql":
        pytest.importorskip("psycopg")
        made = engines(request.getfixturevalue("postgresql_url"))
    else:
        if request.param == "duckdb":
            pytest.importorskip("duckdb_sqlalchemy")
        made = engines(f"{request.param}:///{tmp_path / 'prices.db'}")
    PRICES.drop(made, checkfirst=True)
    PRICES.create(made)
    yield made
    PRICES.drop(made)


@pytest.mark.parametrize(
    "sql",
    [
        "insert into prices values (1, 1.50), (2, null) returning price, id + 1",
        insert(PRICES).values([{"id": 1, "price": 2}]).returning(PRICES.c.id, PRICES.c.price),
    ],
)
def test_the_rows_of_a_returning_come_back_as_pandas_would_give_them(
    cache: QueryCache, engine: Engine, sql: Any
) -> None:
    with engine.connect() as con:
        expected = pd.read_sql(sql, con)
        con.rollback()
    written = cache.execute(sql, engine)
    assert written.frame is not None
    assert differences(written.frame, expected) == []
    assert written.rows == len(expected)
    assert len(pd.read_sql("select * from prices", engine)) == len(expected)


def test_what_returns_no_rows_has_no_frame(cache: QueryCache, engine: Engine) -> None:
    written = cache.execute("insert into prices values (1, 1.5), (2, 2.5)", engine)
    assert (written.rows, written.frame) == (2, None)


def test_what_duckdb_says_of_a_setting_is_no_frame(
    cache: QueryCache, tmp_path: Path, engines: Callable[..., Engine]
) -> None:
    pytest.importorskip("duckdb_sqlalchemy")
    written = cache.execute("set threads = 1", engines(f"duckdb:///{tmp_path / 'prices.db'}"))
    assert (written.rows, written.frame) == (-1, None)
