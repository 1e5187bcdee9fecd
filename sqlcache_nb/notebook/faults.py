"""A database's error, or an interrupt, as one or two lines for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from sqlcache_nb.notebook.parameters import a_or_an
from sqlcache_nb.redaction import redact

_LONGEST = 300  # characters of one line
_LINK = re.compile(r"\s*\(Background on this error at: [^)]*\)")
_HELPFUL = ("HINT:", "Did you mean", "Candidate", "LINE ")  # not DETAIL: it shows rows
_UNBINDABLE = re.compile(r"type '(?:<class ')?([\w.]+)'")
_INSTEAD = {
    "Decimal": "a float or a str",
    "list": "single values, or a list after IN",
    "NaTType": "None",
    "NAType": "None",
    "timedelta": "a number of seconds",
}
# A database's own words for a piece of the statement, and no secret's name.
_OWN_WORDS = re.compile(r"(?:unrecognized|unexpected|invalid) token: ", re.IGNORECASE)


class Interrupted(KeyboardInterrupt):
    """A query that a person stopped: it stops the run as any interrupt does, and is shown as one line."""

    def _render_traceback_(self) -> list[str]:
        """The line that IPython shows in place of a traceback (its hook of that name)."""
        return [str(self)]


def is_interrupt(error: BaseException) -> bool:
    """Whether a person stopped the query.

    Args:
        error: what was raised; DuckDB raises an error of its own.
    """
    cause = _drivers_own(error)
    return isinstance(cause, KeyboardInterrupt) or (
        isinstance(cause, RuntimeError) and str(cause) == "Query interrupted"
    )


def message_of(error: BaseException, source: str, values: Mapping[str, object] = MappingProxyType({})) -> str:
    """The database's own words and the source that said them.

    Of the driver's text the first line is kept, and the most helpful one of the others; what
    SQLAlchemy and pandas put around it (the SQL, the parameters, a link) is not.

    Args:
        error: what was raised, by pandas, SQLAlchemy or a driver.
        source: the database's label.
        values: the parameters' values; one that cannot be bound is named.

    Example:
        >>> import sqlite3
        >>> message_of(sqlite3.OperationalError("no such table: flihgts"), "flights.db")
        'no such table: flihgts · flights.db'
    """
    cause = _drivers_own(error)
    if type(cause).__name__ == "ResourceClosedError":  # SQLAlchemy's, about a result without rows
        return f"no rows come back: nothing to show · {source}"
    text = _LINK.sub("", str(cause))
    if told := _unbindable(text, cause, values):
        return told
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(cause).__name__]
    first, *rest = (_shortened(_redacted(line)) for line in lines)
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


def _unbindable(text: str, cause: BaseException, values: Mapping[str, object]) -> str | None:
    """The parameter whose type the driver complains of, or None."""
    match = _UNBINDABLE.search(text)
    kind = match[1].rpartition(".")[2] if match else "str"
    if kind in {"bool", "bytes", "float", "int", "str"}:  # which every driver binds: it means something else
        return None
    driver = type(cause).__module__.partition(".")[0].lstrip("_")
    for name, value in values.items():
        for each in [value, *(value if isinstance(value, list) else [])]:
            if type(each).__name__ == kind:
                verb = "is" if each is value else "holds"
                instead = _INSTEAD.get(kind, "a number, a str or a date")
                return f":{name} {verb} {a_or_an(each)}, which {driver} cannot bind: give {instead}"
    return None


def _redacted(line: str) -> str:
    end = match.end() if (match := _OWN_WORDS.match(line)) else 0
    return line[:end] + redact(line[end:])


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
