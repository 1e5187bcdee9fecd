"""PostgreSQL sessions: what a live connection carries that its URL does not tell."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.sources.base import Execute
from sqlcache_nb.sources.fingerprints import Fingerprint

# They say how long, by what means and for whom a statement runs, and not what it answers.
HARMLESS = """application_name default_transaction_deferrable default_transaction_isolation
    default_transaction_read_only idle_in_transaction_session_timeout idle_session_timeout lock_timeout
    maintenance_work_mem statement_timeout transaction_deferrable
    transaction_isolation transaction_read_only transaction_timeout work_mem""".split()
FIRST_OID = 16384
"""What has a number from there on was made by a person, and not with the server."""

# They are told of every session, whoever has set them.
_TOLD = """search_path TimeZone DateStyle IntervalStyle bytea_output extra_float_digits row_security
    client_encoding""".split()
# Drivers set them on each connection.
_SET_BY_DRIVERS = ["DateStyle", "client_encoding", "extra_float_digits"]


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _versions(catalog: str) -> str:
    """A digest of which rows of a catalog there are, and in which version: CREATE OR REPLACE keeps a row's oid."""
    return f"""(SELECT pg_catalog.md5(pg_catalog.string_agg(
        pg_catalog.concat(oid, ' ', xmin), ' ' ORDER BY oid)) FROM pg_catalog.{catalog} WHERE oid >= {FIRST_OID})"""  # noqa: S608


# 2279 and 3838 are what triggers return, which no statement calls.
# One value, as JSON: whatever converters a connection has, they leave a text alone. Names are qualified, since
# a temporary table may be called pg_settings. No percent sign and no colon: for drivers they are placeholders.
_PROBE = f"""
SELECT CAST(pg_catalog.json_build_object(
    'user', session_user,
    'role', current_user,
    'database', pg_catalog.current_database(),
    'schemas', pg_catalog.current_schemas(false),
    'told', pg_catalog.json_build_array({", ".join(f"pg_catalog.current_setting('{name}')" for name in _TOLD)}),
    'settings', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(name, setting, source) ORDER BY name)
                 FROM pg_catalog.pg_settings
                 WHERE source IN ('global', 'database', 'user', 'database user', 'client', 'session')
                   AND name NOT IN ({_list(HARMLESS)})),
    'temporary', (SELECT pg_catalog.json_agg(relname ORDER BY relname) FROM pg_catalog.pg_class
                  WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind <> 'i'),
    'temporary code', CASE WHEN pg_catalog.pg_my_temp_schema() <> 0 THEN
        EXISTS (SELECT 1 FROM pg_catalog.pg_proc WHERE pronamespace = pg_catalog.pg_my_temp_schema())
        OR EXISTS (SELECT 1 FROM pg_catalog.pg_type
                   WHERE typnamespace = pg_catalog.pg_my_temp_schema() AND typrelid = 0 AND typelem = 0)
        ELSE false END,
    'written', pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL,
    'isolation', pg_catalog.current_setting('transaction_isolation'),
    'age', EXTRACT(epoch FROM pg_catalog.statement_timestamp() - pg_catalog.transaction_timestamp()),
    'oid', (SELECT CAST(CAST(oid AS text) AS bigint) FROM pg_catalog.pg_database
            WHERE datname = pg_catalog.current_database()),
    'code', pg_catalog.json_build_array({", ".join(_versions(name) for name in ("pg_proc", "pg_rewrite", "pg_policy"))}),
    'counter', CASE WHEN EXISTS (
        SELECT 1 FROM pg_catalog.pg_proc WHERE oid >= {FIRST_OID} AND provolatile = 'v' AND prokind IN ('f', 'w')
        AND prorettype NOT IN (2279, 3838)) THEN CAST(
            pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) AS text) END,
    'may tell', pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')
) AS text)
"""  # noqa: S608  # names of our own
_SERVER = "SELECT CAST(system_identifier AS text) FROM pg_catalog.pg_control_system()"

# Settings of anybody's own naming (SET app.tenant = 'a') are in no list. What can be found is the code that reads
# them: row-level security, views and functions. 2077 and 3294 are the two functions called current_setting.
_CODE = """
SELECT CAST(pg_catalog.json_agg(code) AS text) FROM (
    SELECT pg_catalog.pg_get_expr(polqual, polrelid) AS code FROM pg_catalog.pg_policy
    UNION ALL
    SELECT pg_catalog.concat(prosrc, ' ', pg_catalog.pg_get_function_sqlbody(pg_proc.oid))
    FROM pg_catalog.pg_proc JOIN pg_catalog.pg_namespace n ON n.oid = pronamespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND prokind <> 'a'
    UNION ALL
    SELECT pg_catalog.pg_get_viewdef(c.oid)
    FROM pg_catalog.pg_rewrite JOIN pg_catalog.pg_class c ON c.oid = ev_class
    JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
    WHERE relkind = 'v' AND nspname NOT IN ('pg_catalog', 'information_schema')
      AND (pg_catalog.strpos(CAST(ev_action AS text), 'funcid 2077 ') > 0
           OR pg_catalog.strpos(CAST(ev_action AS text), 'funcid 3294 ') > 0)
) AS found WHERE pg_catalog.strpos(pg_catalog.lower(code), 'current_setting') > 0
"""
_READS_SETTING = re.compile(
    r"current_setting\"?\s*\(\s*(?:'([\w.]+)'(?:\s*::\s*\w+)?\s*[,)])?", re.IGNORECASE
)

_TEMPORARY_WAS_READ = """
SELECT count(*) FROM pg_catalog.pg_locks JOIN pg_catalog.pg_class c ON c.oid = relation
WHERE pid = pg_catalog.pg_backend_pid() AND relpersistence = 't'
"""

_settings_read: dict[tuple[object, ...], frozenset[str]] = {}
"""Names of settings that the code of a database reads, by the database and what is known of its code."""
_lock = threading.Lock()


def fingerprint(execute: Execute) -> Fingerprint:
    """What a session says of itself; under a millisecond.

    Args:
        execute: runs a statement on the connection.

    Raises:
        NotCacheable: it has what nobody else can see.
        Exception: the driver's own.
    """
    told = _json(execute(_PROBE))
    if told["temporary code"]:
        raise NotCacheable("the connection has temporary functions or types, which only it can see")
    server = _only(execute(_SERVER)) if told["may tell"] else None
    settings = {name: value for name, value, _ in told["settings"] or () if name not in _TOLD}
    options: dict[str, object] = {
        "session_user": told["user"],
        "role": told["role"],
        "schemas": told["schemas"],
        **dict(zip(_TOLD, told["told"], strict=True)),
        "settings": settings,
    }
    own, doubt = _own_settings(execute, (server, told["oid"], json.dumps(told["code"])))
    options |= {"own settings": own} if own else {}
    temporary = told["temporary"] or []
    options |= {"temporary": temporary} if temporary else {}
    if server is not None:
        options |= {"system_identifier": str(server), "database_oid": told["oid"]}
    touched = [
        name
        for name, _, source in told["settings"] or ()
        if source == "session" and name not in _SET_BY_DRIVERS
    ]
    touched += ["role"] * (told["role"] != told["user"]) + temporary
    touched += [name for name in own if "." in name]  # without a dot it is the server's own, and told above
    return Fingerprint(
        user=told["user"],
        database=told["database"],
        options=options,
        written=told["written"],
        snapshot=told["isolation"] not in ("read committed", "read uncommitted"),
        age=float(told["age"]),
        temporary=bool(temporary),
        touched=", ".join(touched),
        doubt=doubt,
        counter=told["counter"],
        zone=dict(zip(_TOLD, told["told"], strict=True))["TimeZone"],
    )


def temporary_was_read(execute: Execute) -> bool:
    """Whether a name resolved to a temporary table in the transaction that is still open.

    A table that was read stays locked to the transaction's end, be it read inside a function.

    Args:
        execute: runs a statement on the connection.
    """
    return bool(_only(execute(_TEMPORARY_WAS_READ)))


def _own_settings(execute: Execute, code: tuple[object, ...]) -> tuple[Mapping[str, str], str]:
    """Settings of somebody's own naming that the database's code reads, as they are; and a doubt about them."""
    with _lock:
        names = _settings_read.get(code)
    if names is None:
        bodies = _json(execute(_CODE)) or []
        names = frozenset(name for body in bodies for name in _READS_SETTING.findall(body))
        if code[0] is not None:  # else two servers may look alike
            with _lock:
                _settings_read[code] = names
    own = sorted({name.lower() for name in names if name} - {name.lower() for name in _TOLD})
    doubt = "code in the database reads settings whose names cannot be told" if "" in names else ""
    if not own:
        return {}, doubt
    values = ", ".join(f"pg_catalog.current_setting('{name}', true)" for name in own)
    read = _json(execute(f"SELECT CAST(pg_catalog.json_build_array({values}) AS text)"))
    # Where it was set once in the session and is so no longer, it is empty.
    return {name: value for name, value in zip(own, read, strict=True) if value}, doubt


def _only(rows: Iterable[Any]) -> Any:
    """The one value of the one row."""
    ((value,),) = rows
    return value


def _json(rows: Iterable[Any]) -> Any:
    value = _only(rows)
    return None if value is None else json.loads(value)
