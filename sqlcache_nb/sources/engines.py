"""SQLAlchemy's sources: URL, Engine, Connection, Session."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ClauseElement

from sqlcache_nb.errors import NotCacheable, UnsupportedSource
from sqlcache_nb.identity import (
    FILE_DIALECTS,
    SourceIdentity,
    file_identity,
    from_connect_args,
    working_directory,
)
from sqlcache_nb.schema import Schema
from sqlcache_nb.sources import duckdb, pools, servers, sqlite
from sqlcache_nb.sources.base import Source


class EngineSource(Source):
    """An Engine: identified by its connect arguments, as long as nothing else sets up its sessions.

    Args:
        engine: the engine.
        vouched: whether the caller says, by a source_name, which database answers.
    """

    def __init__(self, engine: Engine, *, vouched: bool = False) -> None:
        self.con = engine
        _take_dialect(self, engine.dialect)
        self._engine = engine
        self._vouched = vouched
        self._held: Connection | None = None

    @cached_property
    def label(self) -> str:
        return label_of(self._engine)

    def identify(self) -> SourceIdentity:
        engine = self._engine
        pools.check_dialect(engine.dialect)
        pools.check_listeners(engine)
        arguments = pools.connect_args(engine)
        is_plain = arguments is not None and not pools.sets_up_sessions(engine)
        if self.dialect_name not in FILE_DIALECTS:
            if not is_plain and not self._vouched:
                raise NotCacheable(
                    "code of yours opens or sets up the engine's connections, and may lead anywhere; "
                    "source_name= vouches for it"
                )
            servers.check_sessions(engine)
            return from_connect_args(engine.url, *(arguments or ((), {})))
        identity = None
        if is_plain and arguments is not None and not pools.has_idle_connections(engine):
            identity = _identify_new_session(engine.url, *arguments)
        return identity or _identify_file_session(self._borrowed())

    def schema(self) -> Schema | None:
        return _schema(self._borrowed()) if self.dialect_name in FILE_DIALECTS else None

    def execution_options(self) -> dict[str, object]:
        return dict(self._engine.get_execution_options())

    def close(self) -> None:
        if self._held is not None:
            self._held.close()
        self._held = None

    def _borrowed(self) -> Connection:
        """One connection for the whole question: the next of the pool may carry something else."""
        if self._held is None:
            try:
                self._held = self._engine.connect()
            except SQLAlchemyError as fault:  # pandas will meet it, too
                raise NotCacheable("the database cannot be reached") from fault
            self._lend(self._held)
        return self._held

    def _lend(self, connection: Connection) -> None:
        """Let pandas read from the connection that was asked."""
        self.con = connection


class UrlSource(EngineSource):
    """A database URL: pandas makes an engine of it, and one of our own tells which database that is.

    Raises:
        NotCacheable: no engine can be made of it.
    """

    def __init__(self, url: str, *, vouched: bool = False) -> None:
        try:
            super().__init__(_engine_of(url, working_directory()), vouched=vouched)
        except (SQLAlchemyError, ImportError, TypeError, ValueError) as fault:
            raise NotCacheable("the URL is not one that SQLAlchemy can open") from fault
        self.con = url

    def close(self) -> None:
        super().close()
        self._engine.dispose()

    def _lend(self, connection: Connection) -> None:
        """A session of pandas' own engine is as new as the one that was asked."""


@lru_cache(maxsize=16)
def _engine_of(url: str, _directory: str) -> Engine:
    """An engine that connects only where the database itself must be asked.

    Args:
        url: the URL.
        _directory: where a relative path in it begins.
    """
    return create_engine(url)


class ConnectionSource(Source):
    """A Connection in a person's hands: identified where one can look at its whole session."""

    con: Connection

    def __init__(self, connection: Connection, in_transaction: bool) -> None:
        self.con = connection
        self._in_transaction = in_transaction
        _take_dialect(self, connection.dialect)

    @cached_property
    def label(self) -> str:
        return label_of(self.con.engine)

    def identify(self) -> SourceIdentity:
        if self.dialect_name not in FILE_DIALECTS:
            raise NotCacheable("an open connection to a server has a session of its own; an Engine is cached")
        pools.check_dialect(self.con.dialect)
        pools.check_listeners(self.con)
        if self._in_transaction and self.dialect_name == "duckdb":  # SQLite itself is asked
            raise NotCacheable("the connection is in a transaction, whose rows only it can see")
        return _identify_file_session(self.con)

    def schema(self) -> Schema | None:
        return _schema(self.con)

    def written(self) -> int | None:
        raw = self.con.connection.driver_connection
        return raw.total_changes if isinstance(raw, sqlite3.Connection) else None

    def execution_options(self) -> dict[str, object]:
        return dict(self.con.get_execution_options())


class SessionSource(Source):
    """An ORM Session: flushed, then read from its connection, as `Session.execute` would do.

    Raises:
        UnsupportedSource: it has `do_orm_execute` listeners.
    """

    def __init__(self, session: Session, sql: object) -> None:
        if list(session.dispatch.do_orm_execute):
            raise UnsupportedSource(
                "this Session has do_orm_execute listeners, whose filters would be lost: "
                "read from its engine if the unfiltered rows are what you want"
            )
        self._session = session
        self._bind_arguments = _bind_arguments(sql)
        self._bind = session.get_bind(**self._bind_arguments)
        _take_dialect(self, self._bind.dialect)

    @cached_property
    def label(self) -> str:
        return label_of(self._bind.engine)

    def prepare(self) -> None:
        pending = self._session.new or self._session.dirty or self._session.deleted
        self._pending = bool(pending)
        in_transaction = self._session.in_transaction()
        if self._session.autoflush:
            self._session.flush()
        connection = self._session.connection(bind_arguments=self._bind_arguments)
        self._source = ConnectionSource(connection, in_transaction)
        self.con = connection

    def identify(self) -> SourceIdentity:
        identity = self._source.identify()
        if self._pending:
            raise NotCacheable("the session has changes of its own, which only it can see")
        return identity

    def schema(self) -> Schema | None:
        return self._source.schema()

    def written(self) -> int | None:
        return self._source.written()

    def execution_options(self) -> dict[str, object]:
        return self._source.execution_options()


def execute(con: Engine | str, sql: object, params: Any = None) -> int:
    """Run a write once, in a transaction of its own that is committed.

    Args:
        con: an Engine or a URL.
        sql: a string for the driver as it stands, or a statement of SQLAlchemy.
        params: as pandas takes them.

    Returns:
        The number of rows touched, -1 where the driver does not tell.
    """
    engine = create_engine(con) if isinstance(con, str) else con
    try:
        with engine.begin() as connection:
            run: Any = connection.exec_driver_sql if isinstance(sql, str) else connection.execute
            result = run(sql, params)
            if not result.returns_rows:
                return int(result.rowcount)
            # SQLite counts the rows of a RETURNING only as they are read; DuckDB's answer is the count.
            is_count = connection.dialect.name == "duckdb" and list(result.keys()) == ["Count"]
            rows = result.fetchall()
            return sum(int(row[0]) for row in rows) if is_count else len(rows)
    finally:
        if engine is not con:
            engine.dispose()


def _bind_arguments(sql: object) -> dict[str, Any]:
    """What a Session chooses its engine by."""
    for column in getattr(sql, "column_descriptions", ()):
        if column.get("entity") is not None:
            return {"mapper": inspect(column["entity"]).mapper, "clause": sql}
    return {"clause": sql} if isinstance(sql, ClauseElement) else {}


def label_of(engine: Engine) -> str:
    """Short text for a person: "flights.db", "ann@db.example:5432/sales"."""
    arguments = pools.connect_args(engine)
    try:
        return from_connect_args(engine.url, *(arguments or ((), {}))).label
    except NotCacheable:
        url, dialect = engine.url, engine.url.get_backend_name()
        if dialect in FILE_DIALECTS:
            return f"{dialect} in memory" if arguments is not None else dialect
        return SourceIdentity(dialect, "", url.username, url.host, url.port, url.database).label


def _identify_new_session(
    url: URL, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> SourceIdentity | None:
    """The identity of a session that nobody has touched, or None where the session must be asked."""
    identity = from_connect_args(url, arguments, keywords)
    if identity.dialect != "duckdb":
        return identity
    return replace(identity, options=duckdb.options_of({})) if duckdb.is_plain(keywords) else None


def _identify_file_session(connection: Connection) -> SourceIdentity:
    """The identity of a live session of SQLite or DuckDB, asked on its raw connection."""
    driver = connection.engine.url.get_driver_name()
    try:
        raw = connection.connection.driver_connection
    except SQLAlchemyError as fault:  # closed: pandas will meet it, too
        raise NotCacheable("the connection is closed") from fault
    if isinstance(raw, sqlite3.Connection):
        return sqlite.identify(raw, driver)
    if connection.dialect.name != "duckdb":
        raise NotCacheable(f"the driver {driver} is not one whose sessions can be asked")
    try:
        path, settings = duckdb.identify_session(_executor(connection))
    except NotCacheable:
        raise
    except Exception as fault:  # the driver is optional, and so is the type of its errors
        raise NotCacheable(f"the connection does not answer: {type(fault).__name__}") from fault
    return file_identity("duckdb", driver, path, **settings)


def _schema(connection: Connection) -> Schema:
    """What the names in the file of a live session of SQLite or DuckDB stand for."""
    module: Any = sqlite if connection.dialect.name == "sqlite" else duckdb
    try:
        schema: Schema = module.schema(_executor(connection))
    except Exception as fault:  # a driver's own error, of a driver that is optional
        raise NotCacheable("the database does not tell what its names stand for") from fault
    # What SQLAlchemy adds to a session of SQLite, and anybody may replace there.
    replaceable = {"regexp": ""} if connection.dialect.name == "sqlite" else {}
    return replace(schema, definitions={**schema.definitions, **replaceable})


def _take_dialect(source: Source, dialect: Dialect) -> None:
    """Tell a source what its connection speaks."""
    source.dialect_name = dialect.name
    source._dialect_class = type(dialect)  # noqa: SLF001  # of a base class in the same room
    source._paramstyle = dialect.paramstyle  # noqa: SLF001  # as above
    source.adapt = sqlite.adapt if dialect.name == "sqlite" else None


def _executor(connection: Connection) -> Callable[[str], list[Any]]:
    """Runs statements below SQLAlchemy: they are not the person's and belong in nobody's log."""
    raw: Any = connection.connection

    def execute(sql: str) -> list[Any]:
        with closing(raw.cursor()) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    return execute
