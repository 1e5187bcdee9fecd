"""SQLAlchemy's Engines and URLs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from sqlcache_nb import refreshing
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import FILE_DIALECTS, SourceIdentity, from_connect_args, working_directory
from sqlcache_nb.schema import Behind, Name, Schema
from sqlcache_nb.sources import duckdb, files, pools, servers
from sqlcache_nb.sources.base import Execute, Source
from sqlcache_nb.sources.beside import asked_by_sqlalchemy, executor
from sqlcache_nb.sources.connections import (
    DuckdbSession,
    address_of,
    check_untouched,
    has_table,
    identify_file_session,
    label_of,
    live,
    places_of,
    plain_file,
    schema_of,
    take_dialect,
    zone_of,
)
from sqlcache_nb.sources.fingerprints import Fingerprint
from sqlcache_nb.sources.sessions import CATALOGS, PROBES, CannotAsk, CannotConnect, LiveSession, can_ask

_Answer = TypeVar("_Answer")


class EngineSource(Source):
    """An Engine: identified by its connect arguments, as long as nothing else sets up its sessions.

    Args:
        engine: the engine.
        vouched: whether the caller says, by a source_name, which database answers.
    """

    def __init__(self, engine: Engine, *, vouched: bool = False) -> None:
        self.con = engine
        self._own_con: Any = engine
        take_dialect(self, engine.dialect)
        self._engine = engine
        self._vouched = vouched
        self._held: Connection | None = None
        self._session: LiveSession | None = None
        self._fingerprint: Fingerprint | None = None
        self._is_looked_at = False  # the session that is borrowed now
        self._duckdb: DuckdbSession | None = None

    @cached_property
    def label(self) -> str:
        return label_of(self._engine)

    def identify(self) -> SourceIdentity:
        engine = self._engine
        pools.check_dialect(engine.dialect)
        pools.check_pool(engine)
        pools.check_listeners(engine)
        arguments = pools.connect_args(engine)
        is_plain = arguments is not None and not pools.sets_up_sessions(engine)
        if self.dialect_name not in FILE_DIALECTS:
            identity = from_connect_args(engine.url, *(arguments or ((), {})))
            return self._identify_server(identity, is_plain=is_plain)
        new, is_new = None, is_plain and not pools.has_idle_connections(engine)
        if is_new and arguments is not None:
            new = _identify_new_session(engine.url, *arguments)
        return new or self._identify_file(is_new=is_new)

    def _identify_file(self, *, is_new: bool) -> SourceIdentity:
        """The identity of a file by what a session of it says."""
        connection = self._borrowed()
        if self.dialect_name != "duckdb":
            return identify_file_session(connection)
        self._duckdb = DuckdbSession(connection)
        return self._duckdb.identify(is_new=is_new)

    def _identify_server(self, identity: SourceIdentity, *, is_plain: bool) -> SourceIdentity:
        """The identity of a server's database: asked itself where the URL does not tell all.

        Args:
            identity: what the URL says.
            is_plain: whether nobody's code opens or sets up the engine's connections.

        Raises:
            NotCacheable: it cannot be told for sure.
        """
        engine = self._engine
        identity = self._isolated(identity)
        is_touched, is_shared = servers.is_touched(engine), pools.gives_one_to_all(engine)
        if not can_ask(self.dialect_name, engine.dialect.driver):
            self._check_mute(identity, is_plain=is_plain, is_touched=is_touched)
            return identity
        elsewhere = not self._vouched and (not is_plain or servers.is_local(identity))
        is_asked_each_time = is_touched or is_shared
        if is_plain and not is_asked_each_time and not elsewhere:
            return identity
        if is_asked_each_time or pools.sets_up_each_use(engine):
            self._fingerprint = self._look()
        else:
            self._fingerprint = servers.remembered(engine) or self._look_once()
        if is_plain and not elsewhere and not (self._fingerprint.touched or self._fingerprint.doubt):
            return identity  # a false alarm: this session is as the URL says
        return self._fingerprint.identify(identity, elsewhere=elsewhere, set_up=is_touched or not is_plain)

    def _isolated(self, identity: SourceIdentity) -> SourceIdentity:
        if not pools.reads_uncommitted(self._engine):
            return identity
        return replace(identity, options={**identity.options, "isolation": "READ-UNCOMMITTED"})

    def _check_mute(self, identity: SourceIdentity, *, is_plain: bool, is_touched: bool) -> None:
        """Refuse an engine whose sessions cannot be asked, and whose URL does not tell all.

        Raises:
            NotCacheable: it does not.
        """
        engine = self._engine
        if not is_plain and not self._vouched:
            raise NotCacheable(
                "code of yours opens or sets up the engine's connections, and may lead anywhere; "
                "source_name= vouches for it"
            )
        if self.dialect_name in PROBES and not self._vouched and servers.is_local(identity):
            raise NotCacheable(
                "the address is this machine's, where another server may answer tomorrow, and sessions of "
                f"the driver {engine.dialect.driver} cannot be asked; source_name= vouches for it"
            )
        if pools.gives_one_to_all(engine):
            raise NotCacheable(
                "the engine's pool gives one connection to all who ask, whose rows may be its own, and sessions "
                f"of the driver {engine.dialect.driver} cannot be asked"
            )
        if is_touched:
            raise NotCacheable(
                "a session of the engine was changed (SET, a role, a temporary table), and the URL does "
                "not tell; engine.dispose() makes new ones"
            )

    def told(self) -> SourceIdentity | None:
        engine = self._engine
        check_untouched(engine, is_file=self.dialect_name in FILE_DIALECTS)
        arguments = pools.connect_args(engine)
        is_plain = arguments is not None and not pools.sets_up_sessions(engine)
        identity = from_connect_args(engine.url, *(arguments or ((), {})))
        if self.dialect_name in FILE_DIALECTS:
            return plain_file(identity, arguments)
        identity, is_touched = self._isolated(identity), servers.was_touched(engine)
        if not can_ask(self.dialect_name, engine.dialect.driver):
            self._check_mute(identity, is_plain=is_plain, is_touched=is_touched)
            return identity
        elsewhere = not self._vouched and (not is_plain or servers.is_local(identity))
        is_asked_each_time = is_touched or pools.gives_one_to_all(engine)
        if is_plain and not is_asked_each_time and not elsewhere:
            return identity
        fingerprint = None if is_asked_each_time else servers.remembered(engine, unreachable=True)
        if fingerprint is None:
            return None
        if is_plain and not elsewhere and not (fingerprint.touched or fingerprint.doubt):
            return identity
        return fingerprint.identify(identity, elsewhere=elsewhere, set_up=not is_plain)

    def address(self) -> SourceIdentity | None:
        return address_of(self._engine, "engine", vouched=self._vouched)

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
        """What a session says of itself."""

        def look(session: LiveSession) -> Fingerprint:
            fingerprint = session.look()
            if session.has_begun and pools.gives_one_to_all(self._engine):
                session.check_alone()
            session.check_begun()
            return fingerprint

        fingerprint = self._ask(look)
        self._is_looked_at = True
        return fingerprint

    def _ask(self, question: Callable[[LiveSession], _Answer]) -> _Answer:
        """Ask a session; one that was cut off in the pool gives way to another, as with pool_pre_ping."""
        for _ in range(1 + pools.idle_connections(self._engine)):
            connection = self._borrowed()
            session = live(connection, self._session)
            try:
                if not connection.in_transaction():
                    connection.begin()  # whose listeners may set up more
                answer = question(session)
            except (NotCacheable, SQLAlchemyError) as fault:
                is_cut_off = not servers.is_quiet(session.raw)
                if is_cut_off:
                    connection.invalidate()
                if is_cut_off or not pools.gives_one_to_all(self._engine):
                    self._give_back()  # which ends a transaction, be it that of another who has it
                if is_cut_off:
                    continue
                if isinstance(fault, NotCacheable):
                    raise
                raise CannotAsk.because(fault) from fault
            self._session = session
            return answer
        raise CannotConnect("the database cannot be reached")

    def ask(self, question: Callable[[Execute], _Answer]) -> _Answer:
        if self.dialect_name in FILE_DIALECTS:
            connection = self._borrowed()
            return question(executor(connection)) if self._duckdb is None else self._duckdb.ask(question)
        if can_ask(self.dialect_name, self._engine.dialect.driver):
            return self._ask(lambda session: session.ask(question))
        try:
            return asked_by_sqlalchemy(self._borrowed(), question)
        except CannotAsk:
            self._give_back()  # it may have been cut off in the pool, and pandas shall have another one
            raise

    def hold(self) -> None:
        known = self._fingerprint
        if known is not None and not self._is_looked_at and self._look().options != known.options:
            servers.forget(self._engine)
            raise NotCacheable("the engine's connections lead to several databases or sessions")
        is_asked = self._is_looked_at or not can_ask(self.dialect_name, self._engine.dialect.driver)
        if not is_asked and pools.commits_alone(self._engine):
            # What a statement writes besides would be kept; in a transaction pandas rolls it back.
            self._fingerprint = self._look()

    def confirm(self, *, volatile: bool) -> None:
        if self._duckdb is not None:
            self._duckdb.confirm()
        if self._fingerprint is None or self._session is None:
            return
        try:
            # Its transaction is no older than this question.
            self._session.confirm(self._fingerprint, volatile=False)
        except NotCacheable:
            servers.forget(self._engine)
            raise

    def schema(self) -> Schema | None:
        return schema_of(self._borrowed()) if self.dialect_name in FILE_DIALECTS else None

    def behind(self, names: frozenset[Name]) -> Behind | None:
        if self.dialect_name not in CATALOGS:
            return None
        self.hold()
        try:
            return self._ask(lambda session: session.behind(names))
        except CannotConnect:
            raise
        except CannotAsk:
            if self._vouched:
                return None
            raise

    def has_table(self, name: str) -> bool:
        return has_table(self._held or self._engine, name)

    def places(self) -> tuple[str, ...]:
        return places_of(self._engine)

    def zone(self) -> str | None:
        if self.dialect_name in FILE_DIALECTS:
            return zone_of(self._borrowed())
        self.hold()
        if self._fingerprint is None and can_ask(self.dialect_name, self._engine.dialect.driver):
            with suppress(NotCacheable):  # it is no more than a day that is not known
                self._look()
        return None if self._session is None else self._session.zone()

    def elsewhere(self) -> Any:
        # A session in which something was set must be there when its owner asks next: another one is not as it is.
        is_free = not servers.was_touched(self._engine) and pools.spares_one(self._engine, refreshing.MOST)
        return self._own_con if is_free else None

    def execution_options(self) -> dict[str, object]:
        return dict(self._engine.get_execution_options())

    def close(self) -> None:
        self._give_back()

    def _give_back(self) -> None:
        """Let pandas open a connection of its own again."""
        if self._held is not None:
            if self._duckdb is not None:
                self._duckdb.give_back()
            self._held.close()
            self.con = self._own_con
        self._duckdb = None
        self._held = self._session = None
        self._is_looked_at = False

    def _borrowed(self) -> Connection:
        """One connection for the whole question: the next of the pool may carry something else."""
        if self._held is None:
            is_duckdb = self.dialect_name == "duckdb"  # see `refreshing.stop_at_exit`
            if is_duckdb:
                refreshing.stop_at_exit()
            try:
                self._held = self._engine.connect()
            except SQLAlchemyError as fault:  # pandas will meet it, too
                raise CannotConnect("the database cannot be reached") from fault
            if is_duckdb:
                refreshing.stop_at_exit(self._held.connection.interrupt)
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
        if pools.has_idle_connections(self._engine):
            self._engine.dispose()

    def _lend(self, connection: Connection) -> None:
        """A session of pandas' own engine to a file is as new as the one that was asked."""
        if self.dialect_name not in FILE_DIALECTS or refreshing.is_behind.get():
            super()._lend(connection)


@lru_cache(maxsize=16)
def _engine_of(url: str, _directory: str) -> Engine:
    """An engine that connects only where the database itself must be asked.

    Args:
        url: the URL.
        _directory: where a relative path in it begins.
    """
    return create_engine(url, pool_pre_ping=True)


def _identify_new_session(
    url: URL, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> SourceIdentity | None:
    """The identity of a session that nobody has touched, or None where the session must be asked."""
    identity = from_connect_args(url, arguments, keywords)
    if identity.dialect != "duckdb":
        return identity
    # All connections of a process to one file share its settings, and what is attached.
    is_alone = not files.may_be_open(*identity.files)
    return (
        replace(identity, options=duckdb.options_of({})) if is_alone and duckdb.is_plain(keywords) else None
    )
