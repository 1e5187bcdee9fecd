"""Statements of ours on a SQLAlchemy Connection, beside the person's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.sources.base import Execute
from sqlcache_nb.sources.sessions import CannotAsk

_Answer = TypeVar("_Answer")


def executor(connection: Connection) -> Callable[[str], list[Any]]:
    """Runs statements below SQLAlchemy: they are not the person's and belong in nobody's log."""
    raw: Any = connection.connection

    def execute(sql: str) -> list[Any]:
        with closing(raw.cursor()) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    return execute


def asked_by_sqlalchemy(connection: Connection, question: Callable[[Execute], _Answer]) -> _Answer:
    """Put a question to a session of which the driver does not tell what state it is in.

    A transaction that is begun for it is rolled back; in one that is open already, a savepoint keeps an error apart.

    Args:
        connection: the connection.
        question: gets what runs a statement.

    Raises:
        CannotAsk: it does not answer.
    """
    try:
        begun = connection.begin_nested() if connection.in_transaction() else connection.begin()
        try:
            return question(executor(connection))
        finally:
            begun.rollback()
    except NotCacheable:
        raise
    except Exception as fault:  # drivers are optional, and so are the types of their errors
        raise CannotAsk.because(fault) from fault
