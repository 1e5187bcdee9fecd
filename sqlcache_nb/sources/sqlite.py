"""SQLite sessions: what a live connection carries that its file does not tell."""

from __future__ import annotations

import gc
import os
import sqlite3
import warnings
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import closing, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity, file_identity
from sqlcache_nb.schema import Schema
from sqlcache_nb.sources import files
from sqlcache_nb.sources.base import Execute, Source

_Answer = TypeVar("_Answer")

FILES = "SELECT name, file FROM pragma_database_list"
"""Asks a session for the names and paths of its databases."""

_OPEN = f"{FILES} WHERE name <> 'temp' ORDER BY seq"

_MARK = "sqlcache_nb_seen"
"""A function of ours on connections that were looked at once; it gives the file that was open then."""

ZONE = "UTC"
"""The time zone of SQLite's `current_date` and `date('now')`."""

_CONVERTS = "values are converted"
_PROBE = "SQLCACHE_NB_PROBE"
_FUNCTIONS = "SELECT name, narg FROM pragma_function_list WHERE NOT builtin"
_COLLATIONS = "SELECT name FROM pragma_collation_list"
# What is not in a PRAGMA, or may be hidden behind a name, can only be seen by what it does.
_SETTINGS = """
SELECT full_column_names, short_column_names, reverse_unordered_selects, read_uncommitted, locking_mode,
       'a' LIKE 'A', 'a' = 'A' COLLATE NOCASE, 'a10' < 'B2' COLLATE NOCASE, 'a10' < 'A2' COLLATE NOCASE,
       'ä' = 'Ä' COLLATE NOCASE, 'a' = 'a ' COLLATE RTRIM, 'a' = 'A' COLLATE BINARY, 'a10' < 'a2' COLLATE BINARY
FROM pragma_full_column_names, pragma_short_column_names, pragma_reverse_unordered_selects,
     pragma_read_uncommitted, pragma_locking_mode
"""
_PLAIN_SETTINGS = (0, 1, 0, 0, "normal", 1, 1, 1, 1, 0, 1, 0, 1)
# What SQLAlchemy adds to each connection of its own.
_OF_SQLALCHEMY = frozenset({("regexp", 2), ("floor", 1)})
_FORMATS = slice(18, 20)  # bytes of the header: 1 for a rollback journal, 2 for a write-ahead log

_BOUND_AS_THEY_ARE = (type(None), bool, int, float, str, bytes, bytearray, memoryview)


class SqliteSource(Source):
    """A `sqlite3.Connection`, which takes strings only."""

    con: sqlite3.Connection
    dialect_name = "sqlite"

    def __init__(self, con: sqlite3.Connection) -> None:
        self.con = con
        self.adapt = adapt

    @cached_property
    def label(self) -> str:
        return label_of(self.con)

    def identify(self) -> SourceIdentity:
        return identify(self.con)

    def told(self) -> SourceIdentity | None:
        if self.con.row_factory is not None or self.con.text_factory is not str:
            raise NotCacheable("the connection has a row_factory or text_factory of its own")
        with suppress(sqlite3.Error):  # closed, or of another thread
            # Of a sqlite3.Connection no attribute tells its file. This asks the object, and reads no file.
            path, *others = self.con.cursor().execute(_OPEN).fetchall()
            return file_identity("sqlite", "sqlite3", path[1], dict(others))
        return None

    def ask(self, question: Callable[[Execute], _Answer]) -> _Answer:
        return question(self._execute)

    def _execute(self, sql: str) -> list[Any]:
        with closing(self.con.cursor()) as cursor:
            cursor.row_factory = None
            return cursor.execute(sql).fetchall()

    def zone(self) -> str | None:
        return ZONE

    def written(self) -> int | None:
        return self.con.total_changes

    def places(self) -> tuple[str, ...]:
        cursor = self.con.cursor()
        cursor.row_factory = None
        return tuple(os.path.realpath(path) for _, path in cursor.execute(FILES) if path)

    def schema(self) -> Schema | None:
        try:
            return schema(self.con.execute)
        except sqlite3.Error as fault:
            raise NotCacheable(f"the connection does not answer: {type(fault).__name__}") from fault


def identify(con: sqlite3.Connection, driver: str = "sqlite3") -> SourceIdentity:
    """The identity of a live `sqlite3.Connection`.

    Args:
        con: the connection.
        driver: "sqlite3", or "pysqlite" where SQLAlchemy holds it.

    Raises:
        NotCacheable: it is in a transaction or being read from, or carries what has no identity:
            temporary tables, attached databases in memory, functions or factories of its own.
    """
    if type(con) is not sqlite3.Connection:
        raise NotCacheable("the connection is of a class of your own, whose code has no identity")
    if con.row_factory is not None or con.text_factory is not str:
        raise NotCacheable("the connection has a row_factory or text_factory of its own")
    if len(gc.get_referents(con)) > _plain_referents():
        raise NotCacheable(
            "code of your own is called with the connection's statements: an authorizer, which may hide "
            "values, or a trace callback or progress handler, which a stored answer would not call"
        )
    try:
        if con.in_transaction:
            raise NotCacheable("the connection is in a transaction, whose rows only it can see")
        path, attached = check_session(con.execute)
        _check_code(con.execute, _OF_SQLALCHEMY if driver == "pysqlite" else frozenset())
        _check_file(con, path)
        for name, other in attached.items():
            _check_attached(con.execute, name, other)
        return file_identity("sqlite", driver, path, attached)
    except (sqlite3.Error, OSError) as fault:  # closed, deleted, of another thread: pandas will meet it, too
        raise NotCacheable(f"the connection does not answer: {type(fault).__name__}") from fault


def adapt(value: object) -> object:
    """What `sqlite3` makes of a bound value: an adapter that anybody registers changes it.

    Args:
        value: as it is given.

    Raises:
        NotCacheable: it is bound by its bytes, as NumPy's scalars are, or not at all.
    """
    if type(value) in _BOUND_AS_THEY_ARE:
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Python's own adapters; pandas will warn
            return [type(value).__qualname__, sqlite3.adapt(value, sqlite3.PrepareProtocol)]
    except sqlite3.Error as fault:
        raise NotCacheable(f"a value of type {type(value).__qualname__} has no adapter") from fault


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


def check_session(execute: Execute) -> tuple[str, dict[str, str]]:
    """The file behind a session that carries nothing of its own, and those that are attached, by their names.

    Args:
        execute: runs a statement on the connection.

    Raises:
        NotCacheable: the session carries something that the file does not tell.
    """
    databases = {row[1]: row[2] for row in execute("PRAGMA database_list")}
    path: str = databases.pop("main", "")
    if databases.pop("temp", None) is not None and list(execute("SELECT 1 FROM sqlite_temp_master LIMIT 1")):
        raise NotCacheable("the connection has temporary tables, which only it can see")
    if [tuple(row) for row in execute(_SETTINGS)] != [_PLAIN_SETTINGS]:
        raise NotCacheable("the connection has settings (PRAGMA) of its own that change rows")
    if in_memory := sorted(name for name, other in databases.items() if not other):
        raise NotCacheable(f"the connection has attached databases in memory ({', '.join(in_memory)})")
    return path, databases


def _check_code(execute: Execute, functions: AbstractSet[tuple[str, int]]) -> None:
    if not {tuple(row) for row in execute(_FUNCTIONS)} <= _plain_functions() | functions | {(_MARK, 0)}:
        raise NotCacheable("the connection has SQL functions of its own, whose code has no identity")
    if not {row[0] for row in execute(_COLLATIONS)} <= {"BINARY", "NOCASE", "RTRIM"}:
        raise NotCacheable("the connection has collations of its own, whose code has no identity")


def _check_file(con: sqlite3.Connection, path: str) -> None:
    """Refuse a connection that may not see the file as it is now."""
    if not path:
        return
    seen = _mark_of(con)
    try:
        # SQLite refuses to replace a function while a statement runs: a cursor that was not read to its
        # end keeps a snapshot, which may be older than the file, and no transaction shows it.
        _set_mark(con, seen)
    except sqlite3.OperationalError as fault:
        raise NotCacheable(
            "a cursor of the connection is not read to its end, and keeps what it saw"
        ) from fault
    if not seen:
        seen = _first_look(con, path)
        _set_mark(con, seen)
    if seen == _CONVERTS:
        raise NotCacheable("the connection converts values (detect_types) by code that has no identity")
    if seen != files.inode(path):
        raise NotCacheable("the file was replaced while the connection was open")
    _check_header(con.execute, "main", path)


def _check_attached(execute: Execute, name: str, path: str) -> None:
    """Refuse an attached file that the connection may not see as it is now."""
    if not files.is_open(path):
        raise NotCacheable(f"the attached file {name} was replaced while the connection was open")
    ((locking,),) = execute(f"PRAGMA {_quoted(name)}.locking_mode")
    if locking != "normal":
        raise NotCacheable("the connection has settings (PRAGMA) of its own that change rows")
    _check_header(execute, name, path)


def _check_header(execute: Execute, name: str, path: str) -> None:
    """Refuse a database that the connection sees otherwise than its file says."""
    ((journal,),) = execute(f"PRAGMA {_quoted(name)}.journal_mode")
    if (journal == "wal") != (2 in files.sqlite_header(path)[_FORMATS]):
        raise NotCacheable("the connection ignores the write-ahead log (immutable)")
    ((cookie,),) = execute(f"PRAGMA {_quoted(name)}.schema_version")
    if journal != "wal" and cookie != files.sqlite_schema_cookie(path):
        raise NotCacheable("the connection sees another file than the one at its path")


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def _mark_of(con: sqlite3.Connection) -> str:
    """What the first look at the connection saw, "" before it."""
    try:
        ((seen,),) = con.execute(f"SELECT {_MARK}()").fetchall()
    except sqlite3.OperationalError:
        _set_mark(con, "")
        return ""
    return str(seen)


def _set_mark(con: sqlite3.Connection, seen: str) -> None:
    con.create_function(_MARK, 0, lambda: seen)


def _first_look(con: sqlite3.Connection, path: str) -> str:
    """The file that is open, or what is odd: that values are converted by registered functions.

    No attribute tells `detect_types`: so a value of a type that only this module converts is read once,
    by its declared type and by its column's name. Nothing stays behind but `total_changes`.
    """
    sqlite3.register_converter(_PROBE, lambda value: True)
    con.execute("SAVEPOINT sqlcache_nb")
    try:
        # WITHOUT ROWID, so that last_insert_rowid() stays as it was.
        con.execute(f"CREATE TEMP TABLE sqlcache_nb_probe (x {_PROBE} PRIMARY KEY) WITHOUT ROWID")
        con.execute("INSERT INTO sqlcache_nb_probe VALUES (0)")
        rows = con.execute(f'SELECT x, 0 AS "x [{_PROBE}]" FROM sqlcache_nb_probe').fetchall()  # noqa: S608  # ours
    finally:
        con.execute("ROLLBACK TO sqlcache_nb")
        con.execute("RELEASE sqlcache_nb")
    if rows != [(0, 0)]:
        return _CONVERTS
    return files.inode(path) if files.is_open(path) else "another file"


def schema(execute: Execute) -> Schema:
    """What the names in the database stand for.

    Args:
        execute: runs a statement on the connection.
    """
    databases = [row[1] for row in execute("PRAGMA database_list") if row[1] != "temp"]
    tables: set[str] = set()
    opaque: set[str] = set()  # virtual tables, which read what they like, and one name for two things
    definitions: dict[str, str] = {}
    for database in databases:
        for kind, name, sql in execute(
            f"SELECT type, lower(name), sql FROM {_quoted(database)}.sqlite_master WHERE type IN ('table', 'view')"  # noqa: S608  # quoted
        ):
            is_table = kind == "table" and not str(sql).upper().startswith("CREATE VIRTUAL")
            if (kind == "table" and not is_table) or name in (
                definitions if is_table else {*tables, *definitions}
            ):
                opaque.add(name)
            if is_table:
                tables.add(name)
            elif kind == "view":
                definitions[name] = sql
    seen_through = {name: sql for name, sql in definitions.items() if name not in opaque}
    return Schema(frozenset(tables - opaque), seen_through)


@cache
def _plain_referents() -> int:
    """How many objects a connection holds that has no callbacks: no attribute tells those, but its garbage collection does."""
    with closing(sqlite3.connect(":memory:")) as con:
        return len(gc.get_referents(con))


@cache
def _plain_functions() -> frozenset[tuple[str, int]]:
    """The functions that this build of SQLite gives every connection."""
    with closing(sqlite3.connect(":memory:")) as con:
        return frozenset((name, arguments) for name, arguments in con.execute(_FUNCTIONS))
