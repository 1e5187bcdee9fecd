"""`sqlite3.Connection`: what it carries that its file does not tell."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.sources import describe
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


def with_uncommitted_rows(con: sqlite3.Connection) -> None:
    con.execute("update sales set amount = 0")


@pytest.mark.parametrize(
    ("carry", "why"),
    [
        (with_temporary_table, "temporary tables"),
        (with_attached, "attached databases"),
        (with_row_factory, "row_factory"),
        (with_text_factory, "text_factory"),
        (with_function, "functions of its own"),
        (with_overridden_function, "functions of its own"),
        (with_collation, "collations of its own"),
        (with_case_sensitive_like, "settings"),
        (with_long_names, "settings"),
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
    for _ in range(2):
        cache.read(QUERY, con)
    assert not con.in_transaction
    assert con.execute("select * from sqlite_temp_master").fetchall() == []


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
    assert describe(con) == "sqlite"
    with pytest.raises(Exception, match="closed database"):
        cache.read(QUERY, con)


def test_an_in_memory_connection_has_no_identity(cache: QueryCache) -> None:
    with closing(sqlite3.connect(":memory:")) as con:
        assert describe(con) == "sqlite in memory"
        with pytest.warns(NotCachedWarning, match="in-memory"):
            assert cache.read("select 1 as n", con).outcome is Outcome.BYPASSED


def test_a_virtual_table_is_not_vouched_for(cache: QueryCache, con: sqlite3.Connection) -> None:
    con.execute("create virtual table words using fts5(word)")
    con.execute("insert into words values ('hello')")
    con.commit()
    entry = cache.read("select word from words", con).entry
    assert entry is not None
    assert not entry.exact
