"""DuckDB's engines: what a session carries, and what a file does not vouch for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.pool import StaticPool

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.freshness import Reason
from sqlcache_nb.sources import source_of
from tests.conftest import SALES, Clock
from tests.source_contract import QUERY, SourceContract

duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
pytest.importorskip("duckdb_sqlalchemy", reason="duckdb-sqlalchemy is not installed")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sales.duckdb"
    with duckdb.connect(str(path)) as con:
        con.register("frame", SALES)
        con.execute("create table sales as select * from frame")
    return path


@pytest.fixture
def engine(path: Path, engines: Callable[..., Engine]) -> Engine:
    # One session for all, as a pool of the newer dialect keeps it: what is set on it stays.
    return engines(f"duckdb:///{path}", poolclass=StaticPool)


@pytest.fixture
def write(engine: Engine) -> Callable[[str], None]:
    def run(sql: str) -> None:
        with engine.begin() as con:
            con.execute(text(sql))

    return run


class TestEngine(SourceContract):
    label = "sales.duckdb"

    @pytest.fixture
    def con(self, engine: Engine) -> Engine:
        return engine


class TestEngineOfItsOwnPool(SourceContract):
    label = "sales.duckdb"

    @pytest.fixture
    def con(self, path: Path, engines: Callable[..., Engine]) -> Engine:
        return engines(f"duckdb:///{path}")

    @pytest.fixture
    def write(self, con: Engine) -> Callable[[str], None]:
        def run(sql: str) -> None:
            with con.begin() as connection:
                connection.execute(text(sql))

        return run


class TestUrl(SourceContract):
    label = "sales.duckdb"

    @pytest.fixture
    def con(self, path: Path) -> str:
        return f"duckdb:///{path}"


def test_a_connection_hits_what_its_engine_stored(cache: QueryCache, engine: Engine) -> None:
    cache.read(QUERY, engine)
    with engine.connect() as con:
        assert cache.read(QUERY, con).outcome is Outcome.HIT
        con.execute(text("select 1"))
        with pytest.warns(NotCachedWarning, match="in a transaction"):
            assert cache.read(QUERY, con).outcome is Outcome.BYPASSED


@pytest.mark.parametrize(
    ("statement", "query", "expected"),
    [
        ("use dev", "select n from t", [999]),
        ("set search_path = 'dev'", "select n from t", [999]),
        ("set default_null_order = 'nulls_first'", "select n from u order by n", [None, 1]),
    ],
)
def test_a_session_that_was_touched_is_another_question(
    cache: QueryCache,
    engine: Engine,
    write: Callable[[str], None],
    statement: str,
    query: str,
    expected: list[Any],
) -> None:
    for sql in (
        "create schema dev",
        "create table dev.t as select 999 as n",
        "create table t as select 1 as n",
    ):
        write(sql)
    write("create table u as select unnest([1, null]) as n")
    cache.read(query, engine)
    write(statement)
    for _ in range(2):
        frame = cache.read(query, engine).frame
        assert frame["n"].astype(object).where(frame["n"].notna(), None).tolist() == expected


def test_a_variable_of_the_session_is_never_stored(
    cache: QueryCache, engine: Engine, write: Callable[[str], None]
) -> None:
    write("set variable x = 5")
    with pytest.warns(NotCachedWarning, match="getvariable"):
        assert cache.read("select getvariable('x') as v, id from sales", engine).outcome is Outcome.BYPASSED


def test_temporary_tables_and_databases_in_memory_are_not_cached(
    cache: QueryCache, engine: Engine, write: Callable[[str], None]
) -> None:
    cache.read(QUERY, engine)
    write("create temp table mine as select 1 as n")
    with pytest.warns(NotCachedWarning, match="temporary"):
        cache.read(QUERY, engine)
    write("drop table mine")
    write("attach ':memory:' as other")
    with pytest.warns(NotCachedWarning, match="attached"):
        cache.read(QUERY, engine)


def test_attached_files_are_part_of_the_identity(
    cache: QueryCache, engine: Engine, write: Callable[[str], None], tmp_path: Path
) -> None:
    other = tmp_path / "other.duckdb"
    write(f"attach '{other}' as other")
    write("create table other.stock as select 1 as n")
    write("create table stock as select 7 as n")
    write("checkpoint other")
    sql = "select n from other.stock"
    assert [cache.read(sql, engine).outcome for _ in range(2)] == [Outcome.MISS, Outcome.HIT]
    write("update other.stock set n = 2")
    again = cache.read(sql, engine)
    assert (again.reason, again.frame["n"].tolist()) == (Reason.FILE_CHANGED, [2])
    assert cache.read(sql, engine).reason is Reason.FILE_UNCHANGED
    assert cache.read("select n from stock", engine).frame["n"].tolist() == [7]
    write("use other")
    assert cache.read("select n from stock", engine).frame["n"].tolist() == [2]


class TestWhatIsOutsideTheFile:
    def test_files_are_not_vouched_for(
        self, cache: QueryCache, engine: Engine, write: Callable[[str], None], tmp_path: Path, clock: Clock
    ) -> None:
        csv = tmp_path / "x.csv"
        csv.write_text("n\n1\n")
        write(f"create view outside as select * from '{csv}'")
        write(f"create macro through() as table select * from read_csv('{csv}')")
        queries = [
            f"select * from '{csv}'",
            f"select * from read_csv('{csv}')",
            "select * from outside",
            "select * from through()",
        ]
        for query in queries:
            assert cache.read(query, engine).outcome is Outcome.MISS
            hit = cache.read(query, engine)
            assert (hit.outcome, hit.reason) == (Outcome.HIT, Reason.WITHIN_TTL), query
        clock.forward(days=1)
        csv.write_text("n\n2\n")
        for query in queries:
            again = cache.read(query, engine)
            assert (again.reason, again.frame["n"].tolist()) == (Reason.EXPIRED, [2]), query

    def test_a_relative_path_is_of_the_working_directory(
        self, cache: QueryCache, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = []
        for number in (1, 2):
            (tmp_path / str(number)).mkdir()
            (tmp_path / str(number) / "x.csv").write_text(f"n\n{number}\n")
            monkeypatch.chdir(tmp_path / str(number))
            answers += [cache.read("select n from 'x.csv'", engine) for _ in range(2)]
        assert [answer.frame["n"].tolist() for answer in answers] == [[1], [1], [2], [2]]
        assert [answer.outcome for answer in answers] == [Outcome.MISS, Outcome.HIT] * 2

    @pytest.mark.parametrize("query", ["select * from s1.v", "select g(1, 2) as n"])
    def test_one_name_for_two_things_is_not_vouched_for(
        self, cache: QueryCache, engine: Engine, write: Callable[[str], None], tmp_path: Path, query: str
    ) -> None:
        csv = tmp_path / "x.csv"
        csv.write_text("n\n1\n")
        for schema, behind in (("s1", f"'{csv}'"), ("s2", "sales")):
            write(f"create schema {schema}")
            write(f"create view {schema}.v as select * from {behind}")
        write(f"create macro g(p) as p, (p, q) as (select max(n) from '{csv}')")
        with warnings.catch_warnings(action="ignore", category=NotCachedWarning):
            cache.read(query, engine)
            assert cache.read(query, engine).reason is not Reason.FILE_UNCHANGED

    def test_a_variable_of_python_is_never_stored(self, cache: QueryCache, engine: Engine) -> None:
        with engine.connect() as con:
            con.connection.driver_connection.register("df", pd.DataFrame({"n": [1]}))  # type: ignore[union-attr]
            con.rollback()
        with pytest.warns(NotCachedWarning, match="df is not a table|temporary"):
            assert cache.read("select * from df", engine).outcome is Outcome.BYPASSED

    def test_a_function_of_python_is_never_stored(self, cache: QueryCache, engine: Engine) -> None:
        with engine.connect() as con:
            raw: Any = con.connection.driver_connection
            raw.create_function("shout", str.upper, [str], str)
        with pytest.warns(NotCachedWarning, match="shout"):
            assert cache.read("select shout(region) as r from sales", engine).outcome is Outcome.BYPASSED

    def test_plain_tables_and_views_over_them_are_vouched_for(
        self, cache: QueryCache, engine: Engine, write: Callable[[str], None]
    ) -> None:
        write("create view northern as select * from sales where region = 'north'")
        write("create macro double(x) as 2 * x")
        for query in ("select * from northern", "select double(id) as n from sales", "from sales"):
            cache.read(query, engine)
            assert cache.read(query, engine).reason is Reason.FILE_UNCHANGED, query


def test_in_memory_databases_have_no_identity(cache: QueryCache, engines: Callable[..., Engine]) -> None:
    with pytest.warns(NotCachedWarning, match="in-memory"):
        assert cache.read("select 1 as n", engines("duckdb://")).outcome is Outcome.BYPASSED


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("insert into sales (id) values (7), (8)", 2),
        ("update sales set amount = 0 where id < 4", 3),
        ("delete from sales where id < 3 returning id", 2),
        ("create table numbers as select * from range(50)", 50),
    ],
)
def test_a_write_says_how_many_rows(cache: QueryCache, engine: Engine, statement: str, rows: int) -> None:
    assert cache.execute(statement, engine).rows == rows


def test_a_file_that_was_replaced(engine: Engine, path: Path) -> None:
    with engine.connect() as con:
        path.rename(path.with_name("old.duckdb"))
        path.write_bytes(path.with_name("old.duckdb").read_bytes())
        with pytest.raises(NotCacheable, match="the file was replaced"):
            source_of(con).identify()


def test_a_closed_connection_does_not_answer(engine: Engine) -> None:
    with engine.connect() as con:
        raw: Any = con.connection.driver_connection
        raw.close()
        with pytest.raises(NotCacheable, match=r"the connection does not answer: \w+"):
            source_of(con).identify()
        with pytest.raises(NotCacheable, match="does not tell what its names stand for"):
            source_of(con).schema()
        con.invalidate()
