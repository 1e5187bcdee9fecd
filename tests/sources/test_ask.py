"""A question that is put to the session beside the person's own, which stays as it was: each kind of source."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from sqlcache_nb import Outcome, QueryCache
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.sources import Source, source_of
from sqlcache_nb.sources.sessions import CannotAsk, CannotConnect
from tests.source_contract import QUERY
from tests.tunnel import Tunnel

COUNT = "select count(*) as n from sales"


def asked(con: Any, sql: str = COUNT) -> list[Any]:
    """What the source of a connection says."""
    with closing(source_of(con)) as source:
        source.prepare()
        source.identify()
        return put(source, sql)


def put(source: Source, sql: str = COUNT) -> list[Any]:
    return source.ask(lambda execute: [tuple(row) for row in execute(sql)])


class TestSqlite:
    def test_every_kind_of_connection_is_asked(self, sales: Engine, sales_db: Path) -> None:
        with sales.connect() as con, Session(sales) as session, closing(sqlite3.connect(sales_db)) as raw:
            for each in (sales, con, session, raw, f"sqlite:///{sales_db}"):
                assert asked(each) == [(6,)]
            assert not raw.in_transaction

    def test_adbc(self, sales_db: Path) -> None:
        adbc = pytest.importorskip("adbc_driver_sqlite.dbapi", reason="adbc-driver-sqlite is not installed")
        with adbc.connect(str(sales_db)) as con:
            assert asked(con) == [(6,)]

    def test_a_connection_that_cannot_be_identified_is_not_asked(self) -> None:
        with pytest.raises(NotCacheable):
            put(Source(object(), "unknown"))

    def test_pandas_reads_from_the_connection_that_was_asked(self, sales: Engine) -> None:
        with closing(source_of(sales)) as source:
            source.identify()
            put(source)
            assert not isinstance(source.con, Engine)
            ((lent,),) = source.con.exec_driver_sql(COUNT).fetchall()
            assert lent == 6
        assert source.con is sales


class TestDuckdb:
    @pytest.fixture
    def engine(self, tmp_path: Path, engines: Callable[..., Engine]) -> Engine:
        duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
        pytest.importorskip("duckdb_sqlalchemy", reason="duckdb-sqlalchemy is not installed")
        with closing(duckdb.connect(str(tmp_path / "n.duckdb"))) as con:
            con.execute(
                "create table sales as select range as id, 'x' as region, 1.5 as amount from range(6)"
            )
        return engines(f"duckdb:///{tmp_path / 'n.duckdb'}")

    def test_what_is_known_of_a_session_still_holds(self, cache: QueryCache, engine: Engine) -> None:
        """DuckDB does not tell whether a transaction has written: a statement of somebody's would be a doubt."""
        with engine.connect() as con:
            outcomes = [cache.read(QUERY, con, validate=COUNT).outcome for _ in range(3)]
            assert outcomes == [Outcome.MISS, Outcome.HIT, Outcome.HIT]
            assert [cache.read(QUERY, con).outcome for _ in range(2)] == [Outcome.HIT, Outcome.HIT]

    def test_a_statement_of_somebodys_is_still_a_doubt(self, cache: QueryCache, engine: Engine) -> None:
        with engine.connect() as con:
            cache.read(QUERY, con, validate=COUNT)
            con.exec_driver_sql("delete from sales where id = 0")
            with warnings.catch_warnings(action="ignore"):
                result = cache.read(QUERY, con, validate=COUNT)
            assert (result.outcome, len(result.frame)) == (Outcome.BYPASSED, 5)
            con.rollback()


@pytest.mark.server
class TestPostgresql:
    @pytest.fixture
    def raw(self, filled: str, request: pytest.FixtureRequest) -> Iterator[Any]:
        url = make_url(filled)
        if request.param == "adbc":
            adbc = pytest.importorskip(
                "adbc_driver_postgresql.dbapi", reason="adbc-driver-postgresql is not installed"
            )
            con = adbc.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
        elif request.param == "psycopg":
            psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
            con = psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
        else:
            pytest.importorskip(request.param, reason=f"{request.param} is not installed")
            engine = create_engine(
                url.set(drivername=f"postgresql+{request.param}", query=_query(url, request.param))
            )
            with engine.connect() as con:
                yield con
            engine.dispose()
            return
        with closing(con):
            yield con

    @pytest.mark.parametrize("raw", ["adbc", "psycopg", "psycopg2", "pg8000"], indirect=True)
    def test_drivers(self, raw: Any) -> None:
        assert asked(raw) == [(6,)]

    @pytest.mark.parametrize("raw", ["adbc", "psycopg", "psycopg2", "pg8000"], indirect=True)
    def test_a_question_that_fails_leaves_an_open_transaction_as_it_was(self, raw: Any) -> None:
        def run(sql: str) -> list[Any]:
            if hasattr(raw, "exec_driver_sql"):
                return list(raw.exec_driver_sql(sql).fetchall())
            with closing(raw.cursor()) as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())

        run("select 1")
        with closing(source_of(raw)) as source:
            source.prepare()
            source.identify()
            with pytest.raises(CannotAsk):
                put(source, "select nowhere")
            assert put(source) == [(6,)]
        assert [tuple(row) for row in run("select 2")] == [(2,)]

    def test_engines_and_sessions(self, filled: str, engines: Callable[..., Engine]) -> None:
        engine = engines(filled)
        with engine.connect() as con, Session(engine) as session:
            for each in (engine, con, session, filled):
                assert asked(each) == [(6,)]
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]

    def test_one_that_nobody_looked_at_is_looked_at_before_it_answers(
        self, cache: QueryCache, filled: str, engines: Callable[..., Engine]
    ) -> None:
        """An Engine of this machine's server remembers what its sessions say; each that answers must say the same."""
        engine = engines(filled, poolclass=NullPool)
        with closing(source_of(engine)) as source:
            source.identify()
        with closing(source_of(engine)) as source:
            source.identify()
            put(source)
            source.hold()
            source.confirm(volatile=False)
        assert cache.read(QUERY, engine, validate=True).outcome is Outcome.MISS

    def test_nobody_is_there(self, filled: str, tunnel: Tunnel, engines: Callable[..., Engine]) -> None:
        tunnel.lead(str(Path(make_url(filled).query["host"]) / ".s.PGSQL.5432"))  # type: ignore[arg-type]
        url = make_url(filled).set(host="127.0.0.1", port=tunnel.port, query={})
        engine = engines(url)
        with closing(source_of(engine, vouched=True)) as source:
            source.identify()
            tunnel.close()
            with pytest.raises(CannotConnect, match="cannot be reached"):
                put(source)


def _query(url: Any, driver: str) -> dict[str, str]:
    """How a driver is told of a Unix socket."""
    if driver != "pg8000":
        return dict(url.query)
    return {"unix_sock": f"{url.query['host']}/.s.PGSQL.5432"}


@pytest.mark.server
class TestMariadb:
    def test_every_kind_of_connection_is_asked(
        self, filled_mariadb: str, engines: Callable[..., Engine]
    ) -> None:
        pytest.importorskip("pymysql", reason="PyMySQL is not installed")
        engine = engines(filled_mariadb)
        with engine.connect() as con:
            for each in (engine, con, filled_mariadb):
                assert asked(each) == [(6,)]
            driver: Any = con.connection.driver_connection
            assert driver.get_autocommit() is False
            assert asked(con, "show engine innodb status")[0][0] == "InnoDB"
