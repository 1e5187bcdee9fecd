"""SQLAlchemy's sources: URL, Engine, Connection, Session."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

from sqlalchemy import create_engine, inspect, make_url
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.sql.elements import ClauseElement

from sqlcache_nb.catalog import Catalog
from sqlcache_nb.errors import NotCacheable, UnsupportedSource
from sqlcache_nb.identity import FILE_DIALECTS, SourceIdentity, file_identity, from_connect_args
from sqlcache_nb.sources import duckdb, sqlite
from sqlcache_nb.sources.base import Source, pristine

ConnectArgs = tuple[tuple[Any, ...], Mapping[str, Any]]


class UrlSource(Source):
    """A database URL: pandas makes an engine of it and disposes of it."""

    def __init__(self, url: str) -> None:
        try:
            self._url = make_url(url)
            self._dialect_class = self._url.get_dialect()
        except (SQLAlchemyError, ImportError) as fault:
            raise NotCacheable("the URL is not one that SQLAlchemy can open") from fault
        super().__init__(url, label_of(self._url))
        self.dialect_name = self._url.get_backend_name()
        self.dialect = pristine(self._dialect_class)

    def identify(self) -> SourceIdentity:
        arguments, keywords = self._dialect_class().create_connect_args(self._url)
        if (identity := _identify_new_session(self._url, tuple(arguments), keywords)) is not None:
            return identity
        with self._engine() as engine, _borrowed(engine) as connection:
            return _identify_file_session(connection)

    def catalog(self) -> Catalog | None:
        if self.dialect_name not in FILE_DIALECTS:
            return None
        with self._engine() as engine, _borrowed(engine) as connection:
            return _catalog(connection)

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        engine = create_engine(self._url)
        try:
            yield engine
        finally:
            engine.dispose()


class EngineSource(Source):
    """An Engine: identified by its connect arguments, as long as nothing else sets up its sessions."""

    con: Engine

    def __init__(self, engine: Engine, *, vouched: bool = False) -> None:
        super().__init__(engine, label_of(engine.url))
        self.dialect_name = engine.dialect.name
        self.dialect = pristine(type(engine.dialect), engine.dialect.paramstyle)
        self._vouched = vouched

    def identify(self) -> SourceIdentity:
        engine = self.con
        _check_dialect(engine.dialect)
        _check_rewriting(engine)
        arguments = connect_args(engine)
        is_plain = arguments is not None and not _sets_up_sessions(engine)
        if self.dialect_name not in FILE_DIALECTS:
            if not is_plain and not self._vouched:
                raise NotCacheable(
                    "code of yours opens or sets up the engine's connections, and may lead anywhere; "
                    "source_name= vouches for it"
                )
            return from_connect_args(engine.url, *(arguments or ((), {})))
        identity = None
        if is_plain and arguments is not None and not _has_idle_connections(engine):
            identity = _identify_new_session(engine.url, *arguments)
        if identity is not None:
            return identity
        with _borrowed(engine) as connection:
            return _identify_file_session(connection)

    def catalog(self) -> Catalog | None:
        if self.dialect_name not in FILE_DIALECTS:
            return None
        with _borrowed(self.con) as connection:
            return _catalog(connection)

    def execution_options(self) -> dict[str, object]:
        return _meaningful(self.con.get_execution_options())


class ConnectionSource(Source):
    """A Connection in a person's hands: identified where one can look at its whole session."""

    con: Connection

    def __init__(self, connection: Connection, in_transaction: bool) -> None:
        super().__init__(connection, label_of(connection.engine.url))
        self._in_transaction = in_transaction
        self.dialect_name = connection.dialect.name
        self.dialect = pristine(type(connection.dialect), connection.dialect.paramstyle)

    def identify(self) -> SourceIdentity:
        if self.dialect_name not in FILE_DIALECTS:
            raise NotCacheable("an open connection to a server has a session of its own; an Engine is cached")
        _check_dialect(self.con.dialect)
        _check_rewriting(self.con)
        if self._in_transaction and self.dialect_name == "duckdb":  # SQLite itself is asked
            raise NotCacheable("the connection is in a transaction, whose rows only it can see")
        return _identify_file_session(self.con)

    def catalog(self) -> Catalog | None:
        return _catalog(self.con)

    def execution_options(self) -> dict[str, object]:
        return _meaningful(self.con.get_execution_options())


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
        bind = session.get_bind(**self._bind_arguments)
        self.label = label_of(bind.engine.url)
        self.dialect_name = bind.dialect.name
        self.dialect = pristine(type(bind.dialect), bind.dialect.paramstyle)

    @cached_property
    def con(self) -> Connection:
        """The connection on which the session would run the statement, made at first use."""
        return self._source.con

    def identify(self) -> SourceIdentity:
        pending = self._session.new or self._session.dirty or self._session.deleted
        identity = self._source.identify()
        if pending:
            raise NotCacheable("the session has changes of its own, which only it can see")
        return identity

    def catalog(self) -> Catalog | None:
        return self._source.catalog()

    def execution_options(self) -> dict[str, object]:
        return self._source.execution_options()

    @cached_property
    def _source(self) -> ConnectionSource:
        in_transaction = self._session.in_transaction()
        if self._session.autoflush:
            self._session.flush()
        return ConnectionSource(self._session.connection(bind_arguments=self._bind_arguments), in_transaction)


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
            return int(run(sql, params).rowcount)
    finally:
        if engine is not con:
            engine.dispose()


def _bind_arguments(sql: object) -> dict[str, Any]:
    """What a Session chooses its engine by."""
    for column in getattr(sql, "column_descriptions", ()):
        if column.get("entity") is not None:
            return {"mapper": inspect(column["entity"]).mapper, "clause": sql}
    return {"clause": sql} if isinstance(sql, ClauseElement) else {}


def label_of(url: URL) -> str:
    """Short text for a person: "flights.db", "ann@db.example:5432/sales"."""
    dialect = url.get_backend_name()
    if dialect not in FILE_DIALECTS:
        return SourceIdentity(dialect, "", url.username, url.host, url.port, url.database).label
    database = (url.database or "").partition("?")[0]
    if not database or ":memory:" in database:
        return f"{dialect} in memory"
    return re.split(r"[/\\]", database)[-1]


def connect_args(engine: Engine) -> ConnectArgs | None:
    """What the engine's own creator gives to the driver's `connect`, or None for a foreign creator.

    `create_engine(url, creator=...)` still shows the URL, and `connect_args` are in no public place:
    both can only be told by the closure of the pool's creator.
    """
    creator: Any = engine.pool._creator  # noqa: SLF001  # see above
    code = getattr(creator, "__code__", None)
    if getattr(creator, "__module__", "") != "sqlalchemy.engine.create" or code is None:
        return None
    cells = dict(zip(code.co_freevars, creator.__closure__ or (), strict=True))
    arguments = cells.get("cargs_tup", cells.get("cargs"))
    keywords = cells.get("cparams")
    if arguments is None or keywords is None:
        return None
    # What SQLAlchemy's dialect itself adds says nothing of the database.
    adapters = getattr(engine.dialect, "_psycopg_adapters_map", None)
    own = {name: value for name, value in keywords.cell_contents.items() if value is not adapters}
    return tuple(arguments.cell_contents), own


def _identify_new_session(
    url: URL, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> SourceIdentity | None:
    """The identity of a session that nobody has touched, or None where the session must be asked."""
    identity = from_connect_args(url, arguments, keywords)
    if identity.dialect != "duckdb":
        return identity
    return replace(identity, options=duckdb.options_of({})) if duckdb.is_plain(keywords) else None


def _check_dialect(dialect: Dialect) -> None:
    for option in ("_json_serializer", "_json_deserializer"):
        if getattr(dialect, option, None) is not None:
            raise NotCacheable(f"the engine has a {option.strip('_')} of its own, whose code has no identity")


def _check_rewriting(connectable: Engine | Connection) -> None:
    for event in ("before_execute", "before_cursor_execute"):
        # A listener without retval=True reaches us in SQLAlchemy's wrapper, which cannot rewrite.
        if any(
            _is_foreign(listener, connectable.dialect) for listener in getattr(connectable.dispatch, event)
        ):
            raise NotCacheable("a listener (retval=True) rewrites the engine's statements")


def _sets_up_sessions(engine: Engine) -> bool:
    places = (
        (engine.pool.dispatch, ("connect", "first_connect", "checkout")),
        (engine.dialect.dispatch, ("do_connect",)),
        (engine.dispatch, ("engine_connect", "begin")),
    )
    return any(
        _is_foreign(listener, engine.dialect)
        for dispatch, events in places
        for event in events
        for listener in getattr(dispatch, event)
    )


def _is_foreign(listener: Any, dialect: Dialect) -> bool:
    code = getattr(listener, "__code__", None)
    if code is not None and getattr(listener, "__qualname__", "").startswith("only_once."):
        inner = dict(zip(code.co_freevars, listener.__closure__ or (), strict=True)).get("fn")
        listener = inner.cell_contents if inner is not None else listener
    home = str(getattr(listener, "__module__", "")).partition(".")[0]
    return home not in {"sqlalchemy", type(dialect).__module__.partition(".")[0]}


def _has_idle_connections(engine: Engine) -> bool:
    """Whether the next connection may be one that somebody has used: such a session may carry anything."""
    if isinstance(engine.pool, QueuePool):
        return engine.pool.checkedin() > 0
    return not isinstance(engine.pool, NullPool)


def _identify_file_session(connection: Connection) -> SourceIdentity:
    """The identity of a live session of SQLite or DuckDB, asked on its raw connection."""
    raw = connection.connection.driver_connection
    if isinstance(raw, sqlite3.Connection):
        return sqlite.identify(raw, connection.engine.url.get_driver_name())
    if connection.dialect.name != "duckdb":
        raise NotCacheable(f"the driver {connection.dialect.driver} is not one whose sessions can be asked")
    try:
        path, settings = duckdb.identify_session(_executor(connection))
    except NotCacheable:
        raise
    except Exception as fault:  # the driver is optional, and so is the type of its errors
        raise NotCacheable(f"the connection does not answer: {type(fault).__name__}") from fault
    return file_identity("duckdb", connection.engine.url.get_driver_name(), path, **settings)


def _catalog(connection: Connection) -> Catalog | None:
    if connection.dialect.name not in FILE_DIALECTS:
        return None
    room: Any = sqlite if connection.dialect.name == "sqlite" else duckdb
    try:
        catalog: Catalog = room.catalog(_executor(connection))
    except Exception as fault:  # a driver's own error, of a driver that is optional
        raise NotCacheable("the database does not tell what its names stand for") from fault
    return catalog


@contextmanager
def _borrowed(engine: Engine) -> Iterator[Connection]:
    try:
        connection = engine.connect()
    except SQLAlchemyError as fault:  # pandas will meet it, too
        raise NotCacheable("the database cannot be reached") from fault
    with connection:
        yield connection


def _executor(connection: Connection) -> Callable[[str], list[Any]]:
    """Runs statements below SQLAlchemy: they are not the person's and belong in nobody's log."""
    raw: Any = connection.connection

    def execute(sql: str) -> list[Any]:
        with closing(raw.cursor()) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    return execute


def _meaningful(options: Mapping[str, Any]) -> dict[str, object]:
    names = ("schema_translate_map", "isolation_level")
    return {name: options[name] for name in names if name in options}
