"""May the answer to this SQL be kept, and does the file's token vouch for it?"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.guard import Facts, Kind, examine, kind_of
from sqlcache_nb.schema import Schema
from sqlcache_nb.words import asks_for_the_time

QUERY, INFO, WRITE, SEVERAL, UNKNOWN = Kind
FILE = Schema(frozenset({"t", "u", "orders"}), {})

# --- what a statement does ----------------------------------------------------------------------------

KINDS: list[tuple[Kind, str, str]] = [
    (QUERY, "", "select 1"),
    (QUERY, "", "  SELECT 1 ;  "),
    (QUERY, "", "select 1; -- that is all"),
    (QUERY, "", "-- first\n/* second */ select 1"),
    (QUERY, "", "t"),
    (QUERY, "", "main.t"),
    (QUERY, "", '"My Table"'),
    (QUERY, "", "values (1), (2)"),
    (QUERY, "", "(select 1) union all (select 2)"),
    (QUERY, "", "with x as (select 1) select * from x"),
    (QUERY, "", "select ';', 'drop table t'"),
    (QUERY, "", 'select "update" from t'),
    (QUERY, "", "select * from t where a = 'insert'"),
    (QUERY, "", "select replace(a, 'x', 'y') from t"),
    (QUERY, "", "select count(*) over (partition by a) from t"),
    (QUERY, "sqlite", "select * from t where a = ? limit :n"),
    (QUERY, "sqlite", "select * from t where a in (__[POSTCOMPILE_a_1])"),
    (QUERY, "postgresql", "select %(a)s::int, '100%%' from t"),
    (QUERY, "postgresql", "select $$;drop table t$$"),
    (QUERY, "postgresql", "select distinct on (a) a from t, lateral (select 1) as x"),
    (QUERY, "mysql", "select `select` from t where a = %s"),
    (QUERY, "mssql", "select top 5 [order] from t"),
    (QUERY, "oracle", "select a from t where rownum < :1"),
    (QUERY, "duckdb", "from t"),
    (QUERY, "duckdb", "from t select a"),
    (QUERY, "duckdb", "pivot t on a using sum(b)"),
    (QUERY, "snowflake", "select * from t qualify row_number() over (partition by a order by b) = 1"),
    (QUERY, "no_such_dialect", "select 1"),
    (INFO, "", "explain select 1"),
    (INFO, "sqlite", "explain query plan select 1"),
    (INFO, "postgresql", "explain delete from t"),
    (INFO, "postgresql", "explain (analyze) select 1"),
    (INFO, "postgresql", "show search_path"),
    (INFO, "mysql", "show tables"),
    (INFO, "mysql", "desc t"),
    (INFO, "duckdb", "describe t"),
    (INFO, "duckdb", "summarize t"),
    (INFO, "sqlite", "pragma table_info(t)"),
    (INFO, "sqlite", "pragma user_version"),
    (WRITE, "sqlite", "pragma user_version = 3"),
    (WRITE, "sqlite", "pragma user_version(3)"),
    (WRITE, "sqlite", "pragma journal_mode(wal)"),
    (WRITE, "", "insert into t values (1)"),
    (WRITE, "", "-- select\nupdate t set a = 1"),
    (WRITE, "", "delete from t"),
    (WRITE, "", "drop table t"),
    (WRITE, "", "create table x as select 1"),
    (WRITE, "", "alter table t add c int"),
    (WRITE, "", "truncate table t"),
    (WRITE, "", "merge into t using u on t.a = u.a when matched then delete"),
    (WRITE, "mysql", "replace into t values (1)"),
    (WRITE, "postgresql", "insert into t values (1) returning *"),
    (WRITE, "postgresql", "with x as (insert into t values (1) returning *) select * from x"),
    (WRITE, "postgresql", "with x as (delete from t returning *) select * from x"),
    (WRITE, "postgresql", "select * into x from t"),
    (WRITE, "mssql", "select * into x from t"),
    (WRITE, "postgresql", "select * from t for update"),
    (WRITE, "postgresql", "explain analyze delete from t"),
    (WRITE, "postgresql", "explain (analyze) insert into t values (1)"),
    (WRITE, "postgresql", "set search_path = a"),
    (WRITE, "postgresql", "call f()"),
    (WRITE, "postgresql", "do $$ begin end $$"),
    (WRITE, "postgresql", "copy t to stdout"),
    (WRITE, "mssql", "exec sp_who"),
    (WRITE, "duckdb", "use dev"),
    (WRITE, "duckdb", "copy t to 'x.csv'"),
    (WRITE, "duckdb", "install httpfs"),
    (WRITE, "", "begin"),
    (WRITE, "", "commit"),
    (WRITE, "sqlite", "vacuum"),
    (SEVERAL, "", "select 1; select 2"),
    (SEVERAL, "", "select 1; drop table t; -- bye"),
    (SEVERAL, "sqlite", "select 1;; select 2"),
    (UNKNOWN, "", "selekt 1"),
    (UNKNOWN, "", ""),
    (UNKNOWN, "", "-- nothing"),
    (UNKNOWN, "", "???"),
]


@pytest.mark.parametrize(("kind", "dialect", "sql"), KINDS)
def test_the_kind(kind: Kind, dialect: str, sql: str) -> None:
    facts = examine(sql, dialect)
    assert facts.kind is kind
    assert bool(facts.refusal) == (kind is not QUERY)


# One bare word is a table's name to pandas; these two would change nothing.
HARMLESS_WORDS = {"begin", "commit"}


@pytest.mark.parametrize(("kind", "dialect", "sql"), [row for row in KINDS if row[2] not in HARMLESS_WORDS])
def test_the_kind_is_the_same_without_the_parser(kind: Kind, dialect: str, sql: str) -> None:
    assert kind_of(sql, dialect) is kind


@given(st.text())
def test_any_text_has_a_kind(text: str) -> None:
    assert examine(text).kind in Kind


# --- the time --------------------------------------------------------------------------------------------

VOLATILE: list[tuple[str, str]] = [
    ("", "select current_timestamp"),
    ("postgresql", "select now()"),
    ("postgresql", "select * from generate_series(now(), now(), interval '1 day')"),
    ("postgresql", "select clock_timestamp()"),
    ("postgresql", "select 'now'::timestamp"),
    ("postgresql", "select E'now'::timestamp"),
    ("postgresql", "select timestamp 'today 04:05'"),
    ("postgresql", "select timestamp 'tomorrow allballs'"),
    ("postgresql", "select localtime"),
    ("mysql", "select curdate(), now(6)"),
    ("mysql", "select unix_timestamp()"),
    ("mssql", "select getdate()"),
    ("oracle", "select sysdate from dual"),
    ("oracle", "select current_date from dual"),
    ("bigquery", "select current_date('America/New_York')"),
    ("mysql", "select utc_date()"),
    ("", "select current_date, now()"),
    ("duckdb", "select get_current_timestamp()"),
    ("duckdb", "select age(born) from t"),
    ("sqlite", "select datetime('NOW', '-1 day')"),
    ("sqlite", "select date('now', 'localtime')"),
    ("sqlite", "select date('now', '+3 hours')"),
    ("sqlite", "select date('now', '-0.5 days')"),
    ("sqlite", "select date('now', ?)"),
    ("sqlite", "select date('now', '-1 day'), time('now')"),
    ("sqlite", "select date(coalesce(day, 'now')) from t"),
    ("sqlite", "select date('now' || '') from t"),
    ("sqlite", "select julianday()"),
    ("sqlite", "select strftime('%s', 'now')"),
    ("sqlite", 'select datetime("now")'),  # a string, where no column has that name
    ("sqlite", 'select strftime("%s", "now"), a from t'),
    ("sqlite", "select strftime('%s')"),
    ("sqlite", "select unixepoch('subsec')"),
]
DAILY: list[tuple[str, str]] = [
    ("", "select * from t where day >= current_date - interval '1' day"),
    ("postgresql", "select current_date"),
    ("postgresql", "select timestamp 'today', 'tomorrow'::date"),
    ("postgresql", "select age(born) from t"),
    ("mysql", "select curdate(), current_date()"),
    ("snowflake", "select current_date()"),
    ("duckdb", "select today()"),
    ("duckdb", "select current_date, year(current_date)"),
    ("clickhouse", "select yesterday()"),
    ("sqlite", "select current_date"),
    ("sqlite", "select date('now')"),
    ("sqlite", "select date('NOW', '-7 days', 'start of month', 'weekday 1')"),
    ("sqlite", "select date()"),
    ("sqlite", "select * from t where day > date('now', '-1 year')"),
]
CATALOGS: list[tuple[str, str]] = [
    ("", "select * from information_schema.tables"),
    ("postgresql", "select * from pg_stat_user_tables"),
    ("postgresql", "select oid from pg_catalog.pg_class"),
    ("postgresql", "select pg_total_relation_size('t')"),
    ("postgresql", "select has_table_privilege('ann', 't', 'select')"),
    ("mssql", "select name from sys.objects"),
    ("mssql", "select name from sysobjects"),
    ("mysql", "select * from performance_schema.threads"),
    ("oracle", "select * from all_tables"),
    ("sqlite", "select * from sqlite_master"),
    ("sqlite", "select * from sqlite_schema"),
    ("sqlite", "select * from pragma_table_info('t')"),
    ("duckdb", "select * from duckdb_tables()"),
    ("redshift", "select * from svv_table_info"),
]
NO_CATALOGS: list[tuple[str, str]] = [
    ("", "select * from systems join system_events using (id)"),
    ("", "select * from user_events"),
    ("", "select sys from t"),
    ("postgresql", "select pg_typeof(a) from t"),
    ("sqlite", "select 'sqlite_master' from t"),
]
TIMELESS: list[tuple[str, str]] = [
    ("", "select now from t"),
    ("sqlite", 'select "today" from t'),
    ("postgresql", "select date_trunc('day', \"now\") from t"),
    ("", 'select "current_date" from t'),
    ("", "select 1 -- now()"),
    ("", "select /* current_timestamp */ 1"),
    ("", "select 'now and then'"),
    ("sqlite", "select date(day), strftime('%s', day), julianday(day) from t"),
    ("postgresql", "select date '2024-01-01', age(a, b) from t"),
]


@pytest.mark.parametrize(("dialect", "sql"), [*VOLATILE, *CATALOGS])
def test_what_asks_for_the_time_or_a_catalog(dialect: str, sql: str) -> None:
    assert examine(sql, dialect).volatile
    assert not examine(sql, dialect).refusal


@pytest.mark.parametrize(("dialect", "sql"), DAILY)
def test_what_asks_for_the_date_alone(dialect: str, sql: str) -> None:
    facts = examine(sql, dialect)
    assert (facts.daily, facts.volatile, facts.refusal) == (True, False, "")
    assert facts.zone is None  # which only the session can tell


@pytest.mark.parametrize(("dialect", "sql"), [*TIMELESS, *NO_CATALOGS])
def test_what_only_looks_as_if_it_asked(dialect: str, sql: str) -> None:
    facts = examine(sql, dialect)
    assert (facts.daily, facts.volatile) == (False, False)


@pytest.mark.parametrize(
    "sql",
    [
        sql
        for dialect, sql in [*VOLATILE, *DAILY]
        if dialect == "sqlite" and "from t" not in sql and "?" not in sql
    ],
)
def test_what_sqlite_answers_by_the_time_is_known(sql: str) -> None:
    """SQLite itself marks these: what depends on the time may not be in an index."""
    if "subsec" in sql and sqlite3.sqlite_version_info < (3, 42):
        pytest.skip(f"SQLite {sqlite3.sqlite_version} does not know subsec")
    with closing(sqlite3.connect(":memory:")) as con:
        con.execute("create table t (a)")
        con.execute("insert into t values (1)")  # the index is computed, and that is what raises
        with pytest.raises(sqlite3.OperationalError, match="non-deterministic"):
            con.execute(f"create index i on t ({sql.removeprefix('select ')})")


@pytest.mark.parametrize(
    ("value", "asks"),
    [
        ("now", True),
        (" Today ", True),
        (["2024-01-01", "yesterday"], True),
        ({"day": "now"}, True),
        ({"days": ("tomorrow",)}, True),
        ({"now": 1}, False),
        ("now and then", False),
        (1, False),
        (None, False),
        (b"now", False),
        ([], False),
    ],
)
def test_a_bound_value_may_ask_for_the_time(value: object, asks: bool) -> None:
    assert asks_for_the_time(value) is asks


# --- chance ----------------------------------------------------------------------------------------------

CHANCE: list[tuple[str, str]] = [
    ("postgresql", "select array_shuffle(a) from t"),
    ("duckdb", "select reservoir_quantile(a, 0.5) from t"),
    ("sqlite", "select random()"),
    ("sqlite", "select * from t order by random() limit 1"),
    ("sqlite", "select random /* really */ ()"),
    ("sqlite", 'select "random"()'),
    ("sqlite", "select [random]()"),
    ("sqlite", "select hex(randomblob(4))"),
    ("mysql", "select rand()"),
    ("mysql", "select uuid()"),
    ("mssql", "select newid()"),
    ("postgresql", "select pg_catalog.random()"),
    ("postgresql", "select gen_random_uuid()"),
    ("postgresql", "select * from t tablesample bernoulli (10)"),
    ("duckdb", "select uuid()"),
    ("duckdb", "select * from t using sample 10"),
    ("oracle", "select dbms_random.value from dual"),
    ("databricks", "select * from t tablesample (10 percent)"),
    ("snowflake", "select * from t sample (10)"),
]
NO_CHANCE: list[tuple[str, str]] = [
    ("", "select 'random()'"),
    ("", "select 1 -- random()"),
    ("", 'select "random" from t'),
    ("", "select random from t"),
    ("", "select changes from t"),
    ("", "select sample from t where sample in (1, 2)"),
    ("", "with sample (a) as (select 1) select * from sample"),
]
DEEDS: list[tuple[str, str]] = [
    ("postgresql", "select pg_create_restore_point('a')"),
    ("postgresql", "select pg_drop_replication_slot('a')"),
    ("postgresql", "select pg_stat_statements_reset()"),
    ("postgresql", "select pg_log_backend_memory_contexts(1)"),
    ("postgresql", "select query_to_xml_and_xmlschema('delete from t returning *', true, true, '')"),
    ("postgresql", "select nextval('s')"),
    ("postgresql", "select nextval('s'), random()"),
    ("postgresql", "select set_config('search_path', 'a', false)"),
    ("postgresql", "select pg_advisory_lock(1)"),
    ("postgresql", "select pg_try_advisory_xact_lock(1)"),
    ("postgresql", "select pg_sleep(1), pg_sleep_for('1 s')"),
    ("postgresql", "select pg_notify('a', 'b')"),
    ("postgresql", "select * from dblink('host=a', 'select 1') as t (a int)"),
    ("postgresql", "select dblink_exec('drop table t')"),
    ("postgresql", "select lo_import('/etc/passwd')"),
    ("postgresql", "select pg_stat_reset()"),
    ("postgresql", "select * from pg_logical_slot_get_changes('s', null, null)"),
    ("duckdb", "select setseed(0.5)"),
    ("mysql", "select get_lock('a', 1)"),
    ("mysql", "select sleep(1)"),
    ("mssql", "select next value for s"),
    ("mssql", "select * from t with (updlock)"),
    ("mssql", "select * from t with (rowlock, xlock)"),
    ("oracle", "select s.nextval from dual"),
    ("snowflake", "select s.nextval"),
    ("sqlite", "select load_extension('x')"),
]
NO_DEEDS: list[tuple[str, str]] = [
    ("postgresql", "select t.nextval from t"),
    ("mssql", "select * from t with (nolock)"),
    ("mssql", "select updlock from t"),
    ("", "select sleep from nights"),
]
OF_THE_SESSION: list[tuple[str, str]] = [
    ("postgresql", "select inet_client_port()"),
    ("postgresql", "select pg_current_snapshot()"),
    ("sqlite", "select * from pragma_foreign_keys"),
    ("sqlite", "select * from pragma_cache_size()"),
    ("duckdb", "select current_query()"),
    ("duckdb", "select current_connection_id()"),
    ("sqlite", "select last_insert_rowid()"),
    ("sqlite", "select changes()"),
    ("postgresql", "select currval('s')"),
    ("postgresql", "select current_setting('my.day')"),
    ("duckdb", "select getvariable('day')"),
    ("mysql", "select @day"),
    ("mysql", "select @day := @day + 1 from t"),
    ("mysql", "select @@sql_mode"),
    ("mysql", "select found_rows()"),
    ("mssql", "select @@rowcount"),
    ("mssql", "select * from t where a = @a"),
    ("snowflake", "select * from t where day = $day"),
    ("bigquery", "select @@time_zone"),
]
NOT_OF_THE_SESSION: list[tuple[str, str]] = [
    ("sqlite", "select name from pragma_table_info('t')"),
    ("postgresql", "select a @> b, a <@ b, @ -5, a @@ b, a @? b from t"),
    ("mysql", "select 'a@b' from t"),
    ("bigquery", "select * from t where a = @a"),
    ("sqlite", "select * from t where a = @a or a = $a"),
    ("duckdb", "select * from t where a = $a"),
    ("snowflake", "select $1 from t"),
]


@pytest.mark.parametrize(("dialect", "sql"), CHANCE)
def test_what_answers_otherwise_each_time(dialect: str, sql: str) -> None:
    facts = examine(sql, dialect)
    assert (facts.kind, facts.refusal) == (QUERY, "")  # whoever wants to keep it may
    assert "another one each time" in facts.chance


@pytest.mark.parametrize(("dialect", "sql"), DEEDS)
def test_what_acts_is_refused_whatever_is_asked(dialect: str, sql: str) -> None:
    facts = examine(sql, dialect)
    assert facts.kind is QUERY
    assert "more than read" in facts.refusal or "locks" in facts.refusal


@pytest.mark.parametrize(("dialect", "sql"), OF_THE_SESSION)
def test_what_the_session_answers_is_refused(dialect: str, sql: str) -> None:
    assert "session" in examine(sql, dialect).refusal


@pytest.mark.parametrize(("dialect", "sql"), [*NO_CHANCE, *NO_DEEDS, *NOT_OF_THE_SESSION])
def test_what_only_looks_like_chance_or_a_deed_is_not_refused(dialect: str, sql: str) -> None:
    facts = examine(sql, dialect)
    assert (facts.chance, facts.refusal) == ("", "")


# --- what it reads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select 1", ()),
        ("t", ("t",)),
        ("select * from t", ("t",)),
        ("select * from main.t", ("t",)),
        ('select * from "My Table"', ("My Table",)),
        ("select * from t join u using (a) join t as again using (a)", ("t", "u")),
        ("select * from t where a in (select a from u)", ("t", "u")),
        ("select (select max(a) from u) from t", ("t", "u")),
        ("with x as (select * from t) select * from x", ("t",)),
        ("with t as (select 1) select * from t", ()),
        ("with recursive x as (select 1 as n union all select n + 1 from x) select * from x", ()),
        # The WITH's own name, and the table that it hides: only a qualified name reaches it.
        ("with t as (select * from main.t) select * from t", ("t",)),
        # A name of an inner WITH is unknown outside.
        ("select * from t where a in (with t as (select 1) select * from t)", ("t",)),
        ("select * from t union all select * from (with t as (select 1) select * from t)", ("t",)),
    ],
)
def test_the_tables(sql: str, tables: tuple[str, ...]) -> None:
    assert sorted(examine(sql, "sqlite").tables) == sorted(tables)


COVERED: list[tuple[str, str]] = [
    ("sqlite", "select 1"),
    ("sqlite", "t"),
    ("sqlite", "select * from T join u using (a)"),
    ("sqlite", "with x as (select * from t) select * from x"),
    ("sqlite", "select * from json_each('[1, 2]')"),
    ("duckdb", "from t"),
    ("duckdb", "select * from main.t"),
    ("duckdb", "select * from range(3), unnest([1, 2]), t"),
    ("duckdb", "pivot t on a using sum(b)"),
]
NOT_COVERED: list[tuple[str, str]] = [
    ("sqlite", "select * from missing"),
    ("sqlite", "select * from pragma_table_info('t')"),
    ("sqlite", "select * from sqlite_dbpage"),
    ("sqlite", "with missing as (select * from main.missing) select * from missing"),
    ("duckdb", "from 'x.csv'"),
    ("duckdb", 'select * from "x.parquet"'),
    ("duckdb", "select * from 's3://bucket/x.parquet'"),
    ("duckdb", "select * from read_csv('x.csv')"),
    ("duckdb", "select * from t where a in (select a from read_parquet(['x.parquet']))"),
    ("duckdb", "select * from glob('*')"),
    ("duckdb", "select content from read_text('x')"),
    ("duckdb", "select * from sqlite_scan('x.db', 't')"),
    ("duckdb", "select * from parquet_scan('x')"),
    ("duckdb", "select * from st_read('x.shp')"),
    ("duckdb", "select * from query('from t')"),
    ("duckdb", "select getenv('HOME')"),
    ("duckdb", "select getvariable('day')"),
    ("duckdb", "select * from t where day = getvariable('day')"),
    ("duckdb", "select * from duckdb_settings()"),
    ("duckdb", "select * from unknown_function(1)"),
]


def vouched_for(dialect: str, sql: str, schema: Schema = FILE) -> bool:
    """Whether the token alone decides: what is refused is not kept at all."""
    facts = examine(sql, dialect, schema)
    return facts.covered and not (facts.volatile or facts.chance or facts.refusal)


@pytest.mark.parametrize(("dialect", "sql"), COVERED)
def test_what_reads_plain_tables_alone_is_covered(dialect: str, sql: str) -> None:
    assert vouched_for(dialect, sql)


@pytest.mark.parametrize(("dialect", "sql"), NOT_COVERED)
def test_what_may_read_anything_else_is_not(dialect: str, sql: str) -> None:
    assert not vouched_for(dialect, sql)


def test_a_statement_that_cannot_be_parsed_is_not_covered() -> None:
    facts = examine("select * from t where", "sqlite", FILE)
    assert (facts.kind, facts.covered) == (QUERY, False)


@pytest.mark.parametrize("sql", ["select * from frame", "from frame", "with x as (from frame) from x"])
def test_duckdb_may_read_a_python_variable_that_is_no_table(sql: str) -> None:
    assert "frame is not a table of the database" in examine(sql, "duckdb", FILE).refusal


@pytest.mark.parametrize(
    ("sql", "is_reached"),
    [
        ("from here", True),
        ("from there", False),
        ("there", False),
        ("from dev.there", True),
        ("from db.dev.there", True),
        ("from db.there", True),
        ("from main.there", False),
        ("from db.main.there", False),
        ("from Dev.THERE", True),
        ("with there as (select 1) from there", True),
        ("with there as (from there) from there", False),
        ("from dev.beside", True),
        ("from outside", False),
        ("select * from here where n in (select n from there)", False),
    ],
)
def test_duckdb_looks_for_a_table_in_the_schema_that_is_meant(sql: str, is_reached: bool) -> None:
    dev, main = frozenset({("db", "dev")}), frozenset({("db", "main")})
    schema = Schema(
        frozenset({"here", "there"}),
        {"beside": "create view dev.beside as from there", "outside": "create view outside as from there"},
        {"here": main, "there": dev, "beside": dev, "outside": main},
        main,
    )
    facts = examine(sql, "duckdb", schema)
    assert (facts.covered, facts.refusal == "") == (is_reached, is_reached)


def test_a_catalog_of_duckdb_is_no_python_variable() -> None:
    assert not examine("select * from information_schema.tables", "duckdb", FILE).refusal
    assert not examine("select * from sqlite_master", "duckdb", FILE).refusal
    sql = "select * from information_schema.tables, tables"
    assert "tables is not a table of the database" in examine(sql, "duckdb", FILE).refusal


def test_a_python_variable_has_no_place_in_sqlite() -> None:
    assert not examine("select * from frame", "sqlite", FILE).refusal


# --- views and macros --------------------------------------------------------------------------------------

DEFINITIONS: Mapping[str, str] = {
    "plain": "CREATE VIEW plain AS SELECT * FROM t",
    "Deep".lower(): "CREATE VIEW deep AS SELECT * FROM plain JOIN u USING (a)",
    "outside": "CREATE VIEW outside AS SELECT * FROM 'x.csv';",
    "deep_outside": "CREATE VIEW deep_outside AS SELECT * FROM (SELECT * FROM outside)",
    "timed": "CREATE VIEW timed AS SELECT * FROM t WHERE day > current_date",
    "deep_timed": "CREATE VIEW deep_timed AS SELECT * FROM timed",
    "lucky": "CREATE VIEW lucky AS SELECT random() AS r FROM t",
    "deep_lucky": "CREATE VIEW deep_lucky AS SELECT * FROM lucky",
    "circle": "CREATE VIEW circle AS SELECT * FROM square",
    "square": "CREATE VIEW square AS SELECT * FROM circle",
    "virtual": "",
    "riddle": "CREATE VIEW riddle AS ??? !!!",
    "twice": "SELECT (a * 2)",
    "dice": "SELECT (random() * sides)",
    "since": "SELECT (today() - a)",
    "csv": "SELECT SELECT * FROM read_csv(path)",
}
VIEWS = Schema(FILE.tables, DEFINITIONS)


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
@pytest.mark.parametrize(
    ("sql", "covered", "daily", "by_chance"),
    [
        ("select * from plain", True, False, False),
        ("select * from PLAIN", True, False, False),
        ("select * from main.deep", True, False, False),
        ("deep", True, False, False),
        ("select * from outside", False, False, False),
        ("select * from t join deep_outside using (a)", False, False, False),
        ("select * from timed", True, True, False),
        ("select * from deep_timed", True, True, False),
        ("select * from lucky", True, False, True),
        ("select * from deep_lucky", True, False, True),
        ("select * from circle", True, False, False),
        ("select * from virtual", False, False, False),
        ("select * from riddle", False, False, False),
        ("select twice(a) from t", True, False, False),
        ("select dice(6) from t", True, False, True),
        ("select since(a) from t", True, True, False),
        ("select * from csv('x.csv')", False, False, False),
        ("with x as (select * from outside) select * from x", False, False, False),
        # The WITH hides the view from what follows, and not from itself.
        ("with outside as (select * from main.outside) select * from outside", False, False, False),
        ("with lucky as (select * from main.lucky) select * from lucky", True, False, True),
    ],
)
def test_views_and_macros_are_seen_through(
    dialect: str, sql: str, covered: bool, daily: bool, by_chance: bool
) -> None:
    facts = examine(sql, dialect, VIEWS)
    assert (facts.covered, facts.daily, bool(facts.chance)) == (covered, daily, by_chance)
    assert not facts.volatile
    assert not facts.refusal


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
def test_what_a_view_does_is_done_by_who_reads_it(dialect: str) -> None:
    definitions = {"acts": "SELECT setseed(a)", "now_there": "CREATE VIEW now_there AS SELECT now() AS n"}
    schema = Schema(FILE.tables, definitions)
    assert "more than read" in examine("select acts(a) from t", dialect, schema).refusal
    assert examine("select * from now_there", dialect, schema).volatile


def test_a_server_has_no_schema_here() -> None:
    assert examine("select * from anything", "postgresql") == Facts(QUERY, ("anything",), covered=True)


# --- real files ---------------------------------------------------------------------------------------------


def test_a_duckdb_cte_may_read_the_view_that_it_is_called_after(tmp_path: Path) -> None:
    """DuckDB proves it: the answer changes with the file, so nothing in the database can vouch for it."""
    duckdb: Any = pytest.importorskip("duckdb")
    csv = tmp_path / "x.csv"
    sql = "with v as (select * from main.v) select n from v"
    answers = []
    with closing(duckdb.connect()) as con:
        for number in (1, 2):
            csv.write_text(f"n\n{number}\n", encoding="utf-8")
            con.execute(f"create or replace view v as select * from '{csv}'")
            answers.append(con.execute(sql).fetchall())
    assert answers == [[(1,)], [(2,)]]
    definition = f"create view v as select * from '{csv}'"
    assert not vouched_for("duckdb", sql, Schema(frozenset(), {"v": definition}))


def test_the_parser_is_loaded_late_and_says_nothing() -> None:
    script = (
        "import sys, sqlcache_nb.guard as g\n"
        "assert 'sqlglot' not in sys.modules\n"
        "g.examine('vacuum; ???', 'sqlite'); g.examine('handler t open', 'mysql'); g.examine('call f()')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
