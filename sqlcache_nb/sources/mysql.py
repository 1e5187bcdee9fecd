"""Sessions of MySQL and MariaDB: what a live connection carries that its URL does not tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.sources.base import Execute
from sqlcache_nb.sources.fingerprints import Fingerprint

# They are told of every session, whoever has set them: a server's own defaults change, too.
# https://mariadb.com/kb/en/server-system-variables/
# https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html
_TOLD = """
    sql_mode old_mode sql_auto_is_null
    time_zone system_time_zone lc_time_names default_week_format
    character_set_client character_set_connection character_set_results collation_connection
    character_set_collations default_collation_for_utf8mb4 default_regex_flags
    sql_select_limit group_concat_max_len max_sort_length max_allowed_packet max_recursive_iterations
    div_precision_increment windowing_use_high_precision block_encryption_mode
    system_versioning_asof""".split()
# They say how long, by what means and for whom a statement runs, or how it writes, and not what it answers. What
# the isolation changes is told apart from them below.
_HARMLESS = frozenset(
    """autocommit tx_isolation transaction_isolation tx_read_only transaction_read_only completion_type
    wait_timeout interactive_timeout net_read_timeout net_write_timeout net_retry_count net_buffer_length
    lock_wait_timeout innodb_lock_wait_timeout idle_transaction_timeout idle_readonly_transaction_timeout
    idle_write_transaction_timeout max_statement_time max_execution_time long_query_time profiling
    sort_buffer_size join_buffer_size read_buffer_size read_rnd_buffer_size tmp_table_size max_heap_table_size
    foreign_key_checks unique_checks sql_safe_updates sql_log_bin sql_notes sql_warnings lc_messages
    gtid_executed gtid_owned gtid_next""".split()
)
# Drivers set them on each connection, or the server does by the database.
_SET_BY_DRIVERS = frozenset(
    """character_set_client character_set_connection character_set_results collation_connection
    character_set_database collation_database""".split()
)
_ISOLATION = ["tx_isolation", "transaction_isolation"]  # the same by its old name and by its new one
_SERVER = "server_uuid server_uid hostname datadir port socket server_id".split()
_VARIABLES = [*_TOLD, *_SERVER, *_ISOLATION, "autocommit"]

# A session's own counters. MySQL counts a temporary table as a table.
_COUNTED = ["Com_change_db", "Com_create_table", "Com_create_temporary_table", "Com_set_role"]
_UPTIME = ["Uptime", "Uptime_since_flush_status"]
# Inside of functions, too.
_WRITES = """Com_call_procedure Com_delete Com_delete_multi Com_insert Com_insert_select Com_load Com_replace
    Com_replace_select Com_update Com_update_multi""".split()
# MySQL counts its own internal tables among these, and MariaDB does not.
_ROWS_WRITTEN = ["Handler_delete", "Handler_update", "Handler_write"]


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


# One statement for both: MariaDB runs the comments that begin with M!, MySQL those with a version. All is told as
# bytes, which neither the session's character set nor a converter of a driver changes; and with a LIMIT, since else
# that of the session (sql_select_limit) holds. No percent sign and no colon: for drivers they are placeholders.
_PROBE = f"""
SELECT CAST(CONVERT(kind USING utf8mb4) AS BINARY), CAST(CONVERT(name USING utf8mb4) AS BINARY),
       CAST(CONVERT(value USING utf8mb4) AS BINARY)
FROM (
    SELECT 'session' AS kind, 'user' AS name, USER() AS value
    UNION ALL SELECT 'session', 'account', CURRENT_USER()
    UNION ALL SELECT 'session', 'role', CURRENT_ROLE()
    UNION ALL SELECT 'session', 'database', DATABASE()
    UNION ALL SELECT 'session', 'now', UNIX_TIMESTAMP()
    UNION ALL SELECT 'session', 'behind', TIMESTAMPDIFF(SECOND, NOW(6), SYSDATE(6))
    UNION ALL SELECT 'session', 'sysdate is now', IF(SYSDATE(6) = NOW(6), 'yes', 'no')
    /*M!
    UNION ALL SELECT IF(session_value <> global_value, 'set', 'variable'), LOWER(variable_name),
                     COALESCE(session_value, global_value)
    FROM information_schema.system_variables
    WHERE variable_name IN ({_list(_VARIABLES)}) OR session_value <> global_value
    UNION ALL SELECT 'status', variable_name, variable_value FROM information_schema.session_status
    WHERE variable_name IN ({_list([*_COUNTED, *_UPTIME, *_WRITES, *_ROWS_WRITTEN])})
    UNION ALL SELECT 'variable of a person', variable_name, CONCAT_WS(' ', variable_type, character_set_name)
    FROM information_schema.user_variables
    UNION ALL SELECT 'session', 'default role', MAX(role_name) FROM information_schema.applicable_roles
    WHERE is_default = 'YES'
    UNION ALL SELECT 'session', 'installed', MAX(UNIX_TIMESTAMP(create_time)) FROM information_schema.tables
    WHERE table_schema = 'mysql' AND table_name = 'db'
    */
    /*!80000
    UNION ALL SELECT IF(g.variable_value <> s.variable_value, 'set', 'variable'), s.variable_name,
                     s.variable_value
    FROM performance_schema.session_variables s
    LEFT JOIN performance_schema.global_variables g ON g.variable_name = s.variable_name
    WHERE s.variable_name IN ({_list(_VARIABLES)}) OR g.variable_value <> s.variable_value
    UNION ALL SELECT 'status', variable_name, variable_value FROM performance_schema.session_status
    WHERE variable_name IN ({_list([*_COUNTED, *_UPTIME, *_WRITES])})
    */
) AS told
LIMIT 1000000
"""  # noqa: S608  # names of our own
# Only who may read performance_schema is told.
_VARIABLES_OF_MYSQL = """
SELECT COUNT(*) FROM performance_schema.user_variables_by_thread v
JOIN performance_schema.threads t ON t.thread_id = v.thread_id WHERE t.processlist_id = CONNECTION_ID() LIMIT 1
"""
_DIGEST = "CAST(CONCAT_WS(' ', COLLATION({0}), SHA2(CAST({0} AS BINARY), 256)) AS BINARY)"

_CLOCK_IS_SET = 1
"""Seconds by which a statement's time may be behind the clock before somebody has set it."""


def fingerprint(execute: Execute) -> Fingerprint:
    """What a session says of itself; about two milliseconds.

    Args:
        execute: runs a statement on the connection.

    Raises:
        NotCacheable: it has what nobody else can see.
        Exception: the driver's own.
    """
    told: dict[str, dict[str, Any]] = {"set": {}, "variable": {}, "status": {}, "variable of a person": {}}
    for kind, name, value in execute(_PROBE):
        told.setdefault(_text(kind), {})[_text(name)] = None if value is None else _text(value)
    session, settings = told["session"], told["set"]
    variables = told["variable"] | settings
    status = {name.lower(): int(value) for name, value in told["status"].items()}
    if abs(int(session["behind"])) > _CLOCK_IS_SET:
        raise NotCacheable("the session's clock was set (SET timestamp), and is not the present")
    if status.get("com_create_temporary_table"):
        raise NotCacheable(
            "the connection has made temporary tables, which only it can see and the server does not list"
        )
    own, doubt = _variables_of_a_person(execute, told["variable of a person"], "server_uuid" in variables)
    isolation = next((variables[name] for name in _ISOLATION if name in variables), "")
    options = {
        "session_user": session["user"],
        "current_user": session["account"],
        "role": session["role"],
        "schema": session["database"],
        **{name: variables[name] for name in _TOLD if name in variables},
        "settings": {
            name: value
            for name, value in sorted(settings.items())
            if name not in _HARMLESS and name not in _TOLD and name not in _SERVER
        },
        "server_uuid": _server(variables, session, status),
    }
    options |= {"user variables": own} if own else {}
    options |= {"isolation": isolation} if isolation == "READ-UNCOMMITTED" else {}
    return Fingerprint(
        user=session["user"],
        database=session["database"] or "",
        options=options,
        # REPEATABLE READ is what everybody has. Who asks for more wants locks, which a stored answer does not take.
        snapshot=isolation == "SERIALIZABLE" and variables.get("autocommit") != "ON",
        writes=sum(status.get(name.lower(), 0) for name in (*_WRITES, *_ROWS_WRITTEN)),
        touched=", ".join(_touched(session, settings, status, own)),
        doubt=doubt or _doubt(session, status),
        zone=_zone(variables),
    )


def temporary_was_read(execute: Execute) -> bool:  # noqa: ARG001  # the protocol's
    """Not asked: a session that has made temporary tables is refused.

    Args:
        execute: runs a statement on the connection.
    """
    return True


def in_transaction(raw: Any) -> bool | None:
    """Whether a connection of PyMySQL is in a transaction; None where it is closed or busy.

    Its flags are of the last statement that returned no rows and no error, so the server is asked for them anew, by
    what is no statement.

    Args:
        raw: the driver's connection.
    """
    from pymysql.constants.SERVER_STATUS import SERVER_STATUS_IN_TRANS

    result = raw._result  # noqa: SLF001  # told nowhere else
    if not raw.open or (result is not None and (result.unbuffered_active or result.has_next)):
        return None  # another command would throw away what somebody has yet to read
    try:
        raw.ping(reconnect=False)
    except Exception:  # noqa: BLE001  # a driver's own
        return None
    return bool(raw.server_status & SERVER_STATUS_IN_TRANS)


def check_converters(raw: Any) -> None:
    """Refuse a connection of PyMySQL whose values are made by code of somebody's own.

    Args:
        raw: the driver's connection.

    Raises:
        NotCacheable: they are.
    """
    from pymysql.converters import decoders, encoders

    if (
        not raw.use_unicode
        or raw.decoders != decoders
        or raw.encoders != {k: v for k, v in encoders.items() if type(k) is not int}
    ):
        raise NotCacheable("the connection converts values by code of somebody's own, which has no identity")


def _server(
    variables: Mapping[str, Any], session: Mapping[str, Any], status: Mapping[str, int]
) -> str | list[object]:
    """Which server this is.

    MySQL has a name for each installation. MariaDB's `server_uid` is made of its port and its network card, and is
    the same in two containers that are set up alike: when the system's tables were made tells more, but not
    everybody. Whoever does not see that goes by the server's start.
    """
    if uuid := variables.get("server_uuid"):
        return str(uuid)
    made = session.get("installed") or int(float(session["now"])) - status["uptime"]
    return [*(variables.get(name) for name in _SERVER[1:]), str(made)]


def _variables_of_a_person(
    execute: Execute, listed: Mapping[str, str], is_mysql: bool
) -> tuple[Mapping[str, object], str]:
    """The session's own variables (@x), which a function may read: digests of their values; and a doubt."""
    if is_mysql:
        try:
            ((count,),) = execute(_VARIABLES_OF_MYSQL)
        except Exception:  # noqa: BLE001  # of an optional driver
            return {}, "the server does not tell whether the session has variables (@x), which functions read"
        return {}, "the session has variables (@x), which functions read" if count else ""
    if not listed:
        return {}, ""
    names = sorted(listed)
    quoted = ("`" + name.replace("`", "``") + "`" for name in names)
    ((*digests,),) = execute(f"SELECT {', '.join(_DIGEST.format(f'@{name}') for name in quoted)} LIMIT 1")
    own = {name: [listed[name], _text(digest)] for name, digest in zip(names, digests, strict=True)}
    return own, ""


def _touched(
    session: Mapping[str, Any],
    settings: Mapping[str, Any],
    status: Mapping[str, int],
    own: Mapping[str, object],
) -> list[str]:
    """What somebody has set in the session."""
    touched = [name for name in settings if name not in _SET_BY_DRIVERS and name not in _HARMLESS]
    # MariaDB does not count them, and MySQL does not tell everybody the default.
    is_other = bool(status["com_set_role"]) if "com_set_role" in status else None
    touched += ["role"] * (session["role"] != session.get("default role") if is_other is None else is_other)
    touched += ["database"] * bool(status.get("com_change_db"))
    touched += ["tables"] * ("com_create_temporary_table" not in status and bool(status["com_create_table"]))
    return touched + [f"@{name}" for name in own]


def _doubt(session: Mapping[str, Any], status: Mapping[str, int]) -> str:
    """Why a session that somebody has touched cannot be told from others, or ""."""
    if status["uptime"] != status["uptime_since_flush_status"]:
        return (
            "it cannot be told whether the session has temporary tables, since the server's counters were reset "
            "(FLUSH STATUS)"
        )
    if "com_create_temporary_table" not in status and status["com_create_table"]:
        return "the connection has made tables, and it cannot be told whether they are temporary"
    if session["sysdate is now"] == "yes":
        return "it cannot be told whether the session's clock was set, since the server's SYSDATE() is NOW()"
    return ""


def _zone(variables: Mapping[str, Any]) -> str | None:
    """The time zone by its IANA name; None where it is not known.

    The system's zone is told by its abbreviation of the day on which the server was started: GMT may be London in
    winter.
    """
    zone: str | None = variables.get("time_zone")
    if zone == "SYSTEM":
        zone = variables.get("system_time_zone")
        return zone if zone == "UTC" else None
    return "UTC" if zone == "+00:00" else zone


def _text(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes | bytearray) else str(value)
