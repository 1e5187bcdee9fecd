"""What the guard says, on real databases: days, chance, deeds, sessions, and what nobody understands."""

from __future__ import annotations

import gc
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from sqlcache_nb import NotCachedWarning, QueryCache, Reason, Result, report
from tests import servers
from tests.conftest import Clock

TODAY = {
    "sqlite": "select id, date('now') as day from sales",
    "duckdb": "select id, current_date as day from sales",
}


@pytest.fixture
def duck(tmp_path: Path, engines: Callable[..., Engine]) -> Engine:
    """A DuckDB file with a table, a view that asks for the date, and one that rolls dice."""
    pytest.importorskip("duckdb_sqlalchemy")
    engine = engines(f"duckdb:///{tmp_path}/duck.db")
    with engine.begin() as con:
        for sql in (
            "create table sales as select range as id, range / 2 as amount from range(6)",
            "create view dated as select *, today() as day from sales",
            "create macro dice(sides) as random() * sides",
        ):
            con.exec_driver_sql(sql)
    engine.dispose()
    return engine


def read(cache: QueryCache, sql: Any, con: Any, **options: Any) -> Result:
    """A read that may say that it is not cached."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotCachedWarning)
        return cache.read(sql, con, **options)


def line_of(result: Result, clock: Clock) -> str:
    return report.line(result, now=clock())


# --- the date ------------------------------------------------------------------------------------------


def test_in_sqlite_the_day_ends_at_midnight_in_utc(cache: QueryCache, sales: Engine, clock: Clock) -> None:
    clock.now = datetime(2026, 11, 20, 23, 50, tzinfo=UTC)
    first = cache.read(TODAY["sqlite"], sales)
    assert first.entry is not None
    assert (first.entry.zone, first.entry.day, first.entry.exact) == ("UTC", "2026-11-20", True)
    assert line_of(first, clock).startswith("miss: first time · 2026-11-20 in UTC · sales.db · 6 x 2")
    clock.forward(minutes=9.9)
    hit = cache.read(TODAY["sqlite"], sales)
    assert " · file unchanged · still 2026-11-20 in UTC · " in line_of(hit, clock)
    clock.forward(minutes=0.1)
    later = cache.read(TODAY["sqlite"], sales)
    assert later.reason is Reason.ANOTHER_DAY
    assert line_of(later, clock).startswith(
        "miss: another day there · 2026-11-21 in UTC · same answer · sales.db · "
    )
    clock.forward(hours=23)
    assert cache.read(TODAY["sqlite"], sales).reason is Reason.FILE_UNCHANGED


@pytest.mark.parametrize("as_what", ["engine", "url", "connection", "session", "raw"])
def test_every_way_to_sqlite_knows_the_zone(
    cache: QueryCache, sales: Engine, sales_db: Path, as_what: str, clock: Clock
) -> None:
    with sales.connect() as connection, Session(sales) as session, closing(sqlite3.connect(sales_db)) as raw:
        ways = {
            "engine": sales,
            "url": str(sales.url),
            "connection": connection,
            "session": session,
            "raw": raw,
        }
        result = cache.read(TODAY["sqlite"], ways[as_what])
    assert result.entry is not None
    assert (result.entry.zone, result.entry.day, result.entry.volatile) == ("UTC", "2026-11-20", False)


def test_local_time_is_as_good_as_the_time(cache: QueryCache, sales: Engine, clock: Clock) -> None:
    sql = "select id, date('now', 'localtime') as day from sales"
    first = cache.read(sql, sales)
    assert " · for 1 h at most: it asks for the time or a catalog · " in line_of(first, clock)
    clock.forward(minutes=59)
    assert cache.read(sql, sales).reason is Reason.WITHIN_TTL
    clock.forward(minutes=1)
    assert cache.read(sql, sales).reason is Reason.EXPIRED


@pytest.mark.parametrize("sql", [TODAY["duckdb"], "select * from dated", "select id, today() from sales"])
@pytest.mark.parametrize(
    ("zone", "hours"), [("Pacific/Kiritimati", 1), ("Europe/Berlin", 14), ("UTC", 15), ("Pacific/Niue", 2)]
)
def test_in_duckdb_the_day_is_that_of_the_session(
    cache: QueryCache, duck: Engine, clock: Clock, zone: str, hours: int, sql: str
) -> None:
    clock.now = datetime(2026, 11, 20, 9, tzinfo=UTC)
    with duck.connect() as con:
        con.exec_driver_sql(f"set TimeZone = '{zone}'")
        con.commit()

        def reason() -> Reason:
            result = cache.read(sql, con)
            con.rollback()  # pandas began a transaction
            return result.reason

        assert reason() is Reason.FIRST_TIME
        clock.forward(hours=hours - 0.01)
        assert reason() is Reason.FILE_UNCHANGED
        clock.forward(hours=0.01)
        assert reason() is Reason.ANOTHER_DAY


def test_duckdb_means_the_day_in_its_zone(duck: Engine) -> None:
    """What the entry says of the day is what DuckDB answers."""
    from sqlcache_nb.freshness import day_in

    with duck.connect() as con:
        for zone in ("Pacific/Kiritimati", "Pacific/Niue", "UTC"):
            con.exec_driver_sql(f"set TimeZone = '{zone}'")
            before = day_in(zone, datetime.now(UTC))
            ((answer,),) = con.exec_driver_sql("select current_date::varchar").all()
            assert answer in {before, day_in(zone, datetime.now(UTC))}
            con.commit()


# --- catalogs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql", ["select * from sqlite_master", "select name from pragma_table_info('sales')"]
)
def test_a_catalog_is_kept_for_an_hour(cache: QueryCache, sales: Engine, clock: Clock, sql: str) -> None:
    assert "for 1 h at most" in line_of(cache.read(sql, sales, ttl="forever"), clock)
    clock.forward(minutes=59)
    assert cache.read(sql, sales).reason is Reason.WITHIN_TTL
    clock.forward(minutes=1)
    assert cache.read(sql, sales).reason is Reason.EXPIRED


def test_a_catalog_of_duckdb(cache: QueryCache, duck: Engine, clock: Clock) -> None:
    for sql in (
        "select table_name from duckdb_tables()",
        "select table_name from information_schema.tables",
        "select relname from pg_catalog.pg_class",
        "select name from sqlite_master",
    ):
        assert "for 1 h at most" in line_of(cache.read(sql, duck), clock)


# --- chance ----------------------------------------------------------------------------------------------

RANDOM = "select id, random() as dice from sales"


def test_chance_is_not_kept_unless_asked(cache: QueryCache, sales: Engine, clock: Clock) -> None:
    with pytest.warns(NotCachedWarning, match="store_random") as seen:
        result = cache.read(RANDOM, sales)
    assert line_of(result, clock).startswith(
        "not cached: the statement calls random, whose answer is another one each time; "
        "store_random=True (--store-random) keeps it all the same · sales.db"
    )
    assert len(seen) == 1
    assert len(cache.entries()) == 0
    first = cache.read(RANDOM, sales, store_random=True)
    assert line_of(first, clock).startswith("miss: first time · left to chance · sales.db")
    again = cache.read(RANDOM, sales, store_random=True)
    assert again.reason is Reason.WITHIN_TTL  # and not FILE_UNCHANGED
    assert again.frame.equals(first.frame)


def test_who_does_not_ask_for_it_gets_no_stored_chance(cache: QueryCache, sales: Engine) -> None:
    first = cache.read(RANDOM, sales, store_random=True)
    other = read(cache, RANDOM, sales)
    assert other.reason is Reason.REFUSED
    assert not other.frame.equals(first.frame)
    assert cache.read(RANDOM, sales, store_random=True).frame.equals(first.frame)


def test_stored_chance_ends_with_its_ttl_and_with_its_file(
    cache: QueryCache, sales: Engine, clock: Clock, write: Callable[[str], None]
) -> None:
    def reason() -> Reason:
        return cache.read(RANDOM, sales, store_random=True, ttl="2h").reason

    assert reason() is Reason.FIRST_TIME
    clock.forward(hours=1.9)
    assert reason() is Reason.WITHIN_TTL
    clock.forward(hours=0.1)
    assert reason() is Reason.EXPIRED
    write("delete from sales where id = 1")
    assert reason() is Reason.FILE_CHANGED


def test_a_sample_and_a_macro_that_rolls_dice(cache: QueryCache, duck: Engine) -> None:
    for sql in (
        "select * from sales using sample 2 rows",
        "select dice(6) from sales",
        "select uuid() from sales",
    ):
        assert read(cache, sql, duck).reason is Reason.REFUSED
        assert cache.read(sql, duck, store_random=True).reason is Reason.FIRST_TIME
        assert cache.read(sql, duck, store_random=True).reason is Reason.WITHIN_TTL


def test_chunks_left_to_chance(cache: QueryCache, sales: Engine) -> None:
    first = list(cache.read(RANDOM, sales, store_random=True, chunksize=4).frame)
    again = cache.read(RANDOM, sales, store_random=True, chunksize=4)
    assert again.reason is Reason.WITHIN_TTL
    assert [chunk["dice"].tolist() for chunk in again.frame] == [chunk["dice"].tolist() for chunk in first]


# --- deeds, sessions, what nobody understands ------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select changes() as n", "the statement calls changes, whose answer is the session's"),
        ("select last_insert_rowid() as n", "the session's"),
        ("pragma table_info(sales)", "describes the database"),
        ("explain select * from sales", "describes the database"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"store_random": True}])
def test_in_sqlite_it_runs_and_is_not_kept(
    cache: QueryCache, sales: Engine, clock: Clock, sql: str, why: str, options: dict[str, Any]
) -> None:
    result = read(cache, sql, sales, **options)
    line = line_of(result, clock)
    assert line.startswith("not cached: ")
    assert why in line
    assert len(result.frame) > 0
    assert len(cache.entries()) == 0


def test_temporary_tables_of_sqlite(cache: QueryCache, sales_db: Path, clock: Clock) -> None:
    with closing(sqlite3.connect(sales_db)) as con:
        con.execute("create temp table sales as select 1 as only")
        con.commit()
        result = read(cache, "select * from sales", con)
    assert line_of(result, clock).startswith("not cached: the connection has temporary tables")
    assert result.frame["only"].tolist() == [1]


def test_temporary_tables_and_variables_of_duckdb(cache: QueryCache, duck: Engine, clock: Clock) -> None:
    with duck.connect() as con:
        con.exec_driver_sql("set variable wanted = 3")
        con.commit()
        result = read(cache, "select id from sales where id = getvariable('wanted')", con)
        assert "the statement calls getvariable, whose answer is the session's" in line_of(result, clock)
        assert result.frame["id"].tolist() == [3]
        con.rollback()
        con.exec_driver_sql("create temp table sales as select 1 as only")
        con.commit()
        result = read(cache, "select * from sales", con)
        assert "temporary tables" in line_of(result, clock)
        assert result.frame["only"].tolist() == [1]
    assert len(cache.entries()) == 0


# DuckDB understands these, and the parser does not, or only in other versions.
ODD = [
    "summarize sales",
    "describe sales",
    "show tables",
    "call pragma_version()",
    "from sales select sum(columns(*))",
    "pivot sales on id using sum(amount)",
]


@pytest.mark.parametrize("sql", ODD[:4])
def test_what_is_not_surely_a_read_is_not_kept(
    cache: QueryCache, duck: Engine, clock: Clock, sql: str
) -> None:
    result = read(cache, sql, duck)
    assert line_of(result, clock).startswith("not cached: ")
    assert len(result.frame) > 0
    assert len(cache.entries()) == 0


@pytest.mark.parametrize("sql", ODD[4:6])
def test_what_is_odd_and_a_read_is_kept(cache: QueryCache, duck: Engine, sql: str) -> None:
    assert [str(cache.read(sql, duck).outcome) for _ in range(2)] == ["miss", "hit"]


@pytest.mark.server
class TestPostgresql:
    @pytest.fixture
    def server(self, postgresql_url: str, engines: Callable[..., Engine]) -> Engine:
        engine = engines(postgresql_url)
        with engine.begin() as con:
            con.execute(text("drop table if exists guarded"))
            con.execute(text("create table guarded as select generate_series(1, 6) as id"))
            con.execute(text("create sequence if not exists guarded_ids"))
        engine.dispose()
        return engine

    def test_the_time_and_catalogs_are_kept_for_an_hour(
        self, cache: QueryCache, server: Engine, clock: Clock
    ) -> None:
        for sql in (
            "select id, now() from guarded",
            "select relname from pg_class where relname = 'guarded'",
            "select table_name from information_schema.tables",
        ):
            assert " · for 1 h at most: " in line_of(cache.read(sql, server, ttl="7d"), clock)
            clock.now += timedelta(minutes=59)
            assert cache.read(sql, server).reason is Reason.WITHIN_TTL
            clock.now += timedelta(minutes=1)
            assert cache.read(sql, server).reason is Reason.EXPIRED

    def test_the_date_is_good_for_an_hour_or_for_its_day(
        self, cache: QueryCache, server: Engine, clock: Clock
    ) -> None:
        sql = "select id, current_date as day from guarded"
        entry = cache.read(sql, server, ttl="7d").entry
        assert entry is not None
        assert entry.volatile == (entry.zone is None)
        clock.forward(days=1)
        assert cache.read(sql, server).reason in {Reason.EXPIRED, Reason.ANOTHER_DAY}

    def test_what_acts_acts_each_time(self, cache: QueryCache, server: Engine, clock: Clock) -> None:
        sql = "select nextval('guarded_ids') as id"
        first, second = (read(cache, sql, server, store_random=True) for _ in range(2))
        assert second.frame["id"][0] == first.frame["id"][0] + 1
        assert line_of(second, clock).startswith(
            "not cached: the statement calls nextval, which does more than read · "
        )
        assert "store_random" not in line_of(second, clock)

    @pytest.mark.parametrize(
        "sql",
        [
            "select * from guarded for update",
            "select * from guarded for share",
            "with gone as (delete from guarded where id = 6 returning id) select * from gone",
            "select current_setting('TimeZone')",
            "select pg_advisory_xact_lock(1)",
        ],
    )
    def test_it_runs_as_pandas_runs_it(self, cache: QueryCache, server: Engine, sql: str) -> None:
        result = read(cache, sql, server, store_random=True)
        assert result.reason is Reason.REFUSED
        assert len(result.frame) > 0
        assert len(cache.entries()) == 0

    def test_a_sample(self, cache: QueryCache, server: Engine) -> None:
        for sql in (
            "select * from guarded tablesample system (100)",
            "select id, gen_random_uuid() from guarded",
        ):
            assert read(cache, sql, server).reason is Reason.REFUSED
            assert cache.read(sql, server, store_random=True).reason is Reason.FIRST_TIME
            assert cache.read(sql, server, store_random=True).reason is Reason.WITHIN_TTL

    def test_a_temporary_table(self, cache: QueryCache, server: Engine, clock: Clock) -> None:
        cache.read("select * from guarded", server)
        cache.execute("create temp table guarded as select 7 as id", server)
        result = read(cache, "select * from guarded", server)
        assert result.frame["id"].tolist() == [7]
        assert result.reason is Reason.REFUSED
        assert "\n" not in line_of(result, clock)

    def test_what_the_parser_does_not_know(self, cache: QueryCache, server: Engine) -> None:
        """PostgreSQL has more operators than the parser: a SELECT is a read all the same."""
        sql = "select id, @ (id - 9) as distance from guarded"
        assert [str(cache.read(sql, server).outcome) for _ in range(2)] == ["miss", "hit"]
        assert read(cache, "table guarded", server).reason is Reason.FIRST_TIME


@pytest.fixture(scope="module")
def mariadb_url() -> Iterator[str]:
    pytest.importorskip("pymysql")
    with ExitStack() as running:
        try:
            with warnings.catch_warnings():
                # pymysql leaves a socket open where the server does not answer yet.
                warnings.simplefilter("ignore", ResourceWarning)
                url = running.enter_context(servers.mariadb())
                gc.collect()
        except servers.NoServer as why:
            pytest.skip(str(why))
        yield url


@pytest.mark.server
class TestMariadb:
    @pytest.fixture
    def server(self, mariadb_url: str, engines: Callable[..., Engine]) -> Engine:
        engine = engines(mariadb_url)
        with engine.begin() as con:
            con.execute(text("create or replace table guarded as select seq as id from seq_1_to_6"))
            con.execute(text("create sequence if not exists guarded_ids"))
        engine.dispose()
        return engine

    @pytest.mark.parametrize(
        ("sql", "why"),
        [
            ("select @n := ifnull(@n, 0) + id as n from guarded", "a variable of the session"),
            ("select @@sql_mode", "a variable of the session"),
            ("select last_insert_id()", "the session's"),
            ("select get_lock('guard', 0), release_lock('guard')", "more than read"),
            ("select nextval(guarded_ids)", "more than read"),
            ("select next value for guarded_ids", "more than read"),
            ("select rand(), id from guarded", "store_random"),
            ("select id from guarded lock in share mode", "not a read"),
            ("select id from guarded for update", "not a read"),
            ("select id from guarded /*! for update */", "not a read"),
            ("show tables", "describes"),
        ],
    )
    def test_it_runs_and_is_not_kept(
        self, cache: QueryCache, server: Engine, clock: Clock, sql: str, why: str
    ) -> None:
        result = read(cache, text(sql.replace(":=", r"\:=")), server)
        assert result.reason is Reason.REFUSED
        assert why in line_of(result, clock)
        assert len(result.frame) > 0
        assert len(cache.entries()) == 0

    def test_the_date_in_a_zone_that_is_not_known_is_as_good_as_the_time(
        self, cache: QueryCache, server: Engine, clock: Clock
    ) -> None:
        event.listen(server, "connect", lambda raw, record: raw.query("set time_zone = '+01:30'"))
        for sql in ("select id, curdate() from guarded", "select id, now() from guarded"):
            assert "for 1 h at most" in line_of(cache.read(sql, server), clock)

    def test_an_address_is_no_variable(self, cache: QueryCache, server: Engine) -> None:
        sql = "select id, 'a@b.example' as `from@us`, year('2024-01-01') as y from guarded"
        assert [str(cache.read(sql, server).outcome) for _ in range(2)] == ["miss", "hit"]
