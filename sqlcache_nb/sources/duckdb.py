"""DuckDB sessions: what a live connection carries that its file does not tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.redaction import is_secret
from sqlcache_nb.schema import Schema
from sqlcache_nb.sources.base import Execute
from sqlcache_nb.sources.files import is_open

FILES = "SELECT database_name, path, type FROM duckdb_databases() WHERE NOT internal"
"""Asks a session for the names, paths and types of its databases."""

# Counters of the whole instance, to which other connections of this process belong, too.
_COUNTERS = "SELECT current_transaction_id(), current_query_id()"
_TEMPORARY = """
SELECT (SELECT count(*) FROM duckdb_tables() WHERE temporary)
     + (SELECT count(*) FROM duckdb_views() WHERE temporary AND NOT internal)
"""
# Functions are thousands: they take longer than all the rest.
_TEMPORARY_CODE = """
SELECT (SELECT count(*) FROM duckdb_functions() WHERE database_name = 'temp' AND NOT internal)
     + (SELECT count(*) FROM duckdb_types() WHERE database_name = 'temp' AND NOT internal)
     + (SELECT count(*) FROM duckdb_sequences() WHERE temporary)
"""
_SETTINGS = "SELECT name, value FROM duckdb_settings()"
_TABLES = """
SELECT lower(database_name), lower(schema_name), lower(table_name), sql FROM duckdb_tables() WHERE NOT temporary
"""
_VIEWS = """
SELECT lower(database_name), lower(schema_name), lower(view_name), sql FROM duckdb_views() WHERE NOT internal
"""
_FUNCTIONS = """
SELECT lower(function_name), any_value(macro_definition), bool_and(internal), count(*)
FROM duckdb_functions() GROUP BY 1
"""
# They change how a query runs, and not what it answers.
_HARMLESS = frozenset(
    """access_mode custom_user_agent enable_logging enable_profiling enable_progress_bar enable_progress_bar_print external_threads
    home_directory log_query_path logging_level logging_mode logging_storage max_memory max_temp_directory_size
    memory_limit profile_output profiling_mode progress_bar_time secret_directory temp_directory threads
    worker_threads""".split()
)


Session = tuple[str | None, dict[str, Any], tuple[str, ...]]
"""The file behind a session, the options of its identity, and the paths of all files that it has open."""


@dataclass(slots=True)
class Known:
    """What is known of a connection from the last time that it was asked.

    Each statement that is run in an instance, by whichever of its connections, has a number, and so has
    each transaction. Where both stand as they did, nobody has run anything in between: nothing can have
    been set, made for the connection alone, or written in a transaction that was open.

    Args:
        transaction: the number of the transaction in which it was asked last, -1 before.
        query: the number of that statement.
        session: what it said.
        begun: the token of the file before the transaction began that is still open; None where it is
            not known that nothing but reads of ours has run in it.
        is_given_back: whether it is on its way back to the pool from which it was borrowed.
    """

    transaction: int = -1
    query: int = -1
    session: Session | None = None
    begun: str | None = None
    is_given_back: bool = False

    def note(self, execute: Execute) -> int:
        """Take the counters as they are now; gives the transaction's number."""
        ((self.transaction, self.query),) = execute(_COUNTERS)
        return self.transaction

    def forget(self) -> None:
        """Take nothing for known."""
        self.transaction = self.query = -1
        self.session = self.begun = None
        self.is_given_back = False


_known: WeakKeyDictionary[Any, Known] = WeakKeyDictionary()


def known(raw: Any) -> Known:
    """What is known of a connection.

    Args:
        raw: the driver's connection.
    """
    try:
        return _known.setdefault(raw, Known())
    except TypeError:  # a wrapper of somebody's own, that cannot be remembered
        return Known()


def note_given_back(raw: Any, _record: object) -> None:
    """A pool's listener: the reset there is no statement of a person's."""
    state = _known.get(raw)
    if state is None or not state.is_given_back:
        return
    state.is_given_back = False
    transaction, query = state.transaction, state.query
    state.transaction = state.query = -1
    with suppress(Exception), closing(raw.cursor()) as cursor:
        cursor.execute(_COUNTERS)
        ((now, last),) = cursor.fetchall()
        # One statement for the reset, and this one.
        if last - query <= 2 and now - transaction <= 2:
            state.transaction, state.query = now, last


def identify_session(
    execute: Execute, state: Known, *, is_new: bool = False
) -> tuple[str | None, dict[str, Any], bool]:
    """The file behind a session, what else tells it from others, and whether a transaction is open.

    Args:
        execute: runs a statement on the connection.
        state: what is known of the connection, which is brought up to date.
        is_new: whether nobody has had the connection in his hands.

    Raises:
        NotCacheable: the session carries something that the file does not tell.
    """
    last = replace(state)
    state.forget()
    transaction = state.note(execute)
    is_untouched = state.query == last.query + 1 and transaction - last.transaction in (0, 1)
    if is_untouched and last.session is not None:
        state.session, in_transaction = last.session, transaction == last.transaction
    else:
        if not is_new and not is_untouched:
            _check_own(execute)
        session = _asked(execute)
        in_transaction = state.note(execute) == transaction
        state.session = session
    path, options, paths = state.session
    if not all(map(is_open, paths)):
        state.forget()
        raise NotCacheable("the file was replaced while the connection was open")
    state.begun = last.begun if is_untouched and in_transaction else None
    return path, options, in_transaction


def _asked(execute: Execute) -> Session:
    """What a session says of its files and settings.

    Raises:
        NotCacheable: it has databases that are no files.
    """
    ((database, schema),) = execute("SELECT current_database(), current_schema()")
    found = [(str(name), path or "", kind) for name, path, kind in execute(FILES)]
    if odd := sorted(
        name for name, path, kind in found if len(found) > 1 and not (path and kind == "duckdb")
    ):
        raise NotCacheable(
            f"the connection has attached databases that are no DuckDB files ({', '.join(odd)})"
        )
    changed = {
        str(name): str(value)
        for name, value in execute(_SETTINGS)
        if name not in _HARMLESS and not is_secret(name) and _defaults().get(name) != value
    }
    if schema != "main":
        changed["schema"] = schema
    paths = {name: path for name, path, _ in sorted(found)}
    # With others beside it, a file's own name may stand in a statement, too.
    attached = {"attached": paths, "current": database} if len(paths) > 1 else {}
    return paths.get(database), {**options_of(changed), **attached}, tuple(filter(None, paths.values()))


def _check_own(execute: Execute) -> None:
    """Refuse a session that has something of its own.

    Raises:
        NotCacheable: it has.
    """
    if list(execute(_TEMPORARY)) != [(0,)]:
        raise NotCacheable("the connection has temporary tables, which only it can see")
    if list(execute(_TEMPORARY_CODE)) != [(0,)]:
        raise NotCacheable("the connection has temporary macros, types or sequences, which only it can see")


def zone(execute: Execute) -> str | None:
    """The time zone in which the session's `current_date` is meant.

    Args:
        execute: runs a statement on the connection.
    """
    return next((str(value) for name, value in execute(_SETTINGS) if name == "TimeZone"), None)


def options_of(changed: Mapping[str, str]) -> dict[str, object]:
    """The options of an identity.

    Args:
        changed: settings that are unlike those of a new session of this process.
    """
    return {"settings": dict(changed), "TimeZone": str(_defaults().get("TimeZone"))}


def is_plain(keywords: Mapping[str, Any]) -> bool:
    """Whether a session with these connect arguments begins with the settings of any new session."""
    return not {name for name, value in keywords.items() if value} - {"database", "read_only"}


@cache
def _defaults() -> Mapping[str, object]:
    """The settings of a new session in this process."""
    import duckdb

    with closing(duckdb.connect(":memory:")) as con:
        return dict(con.execute(_SETTINGS).fetchall())


def schema(execute: Execute) -> Schema:
    """What the names in the database stand for.

    Args:
        execute: runs a statement on the connection.
    """
    tables, views = list(execute(_TABLES)), list(execute(_VIEWS))
    # A function that a new session does not have is Python's, or an extension's.
    functions = [
        (str(name), f"SELECT {definition}" if definition and count == 1 else "")
        for name, definition, internal, count in execute(_FUNCTIONS)
        if not internal or name not in _plain_functions()
    ]
    # A generated column may ask for the time.
    definitions = {name: "" for _, _, name, sql in tables if re.search(r"\bas\s*\(", sql, re.IGNORECASE)}
    for name, definition in [*(view[2:] for view in views), *functions]:
        # One name in two schemas: which of them is meant is not told here.
        definitions[name] = "" if name in definitions else definition
    homes: dict[str, set[tuple[str, str]]] = {}
    for database, home, name, _ in [*tables, *views]:
        homes.setdefault(name, set()).add((database, home))
    return Schema(
        frozenset(table[2] for table in tables),
        definitions,
        {name: frozenset(places) for name, places in homes.items()},
        _path(execute),
    )


def _path(execute: Execute) -> frozenset[tuple[str, str]]:
    """The databases and schemas in which a name without a schema is looked for."""
    ((database, schema, path),) = execute(
        "SELECT current_database(), current_schema(), current_setting('search_path')"
    )
    entries = [entry.strip().rpartition(".") for entry in path.lower().split(",") if entry.strip()]
    return frozenset((before or database.lower(), name) for before, _, name in entries) or frozenset(
        {(database.lower(), schema.lower())}
    )


@cache
def _plain_functions() -> frozenset[str]:
    """The functions that every session has."""
    import duckdb

    with closing(duckdb.connect(":memory:")) as con:
        return frozenset(row[0] for row in con.execute(_FUNCTIONS).fetchall())
