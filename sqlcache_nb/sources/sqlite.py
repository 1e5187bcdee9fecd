"""SQLite sessions: what a live connection carries that its file does not tell."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from sqlcache_nb.catalog import Catalog
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity, file_identity

Execute = Callable[[str], Iterable[Any]]
"""Runs one statement on a live connection and gives its rows."""

_PROBE = "SQLCACHE_NB_PROBE"
_FUNCTIONS = "SELECT name, narg FROM pragma_function_list WHERE NOT builtin"
# case_sensitive_like can only be seen by what it does.
_SETTINGS = """
SELECT 'a' NOT LIKE 'A', full_column_names, short_column_names, reverse_unordered_selects
FROM pragma_full_column_names, pragma_short_column_names, pragma_reverse_unordered_selects
"""
_COLLATIONS = "SELECT name FROM pragma_collation_list"
# What SQLAlchemy adds to each connection of its own.
_OF_SQLALCHEMY = frozenset({("regexp", 2), ("floor", 1)})


def identify(con: sqlite3.Connection, driver: str = "sqlite3") -> SourceIdentity:
    """The identity of a live `sqlite3.Connection`.

    Args:
        con: the connection.
        driver: "sqlite3", or "pysqlite" where SQLAlchemy holds it.

    Raises:
        NotCacheable: it is in a transaction, or carries what has no identity: temporary tables,
            attached databases, functions or factories of its own.
    """
    if con.in_transaction:
        raise NotCacheable("the connection is in a transaction, whose rows only it can see")
    if con.row_factory is not None or con.text_factory is not str:
        raise NotCacheable("the connection has a row_factory or text_factory of its own")
    try:
        path = check_session(con.execute)
        _check_code(
            con.execute, _plain_functions() | (_OF_SQLALCHEMY if driver == "pysqlite" else frozenset())
        )
        _check_conversion(con)
        return file_identity("sqlite", driver, path)
    except sqlite3.Error as fault:  # closed, locked, of another thread: pandas will meet it, too
        raise NotCacheable(f"the connection does not answer: {fault}") from fault


def label_of(con: sqlite3.Connection) -> str:
    """Short text for a person: the file's name.

    Args:
        con: the connection, of whatever state.
    """
    try:
        cursor = con.cursor()
        cursor.row_factory = None
        paths = [row[2] for row in cursor.execute("PRAGMA database_list") if row[1] == "main"]
    except sqlite3.Error:  # closed, or of another thread
        return "sqlite"
    return Path(*paths).name or "sqlite in memory"


def check_session(execute: Execute) -> str:
    """The file behind a session that carries nothing of its own.

    Args:
        execute: runs a statement on the connection.

    Raises:
        NotCacheable: the session carries something that the file does not tell.
    """
    files = {row[1]: row[2] for row in execute("PRAGMA database_list")}
    path: str = files.pop("main", "")
    if files.pop("temp", None) is not None and list(execute("SELECT 1 FROM sqlite_temp_master LIMIT 1")):
        raise NotCacheable("the connection has temporary tables, which only it can see")
    if [tuple(row) for row in execute(_SETTINGS)] != [(0, 0, 1, 0)]:
        raise NotCacheable("the connection has settings (PRAGMA) of its own that change rows")
    if files:
        raise NotCacheable(f"the connection has attached databases ({', '.join(sorted(files))})")
    return path


def _check_code(execute: Execute, functions: AbstractSet[tuple[str, int]]) -> None:
    if not {tuple(row) for row in execute(_FUNCTIONS)} <= functions:
        raise NotCacheable("the connection has SQL functions of its own, whose code has no identity")
    if not {row[0] for row in execute(_COLLATIONS)} <= {"BINARY", "NOCASE", "RTRIM"}:
        raise NotCacheable("the connection has collations of its own, whose code has no identity")


def catalog(execute: Execute) -> Catalog:
    """What the names in the database stand for.

    Args:
        execute: runs a statement on the connection.
    """
    tables, definitions = set(), {}
    for kind, name, sql in execute(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view')"
    ):
        if kind == "view":
            definitions[name.lower()] = sql
        elif not str(sql).upper().startswith("CREATE VIRTUAL"):  # those read what they like
            tables.add(name.lower())
    return Catalog(frozenset(tables), definitions)


@cache
def _plain_functions() -> frozenset[tuple[str, int]]:
    """The functions that this build of SQLite gives every connection."""
    with closing(sqlite3.connect(":memory:")) as con:
        return frozenset((name, arguments) for name, arguments in con.execute(_FUNCTIONS))


def _check_conversion(con: sqlite3.Connection) -> None:
    """Refuse a connection that converts values by registered functions.

    No attribute tells `detect_types`: so a value of a type that only this module converts is read once,
    by its declared type and by its column's name. Nothing stays behind.
    """
    sqlite3.register_converter(_PROBE, lambda value: True)
    con.execute("SAVEPOINT sqlcache_nb")
    try:
        con.execute(f"CREATE TEMP TABLE sqlcache_nb_probe (x {_PROBE})")
        con.execute("INSERT INTO sqlcache_nb_probe VALUES (0)")
        rows = con.execute(f'SELECT x, 0 AS "x [{_PROBE}]" FROM sqlcache_nb_probe').fetchall()  # noqa: S608  # ours
    finally:
        con.execute("ROLLBACK TO sqlcache_nb")
        con.execute("RELEASE sqlcache_nb")
    if rows != [(0, 0)]:
        raise NotCacheable("the connection converts values (detect_types) by code that has no identity")
