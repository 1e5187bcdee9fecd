"""`sqlite3.Connection`: what it carries that its file does not tell."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.freshness import Reason
from sqlcache_nb.sources import source_of
from tests.source_contract import QUERY, SourceContract


@pytest.fixture
def con(sales_db: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(sales_db)) as con:
        yield con


class TestContract(SourceContract):
    label = "sales.db"


def with_temporary_table(con: sqlite3.Connection) -> None:
    con.execute("create temp table sales as select 1 as id, 'x' as region, 2.0 as amount")
    con.commit()


def with_attached(con: sqlite3.Connection) -> None:
    con.execute("attach ':memory:' as other")


def with_row_factory(con: sqlite3.Connection) -> None:
    con.row_factory = sqlite3.Row


def with_text_factory(con: sqlite3.Connection) -> None:
    con.text_factory = bytes


def with_function(con: sqlite3.Connection) -> None:
    con.create_function("shout", 1, str.upper)


def with_overridden_function(con: sqlite3.Connection) -> None:
    con.create_function("upper", 1, str.lower)


def with_collation(con: sqlite3.Connection) -> None:
    con.create_collation("backwards", lambda a, b: (a < b) - (a > b))


def with_case_sensitive_like(con: sqlite3.Connection) -> None:
    con.execute("pragma case_sensitive_like = on")


def with_long_names(con: sqlite3.Connection) -> None:
    con.execute("pragma full_column_names = on")
    con.execute("pragma short_column_names = off")


def with_read_uncommitted(con: sqlite3.Connection) -> None:
    con.execute("pragma read_uncommitted = on")


def with_replaced_collation(con: sqlite3.Connection) -> None:
    con.create_collation("NOCASE", lambda a, b: (a > b) - (a < b))


def with_uncommitted_rows(con: sqlite3.Connection) -> None:
    con.execute("update sales set amount = 0")


@pytest.mark.parametrize(
    ("carry", "why"),
    [
        (with_temporary_table, "temporary tables"),
        (with_attached, "attached databases in memory"),
        (with_row_factory, "row_factory"),
        (with_text_factory, "text_factory"),
        (with_function, "functions of its own"),
        (with_overridden_function, "functions of its own"),
        (with_collation, "collations of its own"),
        (with_case_sensitive_like, "settings"),
        (with_long_names, "settings"),
        (with_read_uncommitted, "settings"),
        (with_replaced_collation, "settings"),
        (with_uncommitted_rows, "in a transaction"),
    ],
)
def test_a_session_that_the_file_does_not_tell_is_not_cached(
    cache: QueryCache, con: sqlite3.Connection, carry: Callable[[sqlite3.Connection], None], why: str
) -> None:
    cache.read(QUERY, con)
    carry(con)
    with pytest.warns(NotCachedWarning, match=why):
        assert cache.read(QUERY, con).outcome is Outcome.BYPASSED
    con.rollback()


def test_looking_leaves_nothing_behind(cache: QueryCache, con: sqlite3.Connection) -> None:
    with con:
        con.execute("insert into sales (id) values (7)")
    before = con.execute("select last_insert_rowid()").fetchall()
    for _ in range(2):
        cache.read(QUERY, con)
    assert not con.in_transaction
    assert con.execute("select * from sqlite_temp_master").fetchall() == []
    assert con.execute("select last_insert_rowid()").fetchall() == before


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("looked_at_before", [True, False])
def test_a_cursor_that_is_half_read_keeps_its_snapshot_and_is_left_alone(
    cache: QueryCache,
    con: sqlite3.Connection,
    write: Callable[[str], None],
    mode: str,
    looked_at_before: bool,
) -> None:
    con.execute(f"pragma journal_mode = {mode}")
    if looked_at_before:
        cache.read(QUERY, con)
    cursor = con.execute(QUERY)
    first = cursor.fetchone()
    if mode == "wal":  # with a rollback journal the reader keeps writers out
        write("update sales set amount = 99")
    with pytest.warns(NotCachedWarning, match="not read to its end"):
        assert cache.read(QUERY, con).outcome is Outcome.BYPASSED
    assert len([first, *cursor.fetchall()]) == 6  # it was not aborted
    assert cache.read(QUERY, con).frame["amount"].tolist()[0] == (99 if mode == "wal" else 10.5)


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be replaced on Windows")
@pytest.mark.parametrize("looked_at_before", [True, False])
def test_a_connection_to_a_file_that_was_replaced_is_not_cached(
    cache: QueryCache, con: sqlite3.Connection, sales_db: Path, tmp_path: Path, looked_at_before: bool
) -> None:
    if looked_at_before:
        cache.read(QUERY, con)
    with closing(sqlite3.connect(tmp_path / "next.db")) as other, other:
        other.execute("create table sales as select 1 as id, 'x' as region, 1.0 as amount")
    con.execute(QUERY).fetchall()
    (tmp_path / "next.db").replace(sales_db)
    with pytest.warns(NotCachedWarning, match="replaced"):
        assert len(cache.read(QUERY, con).frame) == 6
    assert len(cache.read(QUERY, f"sqlite:///{sales_db}").frame) == 1


def test_a_connection_that_ignores_the_log_is_not_cached(
    cache: QueryCache, con: sqlite3.Connection, sales_db: Path
) -> None:
    con.execute("pragma journal_mode = wal")
    with con:
        con.execute("update sales set amount = 99")
    cache.read(QUERY, con)
    immutable = sqlite3.connect(f"file:{sales_db}?immutable=1", uri=True)
    with closing(immutable), pytest.warns(NotCachedWarning, match="log"):
        assert cache.read(QUERY, immutable).outcome is Outcome.BYPASSED


def test_a_connection_of_ones_own_class_is_not_cached(cache: QueryCache, sales_db: Path) -> None:
    class Mine(sqlite3.Connection):
        pass

    with (
        closing(sqlite3.connect(sales_db, factory=Mine)) as con,
        pytest.warns(NotCachedWarning, match="class of your own"),
    ):
        assert cache.read(QUERY, con).outcome is Outcome.BYPASSED


def test_what_an_adapter_makes_of_a_value_is_the_question(cache: QueryCache, con: sqlite3.Connection) -> None:
    class Code:
        pass

    sql = "select count(*) as n from sales where id = ?"
    with pytest.raises(Exception, match="not supported"):
        cache.read(sql, con, params=(Code(),))
    answers = []
    for number in ([1], [999]):
        sqlite3.register_adapter(Code, lambda value, number=number: number[0])  # type: ignore[misc]
        answers += [cache.read_sql(sql, con, params=(Code(),))["n"].tolist() for _ in range(2)]
    assert answers == [[1], [1], [0], [0]]


def test_what_an_adapter_makes_of_a_list_is_the_question(cache: QueryCache, con: sqlite3.Connection) -> None:
    class Codes(list[int]):
        pass

    sql = "select count(*) as n from sales where id = :code"
    answers = []
    for number in ([1], [999]):
        sqlite3.register_adapter(Codes, lambda value, number=number: number[0])  # type: ignore[misc]
        frames = [cache.read_sql(sql, con, params={"code": Codes()}) for _ in range(2)]
        answers += [frame["n"].tolist() for frame in frames]
    assert answers == [[1], [1], [0], [0]]


def test_numpy_scalars_are_bound_by_their_bytes_and_not_cached(
    cache: QueryCache, con: sqlite3.Connection
) -> None:
    sql = "select count(*) as n from sales where id = ?"
    with pytest.warns(NotCachedWarning, match="adapter"):
        assert cache.read(sql, con, params=(np.int64(1),)).frame["n"].tolist() == [0]


@pytest.mark.parametrize("detect_types", [sqlite3.PARSE_DECLTYPES, sqlite3.PARSE_COLNAMES])
def test_converted_values_are_not_cached(
    cache: QueryCache, sales_db: Path, detect_types: int, engines: Callable[..., Engine]
) -> None:
    """No attribute tells `detect_types`, and a column is a text or a date by it."""
    raw = sqlite3.connect(sales_db, detect_types=detect_types)
    with closing(raw) as con, pytest.warns(NotCachedWarning, match="detect_types"):
        assert cache.read(QUERY, con).outcome is Outcome.BYPASSED
    engine = engines(f"sqlite:///{sales_db}", connect_args={"detect_types": detect_types})
    assert cache.read(QUERY, engine).outcome is Outcome.BYPASSED


def test_a_closed_connection_fails_as_with_pandas(cache: QueryCache, sales_db: Path) -> None:
    con = sqlite3.connect(sales_db)
    con.close()
    assert source_of(con).label == "sqlite"
    with pytest.raises(Exception, match="closed database"):
        cache.read(QUERY, con)


def test_an_in_memory_connection_has_no_identity(cache: QueryCache) -> None:
    with closing(sqlite3.connect(":memory:")) as con:
        assert source_of(con).label == "sqlite in memory"
        with pytest.warns(NotCachedWarning, match="in-memory"):
            assert cache.read("select 1 as n", con).outcome is Outcome.BYPASSED


@pytest.mark.parametrize("way", ["set_authorizer", "set_trace_callback", "set_progress_handler"])
def test_code_that_is_called_with_each_statement(
    cache: QueryCache, con: sqlite3.Connection, way: str
) -> None:
    def hide(action: object, table: object = None, column: object = None, *_: object) -> int:
        is_hidden = action == sqlite3.SQLITE_READ and column == "amount"
        return sqlite3.SQLITE_IGNORE if is_hidden else sqlite3.SQLITE_OK

    arguments: tuple[Any, ...] = (lambda: 0, 1000) if way == "set_progress_handler" else (hide,)
    before = cache.read(QUERY, con).frame
    getattr(con, way)(*arguments)
    with pytest.warns(NotCachedWarning, match="an authorizer"):
        result = cache.read(QUERY, con)
    assert result.outcome is Outcome.BYPASSED
    assert result.frame.equals(before) is (way != "set_authorizer")
    getattr(con, way)(None, *arguments[1:])
    assert cache.read(QUERY, con).outcome is Outcome.HIT


def test_a_virtual_table_is_not_vouched_for(cache: QueryCache, con: sqlite3.Connection) -> None:
    con.execute("create virtual table words using fts5(word)")
    con.execute("insert into words values ('hello')")
    con.commit()
    entry = cache.read("select word from words", con).entry
    assert entry is not None
    assert not entry.exact


def test_a_connection_that_never_looks_again(sales_db: Path, write: Callable[[str], None]) -> None:
    with closing(sqlite3.connect(f"file:{sales_db}?immutable=1", uri=True)) as con:
        source_of(con).identify()
        write("create table other as select 1 as n")
        with pytest.raises(NotCacheable, match="sees another file than the one at its path"):
            source_of(con).identify()


def test_a_closed_connection_does_not_answer(sales_db: Path) -> None:
    con = sqlite3.connect(sales_db)
    con.close()
    with pytest.raises(NotCacheable, match="the connection does not answer: ProgrammingError"):
        source_of(con).identify()
    with pytest.raises(NotCacheable, match="the connection does not answer: ProgrammingError"):
        source_of(con).schema()


class TestAttachedFiles:
    @pytest.fixture
    def other(self, tmp_path: Path) -> Path:
        path = tmp_path / "other.db"
        with closing(sqlite3.connect(path)) as con, con:
            con.execute("create table stock as select 1 as n")
            con.execute("create view northern as select 2 as n")
        return path

    @pytest.fixture
    def con(self, sales_db: Path, other: Path) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(sales_db)) as con:
            con.execute("attach ? as other", [str(other)])
            yield con

    def test_all_files_are_the_identity(self, con: sqlite3.Connection, sales_db: Path, other: Path) -> None:
        identity = source_of(con).identify()
        assert identity.files == (str(sales_db), str(other))
        assert identity.options["attached"] == [["other", str(other)]]
        assert identity.label == "sales.db + other.db"
        named = identity.named("prod")
        assert (named.files, named.options["attached"]) == ((), ["other"])

    @pytest.mark.parametrize("sql", ["select n from stock", "select n from other.stock", QUERY])
    def test_a_change_of_any_of_them_is_seen(
        self, cache: QueryCache, con: sqlite3.Connection, other: Path, sql: str
    ) -> None:
        assert [cache.read(sql, con).outcome for _ in range(2)] == [Outcome.MISS, Outcome.HIT]
        with closing(sqlite3.connect(other)) as writer, writer:
            writer.execute("update stock set n = 2")
        again = cache.read(sql, con)
        assert (again.reason, again.frame.iloc[0, 0]) == (Reason.FILE_CHANGED, 1 if sql == QUERY else 2)
        assert cache.read(sql, con).reason is Reason.FILE_UNCHANGED

    def test_another_file_of_the_same_name_is_another_question(
        self, cache: QueryCache, con: sqlite3.Connection, tmp_path: Path
    ) -> None:
        cache.read("select n from other.stock", con)
        with closing(sqlite3.connect(tmp_path / "third.db")) as third, third:
            third.execute("create table stock as select 3 as n")
        con.execute("detach other")
        con.execute("attach ? as other", [str(tmp_path / "third.db")])
        assert cache.read("select n from other.stock", con).frame["n"].tolist() == [3]

    def test_one_name_for_two_things_is_not_vouched_for(
        self, cache: QueryCache, con: sqlite3.Connection
    ) -> None:
        for _ in range(2):
            result = cache.read("select * from other.northern", con)
        assert result.reason is Reason.WITHIN_TTL

    def test_a_file_that_was_replaced(self, cache: QueryCache, con: sqlite3.Connection, other: Path) -> None:
        cache.read("select n from stock", con)
        other.unlink()
        with closing(sqlite3.connect(other)) as writer, writer:
            writer.execute("create table stock as select 4 as n")
        with pytest.warns(NotCachedWarning, match="replaced"):
            assert cache.read("select n from stock", con).frame["n"].tolist() == [1]

    def test_settings_of_an_attached_file(self, con: sqlite3.Connection) -> None:
        con.execute("pragma other.locking_mode = exclusive")
        with pytest.raises(NotCacheable, match=r"settings \(PRAGMA\) of its own"):
            source_of(con).identify()

    def test_a_write_ahead_log_of_its_own(
        self, cache: QueryCache, con: sqlite3.Connection, other: Path
    ) -> None:
        with closing(sqlite3.connect(other)) as writer, writer:
            writer.execute("pragma journal_mode = wal")
            cache.read("select n from stock", con)
            writer.execute("update stock set n = 5")
            writer.commit()
            assert cache.read("select n from stock", con).frame["n"].tolist() == [5]
            assert cache.read("select n from stock", con).outcome is Outcome.HIT


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process can be set on POSIX alone")
def test_local_time_is_that_of_the_process(
    cache: QueryCache, sales_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "select datetime('2024-01-01 12:00', 'localtime') as noon from sales limit 1"
    found = []
    with closing(sqlite3.connect(sales_db)) as con:
        for zone in ("UTC", "Asia/Tokyo", "UTC"):
            with monkeypatch.context() as patch:
                patch.setenv("TZ", zone)
                time.tzset()
                found += [cache.read(sql, con).frame["noon"][0][11:16] for _ in range(2)]
            time.tzset()
    assert found == ["12:00", "12:00", "21:00", "21:00", "12:00", "12:00"]
