"""Live sessions of servers: asked what they carry, and left as they were."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from enum import Enum
from typing import Any, Protocol, Self, TypeVar

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.redaction import redact
from sqlcache_nb.schema import Behind, Name
from sqlcache_nb.sources import catalog, converters, mysql, postgresql
from sqlcache_nb.sources.base import Execute, Source
from sqlcache_nb.sources.converters import is_of
from sqlcache_nb.sources.fingerprints import Fingerprint
from sqlcache_nb.sources.outages import words_of

_Answer = TypeVar("_Answer")

_LONGEST = 120
"""Characters of a driver's words that are repeated."""

CLOCK_STANDS_STILL = 60.0
"""Seconds after which the time that a transaction tells is not taken for the present."""


class Probe(Protocol):
    """The questions that a session of one kind of server is asked."""

    def fingerprint(self, execute: Execute) -> Fingerprint:
        """What a session says of itself."""

    def temporary_was_read(self, execute: Execute) -> bool:
        """Whether a name resolved to a temporary table in the transaction that is still open."""


_postgresql: Probe = postgresql
_mysql: Probe = mysql
PROBES: dict[str, Probe] = {"postgresql": _postgresql, "mysql": _mysql, "mariadb": _mysql}
"""By SQLAlchemy's name of the dialect."""
CATALOGS = {"postgresql": catalog.behind}
"""What stands behind names, by SQLAlchemy's name of the dialect."""
DRIVERS = {"mysql": frozenset({"pymysql"}), "mariadb": frozenset({"pymysql"})}
"""Whose sessions can be asked, where those of others cannot: only PyMySQL tells what state it is in."""


class CannotAsk(NotCacheable):
    """The session cannot be asked: a source_name may vouch for it."""

    @classmethod
    def because(cls, fault: BaseException) -> Self:
        """What is said where a question of ours has met an error of the driver's.

        Args:
            fault: the error.
        """
        told = redact(words_of(fault))[:_LONGEST]
        return cls(f"the session cannot be asked ({type(fault).__name__}{': ' * bool(told)}{told})")


class CannotConnect(NotCacheable):
    """Nobody is there to be asked: what was said before still stands."""


class State(Enum):
    """Where a connection is, as its driver tells."""

    IDLE = 0
    IN_TRANSACTION = 2
    FAILED = 3
    UNKNOWN = 4


def can_ask(dialect: str, driver: str) -> bool:
    """Whether sessions of a server can be asked.

    Args:
        dialect: SQLAlchemy's name of the dialect.
        driver: its name of the driver.
    """
    return dialect in PROBES and (dialect not in DRIVERS or driver in DRIVERS[dialect])


class LiveSession:
    """A driver's connection to a server, which is asked what it carries.

    Args:
        raw: the driver's connection.
        dialect: SQLAlchemy's name of the dialect.

    Raises:
        CannotAsk: sessions of that dialect or driver cannot be asked.
    """

    def __init__(self, raw: Any, dialect: str) -> None:
        probe = PROBES.get(dialect)
        if probe is None:
            raise CannotAsk(f"an open {dialect} connection has a session of its own; an Engine is cached")
        self._probe = probe
        self._dialect = dialect
        self.raw = raw
        """The driver's connection."""
        self.has_begun = False
        """Whether a transaction was open when it was last looked at."""
        self._ends_alone = False
        self._fingerprint: Fingerprint | None = None
        self._alone: Fingerprint | None = None
        self._is_pymysql = is_of(raw, "pymysql.connections", "Connection")

    def look(self) -> Fingerprint:
        """What the session says now. A transaction is left as it was, and none stays open that was not.

        Raises:
            CannotAsk: it does not answer.
            NotCacheable: its transaction has failed, or code of somebody's own makes its values.
        """
        replaced = converters.replaced(self.raw)
        seen = self.ask(self._probe.fingerprint)
        if replaced:
            touched = seen.touched or "converters" * converters.are_set(replaced)
            seen = replace(seen, options={**seen.options, "converters": replaced}, touched=touched)
        self._fingerprint = seen
        return seen

    def ask(self, question: Callable[[Execute], _Answer]) -> _Answer:
        """Put a question to the session, which is left as it was.

        Args:
            question: gets what runs a statement.

        Raises:
            CannotAsk: it does not answer.
            NotCacheable: its transaction has failed.
        """
        state = self._state()
        if state is State.FAILED:  # a further statement would only raise
            raise NotCacheable("the connection's transaction has failed, and nothing can be asked of it")
        if state is State.UNKNOWN:
            raise CannotAsk("the connection is closed, busy, or of a driver whose sessions cannot be asked")
        if self._is_pymysql:
            mysql.check_converters(self.raw)
        self.has_begun = state is State.IN_TRANSACTION
        try:
            return self._asked_inside(question) if self.has_begun else self._asked_alone(question)
        except NotCacheable:
            raise
        except Exception as fault:  # drivers are optional, and so are the types of their errors
            raise CannotAsk.because(fault) from fault

    def behind(self, names: frozenset[Name]) -> Behind | None:
        """What stands behind some names; None where a server's catalog is not asked.

        Args:
            names: those of a statement, or of code.

        Raises:
            CannotAsk: it does not answer.
        """
        if self._dialect not in CATALOGS:
            return None
        return self.ask(lambda execute: CATALOGS[self._dialect](execute, names))

    def in_transaction(self) -> bool:
        """Whether the session is in a transaction of the person's, or was when it was asked last."""
        return self.has_begun or self._state() in {State.IN_TRANSACTION, State.FAILED}

    def check_alone(self) -> None:
        """Refuse a session, in a person's hands, that sees what others do not.

        Raises:
            NotCacheable: it does.
        """
        seen = self._fingerprint
        self.check_begun()
        if seen is None or seen.written:
            raise NotCacheable(
                "the connection is in a transaction that has written, and its rows are its own"
            )
        if seen.snapshot and not self._ends_alone:
            raise NotCacheable(
                "the connection is REPEATABLE READ or stricter: what it reads belongs to one snapshot"
            )

    def check_begun(self) -> None:
        """Refuse a session of MySQL in a transaction that somebody has begun: it has a snapshot, or has written.

        Which of them is not told to everybody, nor how old the snapshot is. One that was begun by what was read
        since the first look is as young as that.

        Raises:
            NotCacheable: it is in one.
        """
        if self._alone is None and self.has_begun and self._is_pymysql:
            raise NotCacheable(
                "the connection is in a transaction, and sees rows of its own or of before; commit() or "
                "rollback() ends it"
            )
        self._alone = self._alone or self._fingerprint

    def zone(self) -> str | None:
        """The time zone in which `current_date` is meant; None where it is not known, or its clock stands still."""
        seen = self._fingerprint
        return None if seen is None or seen.age > CLOCK_STANDS_STILL else seen.zone

    def confirm(self, before: Fingerprint, *, volatile: bool) -> None:
        """Refuse an answer that the session gave to nobody but itself; asked after it was read.

        Args:
            before: what the session said of itself when the question was identified.
            volatile: whether the statement asks for the time.

        Raises:
            NotCacheable: the answer is the session's own.
        """
        after, first = self.look(), self._alone
        if after.options != before.options:
            raise NotCacheable("the session is not what it was before it was read from")
        if after.written or after.writes != (first or after).writes:
            raise NotCacheable("the statement, or one before it in its transaction, has written")
        if self._ends_alone and after.counter != (first or after).counter:
            # Its transaction has ended, and nothing tells any more whether it had written.
            raise NotCacheable(
                "in autocommit, code in the database that the statement calls may have written: transactions "
                "were made meanwhile"
            )
        if after.temporary and (not self.has_begun or self._read_temporary()):
            raise NotCacheable("a name may stand for a temporary table, which only the connection can see")
        if volatile and after.age > CLOCK_STANDS_STILL:
            raise NotCacheable("the statement asks for the time, which stands still in an open transaction")

    def _asked_alone(self, question: Callable[[Execute], _Answer]) -> _Answer:
        """Asked in a transaction that is begun for it, and rolled back."""
        try:
            answer = question(self._execute)
            # Autocommit. MySQL begins nothing before a table is read, and its probe tells that by itself.
            self._ends_alone = self._state() is State.IDLE and not self._is_pymysql
            return answer
        finally:
            if self._state() is not State.IDLE:
                self._roll_back()

    def _asked_inside(self, question: Callable[[Execute], _Answer]) -> _Answer:
        """Asked in the person's own transaction, which must survive a question that fails."""
        if self._is_pymysql:  # where an error ends no transaction
            return question(self._execute)
        self._run("SAVEPOINT sqlcache_nb")
        try:
            answer = question(self._execute)
        except BaseException:
            with suppress(Exception):  # the first error is the one that tells
                self._run("ROLLBACK TO SAVEPOINT sqlcache_nb")
                self._run("RELEASE SAVEPOINT sqlcache_nb")
            raise
        self._run("RELEASE SAVEPOINT sqlcache_nb")
        self._ends_alone = False
        return answer

    def _read_temporary(self) -> bool:
        try:
            return self._probe.temporary_was_read(self._execute)
        except Exception as fault:  # a driver's own
            raise CannotAsk.because(fault) from fault

    def _state(self) -> State:
        raw = self.raw
        if not getattr(raw, "closed", False):
            if is_of(raw, "psycopg", "Connection") or is_of(raw, "psycopg2.extensions", "connection"):
                # Both give libpq's own numbers.
                return _LIBPQ.get(int(raw.info.transaction_status), State.UNKNOWN)
            if is_of(raw, "pg8000.core", "CoreConnection"):
                return _PG8000.get(raw._transaction_status, State.UNKNOWN)  # noqa: SLF001  # told nowhere else
            if self._is_pymysql:
                return _PYMYSQL[mysql.in_transaction(raw)]
        return State.UNKNOWN

    def _roll_back(self) -> None:
        with suppress(Exception):  # pandas will meet it, too
            self.raw.rollback()

    def _run(self, sql: str) -> None:
        self._execute(sql, has_rows=False)

    def _execute(self, sql: str, *, has_rows: bool = True) -> list[Any]:
        # psycopg would prepare a statement that it has seen five times.
        options = {"prepare": False} if is_of(self.raw, "psycopg", "Connection") else {}
        # One of PyMySQL may be of any class.
        kind = [sys.modules["pymysql.cursors"].Cursor] if self._is_pymysql else []
        with closing(self.raw.cursor(*kind)) as cursor:
            cursor.execute(sql, **options)
            return list(cursor.fetchall()) if has_rows else []


class LiveSource(Source):
    """A connection to a server that was asked what its session carries: the base of those in a person's hands."""

    _session: LiveSession | None = None
    _fingerprint: Fingerprint | None = None

    def ask(self, question: Callable[[Execute], _Answer]) -> _Answer:
        if self._session is None:
            raise CannotAsk("the connection cannot be asked")
        return self._session.ask(question)

    def behind(self, names: frozenset[Name]) -> Behind | None:
        return None if self._session is None else self._session.behind(names)

    def in_transaction(self) -> bool:
        return self._session is not None and self._session.in_transaction()

    def confirm(self, *, volatile: bool) -> None:
        if self._session is not None and self._fingerprint is not None:
            self._session.confirm(self._fingerprint, volatile=volatile)

    def zone(self) -> str | None:
        return None if self._session is None else self._session.zone()


_LIBPQ = {0: State.IDLE, 2: State.IN_TRANSACTION, 3: State.FAILED}
_PYMYSQL = {None: State.UNKNOWN, False: State.IDLE, True: State.IN_TRANSACTION}
_PG8000 = {None: State.IDLE, b"I": State.IDLE, b"T": State.IN_TRANSACTION, b"E": State.FAILED}
