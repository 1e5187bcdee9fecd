"""Which tables a write touches, in every dialect that the parser knows."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.writes import touched_tables

TOUCHED: list[tuple[str, str, tuple[str, ...]]] = [
    ("", "insert into t values (1)", ("t",)),
    ("", 'INSERT INTO sales."Orders" (a) SELECT a FROM u;', ("Orders",)),
    ("", "update t set a = (select max(a) from u)", ("t",)),
    ("", "delete from t where a in (select a from u)", ("t",)),
    ("", "merge into t using u on t.a = u.a when matched then delete", ("t",)),
    ("", "truncate table t", ("t",)),
    ("", "drop table if exists t", ("t",)),
    ("", "drop view v", ("v",)),
    ("", "alter table t add c int", ("t",)),
    ("", "alter table t rename to u", ("t", "u")),
    ("", "create table x as select * from t", ("x",)),
    ("", "create or replace view v as select * from t", ("v",)),
    ("", "delete from t; update u set a = 1", ("t", "u")),
    ("", "select 1; delete from t", ("t",)),
    ("sqlite", "insert or replace into t values (?)", ("t",)),
    ("sqlite", "replace into t values (1)", ("t",)),
    ("sqlite", "with a as (select 1) insert into t select * from a", ("t",)),
    ("sqlite", "delete from t where a in (__[POSTCOMPILE_a_1])", ("t",)),
    ("postgresql", "insert into t (a) values (%(a)s) on conflict do nothing returning *", ("t",)),
    ("postgresql", "insert into t values ($1)", ("t",)),
    ("postgresql", "with x as (delete from t returning *) insert into u select * from x", ("u", "t")),
    ("postgresql", "with x as (update t set a = 1 returning *) select * from x", ("t",)),
    ("postgresql", "select * into x from t", ("x",)),
    ("postgresql", "update only t set a = 1 from u", ("t",)),
    ("postgresql", "delete from t using u where t.a = u.a", ("t",)),
    ("postgresql", "truncate t, u", ("t", "u")),
    ("postgresql", "copy t from stdin", ("t",)),
    ("postgresql", "create materialized view mv as select * from t", ("mv",)),
    ("mysql", "replace into t values (1)", ("t",)),
    ("mysql", "update t join u on t.a = u.a set u.b = 1", ("t", "u")),
    ("mysql", "delete from shop.t", ("t",)),
    ("mysql", "delete from a using orders a join u", ("orders", "a")),
    ("mariadb", "delete a from orders a join u on a.a = u.a", ("orders", "a")),
    ("mssql", "update o set a = 1 from orders o join u on o.a = u.a", ("orders", "o")),
    ("mssql", "delete o from orders o", ("orders", "o")),
    ("mssql", "with c as (select * from t) update c set a = 1", ("t", "c")),
    ("mssql", "select * into x from t", ("x",)),
    ("mssql", "truncate table dbo.t", ("t",)),
    ("oracle", "insert all into a values (1) into b values (2) select * from dual", ("a", "b")),
    ("oracle", "update t set a = :1", ("t",)),
    ("duckdb", "insert into t by name select 1 as a", ("t",)),
    ("duckdb", "create or replace table t as from u", ("t",)),
    ("duckdb", "copy t from 'f.csv'", ("t",)),
    ("snowflake", "insert overwrite into t select 1", ("t",)),
    ("snowflake", "alter table a swap with b", ("a", "b")),
    ("snowflake", "create table a clone b", ("a",)),
    ("postgresql", "refresh materialized view mv", ("mv",)),
    ("postgresql", 'Refresh Materialized View concurrently s."My View" with no data;', ("My View",)),
    ("postgresql", "create table p partition of s.sales for values in (1)", ("p", "sales")),
    ("postgresql", "create table c (x int references k (id)) inherits (a, b)", ("c", "a", "b")),
    ("bigquery", "update `project.sales.t` set a = 1 where true", ("t",)),
    ("hive", "insert overwrite table t select 1", ("t",)),
]
NOTHING: list[tuple[str, str]] = [
    ("", "select * from t"),
    ("postgresql", "select * from t for update"),
    ("postgresql", "vacuum t"),
    ("postgresql", "create index i on t (a)"),
    ("postgresql", "grant select on t to ann"),
    ("postgresql", "set search_path = x"),
    ("postgresql", "copy (select * from t) to stdout"),
    ("duckdb", "copy t to 'f.parquet'"),
    ("duckdb", "checkpoint"),
    ("sqlite", "reindex"),
    ("sqlite", "pragma user_version = 3"),
    ("clickhouse", "optimize table t final"),
]
CANNOT_BE_TOLD: list[tuple[str, str]] = [
    ("postgresql", "insert into log select tidy_sales()"),
    ("postgresql", "with x as (select tidy_sales()) insert into log select * from x"),
    ("", ""),
    ("", "??? !!!"),
    ("", "insert into"),
    ("postgresql", "call p()"),
    ("postgresql", "do $$ begin end $$"),
    ("postgresql", "select tidy_up()"),
    ("postgresql", "truncate t cascade"),
    ("postgresql", "drop table t cascade"),
    ("postgresql", "drop schema s cascade"),
    ("postgresql", "create or replace function f() returns int as 'select 1' language sql"),
    ("postgresql", "create policy p on t using (true)"),
    ("postgresql", "explain analyze delete from t"),
    ("postgresql", "delete from t; call p()"),
    ("mysql", "rename table a to b"),
    ("mysql", "load data infile 'x' into table t"),
    ("mssql", "exec sp_rename 'a', 'b'"),
    ("duckdb", "create or replace macro m() as 1"),
    ("duckdb", "copy from database a to b"),
    ("clickhouse", "exchange tables a and b"),
    ("no_such_dialect", "delete from t"),
]


@pytest.mark.parametrize(("dialect", "sql", "tables"), TOUCHED)
def test_what_is_touched(dialect: str, sql: str, tables: tuple[str, ...]) -> None:
    assert touched_tables(sql, dialect) == tables


@pytest.mark.parametrize(("dialect", "sql"), NOTHING)
def test_what_touches_nothing(dialect: str, sql: str) -> None:
    assert touched_tables(sql, dialect) == ()


@pytest.mark.parametrize(("dialect", "sql"), CANNOT_BE_TOLD)
def test_what_cannot_be_told(dialect: str, sql: str) -> None:
    assert touched_tables(sql, dialect) is None


@given(st.text(max_size=40), st.sampled_from(["", "sqlite", "postgresql", "mysql", "mssql", "duckdb"]))
def test_any_text_is_answered(sql: str, dialect: str) -> None:
    touched = touched_tables(sql, dialect)
    assert touched is None or all(type(name) is str and len(name) > 0 for name in touched)


def test_the_parser_is_loaded_late() -> None:
    code = "import sys, sqlcache_nb.writes; print('sqlglot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
