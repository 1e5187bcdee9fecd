"""SQLAlchemy's sources: URL, Engine, Connection, Session."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
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
from sqlcache_nb.sources.fingerprints import Fingerprint
from sqlcache_nb.sources.sessions import PROBES, CannotAsk, CannotConnect, LiveSession


class EngineSource(Source):
    """An Engine: identified by its connect arguments, as long as nothing else sets up its sessions.

    Args:
        engine: the engine.
        vouched: whether the caller says, by a source_name, which database answers.
    """

    def __init__(self, engine: Engine, *, vouched: bool = False) -> None:
        self.con = engine
        self._own_con: Any = engine
        _take_dialect(self, engine.dialect)
        self._engine = engine
        self._vouched = vouched
        self._held: Connection | None = None
        self._session: LiveSession | None = None
        self._fingerprint: Fingerprint | None = None

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
            identity = from_connect_args(engine.url, *(arguments or ((), {})))
            return self._identify_server(identity, is_plain=is_plain)
        new = None
        if is_plain and arguments is not None and not pools.has_idle_connections(engine):
            new = _identify_new_session(engine.url, *arguments)
        return new or _identify_file_session(self._borrowed())

    def _identify_server(self, identity: SourceIdentity, *, is_plain: bool) -> SourceIdentity:
        """The identity of a server's database: asked itself where the URL does not tell all.

        Args:
            identity: what the URL says.
            is_plain: whether nobody's code opens or sets up the engine's connections.

        Raises:
            NotCacheable: it cannot be told for sure.
        """
        engine = self._engine
        is_touched = servers.is_touched(engine)
        if self.dialect_name not in PROBES:
            if not is_plain and not self._vouched:
                raise NotCacheable(
                    "code of yours opens or sets up the engine's connections, and may lead anywhere; "
                    "source_name= vouches for it"
                )
            if is_touched:
                raise NotCacheable(
                    "a session of the engine was changed (SET, a role, a temporary table), and the URL does "
                    "not tell; engine.dispose() makes new ones"
                )
            return identity
        elsewhere = not self._vouched and (not is_plain or servers.is_local(identity))
        if is_plain and not is_touched and not elsewhere:
            return identity
        if is_touched or pools.sets_up_each_use(engine):
            self._fingerprint = self._look()
        else:
            self._fingerprint = servers.remembered(engine) or self._look_once()
        return self._fingerprint.identify(identity, elsewhere=elsewhere, set_up=is_touched or not is_plain)

    def _look_once(self) -> Fingerprint:
        """What a session says that is like all others of the engine, to be remembered."""
        try:
            fingerprint = self._look()
        except CannotConnect:
            if known := servers.remembered(self._engine, unreachable=True):
                return known
            raise
        if self._session is not None and not fingerprint.doubt:
            servers.remember(self._engine, fingerprint, self._session.raw)
        return fingerprint

    def _look(self) -> Fingerprint:
        """What a session says; one that was cut off in the pool gives way to another, as with pool_pre_ping."""
        for _ in range(1 + pools.idle_connections(self._engine)):
            connection = self._borrowed()
            session = _live(connection)
            try:
                if not connection.in_transaction():
                    connection.begin()  # whose listeners may set up more
                fingerprint = session.look()
            except (NotCacheable, SQLAlchemyError) as fault:
                is_cut_off = not servers.is_quiet(session.raw)
                if is_cut_off:
                    connection.invalidate()
                self._give_back()
                if is_cut_off:
                    continue
                if isinstance(fault, NotCacheable):
                    raise
                raise CannotAsk(f"the session cannot be asked ({type(fault).__name__})") from fault
            self._session = session
            return fingerprint
        raise CannotConnect("the database cannot be reached")

    def hold(self) -> None:
        known = self._fingerprint
        if known is not None and self._session is None and self._look().options != known.options:
            servers.forget(self._engine)
            raise NotCacheable("the engine's connections lead to several databases or sessions")

    def confirm(self, *, volatile: bool) -> None:
        if self._fingerprint is None or self._session is None:
            return
        try:
            # Its transaction is no older than this question.
            self._session.confirm(self._fingerprint, volatile=False)
        except NotCacheable:
            servers.forget(self._engine)
            raise

    def schema(self) -> Schema | None:
        return _schema(self._borrowed()) if self.dialect_name in FILE_DIALECTS else None

    def has_table(self, name: str) -> bool:
        return _has_table(self._held or self._engine, name)

    def places(self) -> tuple[str, ...]:
        return places_of(self._engine)

    def zone(self) -> str | None:
        return _zone(self._borrowed()) if self.dialect_name in FILE_DIALECTS else None

    def execution_options(self) -> dict[str, object]:
        return dict(self._engine.get_execution_options())

    def close(self) -> None:
        self._give_back()

    def _give_back(self) -> None:
        """Let pandas open a connection of its own again."""
        if self._held is not None:
            self._held.close()
            self.con = self._own_con
        self._held = self._session = None

    def _borrowed(self) -> Connection:
        """One connection for the whole question: the next of the pool may carry something else."""
        if self._held is None:
            try:
                self._held = self._engine.connect()
            except SQLAlchemyError as fault:  # pandas will meet it, too
                raise CannotConnect("the database cannot be reached") from fault
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
        self.con = self._own_con = url

    def close(self) -> None:
        super().close()
        self._engine.dispose()

    def _lend(self, connection: Connection) -> None:
        """A session of pandas' own engine to a file is as new as the one that was asked."""
        if self.dialect_name not in FILE_DIALECTS:
            super()._lend(connection)


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

    def __init__(self, connection: Connection, in_transaction: bool, *, vouched: bool = False) -> None:
        self.con = connection
        self._in_transaction = in_transaction
        self._vouched = vouched
        self._session: LiveSession | None = None
        self._fingerprint: Fingerprint | None = None
        _take_dialect(self, connection.dialect)

    @cached_property
    def label(self) -> str:
        return label_of(self.con.engine)

    def identify(self) -> SourceIdentity:
        pools.check_dialect(self.con.dialect)
        pools.check_listeners(self.con)
        if self.dialect_name not in FILE_DIALECTS:
            return self._identify_server()
        if self._in_transaction and self.dialect_name == "duckdb":  # SQLite itself is asked
            raise NotCacheable("the connection is in a transaction, whose rows only it can see")
        return _identify_file_session(self.con)

    def _identify_server(self) -> SourceIdentity:
        """The identity of a server's database together with what this session says.

        Raises:
            NotCacheable: the session has rows of its own, an old snapshot, or cannot be asked.
        """
        engine = self.con.engine
        arguments = pools.connect_args(engine)
        identity = from_connect_args(engine.url, *(arguments or ((), {})))
        try:
            session = _live(self.con)
            fingerprint = session.look()
        except CannotAsk:
            if self._vouched:
                return replace(identity, options={**identity.options, "session": "vouched for"})
            raise
        session.check_alone()
        self._session, self._fingerprint = session, fingerprint
        is_plain = arguments is not None and not pools.sets_up_sessions(engine)
        elsewhere = not self._vouched and (not is_plain or servers.is_local(identity))
        return fingerprint.identify(identity, elsewhere=elsewhere, set_up=True)

    def confirm(self, *, volatile: bool) -> None:
        if self._session is not None and self._fingerprint is not None:
            self._session.confirm(self._fingerprint, volatile=volatile)

    def schema(self) -> Schema | None:
        return _schema(self.con) if self.dialect_name in FILE_DIALECTS else None

    def has_table(self, name: str) -> bool:
        return _has_table(self.con, name)

    def zone(self) -> str | None:
        return _zone(self.con)

    def written(self) -> int | None:
        raw = self.con.connection.driver_connection
        return raw.total_changes if isinstance(raw, sqlite3.Connection) else None

    def places(self) -> tuple[str, ...]:
        return places_of(self.con)

    def execution_options(self) -> dict[str, object]:
        return dict(self.con.get_execution_options())


class SessionSource(Source):
    """An ORM Session: flushed, then read from its connection, as `Session.execute` would do.

    Raises:
        UnsupportedSource: it has `do_orm_execute` listeners.
    """

    def __init__(self, session: Session, sql: object, *, vouched: bool = False) -> None:
        if list(session.dispatch.do_orm_execute):
            raise UnsupportedSource(
                "this Session has do_orm_execute listeners, whose filters would be lost: "
                "read from its engine if the unfiltered rows are what you want"
            )
        self._session = session
        self._vouched = vouched
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
        self._source = ConnectionSource(connection, in_transaction, vouched=self._vouched)
        self.con = connection

    def identify(self) -> SourceIdentity:
        identity = self._source.identify()
        if self._pending:
            raise NotCacheable("the session has changes of its own, which only it can see")
        return identity

    def confirm(self, *, volatile: bool) -> None:
        self._source.confirm(volatile=volatile)

    def schema(self) -> Schema | None:
        return self._source.schema()

    def has_table(self, name: str) -> bool:
        return self._source.has_table(name)

    def zone(self) -> str | None:
        return self._source.zone()

    def written(self) -> int | None:
        return self._source.written()

    def places(self) -> tuple[str, ...]:
        return self._source.places()

    def execution_options(self) -> dict[str, object]:
        return self._source.execution_options()


def places_of(con: Engine | Connection) -> tuple[str, ...]:
    """Where a connection writes, as `SourceIdentity.places` words it; () where nothing can be stored of it.

    A session of SQLite or DuckDB names all files that it has open.
    """
    if isinstance(con, Connection) and con.dialect.name in FILE_DIALECTS:
        asked = sqlite.FILES if con.dialect.name == "sqlite" else duckdb.FILES
        with suppress(Exception):  # of a driver that is optional; no fault of what was written
            return tuple(os.path.realpath(path) for _, path, *_ in _executor(con)(asked) if path)
    engine = con.engine
    try:
        return from_connect_args(engine.url, *(pools.connect_args(engine) or ((), {}))).places
    except NotCacheable:
        return ()


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


def _live(connection: Connection) -> LiveSession:
    """The live session of a server behind a Connection.

    Raises:
        NotCacheable: the connection is closed, or cannot be asked.
    """
    try:
        raw = connection.connection.driver_connection
    except SQLAlchemyError as fault:  # closed: pandas will meet it, too
        raise NotCacheable("the connection is closed") from fault
    return LiveSession(raw, connection.dialect.name)


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


def _has_table(con: Engine | Connection, name: str) -> bool:
    """Whether pandas finds a table of that name: asked as pandas asks."""
    try:
        return inspect(con).has_table(name)
    except SQLAlchemyError:  # pandas will meet it, too
        return False


def _zone(connection: Connection) -> str | None:
    """The time zone in which a live session means `current_date`, None where that is not known."""
    if connection.dialect.name == "sqlite":
        return sqlite.ZONE
    return duckdb.zone(_executor(connection)) if connection.dialect.name == "duckdb" else None


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
