"""ADBC connections: SQLite's are identified, those of servers not yet."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from weakref import WeakKeyDictionary

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity, file_identity
from sqlcache_nb.schema import Schema
from sqlcache_nb.sources import sqlite
from sqlcache_nb.sources.base import Source
from sqlcache_nb.sources.files import is_open, sqlite_schema_cookie

_first_tokens: WeakKeyDictionary[Any, str | None] = WeakKeyDictionary()


class AdbcSource(Source):
    """An ADBC connection, which takes strings only."""

    def __init__(self, con: Any) -> None:
        vendor = str(con.adbc_get_info().get("vendor_name", "ADBC"))
        super().__init__(con, vendor)
        self.dialect_name = vendor.lower()
        if self.dialect_name == "sqlite":
            path = {row[1]: row[2] for row in self._execute("PRAGMA database_list")}.get("main", "")
            self._label = path.replace("\\", "/").rpartition("/")[2] or "sqlite in memory"

    def identify(self) -> SourceIdentity:
        if self.dialect_name != "sqlite":
            raise NotCacheable("an ADBC connection to a server has a session of its own; an Engine is cached")
        path = sqlite.check_session(self._execute)
        identity = file_identity("sqlite", "adbc", path)
        if not is_open(path):
            raise NotCacheable("the file was replaced while the connection was open")
        if self.con.adbc_connection.get_option("adbc.connection.autocommit") != "true":
            self._check_snapshot(path, self.token(identity))
        return identity

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

    def schema(self) -> Schema | None:
        return sqlite.schema(self._execute)

    def _execute(self, sql: str) -> list[Any]:
        try:
            with closing(self.con.cursor()) as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        except Exception as fault:  # the driver is optional, and so is the type of its errors
            raise NotCacheable(f"the connection does not answer: {type(fault).__name__}") from fault
