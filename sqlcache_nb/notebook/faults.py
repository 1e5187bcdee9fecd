"""A database's error as one or two lines for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlcache_nb.redaction import redact

_LONGEST = 300  # characters of one line
_LINK = re.compile(r"\s*\(Background on this error at: [^)]*\)")
_HELPFUL = ("HINT:", "Did you mean", "Candidate", "LINE ")  # not DETAIL: it shows rows


def message_of(error: BaseException, source: str) -> str:
    """The database's own words and the source that said them.

    Of the driver's text the first line is kept, and the most helpful one of the others; what
    SQLAlchemy and pandas put around it (the SQL, the parameters, a link) is not.

    Args:
        error: what was raised, by pandas, SQLAlchemy or a driver.
        source: the database's label.

    Example:
        >>> import sqlite3
        >>> message_of(sqlite3.OperationalError("no such table: flihgts"), "flights.db")
        'no such table: flihgts · flights.db'
    """
    cause = _drivers_own(error)
    text = _LINK.sub("", str(cause))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(cause).__name__]
    first, *rest = (_shortened(redact(line)) for line in lines)
    if not _is_of_a_database(cause):
        first = f"{type(cause).__name__}: {first}"
    helpful = [line for start in _HELPFUL for line in rest if line.startswith(start)][:1]
    return "\n".join([f"{first} · {source}", *helpful])


def _drivers_own(error: BaseException) -> BaseException:
    """The innermost error that carries the driver's text."""
    *_, innermost = _causes(error)
    return innermost


def _causes(error: BaseException) -> Iterator[BaseException]:
    from sqlalchemy.exc import StatementError

    yield error
    if isinstance(error, StatementError):
        if error.orig is not None:
            yield error.orig
    elif type(error).__module__.partition(".")[0] == "pandas" and error.__cause__ is not None:
        yield from _causes(error.__cause__)


def _is_of_a_database(error: BaseException) -> bool:
    """Whether its text stands for itself; of other errors the type says as much as the text."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"DatabaseError", "InterfaceError", "SQLAlchemyError", "Warning"}) or type(
        error
    ).__module__.startswith(("psycopg", "duckdb", "_duckdb"))


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
