"""Where data comes from: everything that pandas reads from, and ORM sessions."""

from __future__ import annotations

import sqlite3
import sys
from typing import Any

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.redaction import redact
from sqlcache_nb.sources import raw
from sqlcache_nb.sources.base import Source
from sqlcache_nb.sources.sqlite import SqliteSource

__all__ = ["Source", "source_of"]


def source_of(con: Any, sql: object = None, *, vouched: bool = False, unasked: bool = False) -> Source:
    """The source behind what pandas takes as `con`.

    Args:
        con: a URL, Engine, Connection, Session, scoped_session, or a driver's connection.
        sql: the statement, by which a Session chooses its engine.
        vouched: whether the caller says, by a source_name, which database answers.
        unasked: whether nothing is to be asked of the connection, not even what kind of database it leads to.

    Raises:
        UnsupportedSource: a Session whose filters would be lost.
    """
    if isinstance(con, sqlite3.Connection):
        return SqliteSource(con)
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.orm import Session, scoped_session

    from sqlcache_nb.sources.connections import ConnectionSource, SessionSource
    from sqlcache_nb.sources.engines import EngineSource, UrlSource

    if isinstance(con, scoped_session):
        con = con()
    if isinstance(con, str):
        try:
            return UrlSource(con, vouched=vouched)
        except NotCacheable as refusal:
            return Source(con, redact(con), str(refusal))
    if isinstance(con, Engine):
        return EngineSource(con, vouched=vouched)
    if isinstance(con, Connection):
        return ConnectionSource(con, vouched=vouched)
    if isinstance(con, Session):
        return SessionSource(con, sql, vouched=vouched)
    return _driver_source(con, vouched=vouched, unasked=unasked)


def _driver_source(con: Any, *, vouched: bool, unasked: bool) -> Source:
    adbc: Any = sys.modules.get("adbc_driver_manager.dbapi")  # who has such a connection has loaded it
    if adbc is not None and isinstance(con, adbc.Connection):
        from sqlcache_nb.sources.adbc import UnaskedAdbcSource, adbc_source

        if unasked:
            return UnaskedAdbcSource(con)
        try:
            return adbc_source(con, vouched=vouched)
        except adbc.Error as fault:  # closed: pandas will meet it, too
            return Source(con, "ADBC", f"the connection does not answer: {type(fault).__name__}")
    if known := raw.is_known(con):
        return raw.RawSource(con, known, vouched=vouched)
    driver = type(con).__module__.partition(".")[0]
    driver = "a class of your own" if driver == "__main__" else driver.removeprefix("_")
    return Source(con, driver, f"a raw connection of {driver} is not cached; an Engine is")
