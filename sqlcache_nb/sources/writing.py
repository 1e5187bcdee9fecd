"""Writes: run once, in a transaction of their own that is committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine
from sqlalchemy.engine import CursorResult, Engine

from sqlcache_nb.errors import UnsupportedSource
from sqlcache_nb.sources.connections import places_of

if TYPE_CHECKING:
    from pandas import DataFrame


def execute(
    con: object, sql: object, params: Any, then: Callable[[str, str, tuple[str, ...]], int]
) -> tuple[int, int, DataFrame | None]:
    """Run a write once, in a transaction of its own that is committed.

    Args:
        con: an Engine or a URL.
        sql: a string for the driver as it stands, or a statement of SQLAlchemy.
        params: as pandas takes them.
        then: is called after the commit with what the driver got, the dialect's name, and where it was
            written (`SourceIdentity.places`); after a commit that failed, too, since it may have been
            carried out all the same.

    Returns:
        The number of rows touched, -1 where the driver does not tell; what `then` gives; and the rows that
        came back (RETURNING), None where the statement returns none.

    Raises:
        UnsupportedSource: a connection, whose transactions are its owner's.
    """
    if not isinstance(con, str | Engine):
        raise UnsupportedSource(
            "a write needs an Engine or a URL: a connection's transactions are its owner's"
        )
    engine = create_engine(con) if isinstance(con, str) else con
    rows, then_given, frame = -1, 0, None
    ran: tuple[str, str, tuple[str, ...]] | None = None
    try:
        with engine.begin() as connection:
            run: Any = connection.exec_driver_sql if isinstance(sql, str) else connection.execute
            result = run(sql, params)
            rows, frame = _given(result)
            ran = result.context.statement or "", connection.dialect.name, places_of(connection)
    finally:
        if engine is not con:
            engine.dispose()
        if ran is not None:
            then_given = then(*ran)
    return rows, then_given, frame


def _given(result: CursorResult[Any]) -> tuple[int, DataFrame | None]:
    """How many rows a statement touched, and those that it returned."""
    if not result.returns_rows:
        return int(result.rowcount), None
    rows = result.fetchall()  # SQLite carries a RETURNING out as it is read
    if result.context.dialect.name == "duckdb":  # which tells in this way what it has done
        if list(result.keys()) == ["Count"]:
            return sum(int(row[0]) for row in rows), None
        if list(result.keys()) == ["Success"] and not rows:
            return -1, None
    from pandas import DataFrame

    # As pandas makes a frame of what a query returned.
    return len(rows), DataFrame.from_records(rows, columns=list(result.keys()), coerce_float=True)
