"""DuckDB's engines: what a session carries, and what a file does not vouch for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, Pool, QueuePool

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
    return engines(f"duckdb:///{path}", poolclass=QueuePool, pool_size=1, max_overflow=0)


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


def read(cache: QueryCache, sql: Any, con: Any) -> tuple[Outcome, list[Any]]:
    """How it was answered and the first column, in which NaN is None."""
    with warnings.catch_warnings(action="ignore", category=NotCachedWarning):
        result = cache.read(sql, con)
    column = result.frame.iloc[:, 0].astype(object)
    return result.outcome, column.where(column.notna(), None).tolist()


class TestOneInstanceOfAProcess:
    """All connections of a process to one file share its settings, and what is attached."""

    @pytest.fixture(params=["url", "engine", "null pool"])
    def new(self, request: pytest.FixtureRequest, path: Path, engines: Callable[..., Engine]) -> Engine | str:
        """What opens a session that nobody has touched."""
        url = f"duckdb:///{path}"
        pool = {"poolclass": NullPool} if request.param == "null pool" else {}
        return url if request.param == "url" else engines(url, **pool)

    @pytest.mark.parametrize(
        ("setting", "query"),
        [
            ("default_null_order = 'nulls_first'", "select n from u order by n"),
            ("default_order = 'desc'", "select n from u order by n"),
        ],
    )
    def test_what_another_connection_has_set(
        self, cache: QueryCache, engine: Engine, new: Engine | str, setting: str, query: str
    ) -> None:
        with engine.begin() as con:
            con.execute(text("create table u as select unnest([1, null, 2]) as n"))
        before = read(cache, query, new)[1]
        with engine.begin() as con:
            con.execute(text(f"set global {setting}"))
        if isinstance(new, Engine):
            new.dispose()
        expected = pd.read_sql(query, new)["n"].astype(object)
        assert expected.where(expected.notna(), None).tolist() != before
        for _ in range(2):
            assert read(cache, query, new)[1] == expected.where(expected.notna(), None).tolist()

    def test_what_another_connection_has_attached(
        self, cache: QueryCache, engine: Engine, new: Engine | str, tmp_path: Path
    ) -> None:
        with engine.connect() as con:
            con.exec_driver_sql(f"attach '{tmp_path / 'other.duckdb'}' as other")
            con.exec_driver_sql("create table other.stock as select 1 as n")
            con.commit()
        query = "select n from other.stock"
        assert [read(cache, query, new) for _ in range(2)] == [(Outcome.MISS, [1]), (Outcome.HIT, [1])]
        with engine.begin() as con:
            con.exec_driver_sql("update other.stock set n = 2")
        assert read(cache, query, new) == (Outcome.MISS, [2])

    def test_a_new_session_finds_what_an_old_one_stored(
        self, cache: QueryCache, engine: Engine, new: Engine | str
    ) -> None:
        assert [cache.read(QUERY, con).outcome for con in (engine, new)] == [Outcome.MISS, Outcome.HIT]


@pytest.mark.parametrize("poolclass", [QueuePool])
@pytest.mark.parametrize(
    ("statement", "query", "expected"),
    [
        ("create temp macro f(a) as a + 200", "select f(1) as n", [201]),
        ("create temp macro upper(a) as 'ZZZ'", "select upper(region) as n from sales limit 1", ["ZZZ"]),
        ("create temp macro rows() as table select 8 as n", "select n from rows()", [8]),
        ("create temp type kind as enum ('b', 'a')", "select 'a'::kind < 'b'::kind as n", [False]),
    ],
)
def test_code_of_one_connection_in_the_pool(
    cache: QueryCache,
    path: Path,
    engines: Callable[..., Engine],
    poolclass: type[Pool],
    statement: str,
    query: str,
    expected: list[Any],
) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("create macro f(a) as a + 100")
        con.execute("create macro rows() as table select 7 as n")
        con.execute("create type kind as enum ('a', 'b')")
    engine = engines(f"duckdb:///{path}", poolclass=poolclass)
    assert [read(cache, query, engine)[0] for _ in range(4)] == [Outcome.MISS] + [Outcome.HIT] * 3
    with engine.begin() as con:
        con.execute(text(statement))
    for _ in range(2):
        assert read(cache, query, engine) == (Outcome.BYPASSED, expected)
    with engine.connect() as con, pytest.raises(NotCacheable, match="temporary macros, types or sequences"):
        source_of(con).identify()


@pytest.mark.parametrize("query", ["from df", "from main.df", "from v", "select * from nosuch.df"])
def test_a_table_of_another_schema_is_not_the_variable(
    cache: QueryCache, engine: Engine, write: Callable[[str], None], query: str
) -> None:
    for sql in (
        "set python_scan_all_frames = true",
        "create schema dev",
        "create table dev.df as select 'table' as n",
        "use dev",
        "create view main.v as select * from df",
        "use main",
    ):
        write(sql)
    for said in ("one", "two"):
        df = pd.DataFrame({"n": [said]})  # noqa: F841  # what DuckDB finds
        result = read(cache, query, engine)
        assert result == (Outcome.BYPASSED, [said])


@pytest.mark.parametrize("query", ["from dev.t", "from sales.dev.t", "from dev.v", "from v2"])
def test_tables_of_other_schemas_are_vouched_for(
    cache: QueryCache, engine: Engine, write: Callable[[str], None], query: str
) -> None:
    for sql in (
        "create schema dev",
        "create table dev.t as select 1 as n",
        "use dev",
        "create view v as select * from t",
        "use main",
        "create view v2 as select * from dev.v",
    ):
        write(sql)
    cache.read(query, engine)
    assert cache.read(query, engine).reason is Reason.FILE_UNCHANGED
    write("set search_path = 'main,dev'")
    cache.read("from t", engine)
    assert cache.read("from t", engine).reason is Reason.FILE_UNCHANGED


class TestTransaction:
    """One that a read of ours began, and in which nothing else has run, is as good as none."""

    @pytest.fixture(params=["connection", "session", "session of a connection"])
    def con(self, request: pytest.FixtureRequest, engine_of_many: Engine) -> Iterator[Connection | Session]:
        with engine_of_many.connect() as con:
            if request.param == "connection":
                yield con
            else:
                with Session(bind=con if "of" in request.param else engine_of_many) as session:
                    yield session

    @pytest.fixture
    def engine_of_many(self, path: Path, engines: Callable[..., Engine]) -> Engine:
        return engines(f"duckdb:///{path}")

    @pytest.fixture
    def other(self, engine_of_many: Engine) -> Callable[[str], None]:
        def run(sql: str) -> None:
            with engine_of_many.begin() as con:
                con.execute(text(sql))

        return run

    def test_reads_one_after_the_other(self, cache: QueryCache, con: Connection | Session) -> None:
        queries = [QUERY, text("select max(id) as n from sales")]
        for outcome in (Outcome.MISS, Outcome.HIT, Outcome.HIT):
            assert [cache.read(query, con).outcome for query in queries] == [outcome] * 2

    @pytest.mark.parametrize("way", ["sqlalchemy", "driver", "relation"])
    def test_rows_of_its_own(self, cache: QueryCache, con: Connection | Session, way: str) -> None:
        query = "select count(*) as n from sales"
        before = read(cache, query, con)[1][0]
        assert read(cache, query, con) == (Outcome.HIT, [before])
        inner = con.connection() if isinstance(con, Session) else con
        raw: Any = inner.connection.driver_connection
        if way == "sqlalchemy":
            con.execute(text("insert into sales (id) values (77)"))
        elif way == "driver":
            raw.execute("insert into sales (id) values (77)")
        else:
            raw.append("sales", pd.DataFrame({"id": [77]}), by_name=True)
        for _ in range(2):
            assert read(cache, query, con) == (Outcome.BYPASSED, [before + 1])
        con.rollback()
        assert read(cache, query, con) == (Outcome.HIT, [before])

    def test_a_snapshot_that_has_become_old(
        self, cache: QueryCache, con: Connection | Session, other: Callable[[str], None]
    ) -> None:
        query = "select count(*) as n from sales"
        before = read(cache, query, con)[1][0]
        other("insert into sales (id) values (78)")
        for _ in range(2):
            assert read(cache, query, con) == (Outcome.BYPASSED, [before])
        con.rollback()
        assert read(cache, query, con) == (Outcome.MISS, [before + 1])

    def test_a_transaction_begun_by_hand(self, cache: QueryCache, engine_of_many: Engine) -> None:
        query = "select count(*) as n from sales"
        with engine_of_many.connect() as con:
            try:
                con.execution_options(isolation_level="AUTOCOMMIT")
            except AttributeError:
                pytest.skip("this version of the dialect knows no AUTOCOMMIT")
            before = read(cache, query, con)[1][0]
            con.exec_driver_sql("begin")
            con.exec_driver_sql("insert into sales (id) values (79)")
            assert read(cache, query, con) == (Outcome.BYPASSED, [before + 1])
            con.exec_driver_sql("rollback")
            assert read(cache, query, con) == (Outcome.HIT, [before])

    def test_a_session_of_a_connection_that_has_written(
        self, cache: QueryCache, engine_of_many: Engine
    ) -> None:
        query = "select count(*) as n from sales"
        with engine_of_many.connect() as con:
            con.execute(text("insert into sales (id) values (80)"))
            with Session(bind=con) as session:
                outcome, (rows,) = read(cache, query, session)
                assert outcome is Outcome.BYPASSED
            con.rollback()
            assert read(cache, query, engine_of_many) == (Outcome.MISS, [rows - 1])

    def test_a_listener_may_write(self, cache: QueryCache, engine_of_many: Engine) -> None:
        event.listen(engine_of_many, "after_cursor_execute", lambda *_: None)
        query = text("select id from sales")
        with engine_of_many.connect() as con:
            assert cache.read(query, con).outcome is Outcome.MISS
            with pytest.warns(NotCachedWarning, match="in a transaction, whose rows only it can see"):
                assert cache.read(query, con).outcome is Outcome.BYPASSED
