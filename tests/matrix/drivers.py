"""The drivers of the matrix, and the databases that they read: a table for each column type."""

from __future__ import annotations

import os
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, make_url

from tests import servers
from tests.matrix import duckdb, mariadb, postgresql, sqlite
from tests.matrix.tables import Subject, fill


@dataclass(frozen=True)
class Database:
    """A database with the tables of its types.

    Args:
        url: SQLAlchemy's URL of it.
        subjects: what can be read.
        missing: types that are not there, and what the server would need for them.
    """

    url: URL
    subjects: tuple[Subject, ...]
    missing: dict[str, str]


@dataclass(frozen=True)
class Driver:
    """A way to a database.

    Args:
        name: as the table of results prints it.
        database: one of `DATABASES`.
        connect: what `pd.read_sql` is given, for the database's URL.
        only: what is in the names of the types that are read; nothing for all types.
        set_zone: the statement that sets the session's time zone.
        unreadable: what the driver, or pandas with it, cannot read.
        unreadable_at_times: what some of its versions cannot read.
    """

    name: str
    database: str
    connect: Callable[[URL], Any]
    only: str = ""
    set_zone: str | None = None
    unreadable: frozenset[str] = frozenset()
    unreadable_at_times: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def open(self, database: Database) -> Iterator[Any]:
        """A connection for `pd.read_sql`, closed at the end."""
        connection = self.connect(database.url)
        try:
            if self.set_zone is not None:
                connection.exec_driver_sql(self.set_zone)
            yield connection
        finally:
            connection.close()
            if isinstance(connection, Connection):
                connection.engine.dispose()

    def recover(self, connection: Any, fault: Exception) -> None:
        """Makes the connection usable after a fault."""
        if not isinstance(connection, Connection):
            return
        files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(fault.__traceback__)]
        if any("pg8000" in file for file in files):  # it stays out of step after a fault of its own
            connection.invalidate()
        connection.rollback()
        if self.set_zone is not None:
            connection.exec_driver_sql(self.set_zone)

    @property
    def reflects(self) -> bool:
        """Whether pandas reads through SQLAlchemy, which reads a table by its name."""
        return "ADBC" not in self.name and self.connect not in (_sqlite3, _surrogates)

    def subjects(self, database: Database) -> list[Subject]:
        """What is read through this driver."""
        return [subject for subject in database.subjects if self.only in subject.name.lower()]


@contextmanager
def open_database(name: str, folder: Path) -> Iterator[Database]:
    """A database by its name, and the server that it needs.

    Raises:
        NoServer: there is none.
    """
    with ExitStack() as stack:
        match name:
            case "SQLite":
                opened = sqlite_database(folder)
            case "DuckDB":
                opened = duckdb_database(folder)
            case "PostgreSQL":
                opened = postgresql_database(stack.enter_context(servers.postgresql()))
            case _:
                opened = mariadb_database(stack.enter_context(servers.mariadb()))
        yield stack.enter_context(opened)


# --- databases --------------------------------------------------------------------------------------


@contextmanager
def sqlite_database(folder: Path) -> Iterator[Database]:
    """A SQLite file."""
    path = folder / "types.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        subjects, missing = fill(connection.cursor(), sqlite.TYPES, sqlite.SHAPES)
    yield Database(URL.create("sqlite", database=str(path)), tuple(subjects), missing)


@contextmanager
def duckdb_database(folder: Path) -> Iterator[Database]:
    """A DuckDB file."""
    from duckdb import connect

    path = folder / "types.duckdb"
    with connect(str(path)) as connection:
        for statement in duckdb.SETUP:
            connection.execute(statement)
        subjects, missing = fill(connection, duckdb.TYPES, duckdb.SHAPES)
    yield Database(URL.create("duckdb", database=str(path)), tuple(subjects), missing)


@contextmanager
def postgresql_database(server: str) -> Iterator[Database]:
    """A database of the matrix's own on a PostgreSQL server."""
    import psycopg

    name = f"sqlcache_nb_{os.getpid()}"
    with psycopg.connect(_libpq(make_url(server)), autocommit=True) as admin:
        admin.execute(f"create database {name}")  # type: ignore[call-overload,unused-ignore]
        url = make_url(server).set(database=name)
        try:
            with psycopg.connect(_libpq(url), autocommit=True) as connection:
                cursor: Any = connection.cursor()
                for statement in postgresql.SETUP:
                    cursor.execute(statement)
                for statement in postgresql.SETUP_WHERE_IT_WORKS:
                    with suppress(psycopg.Error):
                        cursor.execute(statement)
                subjects, missing = fill(cursor, postgresql.TYPES, postgresql.SHAPES)
            yield Database(url, tuple(subjects), missing)
        finally:
            admin.execute(f"drop database {name} with (force)")  # type: ignore[call-overload,unused-ignore]


@contextmanager
def mariadb_database(server: str) -> Iterator[Database]:
    """A database of the matrix's own on a MariaDB server."""
    name = f"sqlcache_nb_{os.getpid()}"
    engine = create_engine(server)
    try:
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            # Else a server of now refuses dates like 0000-00-00, which old tables hold.
            cursor.execute("set session sql_mode = ''")
            cursor.execute("set session autocommit = 1")
            cursor.execute(f"create database {name} character set utf8mb4")
            try:
                cursor.execute(f"use {name}")
                subjects, missing = fill(cursor, mariadb.TYPES, mariadb.SHAPES)
                yield Database(engine.url.set(database=name), tuple(subjects), missing)
            finally:
                cursor.execute(f"drop database {name}")
    finally:
        engine.dispose()


# --- connections ------------------------------------------------------------------------------------


def _libpq(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _sqlalchemy(drivername: str, **options: Any) -> Callable[[URL], Any]:
    def connect(url: URL) -> Connection:
        return create_engine(url.set(drivername=drivername), **options).connect()

    return connect


def _pg8000(url: URL) -> Connection:
    folder = url.query.get("host")
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}
    if isinstance(folder, str):  # pg8000 is told of a Unix socket otherwise
        url = url.difference_update_query(["host", "port"])
        options["connect_args"] = {"unix_sock": f"{folder}/.s.PGSQL.{url.query.get('port', 5432)}"}
    return create_engine(url.set(drivername="postgresql+pg8000"), **options).connect()


def _sqlite3(url: URL) -> sqlite3.Connection:
    return sqlite3.connect(str(url.database))


def _surrogates(url: URL) -> sqlite3.Connection:
    connection = _sqlite3(url)
    connection.text_factory = lambda data: data.decode(errors="surrogateescape")
    return connection


def _adbc_sqlite(url: URL) -> Any:
    return import_module("adbc_driver_sqlite.dbapi").connect(url.database)


def _adbc_postgresql(url: URL) -> Any:
    return import_module("adbc_driver_postgresql.dbapi").connect(_libpq(url), autocommit=True)


_psycopg = _sqlalchemy("postgresql+psycopg", isolation_level="AUTOCOMMIT")
_psycopg2 = _sqlalchemy("postgresql+psycopg2", isolation_level="AUTOCOMMIT")
_duckdb = _sqlalchemy("duckdb")

_FAR = "date, before Christ", "date, after 9999"
_PSYCOPG_FAR = frozenset(
    [
        *_FAR,
        "date, infinity",
        "time, 24:00",
        "timestamp, infinity",
        "timestamptz, infinity",
        "tsrange, infinity",
    ]
)
_RANGES = "int4range int8range numrange tsrange tstzrange daterange int4range[]".split()
_ADBC_AT_TIMES = frozenset([*_RANGES, "tsrange, infinity", "textrange (own)", "uuid[]"])

DRIVERS: tuple[Driver, ...] = (
    Driver("sqlite3", "SQLite", _sqlite3, unreadable=frozenset(["text, not UTF-8"])),
    Driver(
        "sqlite3 by SQLAlchemy", "SQLite", _sqlalchemy("sqlite"), unreadable=frozenset(["text, not UTF-8"])
    ),
    Driver("ADBC SQLite", "SQLite", _adbc_sqlite, unreadable_at_times=frozenset(["text, not UTF-8"])),
    # pandas 3 raises where it stores texts as Arrow does.
    Driver(
        "sqlite3, surrogates",
        "SQLite",
        _surrogates,
        only="utf-8",
        unreadable_at_times=frozenset(["text, not UTF-8"]),
    ),
    Driver("DuckDB", "DuckDB", _duckdb, unreadable_at_times=frozenset(["TIME_NS"])),
    Driver("psycopg", "PostgreSQL", _psycopg, unreadable=_PSYCOPG_FAR),
    Driver("psycopg2", "PostgreSQL", _psycopg2, unreadable=frozenset([*_FAR, "interval, 178000000 years"])),
    Driver(
        "pg8000",
        "PostgreSQL",
        _pg8000,
        unreadable=frozenset(
            [
                "time, 24:00",
                "int4[] with bounds",
                "no columns",
                "no columns, three rows",
                "no columns, no rows",
            ]
        ),
    ),
    Driver(
        "ADBC PostgreSQL",
        "PostgreSQL",
        _adbc_postgresql,
        unreadable=frozenset(
            [*_FAR, "date, infinity", "time, 24:00", "aclitem", "int4[] with bounds", "row()"]
        ),
        unreadable_at_times=_ADBC_AT_TIMES,
    ),
    Driver("PyMySQL", "MariaDB", _sqlalchemy("mysql+pymysql")),
    # The same types in a session that is far from UTC, and where offsets are odd.
    Driver("DuckDB, New York", "DuckDB", _duckdb, "tz", "set TimeZone = 'America/New_York'"),
    Driver(
        "psycopg, New York",
        "PostgreSQL",
        _psycopg,
        "tz",
        "set timezone = 'America/New_York'",
        unreadable=_PSYCOPG_FAR,
    ),
    Driver("psycopg2, Kathmandu", "PostgreSQL", _psycopg2, "tz", "set timezone = 'Asia/Kathmandu'"),
    Driver("pg8000, Kathmandu", "PostgreSQL", _pg8000, "tz", "set timezone = 'Asia/Kathmandu'"),
)
