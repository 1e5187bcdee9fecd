"""Engines whose pools, or whose drivers' converters, make other answers than their URL says."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, event, make_url
from sqlalchemy.orm import Session
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.sources import servers, source_of
from sqlcache_nb.sources.connections import live
from tests.source_contract import QUERY
from tests.sources.test_fingerprints import by
from tests.strict import differences

pytestmark = pytest.mark.server
psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

MISS_THEN_HIT = [Outcome.MISS, Outcome.HIT]
DRIVERS = ["psycopg", "psycopg2", "pg8000"]


@pytest.fixture
def setup(run: Callable[[str], None]) -> Iterator[None]:
    """A function that sets something for the session."""
    body = "begin perform set_config('search_path', place, false); end"
    run(f"create function setup(place text) returns void language plpgsql as $$ {body} $$")
    yield
    run("drop function setup")


def ids(cache: QueryCache, con: Any) -> list[int]:
    """Of a question whose answer is pandas' own, stored or not."""
    frame = cache.read(QUERY, con).frame
    assert differences(pd.read_sql(QUERY, con), frame) == []
    found: list[int] = frame["id"].tolist()
    return found


EVERYBODYS = [1, 2, 3, 4, 5, 6]
TOUCHES = [
    "select setup('dev')",
    "select \"setup\" /* x */ ('dev')",
    "select \"set_config\"('search_path', 'dev', false)",
    "update pg_settings set setting = 'dev' where name = 'search_path'",
    "create temp recursive view sales (id, region, amount) as select 999, 'x', 1.0",
    "select 999 as id, 'x' as region, 1.0 as amount into local temp sales",
]


@pytest.mark.usefixtures("setup")
class TestWhatWasSetByAFunction:
    @pytest.mark.parametrize("touch", TOUCHES)
    @pytest.mark.parametrize("driver", DRIVERS)
    @pytest.mark.parametrize("is_remote", [True, False])
    def test_and_committed(
        self,
        cache: QueryCache,
        filled: str,
        engines: Callable[..., Engine],
        monkeypatch: pytest.MonkeyPatch,
        touch: str,
        driver: str,
        is_remote: bool,
    ) -> None:
        if is_remote:
            monkeypatch.setattr(servers, "is_local", lambda identity: False)
        engine = engines(by(driver, filled), pool_size=1, max_overflow=0)
        assert ids(cache, engine) == EVERYBODYS
        with engine.execution_options(logging_token="derived").begin() as con:
            con.exec_driver_sql(touch)
        with warnings.catch_warnings(action="ignore", category=NotCachedWarning):  # a temporary view
            assert [ids(cache, engine) for _ in range(2)] == [[999], [999]]
        engine.dispose()
        assert ids(cache, engine) == EVERYBODYS

    @pytest.mark.parametrize("how", ["autocommit", "text", "commit", "savepoint"])
    def test_and_committed_otherwise(
        self, cache: QueryCache, filled: str, engines: Callable[..., Engine], how: str
    ) -> None:
        level = {"isolation_level": "AUTOCOMMIT"} if how == "autocommit" else {}
        engine = engines(filled, pool_size=1, max_overflow=0, **level)
        assert ids(cache, engine) == EVERYBODYS
        with engine.connect() as con:
            if how == "savepoint":
                with con.begin_nested():
                    con.exec_driver_sql("select setup('dev')")
                con.commit()
            else:
                con.exec_driver_sql("select setup('dev')")
            if how == "text":
                con.exec_driver_sql("commit")
            elif how == "commit":
                con.commit()
                con.exec_driver_sql("select 1")
                con.rollback()
        assert ids(cache, engine) == [999]

    def test_and_rolled_back(self, cache: QueryCache, filled: str, engines: Callable[..., Engine]) -> None:
        engine = engines(filled, pool_size=1, max_overflow=0)
        assert ids(cache, engine) == EVERYBODYS
        pd.read_sql("select setup('dev')", engine)
        with engine.connect() as con:
            con.exec_driver_sql("select setup('dev')")
            con.rollback()
            con.exec_driver_sql("select 1")
            con.commit()
        assert not servers.is_touched(engine)
        assert ids(cache, engine) == EVERYBODYS

    def test_a_false_alarm_is_a_hit_all_the_same(
        self,
        cache: QueryCache,
        filled: str,
        engines: Callable[..., Engine],
        monkeypatch: pytest.MonkeyPatch,
        run: Callable[[str], None],
    ) -> None:
        monkeypatch.setattr(servers, "is_local", lambda identity: False)
        run("create function twice(n int) returns int immutable language sql as 'select 2 * n'")
        engine = engines(filled)
        assert cache.read(QUERY, engine).outcome is Outcome.MISS
        with engine.begin() as con:
            con.exec_driver_sql("select twice(1) as temp")
        assert servers.is_touched(engine)
        assert cache.read(QUERY, engine).outcome is Outcome.HIT
        assert cache.read(QUERY, engines(filled)).outcome is Outcome.HIT
        run("drop function twice")


@pytest.mark.parametrize("poolclass", [StaticPool, SingletonThreadPool])
class TestAPoolOfOneForAll:
    @pytest.mark.parametrize("driver", DRIVERS)
    def test_rows_of_its_own(
        self,
        cache: QueryCache,
        filled: str,
        engines: Callable[..., Engine],
        monkeypatch: pytest.MonkeyPatch,
        poolclass: Any,
        driver: str,
    ) -> None:
        monkeypatch.setattr(servers, "is_local", lambda identity: False)
        engine = engines(by(driver, filled), poolclass=poolclass)
        assert [cache.read(QUERY, engine).outcome for _ in range(2)] == MISS_THEN_HIT
        with engine.connect() as con:
            con.exec_driver_sql("insert into sales values (7, 'own', 1, null)")
            with pytest.warns(NotCachedWarning, match="has written"):
                assert cache.read(QUERY, engine).frame["id"].tolist() == [*EVERYBODYS, 7]
            con.rollback()
        assert cache.read(QUERY, engine).outcome is Outcome.HIT
        assert cache.read(QUERY, engines(by(driver, filled))).outcome is Outcome.HIT

    def test_rows_of_its_own_in_sqlite(
        self, cache: QueryCache, sales_db: Path, engines: Callable[..., Engine], poolclass: Any
    ) -> None:
        engine = engines(f"sqlite:///{sales_db}", poolclass=poolclass)
        assert [cache.read(QUERY, engine).outcome for _ in range(2)] == MISS_THEN_HIT
        with engine.connect() as con:
            con.exec_driver_sql("insert into sales values (7, 'own', 1, null)")
            with pytest.warns(NotCachedWarning, match="transaction"):
                assert cache.read(QUERY, engine).frame["id"].tolist() == [*EVERYBODYS, 7]
            con.rollback()
        assert cache.read(QUERY, engine).outcome is Outcome.HIT

    def test_duckdb_does_not_tell(
        self, cache: QueryCache, tmp_path: Path, engines: Callable[..., Engine], poolclass: Any
    ) -> None:
        pytest.importorskip("duckdb_sqlalchemy", reason="duckdb-sqlalchemy is not installed")
        engine = engines(f"duckdb:///{tmp_path / 'numbers.duckdb'}", poolclass=poolclass)
        with engine.begin() as con:
            con.exec_driver_sql("create table t as select 1 as n")
        with engine.connect() as con, engine.connect() as other:
            con.exec_driver_sql("insert into t values (2)")
            for each in (engine, other):
                with pytest.raises(NotCacheable, match="gives one connection to all who ask"):
                    source_of(each).identify()


def test_one_connection_to_all_and_a_driver_that_cannot_be_asked(engines: Callable[..., Engine]) -> None:
    pytest.importorskip("pymysql", reason="PyMySQL is not installed")
    import pymysql

    engine = engines("mysql+mysqldb://ann@db.example/sales", module=pymysql, poolclass=StaticPool)
    with pytest.raises(NotCacheable, match="gives one connection to all who ask"):
        source_of(engine).identify()


class TestAPoolOfAnotherEngine:
    """`create_engine(url, pool=other.pool)`."""

    def test_it_is_asked(self, cache: QueryCache, filled: str, engines: Callable[..., Engine]) -> None:
        other = engines(filled)
        engine = engines("postgresql+psycopg://ann@db.example:5433/elsewhere", pool=other.pool)
        assert [cache.read(QUERY, engine).outcome for _ in range(2)] == MISS_THEN_HIT
        with other.begin() as con:
            con.exec_driver_sql("set search_path to dev")
        assert ids(cache, engine) == [999]

    def test_of_another_driver(self, filled: str, engines: Callable[..., Engine]) -> None:
        other = engines(by("psycopg2", filled))
        with pytest.raises(NotCacheable, match="an engine with another driver"):
            source_of(engines(filled, pool=other.pool)).identify()

    def test_whose_dialect_makes_other_values(self, filled: str, engines: Callable[..., Engine]) -> None:
        other = engines(filled, json_deserializer=len)
        with pytest.raises(NotCacheable, match="json_deserializer of its own"):
            source_of(engines(filled, pool=other.pool)).identify()


VALUES = """select 1.5 as n, cast('{"a": 1}' as jsonb) as j, 1 as i"""


def floats(driver: str, raw: Any) -> None:
    if driver == "psycopg":
        raw.adapters.register_loader("numeric", psycopg.types.numeric.FloatLoader)
    elif driver == "psycopg2":
        from psycopg2 import extensions

        kind = extensions.new_type((1700,), "DEC2FLOAT", lambda value, cur: value and float(value))
        extensions.register_type(kind, raw)
    else:
        raw.register_in_adapter(1700, float)


def documents(driver: str, raw: Any) -> None:
    if driver == "psycopg":
        psycopg.types.json.set_json_loads(lambda data: "LOADED", raw)
    elif driver == "psycopg2":
        from psycopg2 import extras

        extras.register_default_jsonb(raw, loads=lambda data: "LOADED")
    else:
        raw.register_in_adapter(3802, lambda data: "LOADED")


@pytest.mark.parametrize("driver", DRIVERS)
class TestConverters:
    @pytest.mark.parametrize("register", [floats, documents])
    def test_that_a_listener_registers(
        self,
        cache: QueryCache,
        filled: str,
        engines: Callable[..., Engine],
        driver: str,
        register: Callable[[str, Any], None],
    ) -> None:
        url = by(driver, filled)
        plain, other = engines(url), engines(url)
        event.listen(other, "connect", lambda raw, record: register(driver, raw))
        with warnings.catch_warnings(action="ignore", category=NotCachedWarning):
            for engine in (plain, other, plain, other):
                frame = cache.read(VALUES, engine, coerce_float=False).frame
                assert differences(pd.read_sql(VALUES, engine, coerce_float=False), frame) == []
                with engine.connect() as con:
                    frame = cache.read(VALUES, con, coerce_float=False).frame
                    assert differences(pd.read_sql(VALUES, con, coerce_float=False), frame) == []
        assert cache.read(VALUES, plain, coerce_float=False).outcome is Outcome.HIT

    @pytest.mark.parametrize("register", [floats, documents])
    def test_that_are_registered_on_a_connection(
        self,
        cache: QueryCache,
        filled: str,
        engines: Callable[..., Engine],
        driver: str,
        register: Callable[[str, Any], None],
    ) -> None:
        with engines(by(driver, filled)).connect() as con:
            cache.read(VALUES, con, coerce_float=False)
            register(driver, con.connection.driver_connection)
            with warnings.catch_warnings(action="ignore", category=NotCachedWarning):
                frame = cache.read(VALUES, con, coerce_float=False).frame
            assert differences(pd.read_sql(VALUES, con, coerce_float=False), frame) == []

    def test_sqlalchemys_own_are_fine(
        self,
        cache: QueryCache,
        filled: str,
        engines: Callable[..., Engine],
        driver: str,
        run: Callable[[str], None],
    ) -> None:
        """It looks for a type called hstore, and registers that."""
        run("create type hstore as enum ('x')")
        try:
            engine = engines(by(driver, filled))
            assert [cache.read(QUERY, engine).outcome for _ in range(2)] == MISS_THEN_HIT
            with engine.connect() as con:
                assert cache.read(QUERY, con).outcome is Outcome.HIT
                assert live(con).look().touched == ""
        finally:
            run("drop type hstore")


def test_a_cursor_factory_of_ones_own(filled: str, engines: Callable[..., Engine]) -> None:
    engine = engines(filled)
    event.listen(engine, "connect", lambda raw, record: setattr(raw, "cursor_factory", psycopg.ClientCursor))
    with pytest.raises(NotCacheable, match="row_factory or cursor_factory"):
        source_of(engine).identify()


@pytest.fixture
def audit(run: Callable[[str], None]) -> Iterator[str]:
    run("create table audited (n int)")
    # Put together as text: what a body says of itself is refused before it runs.
    body = "begin execute 'insert into audited values (1)'; return (select count(*) from audited); end"
    run(f"create function audit() returns bigint language plpgsql as $$ {body} $$")
    yield "select audit() as n"
    run("drop function audit")
    run("drop table audited")


class TestAutocommit:
    """A function that writes has written, and is to be run each time."""

    @pytest.mark.parametrize("how", ["engine", "remote", "option", "argument", "connection", "raw", "adbc"])
    @pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")
    def test_a_function_that_writes(
        self,
        cache: QueryCache,
        filled: str,
        engines: Callable[..., Engine],
        monkeypatch: pytest.MonkeyPatch,
        audit: str,
        how: str,
    ) -> None:
        place = make_url(filled).set(drivername="postgresql").render_as_string(hide_password=False)
        if how in ("remote", "option", "argument"):
            monkeypatch.setattr(servers, "is_local", lambda identity: False)
        con: Any
        if how == "raw":
            con = psycopg.connect(place, autocommit=True)
        elif how == "adbc":
            con = pytest.importorskip("adbc_driver_postgresql.dbapi").connect(place, autocommit=True)
        elif how == "option":
            con = engines(filled).execution_options(isolation_level="AUTOCOMMIT")
        elif how == "argument":
            con = engines(filled, connect_args={"autocommit": True})
        else:
            con = engines(filled, isolation_level="AUTOCOMMIT")
        if how == "connection":
            con = con.connect()
        with warnings.catch_warnings(record=True, action="always") as told:
            assert [int(cache.read(audit, con).frame.iloc[0, 0]) for _ in range(3)] == [1, 2, 3]
        assert [cache.read(QUERY, con).outcome for _ in range(2)] == MISS_THEN_HIT
        if not isinstance(con, Engine):
            con.close()
        assert any("in autocommit, code in the database" in str(each.message) for each in told)

    def test_transactions_of_others_do_not_matter_where_no_such_code_is(
        self, cache: QueryCache, filled: str, engines: Callable[..., Engine], run: Callable[[str], None]
    ) -> None:
        engine = engines(filled, isolation_level="AUTOCOMMIT")
        event.listen(engine, "after_cursor_execute", lambda *rest: run("update audited_by_others set n = 2"))
        run("create table audited_by_others as select 1 as n")
        try:
            assert [cache.read(QUERY, engine).outcome for _ in range(2)] == MISS_THEN_HIT
        finally:
            run("drop table audited_by_others")


def test_a_transaction_that_a_listener_sets_up(
    cache: QueryCache, filled: str, engines: Callable[..., Engine]
) -> None:
    cache.read(QUERY, engines(filled))
    engine = engines(filled)
    event.listen(engine, "begin", lambda con: con.exec_driver_sql("set local search_path to dev"))
    with engine.connect() as con:
        for expected in MISS_THEN_HIT:
            result = cache.read(QUERY, con)
            assert (result.outcome, result.frame["id"].tolist()) == (expected, [999])
            con.rollback()
        cache.read(QUERY, con)
        assert not con.in_transaction()
        assert con.connection.driver_connection.info.transaction_status.name == "IDLE"  # type: ignore[union-attr]
    with Session(engine) as session:
        assert cache.read(QUERY, session).frame["id"].tolist() == [999]


def test_a_session_on_a_connection_with_rows_of_its_own(
    cache: QueryCache, tmp_path: Path, engines: Callable[..., Engine]
) -> None:
    pytest.importorskip("duckdb_sqlalchemy", reason="duckdb-sqlalchemy is not installed")
    sql = "select n from t order by n"
    engine = engines(f"duckdb:///{tmp_path / 'numbers.duckdb'}")
    with engine.begin() as con:
        con.exec_driver_sql("create table t as select 1 as n")
    for stored_before in (False, True):
        with engine.connect() as con:
            con.exec_driver_sql("insert into t values (2)")
            with Session(bind=con) as session, warnings.catch_warnings(action="ignore"):
                result = cache.read(sql, session)
            assert (result.outcome, result.frame["n"].tolist()) == (Outcome.BYPASSED, [1, 2])
            con.rollback()
        expected = Outcome.HIT if stored_before else Outcome.MISS
        result = cache.read(sql, engine)
        assert (result.outcome, result.frame["n"].tolist()) == (expected, [1])
