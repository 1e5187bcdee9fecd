"""Raw connections of psycopg and pg8000, which pandas reads from with a warning: strings only."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.sources import said
from sqlcache_nb.sources.fingerprints import Fingerprint
from sqlcache_nb.sources.sessions import LiveSession, LiveSource


class RawSource(LiveSource):
    """A raw connection to PostgreSQL.

    psycopg2 is not among them: what converts its values is in no attribute.

    Args:
        con: the connection.
        driver: its driver's name.
        vouched: whether the caller says, by a source_name, which database answers.
    """

    dialect_name = "postgresql"

    def __init__(self, con: Any, driver: str, *, vouched: bool) -> None:
        super().__init__(con, driver)
        self._driver = driver
        self._vouched = vouched
        self._session: LiveSession = LiveSession(con, self.dialect_name)

    @property
    def label(self) -> str:
        if self._fingerprint is None:
            with suppress(NotCacheable):  # what is asked of it next will say why
                self._fingerprint = self._session.look()
        return self._identity(self._fingerprint).label if self._fingerprint else self._label

    def identify(self) -> SourceIdentity:
        fingerprint = self._session.look()
        self._session.check_alone()
        self._fingerprint = fingerprint
        identity = self._identity(fingerprint)
        identity = fingerprint.identify(identity, elsewhere=not self._vouched, set_up=True)
        return said.note(self.con, identity)

    def told(self) -> SourceIdentity | None:
        return said.last(self.con)

    def address(self) -> SourceIdentity | None:
        info = getattr(self.con, "info", None)  # psycopg's
        try:
            host, port, user, database = info.host, info.port, info.user, info.dbname  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001  # it is closed, or of pg8000, which keeps no name of its database
            return None
        return SourceIdentity(self.dialect_name, f"raw {self._driver}", user, host, port, database)

    def _identity(self, fingerprint: Fingerprint) -> SourceIdentity:
        return SourceIdentity(
            self.dialect_name,
            f"raw {self._driver}",
            user=fingerprint.user,
            database=fingerprint.database,
        )


def is_known(con: Any) -> str | None:
    """The driver's name of a raw connection that can be asked, else None."""
    for module in ("psycopg", "pg8000.dbapi", "pg8000.legacy"):
        home: Any = sys.modules.get(module)
        if home is not None and type(con) is home.Connection:
            return module.partition(".")[0]
    return None
