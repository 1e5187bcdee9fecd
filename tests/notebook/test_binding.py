"""A question in the form that its connection takes, put to real databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from sqlalchemy import create_engine

from sqlcache_nb.errors import NotebookError
from sqlcache_nb.notebook.binding import Question, bind
from sqlcache_nb.notebook.parameters import scan

ROWS = [(1, "a"), (2, "b"), (3, "it's")]


@pytest.fixture(params=["sqlite engine", "duckdb engine", "sqlite3", "duckdb"])
def con(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A connection to a table `t (n, s)`."""
    engine = None
    if request.param.endswith("engine"):
        dialect = request.param.split()[0]
        engine = create_engine(f"{dialect}:///{tmp_path / 'numbers.db'}")
        with engine.begin() as connection:
            connection.exec_driver_sql("create table t (n integer, s varchar)")
            for n, s in ROWS:
                connection.exec_driver_sql("insert into t values (?, ?)", (n, s))
        yield engine
        engine.dispose()
        return
    with closing(sqlite3.connect(":memory:") if request.param == "sqlite3" else duckdb.connect()) as raw:
        raw.execute("create table t (n integer, s varchar)")
        raw.executemany("insert into t values (?, ?)", ROWS)
        yield raw


def ask(con: Any, sql: str, **values: object) -> list[int]:
    dialect = "sqlite" if isinstance(con, sqlite3.Connection) else "duckdb"
    question = bind(scan(sql, dialect), values, con)
    cursor = con.connect() if hasattr(con, "dialect") else con.cursor()
    with closing(cursor):
        rows = cursor.execute(question.sql, *([question.params] if question.params else [])).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("sql", "values", "expected"),
    [
        ("select n from t where n = :x", {"x": 2}, [2]),
        ("select n from t where n = :x and s = :y", {"x": 2, "y": "b"}, [2]),
        ("select n from t where s = :s", {"s": "it's"}, [3]),
        ("select n from t where n in :x", {"x": [1, 3]}, [1, 3]),
        ("select n from t where n in (:x)", {"x": [1, 3]}, [1, 3]),
        ("select n from t where n in ( :x ) and s in :s", {"x": [1, 3], "s": ["a"]}, [1]),
        ("select n from t where n in (:x)", {"x": 2}, [2]),
        ("select n from t where n in (:x, :y)", {"x": 1, "y": 2}, [1, 2]),
        ("select n from t where n not in :x", {"x": [1]}, [2, 3]),
        ("select n from t where n in :x", {"x": []}, []),
        ("select n from t where n not in :x", {"x": []}, [1, 2, 3]),
        ("select n from t where n in :x or n = :x_1", {"x": [1], "x_1": 3}, [1, 3]),
        ("select n from t where n in :x or n = :x_ or n = :x_1", {"x": [9], "x_": 1, "x_1": 3}, [1, 3]),
        ("select n from t where n in :x or n in :x_", {"x": [1], "x_": [3]}, [1, 3]),
        ("select n from t where s <> ':x' and s like 'a%' and n = :x", {"x": 1}, [1]),
        ("select n from t where s not in :s", {"s": []}, [1, 2, 3]),
    ],
)
def test_values_are_bound(con: Any, sql: str, values: dict[str, object], expected: list[int]) -> None:
    assert ask(con, sql + " order by n", **values) == expected


def test_a_value_is_never_pasted(con: Any) -> None:
    assert ask(con, "select n from t where s = :s", s="a' or '1'='1") == []


def test_without_parameters(con: Any) -> None:
    assert ask(con, "select n from t where s like 'a%' -- :no") == [1]


def test_casts(con: Any) -> None:
    if not isinstance(con, sqlite3.Connection) and "sqlite" not in str(getattr(con, "url", "")):
        assert ask(con, "select n from t where n = :x::int", x="2") == [2]


def test_a_bare_table_name_stays_a_string() -> None:
    engine = create_engine("sqlite://")
    assert bind(scan("flights"), {}, engine) == Question("flights", None)
    engine.dispose()


def test_a_connection_that_takes_no_parameters() -> None:
    class Connection:
        __module__ = "adbc_driver_manager.dbapi"

    assert bind(scan("select 1"), {}, Connection()) == Question("select 1", None)
    with pytest.raises(NotebookError, match=r"parameters need an engine.* adbc_driver_manager"):
        bind(scan("select :x"), {"x": 1}, Connection())


def test_lists_for_sqlite3_are_written_out() -> None:
    with closing(sqlite3.connect(":memory:")) as raw:
        question = bind(scan("a in :x or b = :x_1 or c in (:x)"), {"x": [7, 8], "x_1": 9}, raw)
    assert question.sql == "a in (:x__1, :x__2) or b = :x_1 or c in (:x__1, :x__2)"
    assert question.params == {"x__1": 7, "x__2": 8, "x_1": 9}


def test_an_empty_list_has_no_type_in_postgresql() -> None:
    engine = create_engine("sqlite://")
    question = bind(scan("a in :x or b not in (:x)"), {"x": []}, engine, "postgresql")
    assert str(question.sql) == "a = ANY ('{}') or b <> ALL ('{}')"
    assert question.params is None
    engine.dispose()


def test_pandas_reads_what_was_bound(con: Any) -> None:
    if not isinstance(con, duckdb.DuckDBPyConnection):  # pandas warns of it
        question = bind(scan("select n from t where n in :x"), {"x": [1, 2]}, con)
        params: Any = question.params
        assert pd.read_sql(question.sql, con, params=params)["n"].tolist() == [1, 2]
