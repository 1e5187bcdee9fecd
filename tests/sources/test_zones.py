"""`current_date` on a real PostgreSQL server: good on that day in the server's zone. MariaDB's is in test_mysql.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.freshness import Reason
from tests.conftest import Clock

pytestmark = pytest.mark.server
psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

SQL = "select id, current_date as day from sales"


@pytest.fixture
def engine(filled: str, engines: Callable[..., Engine]) -> Engine:
    return engines(filled, connect_args={"options": "-ctimezone=Asia/Tokyo"})


def check(cache: QueryCache, clock: Clock, con: Any, **options: Any) -> None:
    entry = cache.read(SQL, con, ttl="7d", **options).entry
    assert entry is not None
    assert (entry.zone, entry.day, entry.volatile) == ("Asia/Tokyo", "2026-11-20", False)
    clock.forward(hours=5, minutes=45)  # 23:59 there
    assert cache.read(SQL, con, **options).outcome is Outcome.HIT
    clock.forward(minutes=1)
    result = cache.read(SQL, con, **options)
    assert (result.outcome, result.reason) == (Outcome.MISS, Reason.ANOTHER_DAY)


@pytest.mark.parametrize("source_name", [None, "prod"])
def test_an_engine(cache: QueryCache, clock: Clock, engine: Engine, source_name: str | None) -> None:
    """Asked for its name, or for the zone alone."""
    check(cache, clock, engine, source_name=source_name)


def test_a_url(cache: QueryCache, clock: Clock, filled: str) -> None:
    separator = "&" if "?" in filled else "?"
    check(cache, clock, f"{filled}{separator}options=-ctimezone%3DAsia/Tokyo")


def test_a_connection(cache: QueryCache, clock: Clock, engine: Engine) -> None:
    with engine.connect() as con:
        check(cache, clock, con)


def test_a_session(cache: QueryCache, clock: Clock, engine: Engine) -> None:
    with Session(engine) as session:
        check(cache, clock, session)


@pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")
def test_a_raw_connection(cache: QueryCache, clock: Clock, filled: str) -> None:
    with psycopg.connect(filled.replace("+psycopg", ""), options="-ctimezone=Asia/Tokyo") as raw:
        check(cache, clock, raw)


def test_adbc(cache: QueryCache, clock: Clock, filled: str) -> None:
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi", reason="adbc-driver-postgresql is missing")
    with dbapi.connect(filled.replace("+psycopg", "")) as con:
        with con.cursor() as cursor:
            cursor.execute("set time zone 'Asia/Tokyo'")
        con.commit()
        check(cache, clock, con)
        con.rollback()


@pytest.mark.parametrize("zone", ["<+02>-02", "<XYZ>+1:30"])
def test_a_zone_that_is_no_name(cache: QueryCache, engine: Engine, zone: str) -> None:
    with engine.connect() as con:
        con.exec_driver_sql(f"set time zone '{zone}'")
        entry = cache.read(SQL, con).entry
    assert entry is not None
    assert (entry.zone, entry.volatile) == (None, True)


def test_the_date_stands_still_in_a_transaction(
    cache: QueryCache, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.connect() as con:
        con.exec_driver_sql("select 1")
        monkeypatch.setattr("sqlcache_nb.sources.sessions.CLOCK_STANDS_STILL", -1.0)
        with pytest.warns(NotCachedWarning, match="stands still"):
            assert cache.read(SQL, con).outcome is Outcome.BYPASSED
