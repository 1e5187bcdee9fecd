"""What is invalidated is no hit any more and stays; what a write touched is invalidated."""

from __future__ import annotations

import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Engine, Integer, MetaData, Table, event, insert, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ResourceClosedError
from sqlalchemy.orm import Session

from sqlcache_nb import EntryNotFound, NotCachedWarning, Outcome, QueryCache, StoreWarning, Written
from sqlcache_nb.freshness import Reason
from sqlcache_nb.identity import SourceIdentity
from tests.conftest import Clock
from tests.oracle import inconsistencies
from tests.strict import differences

QUERY = "select * from sales"


def stale(cache: QueryCache) -> set[str]:
    """The SQL of what is invalidated."""
    return {entry.provenance.sql for entry in cache.entry_list() if entry.invalidated_at is not None}


def stored(cache: QueryCache) -> set[str]:
    return {entry.provenance.sql for entry in cache.entry_list()}


# --- invalidate -----------------------------------------------------------------------------------------


class TestInvalidate:
    def test_what_is_invalidated_is_a_miss_once_and_says_when(
        self, cache: QueryCache, sales: Engine, clock: Clock
    ) -> None:
        cache.read(QUERY, sales, name="mine", tag="daily", ttl="forever")
        assert cache.invalidate() == 1
        when = clock.now
        clock.forward(minutes=5)
        result = cache.read(QUERY, sales)
        assert (result.outcome, result.reason, result.invalidated_at) == (
            Outcome.MISS,
            Reason.INVALIDATED,
            when,
        )
        assert result.entry is not None
        assert (result.entry.name, result.entry.tags, result.entry.invalidated_at) == (
            "mine",
            ("daily",),
            None,
        )
        assert cache.read(QUERY, sales).reason is Reason.FILE_UNCHANGED

    def test_it_stays_for_loading_and_listing(self, cache: QueryCache, sales: Engine) -> None:
        frame = cache.read_sql(QUERY, sales, name="mine")
        cache.invalidate(name="mine")
        assert differences(cache.load("mine").frame, frame) == []
        assert cache.stats().entries == 1

    def test_only_what_was_not_invalidated_is_counted(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        assert [cache.invalidate(), cache.invalidate()] == [1, 0]

    def test_a_key_that_is_not_there(self, cache: QueryCache) -> None:
        with pytest.raises(EntryNotFound):
            cache.invalidate(key="ab12")

    def test_chunks_too(self, cache: QueryCache, sales: Engine) -> None:
        for _ in range(2):
            list(cache.read(QUERY, sales, chunksize=4).frame)
        assert cache.invalidate(used=True) == 1
        result = cache.read(QUERY, sales, chunksize=4)
        assert result.reason is Reason.INVALIDATED
        assert len(pd.concat(list(result.frame))) == 6
        assert cache.read(QUERY, sales, chunksize=4).outcome is Outcome.HIT

    def test_used_is_what_this_process_stored_or_had(self, cache: QueryCache, sales: Engine) -> None:
        cache.read("select 1 as n", sales)
        with QueryCache(cache.directory) as another:
            another.read("select 2 as n", sales)
            assert another.invalidate(used=True) == 1
            assert stale(cache) == {"select 2 as n"}
            assert another.read("select 1 as n", sales).outcome is Outcome.HIT
            assert another.invalidate(used=True) == 1
        assert stale(cache) == {"select 1 as n", "select 2 as n"}

    @pytest.mark.parametrize(
        ("slow", "outcome"), [(True, Reason.INVALIDATED), (False, Reason.FILE_UNCHANGED)]
    )
    def test_what_was_being_fetched_meanwhile_is_as_old(
        self, cache: QueryCache, sales: Engine, clock: Clock, slow: bool, outcome: Reason
    ) -> None:
        """A fetch that began before the invalidation may have seen what was there before the write."""
        cache.read(QUERY, sales)

        def in_between(*_: object) -> None:
            if slow:
                clock.forward(seconds=1)
                with QueryCache(cache.directory, clock=clock) as another:
                    another.invalidate()

        event.listen(sales, "after_cursor_execute", in_between, once=True)
        cache.read(QUERY, sales, refresh=True)
        assert cache.read(QUERY, sales).reason is outcome

    def test_a_clock_that_was_set_back_does_not_keep_it_stale(
        self, cache: QueryCache, sales: Engine, clock: Clock
    ) -> None:
        cache.read(QUERY, sales)
        cache.invalidate()
        clock.forward(hours=-1)
        assert [str(cache.read(QUERY, sales).outcome) for _ in range(2)] == ["miss", "hit"]


TABLES = ["orders", "Orders", "lines", "my table", "a.b"]
ONE = st.sampled_from(["one", "other"])


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """A SQLite file with a few tables."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.db"
        with closing(sqlite3.connect(path)) as con, con:
            for table in ("orders", "lines", "my table", "a.b"):
                con.execute(f'create table "{table}" (n integer)')
        yield f"sqlite:///{path}"


def sql_of(tables: frozenset[str]) -> str:
    named = ", ".join(f'"{table}" as t{number}' for number, table in enumerate(sorted(tables)))
    return f"select 1 as n from {named}" if named else "select 1 as n"


questions = st.lists(
    st.tuples(st.frozensets(st.sampled_from(TABLES), max_size=2), st.none() | ONE, st.none() | ONE),
    min_size=1,
    max_size=4,
    unique_by=lambda question: question[0],
)
filters = st.fixed_dictionaries(
    {}, optional={"table": st.sampled_from(TABLES), "name": ONE, "tag": ONE, "source": st.just("shop.db")}
)
AT_LEAST_SO_MANY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def fits(question: tuple[frozenset[str], str | None, str | None], given: dict[str, str]) -> bool:
    tables, name, tag = question
    table = given.get("table")
    return (
        (table is None or table.casefold() in {known.casefold() for known in tables})
        and given.get("name") in (None, name)
        and given.get("tag") in (None, tag)
    )


@AT_LEAST_SO_MANY
@given(questions=questions, given=filters, policy=st.data())
def test_what_fits_is_never_a_hit_until_it_is_fetched_and_the_others_are_untouched(
    shop: str, questions: list[Any], given: dict[str, str], policy: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, QueryCache(folder) as cache:
        for tables, name, tag in questions:
            cache.read(sql_of(tables), shop, name=name, tag=tag)
        before = {entry.provenance.sql: entry for entry in cache.entry_list()}
        fitting = {sql_of(question[0]) for question in questions if fits(question, given)}
        assert cache.invalidate(**given) == len(fitting)  # type: ignore[arg-type]  # one of them is a bool
        assert stale(cache) == fitting
        after = {entry.provenance.sql: replace(entry, invalidated_at=None) for entry in cache.entry_list()}
        assert after == before
        ttl: Any = policy.draw(st.sampled_from([None, "forever", 0, timedelta(days=1)]))
        validate: Any = policy.draw(st.sampled_from(["auto", False]))
        for tables, _, _ in questions:
            sql = sql_of(tables)
            result = cache.read(sql, shop, ttl=ttl, validate=validate)
            if sql in fitting:
                assert result.reason is Reason.INVALIDATED
                assert cache.read(sql, shop).outcome is Outcome.HIT
            elif ttl != 0 or validate:
                assert result.outcome is Outcome.HIT
        assert inconsistencies(Path(folder)) == []


@AT_LEAST_SO_MANY
@given(questions=questions, given=filters)
def test_clear_deletes_what_fits_and_no_other(shop: str, questions: list[Any], given: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, QueryCache(folder) as cache:
        for tables, name, tag in questions:
            cache.read(sql_of(tables), shop, name=name, tag=tag)
        fitting = {sql_of(question[0]) for question in questions if fits(question, given)}
        assert cache.clear(**given).entries == len(fitting)
        assert stored(cache) == {sql_of(question[0]) for question in questions} - fitting


# --- tables as tags -------------------------------------------------------------------------------------


class TestTables:
    @pytest.mark.parametrize(
        "table", ["sales", "SALES", "main.sales", '"Sales"', "[sales]", "`main`.`sales`", 'x."main".sales']
    )
    def test_a_table_is_named_however_it_is_written(
        self, cache: QueryCache, sales: Engine, table: str
    ) -> None:
        for sql in (QUERY, "sales", "select * from northern", "select 1 as n"):
            cache.read(sql, sales)
        assert cache.clear(table=table).entries == 3
        assert stored(cache) == {"select 1 as n"}

    def test_tables_are_tags_beside_a_persons_own(
        self, cache: QueryCache, sales: Engine, clock: Clock
    ) -> None:
        cache.read(QUERY, sales, tag="daily")
        cache.read("select * from northern", sales)
        assert sorted(cache.entries()["tags"]) == ["daily, table:sales", "table:northern, table:sales"]
        clock.forward(minutes=1)
        cache.read(QUERY, sales, refresh=True, tag="x")
        assert cache.entries()["tags"].tolist()[0] == "daily, x, table:sales"
        assert cache.find(cache.entry_list()[0].key).tags == ("daily", "x")
        assert cache.clear(tag="table:NORTHERN").entries == 1
        assert cache.clear(tag="sales").entries == 0
        assert cache.invalidate(tag="table:sales") == 1

    def test_a_table_is_named_where_a_view_stands_before_it(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None]
    ) -> None:
        write("create view deep as select * from northern")
        result = cache.read("select * from deep", sales)
        assert result.entry is not None
        assert result.entry.provenance.tables == ("deep", "northern", "sales")


# --- places ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"user": "ann", "driver": "psycopg"}, {"user": "bob", "driver": "pg8000"}, True),
        ({"port": 5432}, {}, True),
        ({"host": "127.0.0.1"}, {"host": "localhost"}, True),
        ({"host": "DB.example"}, {"host": "db.example", "options": {"role": "admin"}}, True),
        ({"options": {"PGHOST": "db.example"}}, {"host": "db.example"}, True),
        ({"database": "sales"}, {"database": "hr"}, False),
        ({"host": "db.example"}, {"host": "other.example"}, False),
        ({"port": 5433}, {}, False),
        ({"dialect": "mysql", "database": "sales"}, {"dialect": "mariadb", "database": "hr"}, True),
        ({"files": ("/a.db", "/b.db")}, {"files": ("/b.db",), "dialect": "sqlite"}, True),
        ({"files": ("/a.db",)}, {"files": ("/b.db",)}, False),
    ],
)
def test_where_the_rows_are_does_not_depend_on_who_asks(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    plain: dict[str, Any] = {"dialect": "postgresql", "driver": "psycopg"}
    places = [SourceIdentity(**(plain | facts)).places for facts in (one, other)]
    assert (not set(places[0]).isdisjoint(places[1])) == same


# --- writes ---------------------------------------------------------------------------------------------


def numbers(*values: int) -> pd.DataFrame:
    return pd.DataFrame({"n": list(values)})


class WriteContract:
    """Subclasses give a fixture `con`: an Engine whose database has the tables `one` and `two`, of a column `n`.

    And `unknown`: a write of which it cannot be told what it touches.
    """

    unknown: str

    @pytest.fixture
    def filled(self, cache: QueryCache, con: Engine) -> QueryCache:
        for sql in ("select * from one", "select * from two", "select 1 as n"):
            cache.read(sql, con)
        return cache

    def test_it_runs_once_and_what_it_touched_is_stale(self, filled: QueryCache, con: Engine) -> None:
        ran: list[str] = []
        event.listen(con, "before_cursor_execute", lambda *seen: ran.append(seen[2]))
        # What names no table may read any.
        assert filled.execute("insert into one values (3)", con) == Written(1, 2)
        assert ran == ["insert into one values (3)"]
        assert stale(filled) == {"select * from one", "select 1 as n"}
        assert filled.read_sql("select * from one", con)["n"].tolist() == [1, 2, 3]
        assert filled.read("select * from one", con).outcome is Outcome.HIT
        assert filled.read("select * from two", con, validate=False).outcome is Outcome.HIT

    @pytest.mark.parametrize(
        "sql",
        [
            text("update one set n = n + :more").bindparams(more=1),
            insert(Table("ONE", MetaData(), Column("n", Integer), quote=False)).values(n=5),
            "drop table one",
            "create table three as select * from one",
        ],
        ids=str,
    )
    def test_statements_of_all_kinds(self, filled: QueryCache, con: Engine, sql: Any) -> None:
        filled.execute(sql, con)
        touched = {"select * from one"} if "three" not in str(sql) else set()
        assert stale(filled) - {"select 1 as n"} == touched

    def test_a_write_of_which_nothing_is_known_touches_everything_there(
        self, filled: QueryCache, con: Engine, sales: Engine
    ) -> None:
        filled.read(QUERY, sales)
        assert filled.execute(self.unknown, con).invalidated == 3
        assert QUERY not in stale(filled)

    def test_an_error_passes_as_it_is_and_invalidates_nothing(self, filled: QueryCache, con: Engine) -> None:
        ran: list[str] = []
        event.listen(con, "before_cursor_execute", lambda *seen: ran.append(seen[2]))
        for sql in ("insert into one values ('x', 'y', 'z')", "delete from nowhere", "delete from one where"):
            with pytest.raises(DBAPIError) as ours:
                filled.execute(sql, con)
            with con.begin() as connection, pytest.raises(type(ours.value)) as theirs:
                connection.exec_driver_sql(sql)
            assert str(ours.value) == str(theirs.value)
        assert len(ran) == 2 * 3
        assert stale(filled) == set()

    def test_another_table_and_upkeep_touch_nothing_here(self, filled: QueryCache, con: Engine) -> None:
        assert filled.execute("analyze", con).invalidated == 0
        filled.execute("create table four (n integer)", con)
        assert stale(filled) == {"select 1 as n"}

    def test_a_write_through_pandas_is_not_committed_and_counts_at_once(
        self, filled: QueryCache, con: Engine
    ) -> None:
        sql = "insert into one values (3) returning n"
        with con.connect() as connection, warnings.catch_warnings(action="ignore", category=NotCachedWarning):
            assert filled.read_sql(sql, connection)["n"].tolist() == [3]
            assert stale(filled) == {"select * from one", "select 1 as n"}
            connection.commit()
        assert filled.read_sql("select * from one", con)["n"].tolist() == [1, 2, 3]


class TestSqlite(WriteContract):
    unknown = "update or ignore one set n = 0"

    @pytest.fixture
    def con(self, tmp_path: Path, engines: Callable[..., Engine]) -> Engine:
        return with_tables(engines(f"sqlite:///{tmp_path / 'numbers.db'}"))

    def test_the_same_name_in_another_file_is_another_table(
        self, filled: QueryCache, con: Engine, tmp_path: Path, engines: Callable[..., Engine]
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        other = with_tables(engines(f"sqlite:///{tmp_path / 'elsewhere' / 'numbers.db'}"))
        assert filled.execute("delete from one", other) == Written(2, 0)
        assert filled.execute("delete from one", "sqlite:///" + str(tmp_path / "numbers.db")) == Written(2, 2)

    def test_a_file_that_is_attached_is_written_to_as_well(
        self, filled: QueryCache, con: Engine, tmp_path: Path, engines: Callable[..., Engine]
    ) -> None:
        def attached() -> sqlite3.Connection:
            raw = sqlite3.connect(tmp_path / "another.db")
            raw.execute(f"attach '{tmp_path / 'numbers.db'}' as n")
            return raw

        other = engines("sqlite://", creator=attached)
        assert filled.execute("delete from n.one", other) == Written(2, 2)
        assert stale(filled) == {"select * from one", "select 1 as n"}

    def test_in_memory_there_is_nothing_to_invalidate(
        self, filled: QueryCache, engines: Callable[..., Engine]
    ) -> None:
        assert filled.execute("create table one (n integer)", engines("sqlite://")).invalidated == 0

    def test_a_view_over_the_table(self, cache: QueryCache, con: Engine) -> None:
        cache.execute("create view seen as select n from one", con)
        cache.read("select * from seen", con)
        cache.execute("delete from one", con)
        assert cache.read("select * from seen", con, validate=False).reason is Reason.INVALIDATED

    def test_a_commit_that_fails_may_have_been_carried_out(self, filled: QueryCache, con: Engine) -> None:
        event.listen(con, "connect", lambda raw, _: raw.execute("pragma foreign_keys = on"))
        con.dispose()
        filled.execute("create unique index i on one (n)", con)
        filled.execute("create table five (n integer references one (n) deferrable initially deferred)", con)
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            filled.execute("insert into five values (99)", con)
        assert stale(filled) == {"select 1 as n"}  # which may read any table

    def test_a_raw_connection(self, filled: QueryCache, tmp_path: Path) -> None:
        sql = "insert into one values (3) returning n"
        with closing(sqlite3.connect(tmp_path / "numbers.db")) as raw:
            with pytest.warns(NotCachedWarning):
                filled.read(sql, raw)
            raw.commit()
        assert "select * from one" in stale(filled)

    def test_a_session(self, filled: QueryCache, con: Engine) -> None:
        with Session(con) as session, pytest.warns(NotCachedWarning):
            filled.read("delete from one returning n", session)
        assert "select * from one" in stale(filled)

    def test_what_pandas_cannot_read_passes_as_it_is(self, filled: QueryCache, con: Engine) -> None:
        with pytest.raises(ResourceClosedError):
            filled.read("delete from one", con)
        assert "select * from one" in stale(filled)  # it would be done in AUTOCOMMIT

    def test_a_store_that_fails_does_not_cost_the_write(self, filled: QueryCache, con: Engine) -> None:
        filled.close()
        database = filled.directory / "v1" / "cache.db"
        whole = database.read_bytes()
        database.unlink()
        database.mkdir()
        with pytest.warns(StoreWarning, match="cannot be used"):
            assert filled.execute("delete from one", con) == Written(2, 0)
        database.rmdir()
        database.write_bytes(whole)


class TestDuckDB(WriteContract):
    unknown = "create or replace macro twice(x) as 2 * x"

    @pytest.fixture
    def con(self, tmp_path: Path, engines: Callable[..., Engine]) -> Engine:
        pytest.importorskip("duckdb_sqlalchemy", reason="duckdb-sqlalchemy is not installed")
        return with_tables(engines(f"duckdb:///{tmp_path / 'numbers.duckdb'}"))


@pytest.mark.server
class TestPostgreSQL(WriteContract):
    unknown = "do $$ begin delete from one; end $$"

    @pytest.fixture
    def con(self, postgresql_url: str, engines: Callable[..., Engine]) -> Iterator[Engine]:
        pytest.importorskip("psycopg", reason="psycopg is not installed")
        yield from database(postgresql_url, engines, "numbers")

    def test_another_user_another_driver_and_a_source_name_are_no_other_tables(
        self, filled: QueryCache, con: Engine, engines: Callable[..., Engine]
    ) -> None:
        filled.read("select * from one", con, source_name="prod")
        with con.begin() as connection:
            connection.execute(text("drop role if exists reader"))
            connection.execute(text("create role reader login superuser password 'x'"))
        reader = engines(make_url(con.url).set(username="reader", password="x"))
        filled.read("select * from one", reader)
        assert filled.execute("delete from one", con) == Written(2, 4)

    def test_another_database_is_another_source(
        self, filled: QueryCache, postgresql_url: str, engines: Callable[..., Engine]
    ) -> None:
        for other in database(postgresql_url, engines, "others"):
            assert filled.execute("delete from one", other) == Written(2, 0)

    def test_several_statements_touch_what_each_of_them_touches(
        self, filled: QueryCache, con: Engine
    ) -> None:
        assert filled.execute("select 1; delete from one; delete from two", con).invalidated == 3

    def test_several_statements_through_read_sql_do_so_too(self, filled: QueryCache, con: Engine) -> None:
        with con.connect() as connection:
            with pytest.warns(NotCachedWarning, match="several statements"):
                filled.read("select 1 as n; delete from one", connection)
            connection.commit()
        assert filled.read("select * from one", con).reason is Reason.INVALIDATED

    def test_a_write_of_which_pandas_makes_no_frame_does_so_too(
        self, filled: QueryCache, con: Engine
    ) -> None:
        with con.connect() as connection:
            with pytest.raises(ResourceClosedError):
                filled.read("delete from one", connection)
            connection.commit()
        assert filled.read("select * from one", con).reason is Reason.INVALIDATED

    def test_a_writing_with_touches_what_it_writes(self, filled: QueryCache, con: Engine) -> None:
        sql = "with gone as (delete from one returning n) insert into two select n from gone"
        assert filled.execute(sql, con).invalidated == 3

    def test_a_lock_touches_nothing(self, filled: QueryCache, con: Engine) -> None:
        assert filled.execute("select * from one for update", con) == Written(2, 0)

    def test_select_into(self, filled: QueryCache, con: Engine) -> None:
        filled.execute("create table three (n integer)", con)
        filled.read("select * from three", con)
        filled.execute("drop table three", con)
        filled.execute("select n into three from one", con)
        assert filled.read_sql("select * from three", con)["n"].tolist() == [1, 2]

    def test_a_view_over_the_table(self, filled: QueryCache, con: Engine) -> None:
        filled.execute("create view seen as select n from one", con)
        filled.execute("create view deeper as select n from seen", con)
        for sql in ("select * from seen", "select * from deeper"):
            filled.read(sql, con)
        filled.execute("delete from two", con)
        assert filled.read("select * from deeper", con).reason is Reason.WITHIN_TTL
        filled.execute("delete from one", con)
        assert {"select * from seen", "select * from deeper"} <= stale(filled)
        assert filled.read("select * from deeper", con).reason is Reason.INVALIDATED

    def test_a_function_beside_a_table(self, filled: QueryCache, con: Engine) -> None:
        sums = "select coalesce(sum(n), 0) from one"
        for sql in (
            f"create function total() returns numeric language sql as '{sums}'",
            f"create function hidden() returns numeric language plpgsql as 'begin return ({sums}); end'",
            "create table three (n int)",
        ):
            filled.execute(sql, con)
        known, unknown = "select n, total() from two", "select n, hidden() from two"
        for sql in (known, unknown):
            filled.read(sql, con)
        filled.execute("insert into three values (1)", con)
        assert stale(filled) & {known, unknown} == {unknown}
        filled.execute("insert into one values (3)", con)
        assert {known, unknown} <= stale(filled)

    def test_a_trigger_is_not_seen(self, filled: QueryCache, con: Engine) -> None:
        for sql in (
            """create function copied() returns trigger language plpgsql as
               'begin insert into two values (new.n); return new; end'""",
            "create trigger copies after insert on one for each row execute function copied()",
        ):
            filled.execute(sql, con)
        filled.read("select * from two", con)
        filled.execute("insert into one values (3)", con)
        assert "select * from two" not in stale(filled)


def with_tables(engine: Engine) -> Engine:
    for number, table in enumerate(("one", "two")):
        numbers(*range(1, 3 - number)).to_sql(table, engine, index=False)
    return engine


def database(url: str, engines: Callable[..., Engine], name: str) -> Iterator[Engine]:
    """A database of the server, for as long as it is needed."""
    server = engines(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"drop database if exists {name} with (force)")
        connection.exec_driver_sql(f"create database {name}")
    engine = engines(make_url(url).set(database=name))
    yield with_tables(engine)
    engine.dispose()
    with server.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
