"""What a statement does, without a parser where its words leave no doubt."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sqlcache_nb.guard import Kind, kind_of

READS = [
    "select 1",
    "SELECT * FROM flights WHERE carrier = :carrier;",
    "-- a comment\n/* another */ select 1",
    "with a as (select 1) select * from a",
    "values (1)",
    "from flights",
    "flights",
]


@pytest.mark.parametrize(
    "sql", [*READS, "select 'delete from t; drop'", "select replace(a, 'x', 'y') from t"]
)
def test_reads(sql: str) -> None:
    assert kind_of(sql, "duckdb") is Kind.QUERY


@pytest.mark.parametrize(
    "sql",
    [
        "insert into t values (1)",
        "-- select\ndelete from t",
        "with gone as (delete from t returning *) select * from gone",
        "select * into copy from t",
        "create table t (a int)",
        "set search_path = other",
    ],
)
def test_writes(sql: str) -> None:
    assert kind_of(sql, "postgresql") is Kind.WRITE


@pytest.mark.parametrize("sql", ["select 1; select 2", "select 1; delete from t", "delete from t; select 1"])
def test_several(sql: str) -> None:
    assert kind_of(sql) is Kind.SEVERAL


@pytest.mark.parametrize(
    "sql", ["explain select 1", "show tables", "describe flights", "pragma table_info(t)"]
)
def test_statements_about_the_database(sql: str) -> None:
    assert kind_of(sql, "duckdb") is Kind.INFO


def test_a_read_loads_no_parser() -> None:
    code = (
        "import sys; from sqlcache_nb.guard import kind_of\n"
        f"for sql in {READS!r}: kind_of(sql)\n"
        "print('sqlglot' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
