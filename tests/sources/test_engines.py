"""SQLAlchemy's sources: what an Engine, Connection or Session carries that its URL does not tell."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Column, Connection, Engine, Integer, String, event, insert, select, text, type_coerce
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool, StaticPool
from sqlalchemy.types import TypeDecorator

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache, UnsupportedSource
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.sources import source_of
from sqlcache_nb.sources.pools import connect_args
from sqlcache_nb.sources.sessions import PROBES
from tests.source_contract import QUERY, SourceContract


class Base(DeclarativeBase):
    pass


class Sale(Base):
    __tablename__ = "sales"
    id = Column(Integer, primary_key=True)
    region = Column(String)


class TestUrl(SourceContract):
    label = "sales.db"

    @pytest.fixture
    def con(self, sales_db: Path) -> str:
        return f"sqlite:///{sales_db}"


class TestEngine(SourceContract):
    label = "sales.db"

    @pytest.fixture
    def con(self, sales: Engine) -> Engine:
        return sales


class TestEngineWithoutPool(SourceContract):
    label = "sales.db"

    @pytest.fixture
    def con(self, engines: Callable[..., Engine], sales_db: Path) -> Engine:
        return engines(f"sqlite:///{sales_db}", poolclass=NullPool)


class TestConnection(SourceContract):
    label = "sales.db"

    @pytest.fixture
    def con(self, sales: Engine) -> Iterator[Connection]:
        with sales.connect() as con:
            yield con


class TestSession(SourceContract):
    label = "sales.db"

    @pytest.fixture
    def con(self, sales: Engine) -> Iterator[Session]:
        with Session(sales) as session:
            yield session


class TestScopedSession(SourceContract):
    label = "sales.db"

    @pytest.fixture
    def con(self, sales: Engine) -> Iterator[scoped_session[Session]]:
        session = scoped_session(sessionmaker(sales))
        yield session
        session.remove()


def test_engine_url_and_connection_share_their_answers(
    cache: QueryCache, sales: Engine, sales_db: Path
) -> None:
    cache.read(QUERY, sales)
    with sales.connect() as con, Session(sales) as session:
        others = (f"sqlite:///{sales_db}", con, session)
        assert [cache.read(QUERY, other).outcome for other in others] == [Outcome.HIT] * 3


class TestWhatSetsUpSessions:
    def test_a_connect_listener_is_looked_at_and_not_held_against_the_engine(
        self, cache: QueryCache, sales: Engine
    ) -> None:
        event.listen(sales, "connect", lambda con, record: con.execute("pragma foreign_keys = on"))
        assert [cache.read(QUERY, sales).outcome for _ in range(2)] == [Outcome.MISS, Outcome.HIT]

    def test_a_function_that_a_listener_brings_is_seen(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        sales.dispose()
        event.listen(sales, "connect", lambda con, record: con.create_function("upper", 1, str.lower))
        with pytest.warns(NotCachedWarning, match="functions of its own"):
            assert cache.read(QUERY, sales).outcome is Outcome.BYPASSED

    def test_a_temporary_table_in_the_pool_is_seen(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        with sales.begin() as con:
            con.execute(text("create temp table sales as select 1 as id, 'x' as region, 2.0 as amount"))
        with pytest.warns(NotCachedWarning, match="temporary"):
            assert len(cache.read(QUERY, sales).frame) == 1

    def test_the_connection_that_is_looked_at_is_the_one_that_is_read(
        self, cache: QueryCache, sales: Engine, sales_db: Path
    ) -> None:
        held = [sales.connect() for _ in range(3)]
        held[2].execute(text("create temp table sales as select 666 as id, 'x' as region, 2.0 as amount"))
        held[2].commit()
        for con in held:
            con.close()
        with warnings.catch_warnings(action="ignore", category=NotCachedWarning):
            for _ in range(6):
                result = cache.read(QUERY, sales)
                assert (len(result.frame) == 1) == (result.outcome is Outcome.BYPASSED)
        assert len(cache.read(QUERY, f"sqlite:///{sales_db}").frame) == 6

    def test_a_function_that_anybody_may_replace_is_not_cached(
        self, cache: QueryCache, sales: Engine, sales_db: Path
    ) -> None:
        sql = "select count(*) as n from sales where region regexp '^n'"
        with pytest.warns(NotCachedWarning, match="regexp"):
            assert cache.read(sql, f"sqlite:///{sales_db}").frame["n"].tolist() == [2]
        event.listen(
            sales, "connect", lambda con, record: con.create_function("regexp", 2, lambda a, b: False)
        )
        assert cache.read(sql, sales).frame["n"].tolist() == [0]

    def test_dates_of_native_datetime_are_not_cached(
        self, cache: QueryCache, sales_db: Path, engines: Callable[..., Engine]
    ) -> None:
        engine = engines(f"sqlite:///{sales_db}", native_datetime=True)
        with pytest.warns(NotCachedWarning, match="native_datetime"):
            assert cache.read(QUERY, engine).outcome is Outcome.BYPASSED

    def test_a_creator_is_looked_behind(
        self, cache: QueryCache, sales_db: Path, tmp_path: Path, engines: Callable[..., Engine]
    ) -> None:
        """`create_engine(url, creator=...)` still shows the URL."""
        other = tmp_path / "other.db"
        with sqlite3.connect(other) as con:
            con.execute("create table sales as select 7 as id, 'x' as region, 1.0 as amount")
        con.close()
        cache.read(QUERY, f"sqlite:///{sales_db}")
        disguised = engines(f"sqlite:///{sales_db}", creator=lambda: sqlite3.connect(other))
        assert cache.read(QUERY, disguised).frame["id"].tolist() == [7]
        hit = cache.read(QUERY, disguised)
        assert (hit.outcome, hit.source) == (Outcome.HIT, "other.db")

    def test_a_servers_creator_needs_a_source_name(
        self, engines: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where its sessions cannot be asked."""
        pytest.importorskip("pymysql", reason="PyMySQL is not installed")
        monkeypatch.delitem(PROBES, "mysql")

        def nowhere() -> Any:
            raise AssertionError("never connected")

        engine = engines("mysql+pymysql://ann@db/sales", creator=nowhere)
        with pytest.raises(NotCacheable, match="source_name"):
            source_of(engine).identify()
        identity = source_of(engine, vouched=True).identify().named("prod")
        assert (identity.user, identity.host, identity.name) == ("ann", None, "prod")

    def test_listeners_of_every_engine_count_for_a_url(self, cache: QueryCache, sales_db: Path) -> None:
        def set_up(con: Any, record: Any) -> None:
            con.execute("pragma case_sensitive_like = on")

        sql = "select id from sales where region like 'NORTH'"
        event.listen(Engine, "connect", set_up)
        try:
            with pytest.warns(NotCachedWarning, match="settings|no rows"):
                assert len(cache.read(sql, f"sqlite:///{sales_db}").frame) == 0
        finally:
            event.remove(Engine, "connect", set_up)
        assert len(cache.read(sql, f"sqlite:///{sales_db}").frame) == 2

    def test_a_listener_that_executes_is_not_cached(self, cache: QueryCache, sales: Engine) -> None:
        @event.listens_for(sales, "before_cursor_execute")
        def set_tenant(con: Any, cursor: Any, *rest: Any) -> None:
            cursor.execute("pragma case_sensitive_like = on")

        with pytest.warns(NotCachedWarning, match="executes statements of its own"):
            assert cache.read(QUERY, sales).outcome is Outcome.BYPASSED

    def test_statements_that_are_rewritten_are_not_cached(self, cache: QueryCache, sales: Engine) -> None:
        @event.listens_for(sales, "before_cursor_execute", retval=True)
        def rewrite(con: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> tuple[str, Any]:
            return statement.replace("order by id", "where id = 1"), parameters

        with pytest.warns(NotCachedWarning, match="rewrites"):
            assert len(cache.read(QUERY, sales).frame) == 1

    def test_a_listener_that_only_looks_does_not_matter(self, cache: QueryCache, sales: Engine) -> None:
        event.listen(sales, "before_cursor_execute", lambda *args: None)
        assert [cache.read(QUERY, sales).outcome for _ in range(2)] == [Outcome.MISS, Outcome.HIT]

    def test_a_deserializer_of_ones_own_is_not_cached(
        self, cache: QueryCache, sales_db: Path, engines: Callable[..., Engine]
    ) -> None:
        engine = engines(f"sqlite:///{sales_db}", json_deserializer=json.loads)
        with pytest.warns(NotCachedWarning, match="json_deserializer"):
            assert cache.read(QUERY, engine).outcome is Outcome.BYPASSED

    def test_a_pool_of_one_connection_is_looked_at(
        self, cache: QueryCache, sales_db: Path, engines: Callable[..., Engine]
    ) -> None:
        engine = engines(f"sqlite:///{sales_db}", poolclass=StaticPool)
        assert [cache.read(QUERY, engine).outcome for _ in range(2)] == [Outcome.MISS, Outcome.HIT]

    def test_connect_args_are_read_from_sqlalchemys_own_creator(self, engines: Callable[..., Engine]) -> None:
        """Pins a private shape: where this fails, `connect_args` has to learn a new one."""
        engine = engines(
            "postgresql+psycopg://ann:pw@db:5433/sales", connect_args={"options": "-csearch_path=x"}
        )
        arguments = connect_args(engine)
        assert arguments is not None
        assert arguments[1]["options"] == "-csearch_path=x"
        assert connect_args(engines("sqlite://", creator=lambda: None)) is None


class TestTransactions:
    def test_uncommitted_rows_are_ones_own(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        with sales.connect() as con:
            con.execute(text("delete from sales where id > 1"))
            with pytest.warns(NotCachedWarning, match="in a transaction"):
                assert len(cache.read(QUERY, con).frame) == 1
        assert len(cache.read(QUERY, sales).frame) == 6

    def test_a_session_flushes_first_and_its_rows_are_its_own(self, cache: QueryCache, sales: Engine) -> None:
        with Session(sales) as session:
            session.add(Sale(id=7, region="west"))
            with pytest.warns(NotCachedWarning, match="in a transaction|changes of its own"):
                frame = cache.read(QUERY, session).frame
            assert frame["id"].tolist()[-1] == 7
            session.rollback()
        assert len(cache.read(QUERY, sales).frame) == 6

    def test_a_flush_that_fails_is_the_databases_own_error(self, cache: QueryCache, sales: Engine) -> None:
        with sales.begin() as con:
            con.execute(text("create unique index one on sales (id)"))
        with Session(sales) as session:
            session.add(Sale(id=1))
            with warnings.catch_warnings(action="error"), pytest.raises(IntegrityError):
                cache.read(QUERY, session)

    def test_a_file_deleted_under_a_connection_is_said_in_plain_words(
        self, cache: QueryCache, sales: Engine, sales_db: Path
    ) -> None:
        with sales.connect() as con:
            cache.read(QUERY, con)
            sales_db.unlink()
            with pytest.warns(NotCachedWarning, match="replaced|does not answer"):
                assert len(cache.read(QUERY, con).frame) == 6

    def test_a_closed_connection_fails_as_with_pandas(self, cache: QueryCache, sales: Engine) -> None:
        con = sales.connect()
        con.close()
        with warnings.catch_warnings(action="error"), pytest.raises(Exception, match="closed"):
            cache.read(QUERY, con)

    def test_an_orm_statement_chooses_the_sessions_engine(self, cache: QueryCache, sales: Engine) -> None:
        with Session(binds={Sale: sales}) as session:
            results = [cache.read(select(Sale.id, Sale.region), session) for _ in range(2)]
        assert [result.outcome for result in results] == [Outcome.MISS, Outcome.HIT]

    def test_a_session_that_filters_is_refused(self, cache: QueryCache, sales: Engine) -> None:
        with Session(sales) as session:
            event.listen(session, "do_orm_execute", lambda state: None)
            with pytest.raises(UnsupportedSource, match="do_orm_execute"):
                cache.read(select(Sale.id), session)

    def test_describing_a_session_begins_nothing(self, sales: Engine) -> None:
        with Session(sales) as session:
            session.add(Sale(id=7))
            assert source_of(session).label == "sales.db"
            assert not session.in_transaction() or session.new


class Loud(TypeDecorator[str]):
    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return str(value).upper()


class TestStatements:
    def test_a_result_type_of_ones_own_is_not_cached(self, cache: QueryCache, sales: Engine) -> None:
        plain: Any = select(Sale.region)
        loud: Any = select(type_coerce(Sale.region, Loud))
        cache.read(plain, sales)
        with pytest.warns(NotCachedWarning, match="Loud"):
            assert cache.read(loud, sales).frame["region"].tolist()[0] == "NORTH"

    def test_schema_translation_is_part_of_the_question(self, cache: QueryCache, sales: Engine) -> None:
        statement: Any = select(Sale.id)
        translated = sales.execution_options(schema_translate_map={None: "main"})
        assert [cache.read(statement, con).outcome for con in (sales, translated)] == [Outcome.MISS] * 2

    def test_the_statements_own_schema_translation_is_part_of_the_question(
        self, cache: QueryCache, sales: Engine
    ) -> None:
        statement: Any = select(Sale.id)
        for schema in (None, "main"):
            translated = statement.execution_options(schema_translate_map={None: schema})
            assert cache.read(translated, sales).outcome is Outcome.MISS

    def test_a_core_insert_runs_as_with_pandas(self, cache: QueryCache, sales: Engine) -> None:
        with pytest.warns(NotCachedWarning, match="Insert"):
            frame = cache.read(insert(Sale).values(id=7).returning(Sale.id), sales).frame
        assert frame["id"].tolist() == [7]
        assert len(cache.read(QUERY, sales).frame) == 6


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("sqlite:///folder/sales.db", "sales.db"),
        ("sqlite://", "sqlite in memory"),
        ("sqlite:///:memory:", "sqlite in memory"),
        (
            "postgresql+psycopg://ann:s3cret@db.example:5433/sales?sslmode=require",
            "ann@db.example:5433/sales",
        ),
        ("postgresql+psycopg://ann@/sales", "ann@postgresql/sales"),
    ],
)
def test_labels_are_short_and_have_no_secret(url: str, label: str) -> None:
    assert source_of(url).label == label


def test_what_is_no_url_fails_as_with_pandas(cache: QueryCache) -> None:
    with pytest.raises(Exception, match="Could not parse"):
        cache.read("select 1", "no url")


def test_a_raw_connection_of_another_driver_runs_uncached(cache: QueryCache) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    with duckdb.connect() as con, pytest.warns(UserWarning) as seen:  # noqa: PT030  # pandas warns, too
        assert cache.read("select 1 as n", con).outcome is Outcome.BYPASSED
    assert any("raw connection of duckdb" in str(warning.message) for warning in seen)


# --- names of tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Order Details", "daily-sales", "update", "begin", "a;b", "drop table sales", "select", "select 1"],
)
def test_a_table_is_read_by_its_name_whatever_that_is(cache: QueryCache, sales: Engine, name: str) -> None:
    with sales.begin() as con:
        con.exec_driver_sql(f'create table "{name}" as select 1 as n')
    first = cache.read(name, sales)
    assert (first.outcome, first.entry and first.entry.provenance.tables) == (Outcome.MISS, (name,))
    with sales.connect() as con:
        assert cache.read(name, con).outcome is Outcome.HIT
    assert len(pd.read_sql("sales", sales)) == 6
    with sales.begin() as con:
        con.exec_driver_sql(f'insert into "{name}" values (2)')
    assert cache.read(name, sales).frame["n"].tolist() == [1, 2]


@pytest.mark.server
def test_a_table_of_a_server_is_read_by_its_name_whatever_that_is(
    cache: QueryCache, postgresql_url: str, engines: Callable[..., Engine]
) -> None:
    pytest.importorskip("psycopg")
    engine = engines(postgresql_url)
    cache.execute('create table "Order Details" as select 1 as n', engine)
    try:
        assert cache.read("Order Details", engine).outcome is Outcome.MISS
        assert cache.read("Order Details", engine).outcome is Outcome.HIT
        assert cache.execute('insert into "Order Details" values (2)', engine).invalidated == 1
        assert cache.read("Order Details", engine).frame["n"].tolist() == [1, 2]
    finally:
        cache.execute('drop table "Order Details"', engine)


@pytest.mark.parametrize(
    ("argument", "value"), [("label_length", 12), ("max_identifier_length", 20), ("native_inet_types", False)]
)
def test_a_dialect_that_makes_other_labels_or_values(
    engines: Callable[..., Engine], argument: str, value: Any
) -> None:
    kind = "postgresql+psycopg://ann@db/sales" if argument.startswith("native") else "sqlite:///sales.db"
    with pytest.raises(NotCacheable, match=f"the engine has a {argument} of its own"):
        source_of(engines(kind, **{argument: value})).identify()


def test_a_dialect_whose_hstore_stays_a_text(engines: Callable[..., Engine]) -> None:
    with pytest.raises(NotCacheable, match="the engine has a use_native_hstore of its own"):
        source_of(engines("postgresql+psycopg://ann@db/sales", use_native_hstore=False)).identify()


def test_a_listener_that_executes_in_its_own_way(sales: Engine) -> None:
    event.listen(sales, "do_execute", lambda cursor, statement, parameters, context: None)
    with pytest.raises(NotCacheable, match="executes the engine's statements in its own way"):
        source_of(sales).identify()


def test_a_closed_connection_is_said_to_be_closed(sales: Engine) -> None:
    con = sales.connect()
    con.close()
    with pytest.raises(NotCacheable, match="the connection is closed"):
        source_of(con).identify()


def test_a_url_of_no_database(cache: QueryCache) -> None:
    with pytest.raises(NotCacheable, match="not one that SQLAlchemy can open"):
        source_of("nothing://db/sales").identify()


def test_a_driver_whose_sessions_cannot_be_asked(sales_db: Path, engines: Callable[..., Engine]) -> None:
    """What a creator gives may be anything that SQLAlchemy can use."""

    class Wrapped:
        def __init__(self) -> None:
            self.raw = sqlite3.connect(sales_db)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.raw, name)

    engine = engines(f"sqlite:///{sales_db}", creator=Wrapped)
    with engine.connect() as con, pytest.raises(NotCacheable, match="pysqlite is not one whose sessions"):
        source_of(con).identify()


def test_a_dialect_that_cannot_be_made_a_second_time(sales: Engine) -> None:
    class Particular(type(sales.dialect)):  # type: ignore[misc]
        def __init__(self, *, needed: int, **options: Any) -> None:
            super().__init__(**options)

    sales.dialect.__class__ = Particular
    with pytest.raises(NotCacheable, match="the dialect cannot be made a second time"):
        _ = source_of(sales).dialect
