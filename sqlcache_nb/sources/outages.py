"""Which errors say that a database cannot be reached: of all that may fail, these alone are an outage.

An outage is told by what the driver says *now*: its words in the error, SQLSTATE, error number, or the socket's
own error beneath it. Whatever a server has looked at and refused is none: SQL, permissions, passwords, databases
and tables that are not there, time limits for a statement or a lock. Nor is "too many connections" (53300, 1040):
the server is there, and says what is wrong, which a person can do something about. A failed check of a
certificate is none: it may be another server. What is not understood is none.

A database *file* has no outage. That it is gone, or its share, or that nobody may open it, is a fault of the
database, which is never hidden; whoever wants the old answer all the same asks for it (`offline`).
"""

from __future__ import annotations

import errno
import re
import socket
import traceback
from typing import Any

REFUSED = "connection refused"
UNKNOWN = "host unknown"
UNREACHABLE = "host unreachable"
TIMED_OUT = "timed out"
LOST = "connection lost"
STARTING = "the server is starting up"
STOPPING = "the server is shutting down"

_LIBPQ = frozenset({"psycopg", "psycopg2", "adbc_driver_manager"})
"""Drivers whose errors are libpq's words, and a SQLSTATE where the server has spoken to an open connection."""

# https://www.postgresql.org/docs/current/errcodes-appendix.html. Of class 08, which says that a connection is not
# there, 08004 and 08P01 are left out: a server, or a pool of connections before it, refuses a login with them.
_GONE = re.compile(r"08(?!004|P01)\w{3}|57P0[12]")
_NOT_NOW = "57P03"

# https://dev.mysql.com/doc/mysql-errors/8.0/en/client-error-reference.html, https://mariadb.com/kb/en/mariadb-error-codes/
_CANNOT_CONNECT = frozenset({2002, 2003})
_MYSQL = {
    1053: STOPPING,
    1927: LOST,  # killed
    2005: UNKNOWN,
    2006: LOST,
    2013: LOST,
    2055: LOST,
    4031: LOST,  # idle for too long
}

_ATTEMPT = re.compile(
    r"(?:connection to server (?:at|on) .*? failed|could not connect to server): *([^\n]*)", re.DOTALL
)
"""One for each address that libpq has tried, with what came of it."""

_WORDS = {
    kind: re.compile(words, re.IGNORECASE)
    for kind, words in {
        UNKNOWN: r"could not translate host name|failed to resolve host|name or service not known"
        r"|temporary failure in name resolution|nodename nor servname|getaddrinfo failed",
        STOPPING: r"the database system is shutting down",
        STARTING: r"the database system is (?:starting up|in recovery mode|not (?:yet )?accepting connections)",
        TIMED_OUT: r"timeout expired|(?:connection|operation) timed out|\b10060\b",
        REFUSED: r"connection refused|no such file or directory|\b10061\b",
        UNREACHABLE: r"no route to host|(?:network|host) is (?:unreachable|down)",
        LOST: r"server closed the connection unexpectedly|terminating connection due to administrator command"
        r"|could not (?:receive data from|send data to) server|connection (?:reset by peer|not open)"
        r"|ssl syscall error: (?:eof detected|connection reset|broken pipe)|broken pipe|\b10054\b"
        r"|ssl connection has been closed unexpectedly|no connection to the server"
        r"|(?:the )?connection (?:is|was) (?:lost|closed)|connection already closed",
    }.items()
}
_AS_A_WHOLE = tuple(kind for kind in _WORDS if kind is not REFUSED)  # a file is named for other reasons, too
_SOCKETS = {
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.ENETDOWN: UNREACHABLE,
    getattr(errno, "EHOSTDOWN", errno.EHOSTUNREACH): UNREACHABLE,
}


def outage_of(fault: BaseException) -> str | None:
    """What keeps a database from being reached, in a few words; None for an error of any other kind.

    Args:
        fault: what pandas, SQLAlchemy or a driver has raised.

    Example:
        >>> outage_of(ValueError("connection refused")) is None
        True
    """
    if _is(fault, "pandas.errors", "DatabaseError"):
        return _of_pandas(fault)
    if _is(fault, "sqlalchemy.exc", "PendingRollbackError"):
        # pandas asks for a table of that name first, and swallows how the connection was lost (8s2b).
        return LOST if getattr(fault, "code", None) == "8s2b" else None
    if _is(fault, "sqlalchemy.exc", "DBAPIError"):
        return _of_sqlalchemy(fault)
    homes = {each.__module__.partition(".")[0] for each in type(fault).__mro__}
    if homes & _LIBPQ:
        return _of_libpq(fault)
    if "pg8000" in homes:
        return _of_pg8000(fault)
    if "pymysql" in homes:
        return _of_pymysql(fault)
    # pg8000 lets a socket's timeout pass; one that somebody's own code has raised is another matter.
    return _of_socket(fault) if _came_through(fault, "pg8000") else None


def words_of(fault: BaseException) -> str:
    """What the driver has said, in one line: without the statement, which SQLAlchemy and pandas add to it.

    Args:
        fault: an error of which `outage_of` says what it is.
    """
    inner: Any = fault
    while (cause := getattr(inner, "orig", None) or _cause_of_pandas(inner)) is not None:
        inner = cause
    return str(inner).strip().partition("\n")[0]


def is_dead(con: Any) -> bool:
    """Whether a connection in a person's hands is known to be closed or lost, before anything is asked of it.

    The database may have been back for long: what such a connection says is no word of it. One of pg8000 or ADBC
    that was lost does not tell.

    Args:
        con: what pandas reads from; an Engine and a URL are never dead.
    """
    if con is None or isinstance(con, str):
        return False
    if isinstance(getattr(con, "invalidated", None), bool):  # SQLAlchemy's
        return bool(con.invalidated or con.closed)
    if hasattr(
        con, "adbc_connection"
    ):  # asked for an option that they do not know, old drivers end the process
        return bool(getattr(con, "_closed", False))
    closed = getattr(con, "closed", False)  # psycopg2 has numbers
    return (isinstance(closed, int) and bool(closed)) or getattr(con, "open", True) is False


def _is(fault: BaseException, home: str, name: str) -> bool:
    """Whether an error is of a class, by its name: nothing is imported for that."""
    return any(each.__name__ == name and each.__module__ == home for each in type(fault).__mro__)


def _of_pandas(fault: BaseException) -> str | None:
    cause = _cause_of_pandas(fault)
    return None if cause is None else outage_of(cause)


def _cause_of_pandas(fault: BaseException) -> BaseException | None:
    """What a driver has raised, for an error of pandas; where its rollback failed, too, that stands behind."""
    cause = fault.__cause__ if _is(fault, "pandas.errors", "DatabaseError") else None
    if cause is not None and str(fault).endswith("unable to rollback"):
        cause = cause.__context__ or cause
    return cause


def _of_sqlalchemy(fault: Any) -> str | None:
    """Of SQLAlchemy's error for what a driver has raised, whose connection it may have found to be lost."""
    told = None if fault.orig is None else outage_of(fault.orig)
    has_answered = fault.orig is not None and (_state(fault.orig) or _number(fault.orig))
    return told or (LOST if fault.connection_invalidated and not has_answered else None)


def _of_libpq(fault: BaseException) -> str | None:
    if state := _state(fault):
        return _of_state(state, str(fault))
    text = str(fault)
    if _is(fault, "adbc_driver_manager", "Error") and "[libpq]" not in text:
        return None
    if attempts := _ATTEMPT.findall(text):
        told = [_first(attempt, tuple(_WORDS)) for attempt in attempts]
        return told[0] if all(told) else None  # one has answered, and it was no outage
    return None if "FATAL:" in text and not _first(text, (STOPPING, STARTING)) else _first(text, _AS_A_WHOLE)


def _of_pg8000(fault: BaseException) -> str | None:
    if state := _state(fault):
        told: Any = fault.args[0]
        return _of_state(state, str(told.get("M", "")))
    if fault.__cause__ is not None:
        return _of_socket(fault.__cause__, connecting=True)
    return LOST if str(fault) in {"network error", "connection is closed"} else None


def _of_pymysql(fault: Any) -> str | None:
    number: Any = fault.args[0] if fault.args else None
    if number in _CANNOT_CONNECT:
        cause = getattr(fault, "original_exception", None)
        return REFUSED if cause is None else _of_socket(cause, connecting=True)
    if number == 0 and _is(fault, "pymysql.err", "InterfaceError"):  # closed
        return LOST
    told = _MYSQL.get(number)
    return TIMED_OUT if told is LOST and "timed out" in str(fault) else told


def _of_state(state: str, text: str) -> str | None:
    if state == _NOT_NOW:
        return STOPPING if _WORDS[STOPPING].search(text) else STARTING
    return LOST if _GONE.fullmatch(state) else None


def _of_socket(fault: BaseException, *, connecting: bool = False) -> str | None:
    """Of a socket's own error; what names a file is no socket's."""
    if not isinstance(fault, OSError) or fault.filename is not None:
        return None
    if isinstance(fault, socket.gaierror):
        return UNKNOWN
    if isinstance(fault, TimeoutError):
        return TIMED_OUT
    if isinstance(fault, ConnectionRefusedError) or (connecting and isinstance(fault, FileNotFoundError)):
        return REFUSED  # nobody listens at a Unix socket that is not there
    return LOST if isinstance(fault, ConnectionError) else _SOCKETS.get(fault.errno or 0)


def _first(text: str, kinds: tuple[str, ...]) -> str | None:
    return next((kind for kind in kinds if _WORDS[kind].search(text)), None)


def _state(fault: Any) -> str | None:
    """The SQLSTATE with which a PostgreSQL server has answered; PyMySQL's are too coarse."""
    told = getattr(fault, "sqlstate", None) or getattr(fault, "pgcode", None)
    if told is None and fault.args and isinstance(fault.args[0], dict):  # pg8000's
        told = fault.args[0].get("C")
    return told if isinstance(told, str) and told.strip("0") else None


def _number(fault: Any) -> int | None:
    """The number of an error that a MySQL server has answered with; those of its client are from 2000 to 2999."""
    number = fault.args[0] if fault.args else None
    return number if isinstance(number, int) and number >= 1000 and not 2000 <= number < 3000 else None


def _came_through(fault: BaseException, package: str) -> bool:
    """Whether an error was raised below a package's code."""
    frames = (frame for frame, _ in traceback.walk_tb(fault.__traceback__))
    return any(str(frame.f_globals.get("__name__")).partition(".")[0] == package for frame in frames)
