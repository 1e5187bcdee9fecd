"""Connections and ORM Sessions in a person's hands, and what they have in common with Engines."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import event, inspect
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ClauseElement

from sqlcache_nb.errors import NotCacheable, UnsupportedSource
from sqlcache_nb.identity import FILE_DIALECTS, SourceIdentity, file_identity, from_connect_args
from sqlcache_nb.schema import Behind, Name, Schema
from sqlcache_nb.sources import duckdb, files, pools, said, servers, sqlite
from sqlcache_nb.sources.base import Execute, Source
from sqlcache_nb.sources.beside import asked_by_sqlalchemy, executor
from sqlcache_nb.sources.fingerprints import Fingerprint
from sqlcache_nb.sources.sessions import CannotAsk, LiveSession, LiveSource

_Answer = TypeVar("_Answer")


class ConnectionSource(LiveSource):
    """A Connection in a person's hands: identified where one can look at its whole session.

    Args:
        connection: the connection.
        begun: the token of a DuckDB file before a transaction began in which nothing has run yet.
        vouched: whether the caller says, by a source_name, which database answers.
    """

    con: Connection

    def __init__(self, connection: Connection, *, begun: str | None = None, vouched: bool = False) -> None:
        self.con = connection
        self._begun = begun
        self._vouched = vouched
        self._duckdb = DuckdbSession(connection)
        take_dialect(self, connection.dialect)

    @cached_property
    def label(self) -> str:
        return label_of(self.con.engine)

    def identify(self) -> SourceIdentity:
        pools.check_dialect(self.con.dialect)
        pools.check_pool(self.con.engine)
        pools.check_listeners(self.con)
        if self.dialect_name not in FILE_DIALECTS:
            return self._identify_server()
        if self.dialect_name == "duckdb":
            return self._duckdb.identify(begun=self._begun)
        return identify_file_session(self.con)

    def _identify_server(self) -> SourceIdentity:
        """The identity of a server's database together with what this session says.

        Raises:
            NotCacheable: the session has rows of its own, an old snapshot, or cannot be asked.
        """
        engine = self.con.engine
        arguments = pools.connect_args(engine)
        identity = from_connect_args(engine.url, *(arguments or ((), {})))
        try:
            session = live(self.con, self._session)
            fingerprint = self._look(session)
        except CannotAsk:
            if self._vouched:
                return replace(identity, options={**identity.options, "session": "vouched for"})
            raise
        session.check_alone()
        self._session, self._fingerprint = session, fingerprint
        is_plain = arguments is not None and not pools.sets_up_sessions(engine)
        elsewhere = not self._vouched and (not is_plain or servers.is_local(identity))
        servers.watch(engine)
        return said.note(self.con, fingerprint.identify(identity, elsewhere=elsewhere, set_up=True))

    def told(self) -> SourceIdentity | None:
        return _told(self.con, self.con.engine)

    def address(self) -> SourceIdentity | None:
        return address_of(self.con.engine, "connection", vouched=self._vouched)

    def ask(self, question: Callable[[Execute], _Answer]) -> _Answer:
        if self.dialect_name == "duckdb":
            return self._duckdb.ask(question)
        if self.dialect_name in FILE_DIALECTS:
            return question(executor(self.con))
        return asked_by_sqlalchemy(self.con, question) if self._session is None else super().ask(question)

    def _look(self, session: LiveSession) -> Fingerprint:
        """What the session says; in a transaction where listeners set it up, as they will for pandas."""
        if self.con.in_transaction() or not pools.sets_up_transactions(self.con):
            return session.look()
        try:
            begun = self.con.begin()
            try:
                return session.look()
            finally:
                begun.rollback()
        except SQLAlchemyError as fault:
            raise CannotAsk.because(fault) from fault

    def confirm(self, *, volatile: bool) -> None:
        self._duckdb.confirm()
        super().confirm(volatile=volatile)

    def schema(self) -> Schema | None:
        return schema_of(self.con) if self.dialect_name in FILE_DIALECTS else None

    def has_table(self, name: str) -> bool:
        return has_table(self.con, name)

    def zone(self) -> str | None:
        if self.dialect_name in FILE_DIALECTS:
            return zone_of(self.con)
        return super().zone()

    def in_transaction(self) -> bool:
        return self.con.in_transaction() or super().in_transaction()

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
        self.con = self._session = session
        self._vouched = vouched
        self._was_open = self._pending = False
        self._bind_arguments = _bind_arguments(sql)
        self._bind = session.get_bind(**self._bind_arguments)
        take_dialect(self, self._bind.dialect)

    @cached_property
    def label(self) -> str:
        return label_of(self._bind.engine)

    def prepare(self) -> None:
        pending = self._session.new or self._session.dirty or self._session.deleted
        self._pending = bool(pending)
        joined = isinstance(self._bind, Connection) and self._bind.in_transaction()
        self._was_open = joined or self._session.in_transaction()
        begun = None if self._pending else self._before_it_begins()
        if self._session.autoflush:
            self._session.flush()
        connection = self._session.connection(bind_arguments=self._bind_arguments)
        self._source = ConnectionSource(connection, begun=begun, vouched=self._vouched)
        self.con = connection

    def _before_it_begins(self) -> str | None:
        """The token of a DuckDB file where the Session is about to begin a transaction that is ours."""
        bind = self._bind
        if bind.dialect.name != "duckdb" or self._was_open or list(self._session.dispatch.after_begin):
            return None
        return files.token("duckdb", places_of(bind.engine))

    def identify(self) -> SourceIdentity:
        identity = self._source.identify()
        if self._pending:
            raise NotCacheable("the session has changes of its own, which only it can see")
        return identity

    def told(self) -> SourceIdentity | None:
        if self._session.new or self._session.dirty or self._session.deleted:
            raise NotCacheable("the session has changes of its own, which only it can see")
        return _told(self._bind, self._bind.engine)

    def address(self) -> SourceIdentity | None:
        return address_of(self._bind.engine, "connection", vouched=self._vouched)

    def ask(self, question: Callable[[Execute], _Answer]) -> _Answer:
        return self._source.ask(question)

    def confirm(self, *, volatile: bool) -> None:
        self._source.confirm(volatile=volatile)

    def schema(self) -> Schema | None:
        return self._source.schema()

    def behind(self, names: frozenset[Name]) -> Behind | None:
        return self._source.behind(names)

    def has_table(self, name: str) -> bool:
        return self._source.has_table(name)

    def zone(self) -> str | None:
        return self._source.zone()

    def written(self) -> int | None:
        return self._source.written()

    def in_transaction(self) -> bool:
        return self._was_open or self._pending

    def places(self) -> tuple[str, ...]:
        return self._source.places()

    def execution_options(self) -> dict[str, object]:
        asked: Engine | Connection = self.con if isinstance(self.con, Connection) else self._bind
        return dict(asked.get_execution_options())


def _told(con: Engine | Connection, engine: Engine) -> SourceIdentity | None:
    """Which database a connection leads to, as far as nobody need be asked."""
    if engine.dialect.name in FILE_DIALECTS:
        check_untouched(con, is_file=True)
        arguments = pools.connect_args(engine)
        return plain_file(from_connect_args(engine.url, *(arguments or ((), {}))), arguments)
    if (identity := said.last(con)) is None:
        check_untouched(con)
    return identity


def check_untouched(con: Engine | Connection, *, is_file: bool = False) -> None:
    """Refuse what nothing can be stored of, or whose session was changed since anybody asked it.

    Args:
        con: the connection.
        is_file: whether its database is a file.

    Raises:
        NotCacheable: its answers are not stored, or it is not known what its session sees.
    """
    pools.check_dialect(con.dialect)
    pools.check_pool(con.engine)
    pools.check_listeners(con)
    if not is_file and servers.was_set(con.engine):
        raise NotCacheable(
            "something was set in a session (SET, a role, a temporary table), and what it sees is not told without "
            "asking; engine.dispose() makes new ones"
        )


def plain_file(identity: SourceIdentity, arguments: pools.ConnectArgs | None) -> SourceIdentity | None:
    """The identity of a database file for a session in which nothing was set; None where a URL does not tell it.

    Args:
        identity: what the URL says.
        arguments: what the engine gives to the driver's `connect`, None where code of one's own opens it.
    """
    if arguments is None:
        return None
    if identity.dialect != "duckdb":
        return identity
    return replace(identity, options=duckdb.options_of({})) if duckdb.is_plain(arguments[1]) else None


def address_of(engine: Engine, kind: str, *, vouched: bool) -> SourceIdentity | None:
    """What the URL of an engine tells of where its connections lead.

    Args:
        engine: the engine.
        kind: of what: a connection's session is its own, where an engine's is like all others of it.
        vouched: whether the caller says, by a source_name, which database answers.
    """
    arguments = pools.connect_args(engine)
    if arguments is None and not vouched:  # code of one's own, which may lead anywhere
        return None
    try:
        identity = from_connect_args(engine.url, *(arguments or ((), {})))
    except NotCacheable:  # a session that was asked may tell more
        return None
    told = {} if identity.dialect in FILE_DIALECTS else {"by": kind}
    return replace(identity, options={**identity.options, **told})


def _bind_arguments(sql: object) -> dict[str, Any]:
    """What a Session chooses its engine by."""
    for column in getattr(sql, "column_descriptions", ()):
        if column.get("entity") is not None:
            return {"mapper": inspect(column["entity"]).mapper, "clause": sql}
    return {"clause": sql} if isinstance(sql, ClauseElement) else {}


def places_of(con: Engine | Connection) -> tuple[str, ...]:
    """Where a connection writes, as `SourceIdentity.places` words it; () where nothing can be stored of it.

    A session of SQLite or DuckDB names all files that it has open.
    """
    if isinstance(con, Connection) and con.dialect.name in FILE_DIALECTS:
        asked = sqlite.FILES if con.dialect.name == "sqlite" else duckdb.FILES
        with suppress(Exception):  # of a driver that is optional; no fault of what was written
            return tuple(os.path.realpath(path) for _, path, *_ in executor(con)(asked) if path)
    engine = con.engine
    try:
        return from_connect_args(engine.url, *(pools.connect_args(engine) or ((), {}))).places
    except NotCacheable:
        return ()


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


def identify_file_session(connection: Connection) -> SourceIdentity:
    """The identity of a live session of SQLite, asked on its raw connection."""
    driver = connection.engine.url.get_driver_name()
    raw = raw_of(connection)
    if not isinstance(raw, sqlite3.Connection):
        raise NotCacheable(f"the driver {driver} is not one whose sessions can be asked")
    return sqlite.identify(raw, driver)


class DuckdbSession:
    """A live session of DuckDB behind a Connection.

    Whether a transaction has written, DuckDB does not tell. So only one is believed that a read of ours
    has begun, as long as nobody has run anything since, and the file is as it was before.

    Args:
        connection: the connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._state: duckdb.Known | None = None
        self._identity: SourceIdentity | None = None
        self._token: str | None = None
        self._begun: str | None = None

    def identify(self, *, is_new: bool = False, begun: str | None = None) -> SourceIdentity:
        """Which file answers, under which settings.

        Args:
            is_new: whether nobody has had the connection in his hands.
            begun: the token of the file before a transaction began in which nothing has run yet.

        Raises:
            NotCacheable: the session carries something that the file does not tell.
        """
        connection = self._connection
        self._state = state = duckdb.known(raw_of(connection))
        try:
            path, settings, in_transaction = duckdb.identify_session(
                executor(connection), state, is_new=is_new
            )
        except NotCacheable:
            raise
        except Exception as fault:  # the driver is optional, and so is the type of its errors
            raise NotCacheable(f"the connection does not answer: {type(fault).__name__}") from fault
        driver = connection.engine.url.get_driver_name()
        self._identity = identity = file_identity("duckdb", driver, path, **settings)
        self._token = files.token("duckdb", identity.files)
        if pools.gives_one_to_all(connection.engine):
            raise NotCacheable(
                "the engine's pool gives one connection to all who ask, whose rows may be its own: DuckDB does not tell"
            )
        if in_transaction:
            if pools.acts_beside(connection):
                begun = state.begun = None
            state.begun = self._begun = state.begun or begun
            self._check_snapshot(self._token)
        return identity

    def _check_snapshot(self, token: str | None) -> None:
        if self._begun is None:
            raise NotCacheable("the connection is in a transaction, whose rows only it can see")
        if self._begun != token:
            raise NotCacheable("the connection is in a transaction that began before the file changed")

    def confirm(self) -> None:
        """Refuse an answer from an old snapshot; what pandas has run here was a read of ours.

        Raises:
            NotCacheable: the file has changed since the transaction began.
        """
        state = self._state
        if state is None or self._identity is None:
            return
        if self._begun is not None:
            self._check_snapshot(files.token("duckdb", self._identity.files))
        state.forget()  # an extension that was loaded for the read brings settings of its own
        with suppress(Exception):  # of an optional driver: it is asked anew next time
            state.note(executor(self._connection))
            state.begun = self._begun or (None if pools.acts_beside(self._connection) else self._token)

    def ask(self, question: Callable[[Execute], _Answer]) -> _Answer:
        """Put a question to the session; what is known of it still holds, if nobody else has run anything meanwhile."""
        execute, state, run = executor(self._connection), self._state, 0

        def counting(sql: str) -> list[Any]:
            nonlocal run
            run += 1
            return execute(sql)

        last = None if state is None else state.query
        try:
            return question(counting)
        finally:
            if state is not None and last is not None:
                with suppress(Exception):  # of an optional driver: it is asked anew next time
                    state.note(execute)
                if state.query != last + run + 1:
                    state.forget()

    def give_back(self) -> None:
        """Say that the connection goes back to the pool: what is done there is nobody's own."""
        engine = self._connection.engine
        if self._state is None or pools.acts_beside(self._connection):
            return
        if not event.contains(engine.pool, "checkin", duckdb.note_given_back):
            event.listen(engine.pool, "checkin", duckdb.note_given_back)
        self._state.is_given_back = True


def raw_of(connection: Connection) -> Any:
    """The driver's connection behind a Connection.

    Raises:
        NotCacheable: it is closed.
    """
    try:
        return connection.connection.driver_connection
    except SQLAlchemyError as fault:  # pandas will meet it, too
        raise NotCacheable("the connection is closed") from fault


def live(connection: Connection, known: LiveSession | None = None) -> LiveSession:
    """The live session of a server behind a Connection.

    Args:
        connection: the connection.
        known: a session that was asked before, which is taken if it is the same.

    Raises:
        NotCacheable: the connection is closed, or cannot be asked.
    """
    raw = raw_of(connection)
    return known if known is not None and known.raw is raw else LiveSession(raw, connection.dialect.name)


def schema_of(connection: Connection) -> Schema:
    """What the names in the file of a live session of SQLite or DuckDB stand for."""
    module: Any = sqlite if connection.dialect.name == "sqlite" else duckdb
    try:
        schema: Schema = module.schema(executor(connection))
    except Exception as fault:  # a driver's own error, of a driver that is optional
        raise NotCacheable("the database does not tell what its names stand for") from fault
    # What SQLAlchemy adds to a session of SQLite, and anybody may replace there.
    replaceable = {"regexp": ""} if connection.dialect.name == "sqlite" else {}
    return replace(schema, definitions={**schema.definitions, **replaceable})


def has_table(con: Engine | Connection, name: str) -> bool:
    """Whether pandas finds a table of that name: asked as pandas asks."""
    try:
        return inspect(con).has_table(name)
    except SQLAlchemyError:  # pandas will meet it, too
        return False


def zone_of(connection: Connection) -> str | None:
    """The time zone in which a live session means `current_date`, None where that is not known."""
    if connection.dialect.name == "sqlite":
        return sqlite.ZONE
    return duckdb.zone(executor(connection)) if connection.dialect.name == "duckdb" else None


def take_dialect(source: Source, dialect: Dialect) -> None:
    """Tell a source what its connection speaks."""
    source.dialect_name = dialect.name
    source._dialect_class = type(dialect)  # noqa: SLF001  # of a base class in the same room
    source._paramstyle = dialect.paramstyle  # noqa: SLF001  # as above
    source.adapt = sqlite.adapt if dialect.name == "sqlite" else None
