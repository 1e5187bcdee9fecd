"""DuckDB sessions: what a live connection carries that its file does not tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from typing import Any

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.redaction import is_secret
from sqlcache_nb.schema import Schema
from sqlcache_nb.sources.base import Execute
from sqlcache_nb.sources.files import is_open

FILES = "SELECT database_name, path, type FROM duckdb_databases() WHERE NOT internal"
"""Asks a session for the names, paths and types of its databases."""

_NAMES = """
SELECT current_database(), current_schema(),
       (SELECT count(*) FROM duckdb_tables() WHERE temporary)
     + (SELECT count(*) FROM duckdb_views() WHERE temporary AND NOT internal)
"""
_SETTINGS = "SELECT name, value FROM duckdb_settings()"
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


def identify_session(execute: Execute) -> tuple[str | None, dict[str, Any]]:
    """The file behind a session, those attached to it, and what of its settings changes rows.

    Args:
        execute: runs a statement on the connection.

    Raises:
        NotCacheable: the session carries something that the file does not tell.
    """
    found = [(str(name), path or "", kind) for name, path, kind in execute(FILES)]
    ((database, schema, temporary),) = execute(_NAMES)
    if odd := sorted(
        name for name, path, kind in found if len(found) > 1 and not (path and kind == "duckdb")
    ):
        raise NotCacheable(
            f"the connection has attached databases that are no DuckDB files ({', '.join(odd)})"
        )
    if temporary:
        raise NotCacheable("the connection has temporary tables, which only it can see")
    changed = {
        str(name): str(value)
        for name, value in execute(_SETTINGS)
        if name not in _HARMLESS and not is_secret(name) and _defaults().get(name) != value
    }
    if schema != "main":
        changed["schema"] = schema
    paths = {name: path for name, path, _ in sorted(found)}
    if not all(is_open(path) for path in paths.values() if path):
        raise NotCacheable("the file was replaced while the connection was open")
    # With others beside it, a file's own name may stand in a statement, too.
    attached = {"attached": paths, "current": database} if len(paths) > 1 else {}
    return paths.get(database), {**options_of(changed), **attached}


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
    tables = list(execute("SELECT lower(table_name), sql FROM duckdb_tables() WHERE NOT temporary"))
    views = execute("SELECT lower(view_name), sql FROM duckdb_views() WHERE NOT internal")
    # A function that a new session does not have is Python's, or an extension's.
    functions = [
        (str(name), f"SELECT {definition}" if definition and count == 1 else "")
        for name, definition, internal, count in execute(_FUNCTIONS)
        if not internal or name not in _plain_functions()
    ]
    # A generated column may ask for the time.
    definitions = {name: "" for name, sql in tables if re.search(r"\bas\s*\(", sql, re.IGNORECASE)}
    for name, definition in [*views, *functions]:
        # One name in two schemas: which of them is meant is not told here.
        definitions[name] = "" if name in definitions else definition
    return Schema(frozenset(name for name, _ in tables), definitions)


@cache
def _plain_functions() -> frozenset[str]:
    """The functions that every session has."""
    import duckdb

    with closing(duckdb.connect(":memory:")) as con:
        return frozenset(row[0] for row in con.execute(_FUNCTIONS).fetchall())
