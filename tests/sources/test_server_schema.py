"""What stands behind the names in a statement, on a real PostgreSQL: views, functions, policies, partitions."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
    make_url,
    select,
    text,
)
from sqlalchemy.orm import Session

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache, Reason, Result
from tests.conftest import Clock

pytestmark = pytest.mark.server

SCRIPT = """
create table orders (id int, customer int, amount numeric);
insert into orders select n, mod(n, 3), n from generate_series(1, 9) n;
create table customers (id int, region text);
insert into customers values (0, 'north'), (1, 'south'), (2, 'east');
create sequence ids;
create schema other;
create table other.orders as select 99 as id;

create view big as select * from orders where amount > 5;
create view bigger as select * from big where amount > 7;
create view numbered as select nextval('ids') as n, id from customers;
create view timed as select now() as at, id from customers;
create view dated as select current_date as day, id from customers;
create view shuffled as select id from customers order by random();
create view sampled as select id from customers tablesample system (100);
create view listed as select relname from pg_class where relname = 'orders';
create view of_session as select pg_backend_pid() as pid;
create view other.orders_seen as select * from other.orders;
create view other.customers as select random() as id;
create materialized view rolled as select id, random() as dice from orders;

create function total() returns numeric language sql as 'select sum(amount) from orders';
create function twice(n numeric) returns numeric language sql immutable as 'select 2 * n';
create function total_of_big() returns numeric language sql begin atomic select sum(amount) from big; end;
create function total_of_total() returns numeric language sql as 'select total()';
create function elsewhere() returns bigint language sql set search_path = other as 'select count(*) from orders';
create function counted() returns bigint language plpgsql as 'begin return (select count(*) from orders); end';
create function rolls() returns float language plpgsql as 'begin return random(); end';
create function rolls_too() returns float language plpgsql as 'begin return rolls(); end';
create function numbers() returns bigint language sql as 'select nextval(''ids'')';
create function since(moment timestamptz default now()) returns bigint language sql as 'select count(*) from orders';
create function logs() returns int language sql as 'insert into other.orders values (1) returning id';
create function logs_too() returns int language plpgsql as 'begin delete from other.orders; return 1; end';
create function plus(int, int) returns float language sql as 'select $1+$2+random()';
create function endless(n int) returns int language sql as 'select case when n > 0 then endless(n - 1) end';
create function spent(c customers) returns numeric language sql as 'select sum(amount) from orders where customer = c.id';
create function is_big(numeric, numeric) returns boolean language sql as 'select $1 > (select avg(amount) from orders) + $2';
create operator >>> (function = is_big, leftarg = numeric, rightarg = numeric);
create view of_operator as select id from customers where cast(id as numeric) >>> 1;
create view of_function as select id, total() from customers;

create table sales (day int, n int) partition by range (day);
create table sales_1 partition of sales for values from (1) to (10);
create table sales_2 partition of sales for values from (10) to (20) partition by range (day);
create table sales_2_1 partition of sales_2 for values from (10) to (15);
insert into sales values (1, 1), (11, 2);
create table parent (n int);
create table child (more int) inherits (parent);

create table members (owner text);
insert into members values (current_user);
create table notes (owner text, note text);
insert into notes values (current_user, 'of one');
alter table notes enable row level security;
create policy own on notes using (owner in (select owner from members));
create table timed_notes (note text, ends timestamptz);
alter table timed_notes enable row level security;
create policy unended on timed_notes using (ends > now());
"""


@pytest.fixture(scope="module")
def url(postgresql_url: str) -> Iterator[str]:
    """The URL of a database of its own."""
    pytest.importorskip("psycopg")
    url = make_url(postgresql_url)
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as con:
        con.exec_driver_sql("drop database if exists behind with (force)")
        con.exec_driver_sql("create database behind")
    yield url.set(database="behind").render_as_string(hide_password=False)
    with server.connect() as con:
        con.exec_driver_sql("drop database behind with (force)")
    server.dispose()


@pytest.fixture
def server(url: str, engines: Callable[..., Engine]) -> Engine:
    engine = engines(url)
    with engine.begin() as con:
        for schema in ("public", "other"):
            con.exec_driver_sql(f"drop schema if exists {schema} cascade")
        con.exec_driver_sql("create schema public")
        con.exec_driver_sql("set local search_path = public")
        con.exec_driver_sql(SCRIPT)
    engine.dispose()
    return engine


def read(cache: QueryCache, sql: Any, con: Any, **options: Any) -> Result:
    """A read that may say that it is not cached."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotCachedWarning)
        warnings.filterwarnings("ignore", "pandas only supports", UserWarning)
        return cache.read(sql, con, **options)


def is_stale_after(cache: QueryCache, sql: str, write: str, con: Engine) -> bool:
    """Whether an answer is invalidated by a write."""
    read(cache, sql, con)
    assert read(cache, sql, con).outcome is Outcome.HIT
    cache.execute(write, con)
    return read(cache, sql, con).reason is Reason.INVALIDATED


INSERT = "insert into orders values (10, 1, 10)"


# --- what may be kept -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select * from numbered", "the statement calls nextval, which does more than read"),
        ("select * from public.numbered", "nextval"),
        ("select numbers()", "nextval"),
        ("select public.numbers(), id from orders", "nextval"),
        ("select logs()", "calls logs, which does more than read"),
        ("select logs_too()", "calls logs_too, which does more than read"),
        ("select * from of_session", "the session's"),
    ],
)
def test_what_acts_behind_a_name_acts_each_time(
    cache: QueryCache, server: Engine, sql: str, why: str
) -> None:
    for _ in range(2):
        result = read(cache, sql, server, store_random=True)
        assert result.reason is Reason.REFUSED
        assert why in result.detail
    assert len(cache.entries()) == 0


@pytest.mark.parametrize(
    "sql",
    [
        "select * from shuffled",
        "select * from sampled",
        "shuffled",
        "table shuffled",
        "select id, @ (id - 9) from shuffled",
        "with numbers as (select 1) select * from shuffled s join numbers on true",
        "select rolls()",
        "select plus(1, 2)",
        "select rolls_too()",
        "select * from other.customers",
    ],
)
def test_chance_behind_a_name_is_not_kept_unless_asked(cache: QueryCache, server: Engine, sql: str) -> None:
    refused = read(cache, sql, server)
    assert refused.reason is Reason.REFUSED
    assert "store_random" in refused.detail
    assert cache.read(sql, server, store_random=True).reason is Reason.FIRST_TIME
    assert cache.read(sql, server, store_random=True).reason is Reason.WITHIN_TTL


@pytest.mark.parametrize(
    "sql",
    [
        "select * from timed",
        "select * from listed",
        "select since()",
        "select * from timed_notes",
    ],
)
def test_the_time_and_catalogs_behind_a_name_are_kept_for_an_hour(
    cache: QueryCache, server: Engine, clock: Clock, sql: str
) -> None:
    cache.read(sql, server, ttl="7d")
    clock.now += timedelta(minutes=59)
    assert cache.read(sql, server).reason is Reason.WITHIN_TTL
    clock.now += timedelta(minutes=1)
    assert cache.read(sql, server).reason is Reason.EXPIRED


def test_the_date_behind_a_name_is_that_of_the_session(cache: QueryCache, server: Engine) -> None:
    with server.connect() as con:
        con.exec_driver_sql("set time zone 'Asia/Tokyo'")
        con.commit()
        entry = cache.read("select * from dated", con).entry
    assert entry is not None
    assert (entry.zone, entry.volatile) == ("Asia/Tokyo", False)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from customers",  # and not other.customers
        "select * from bigger",
        "select total(), twice(3) from customers",
        "select total_of_big()",
        "select counted()",
        "select * from rolled",  # its rows stay as they are
        "select last_value from ids",
        "select random from (select 1 as random) t",
        "select * from sales",
        'select * from "orders" where id in (1, 2)',
        "with shuffled as (select 1 as id) select * from shuffled",
    ],
)
def test_what_only_reads_is_kept(cache: QueryCache, server: Engine, sql: str) -> None:
    first, second = (cache.read(sql, server) for _ in range(2))
    assert (first.outcome, second.outcome) == (Outcome.MISS, Outcome.HIT)
    assert second.reason is Reason.WITHIN_TTL
    assert first.entry is not None
    assert not first.entry.volatile


# --- what a write touches -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "write"),
    [
        ("select * from big", INSERT),
        ("select * from bigger", INSERT),
        ("bigger", INSERT),
        ("select id, total() from customers", INSERT),
        ("select id, public.total() from customers", INSERT),
        ("select id, total_of_big() from customers", INSERT),
        ("select id, total_of_total() from customers", INSERT),
        ("select id, counted() from customers", INSERT),
        ("select c.spent from customers c", INSERT),
        ("select * from of_operator", INSERT),
        ("select * from of_function", INSERT),
        ("select elsewhere()::int, id from customers", "insert into other.orders values (5)"),
        ("select * from rolled", "refresh materialized view rolled"),
        ("select * from rolled", 'REFRESH MATERIALIZED VIEW public."rolled" WITH DATA'),
        ("select * from notes", "insert into members values ('x')"),
        ("select * from sales", "insert into sales_2_1 values (12, 3)"),
        ("select * from sales", "drop table sales_1"),
        ("select * from sales", "truncate sales_2"),
        ("select * from sales_2_1", "insert into sales values (12, 3)"),
        ("select * from parent", "insert into child values (1, 2)"),
        ("select * from child", "update parent set n = 2"),
        ("select * from sales", "create table sales_3 partition of sales for values from (20) to (30)"),
        ("select * from parent", "create table child_2 (x int) inherits (parent)"),
    ],
)
def test_a_write_reaches_what_stands_over_it(cache: QueryCache, server: Engine, sql: str, write: str) -> None:
    assert is_stale_after(cache, sql, write, server)


@pytest.mark.parametrize(
    ("sql", "write"),
    [
        ("select * from big", "insert into customers values (5, 'x')"),
        ("select id, total() from orders", "insert into customers values (5, 'x')"),
        ("select twice(id) from customers", INSERT),
        ("select * from rolled", INSERT),
        ("select * from customers", "refresh materialized view concurrently rolled"),
        ("select * from sales_1", "insert into sales_2_1 values (12, 3)"),
    ],
)
def test_a_write_to_something_else_does_not(cache: QueryCache, server: Engine, sql: str, write: str) -> None:
    cache.execute("create unique index on rolled (id)", server)
    assert not is_stale_after(cache, sql, write, server)


def test_a_function_that_cannot_be_read_may_read_any_table(cache: QueryCache, server: Engine) -> None:
    sql = "select id, counted() from customers"
    entry = cache.read(sql, server).entry
    assert entry is not None
    assert entry.provenance.opaque
    assert is_stale_after(cache, sql, "insert into other.orders values (5)", server)


def test_tables_behind_a_view_are_its_labels(cache: QueryCache, server: Engine) -> None:
    cache.read("select * from bigger", server)
    cache.read("select * from Sales_1", server)
    assert {entry.labels for entry in cache.entry_list()} == {
        ("table:bigger", "table:big", "table:orders"),
        ("table:Sales_1", "table:sales"),
    }
    assert cache.clear(table="orders").entries == 1


def test_a_table_of_very_many_partitions_is_touched_by_any_write(cache: QueryCache, server: Engine) -> None:
    with server.begin() as con:
        con.exec_driver_sql("create table wide (n int) partition by list (n)")
        for n in range(201):
            con.exec_driver_sql(f"create table wide_{n} partition of wide for values in ({n})")
    entry = cache.read("select * from wide", server).entry
    assert entry is not None
    assert (entry.provenance.tables, entry.provenance.opaque) == (("wide",), True)
    assert is_stale_after(cache, "select * from wide", "insert into wide_7 values (7)", server)


def test_the_search_path_decides_which_view_is_meant(cache: QueryCache, server: Engine) -> None:
    with server.connect() as con:
        cache.read("select * from customers", con)
        con.exec_driver_sql("set search_path = other, public")
        con.commit()
        assert read(cache, "select * from customers", con).reason is Reason.REFUSED


# --- compiled code --------------------------------------------------------------------------------------


def test_compiled_code_is_believed_where_it_says_what_it_does(cache: QueryCache, server: Engine) -> None:
    with server.begin() as con:
        for name, volatility in (("sure", "immutable"), ("steady", "stable"), ("any", "")):
            con.exec_driver_sql(
                f"create function \"{name}\"(float) returns float language internal {volatility} as 'dsqrt'"
            )
    first = cache.read("select sure(id) from customers", server).entry
    second = cache.read("select steady(id) from customers", server).entry
    assert first is not None
    assert second is not None
    assert (first.provenance.opaque, second.provenance.opaque) == (False, True)
    with pytest.warns(NotCachedWarning, match="calls any, whose code cannot be read"):
        assert cache.read('select "any"(id) from customers', server).reason is Reason.REFUSED


# --- the session ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_every_driver_is_asked(
    cache: QueryCache, server: Engine, engines: Callable[..., Engine], driver: str
) -> None:
    pytest.importorskip(driver)
    if driver == "pg8000" and "host" in server.url.query:
        path = f"{server.url.query['host']}/.s.PGSQL.{server.url.port or 5432}"
        other = server.url.set(drivername="postgresql+pg8000", host="", query={"unix_sock": path})
    else:
        other = server.url.set(drivername=f"postgresql+{driver}")
    engine = engines(other)
    with server.begin() as con:
        con.execute(text('create view "größer\\: 100% ""x""" as select id from big'))
    strange = select(Table('größer: 100% "x"', MetaData(), Column("id", Integer)))
    with engine.connect() as con:
        for target in (engine, con):
            for sql in ("select * from bigger", strange):
                entry = cache.read(sql, target).entry
                assert entry is not None
                assert {"big", "orders"} <= {*entry.provenance.tables}
        assert read(cache, "select * from numbered", con).reason is Reason.REFUSED


def test_every_way_to_it_is_asked(cache: QueryCache, server: Engine, url: str) -> None:
    import psycopg

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with server.connect() as con, Session(server) as session, closing(psycopg.connect(plain)) as raw:
        for way in (server, url, con, session, raw):
            assert read(cache, "select * from orders", way).outcome in {Outcome.MISS, Outcome.HIT}
            assert "nextval" in read(cache, "select * from numbered", way).detail


def test_adbc(cache: QueryCache, server: Engine, url: str) -> None:
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(dbapi.connect(plain)) as con:
        assert "nextval" in read(cache, "select * from numbered", con).detail
        # Before 1.6 a rollback begins no transaction: then any that others make meanwhile is a doubt.
        con.commit()
        entry = cache.read("select * from bigger", con).entry
    assert entry is not None
    assert entry.provenance.tables == ("bigger", "big", "orders")


def test_a_transaction_is_left_as_it_was(cache: QueryCache, server: Engine) -> None:
    with server.connect() as con:
        raw: Any = con.connection.driver_connection
        con.exec_driver_sql("select 1")
        began = con.exec_driver_sql("select transaction_timestamp()").scalar()
        cache.read("select * from bigger", con)
        assert con.exec_driver_sql("select transaction_timestamp()").scalar() == began
        assert int(raw.info.transaction_status) == 2


def test_a_catalog_that_does_not_answer_fails_no_query(
    cache: QueryCache, server: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its server only speaks as PostgreSQL does."""
    catalog = sys.modules["sqlcache_nb.sources.catalog"]
    monkeypatch.setattr(catalog, "_BEHIND", "select '%s' from nowhere_at_all")
    with server.connect() as con:
        con.exec_driver_sql("select 1")
        for target in (server, con):
            result = read(cache, "select * from orders", target)
            assert "the session cannot be asked" in result.detail
            assert len(result.frame) == 9
    assert cache.read("select * from orders", server, source_name="mine").outcome is Outcome.MISS


def test_one_question_for_a_statement_over_tables(
    cache: QueryCache, server: Engine, monkeypatch: Any
) -> None:
    from sqlcache_nb.sources import sessions

    asked: list[object] = []
    behind = sessions.CATALOGS["postgresql"]

    def counted(execute: Any, names: Any) -> Any:
        asked.append(names)
        return behind(execute, names)

    monkeypatch.setitem(sessions.CATALOGS, "postgresql", counted)
    cache.read("select o.id, count(*) from orders o join bigger using (id) group by 1", server)
    assert len(asked) == 1
    cache.read("select o.id, count(*) from orders o join bigger using (id) group by 1", server)
    cache.read("select 1 + 1 as n", server)
    assert len(asked) == 1
    read(cache, "select random() from orders", server)
    assert len(asked) == 1
    cache.read("select total_of_total() from customers", server)
    assert len(asked) == 3 + 1


def test_a_function_that_calls_itself(cache: QueryCache, server: Engine) -> None:
    assert [cache.read("select endless(3)", server).outcome for _ in range(2)] == [Outcome.MISS, Outcome.HIT]


def test_statements_of_our_own_are_in_nobodys_log(cache: QueryCache, server: Engine) -> None:
    seen: list[str] = []
    event.listen(server, "before_cursor_execute", lambda *given: seen.append(given[2]))
    cache.read("select id from bigger", server)
    assert not [sql for sql in seen if "reached" in sql]
