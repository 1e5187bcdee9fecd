"""ADBC connections: SQLite's are identified by their file, those of servers by what their session says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity, file_identity
from sqlcache_nb.schema import Schema
from sqlcache_nb.sources import files, said, sqlite
from sqlcache_nb.sources.base import Execute, Source
from sqlcache_nb.sources.files import is_open, sqlite_schema_cookie
from sqlcache_nb.sources.fingerprints import Fingerprint
from sqlcache_nb.sources.sessions import CannotAsk, LiveSession, LiveSource, State

_Answer = TypeVar("_Answer")

_first_tokens: WeakKeyDictionary[Any, str | None] = WeakKeyDictionary()


def adbc_source(con: Any, *, vouched: bool = False) -> Source:
    """The source behind an ADBC connection, which takes strings only.

    Args:
        con: the connection.
        vouched: whether the caller says, by a source_name, which database answers.
    """
    vendor = str(con.adbc_get_info().get("vendor_name", "ADBC"))
    return AdbcSource(con) if vendor.lower() == "sqlite" else AdbcServerSource(con, vendor, vouched=vouched)


class UnaskedAdbcSource(Source):
    """An ADBC connection of which nothing is asked: where it leads is known if it was asked before."""

    def __init__(self, con: Any) -> None:
        super().__init__(con, "ADBC")

    def told(self) -> SourceIdentity | None:
        return said.last(self.con)


class AdbcServerSource(LiveSource):
    """An ADBC connection to a server."""

    def __init__(self, con: Any, vendor: str, *, vouched: bool) -> None:
        super().__init__(con, vendor)
        self.dialect_name = vendor.lower()
        self._vouched = vouched

    @property
    def label(self) -> str:
        if self._fingerprint is None:
            with suppress(NotCacheable):  # what is asked of it next will say why
                self._fingerprint = AdbcSession(self.con, self.dialect_name).look()
        return self._identity(self._fingerprint).label if self._fingerprint else self._label

    def identify(self) -> SourceIdentity:
        try:
            session = AdbcSession(self.con, self.dialect_name)
            fingerprint = session.look()
        except CannotAsk:
            if self._vouched:
                return SourceIdentity(self.dialect_name, "adbc", options={"session": "vouched for"})
            raise
        session.check_alone()
        self._session, self._fingerprint = session, fingerprint
        identity = self._identity(fingerprint)
        identity = fingerprint.identify(identity, elsewhere=not self._vouched, set_up=True)
        return said.note(self.con, identity)

    def _identity(self, fingerprint: Fingerprint) -> SourceIdentity:
        return SourceIdentity(self.dialect_name, "adbc", user=fingerprint.user, database=fingerprint.database)


class AdbcSession(LiveSession):
    """A live session behind an ADBC connection."""

    def _asked_inside(self, question: Callable[[Execute], _Answer]) -> _Answer:
        try:
            return super()._asked_inside(question)
        except BaseException:
            # This driver runs nothing any more, no ROLLBACK TO SAVEPOINT either. Where nothing was written, nothing is lost.
            seen = self._fingerprint
            if seen is not None and not seen.written and self._state() is State.FAILED:
                self._roll_back()
            raise

    def _state(self) -> State:
        if self._dialect != "postgresql":
            return State.UNKNOWN
        with suppress(Exception):  # drivers before 1.6 do not tell, nor does a closed connection
            told = self.raw.adbc_connection.get_option("adbc.postgresql.transaction_status")
            return _STATES.get(told, State.UNKNOWN)
        try:
            self._run("SAVEPOINT sqlcache_nb")
            self._run("RELEASE SAVEPOINT sqlcache_nb")
        except Exception as fault:  # noqa: BLE001  # a driver's own, that tells what it is by its code
            return _STATES.get(str(getattr(fault, "sqlstate", "")), State.UNKNOWN)
        return State.IN_TRANSACTION


_STATES = {
    "idle": State.IDLE,
    "intrans": State.IN_TRANSACTION,
    "inerror": State.FAILED,
    "25P01": State.IDLE,  # https://www.postgresql.org/docs/current/errcodes-appendix.html
    "25P02": State.FAILED,
}


class AdbcSource(Source):
    """An ADBC connection to a SQLite file."""

    dialect_name = "sqlite"

    def __init__(self, con: Any) -> None:
        super().__init__(con, "sqlite")
        path = {row[1]: row[2] for row in self._execute("PRAGMA database_list")}.get("main", "")
        self._label = path.replace("\\", "/").rpartition("/")[2] or "sqlite in memory"

    def identify(self) -> SourceIdentity:
        path, attached = sqlite.check_session(self._execute)
        identity = file_identity("sqlite", "adbc", path, attached)
        if not all(map(is_open, (path, *attached.values()))):
            raise NotCacheable("the file was replaced while the connection was open")
        self._check_begun()
        if not self._is_autocommit():
            if attached:
                raise NotCacheable("a transaction over several files may hold an old snapshot of one of them")
            self._check_snapshot(path, files.token(identity.dialect, identity.files))
        return said.note(self.con, identity)

    def _check_begun(self) -> None:
        """Refuse a transaction that somebody began by hand, of which the driver does not know."""
        if self.con.adbc_connection.get_option("adbc.connection.autocommit") != "true":
            return
        try:
            self._execute("BEGIN")  # deferred: it takes no lock
        except NotCacheable as fault:
            raise NotCacheable("the connection is in a transaction, whose rows only it can see") from fault
        self._execute("COMMIT")

    def _check_snapshot(self, path: str, token: str | None) -> None:
        """Refuse a connection whose transaction may keep an old snapshot, or rows of its own."""
        ((journal,),) = self._execute("PRAGMA journal_mode")
        if journal == "wal":
            raise NotCacheable("an ADBC connection may hold an old snapshot of a database in WAL mode")
        ((written,),) = self._execute("SELECT total_changes()")
        ((cookie,),) = self._execute("PRAGMA schema_version")
        if written or cookie != sqlite_schema_cookie(path):
            raise NotCacheable("the connection has written, and may be in a transaction")
        # Its lock keeps writers out; but another SQLite library in this process may have dropped the lock.
        if _first_tokens.setdefault(self.con, token) != token:
            raise NotCacheable(
                "the file changed since the connection was first seen, and it may be in a transaction"
            )

    def ask(self, question: Callable[[Execute], _Answer]) -> _Answer:
        return question(self._execute)

    def in_transaction(self) -> bool:
        return not self._is_autocommit()

    def schema(self) -> Schema | None:
        return sqlite.schema(self._execute)

    def zone(self) -> str | None:
        return sqlite.ZONE

    def _is_autocommit(self) -> bool:
        return bool(self.con.adbc_connection.get_option("adbc.connection.autocommit") == "true")

    def _execute(self, sql: str) -> list[Any]:
        try:
            with closing(self.con.cursor()) as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        except Exception as fault:  # the driver is optional, and so is the type of its errors
            raise NotCacheable(f"the connection does not answer: {type(fault).__name__}") from fault
