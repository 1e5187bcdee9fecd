"""Raw connections of psycopg and pg8000, which pandas reads from with a warning: strings only."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.sources.base import Source
from sqlcache_nb.sources.fingerprints import Fingerprint
from sqlcache_nb.sources.postgresql import FIRST_OID
from sqlcache_nb.sources.sessions import LiveSession


class RawSource(Source):
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
        self._session = LiveSession(con, self.dialect_name)
        self._fingerprint: Fingerprint | None = None

    @property
    def label(self) -> str:
        if self._fingerprint is None:
            with suppress(NotCacheable):  # what is asked of it next will say why
                self._fingerprint = self._session.look()
        return self._identity(self._fingerprint).label if self._fingerprint else self._label

    def identify(self) -> SourceIdentity:
        converters = (_of_psycopg if self._driver == "psycopg" else _of_pg8000)(self.con)
        fingerprint = self._session.look()
        self._session.check_alone()
        self._fingerprint = fingerprint
        identity = self._identity(fingerprint, **converters)
        return fingerprint.identify(identity, elsewhere=not self._vouched, set_up=True)

    def _identity(self, fingerprint: Fingerprint, **options: object) -> SourceIdentity:
        return SourceIdentity(
            self.dialect_name,
            f"raw {self._driver}",
            user=fingerprint.user,
            database=fingerprint.database,
            options=options,
        )

    def confirm(self, *, volatile: bool) -> None:
        if self._fingerprint is not None:
            self._session.confirm(self._fingerprint, volatile=volatile)

    def zone(self) -> str | None:
        return self._session.zone()


def is_known(con: Any) -> str | None:
    """The driver's name of a raw connection that can be asked, else None."""
    for module in ("psycopg", "pg8000.dbapi", "pg8000.legacy"):
        home: Any = sys.modules.get(module)
        if home is not None and type(con) is home.Connection:
            return module.partition(".")[0]
    return None


def _of_psycopg(con: Any) -> dict[str, object]:
    """What makes the values of a psycopg connection.

    Raises:
        NotCacheable: code of somebody's own.
    """
    import psycopg

    if con.row_factory is not psycopg.rows.tuple_row or con.cursor_factory is not psycopg.Cursor:
        raise NotCacheable("the connection has a row_factory or cursor_factory of its own")
    maps = con.adapters
    tables: Any = [*maps._loaders, *maps._dumpers.values()]  # noqa: SLF001  # told nowhere else
    known = {
        (number, str(what)): kind for number, each in enumerate(tables) for what, kind in each.items() if kind
    }
    homes = {kind.__module__.partition(".")[0] for kind in known.values()}
    # What reads a type of somebody's own is made for one database.
    newest = max(oid for each in maps._loaders for oid in each)  # noqa: SLF001  # as above
    if newest >= FIRST_OID or not homes <= {"psycopg", "psycopg_binary", "psycopg_c"}:
        raise NotCacheable("the connection converts values by code of somebody's own, which has no identity")
    # One of psycopg's own may stand in another's place: numeric as float is such a recipe.
    return {"converters": {name: f"{kind.__module__}.{kind.__qualname__}" for name, kind in known.items()}}


def _of_pg8000(con: Any) -> dict[str, object]:
    """As for psycopg."""
    from pg8000.converters import PG_TYPES, PY_TYPES

    if con.pg_types != PG_TYPES or con.py_types != PY_TYPES:
        raise NotCacheable("the connection converts values by code of somebody's own, which has no identity")
    return {}
