"""A person's own validator: SQL whose rows are other ones when the answer may be another one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from sqlcache_nb.errors import ConfigError, NotCacheable
from sqlcache_nb.freshness import Strength
from sqlcache_nb.guard import Kind, kind_of
from sqlcache_nb.key import encode
from sqlcache_nb.redaction import redact
from sqlcache_nb.validators import Probe

_SHOWN = 60
"""Characters of the SQL that an error shows."""


class SqlValidator:
    """Tells by the rows of a query, each value with its type; that there are none is a state, too.

    Nothing but its author's word says that the rows are other ones whenever the answer is. A query that fails tells
    nothing, and the database is asked.

    Args:
        sql: the query, as the driver takes it.
        dialect: SQLAlchemy's name of the dialect.

    Raises:
        ConfigError: it does more than tell.

    Example:
        >>> SqlValidator("drop table t", "sqlite")
        Traceback (most recent call last):
        ...
        sqlcache_nb.errors.ConfigError: validate='drop table t' is no query: the SQL of a validator tells, and does nothing else
    """

    strength = Strength.HEURISTIC
    wants_tables = False

    def __init__(self, sql: str, dialect: str) -> None:
        if kind_of(sql, dialect) not in {Kind.QUERY, Kind.INFO}:
            shown = redact(" ".join(sql.split()))
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
            raise ConfigError(
                f"validate={shown!r} is no query: the SQL of a validator tells, and does nothing else"
            )
        self.sql = sql
        self.name = f"sql:{sha256(sql.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
        self.dialects = frozenset({dialect})

    def token(self, probe: Probe) -> str | None:
        """A digest of the rows as they are now.

        Args:
            probe: the session that answers the question.

        Raises:
            Exception: the driver's own, or that the session cannot be asked; a value of a type that has no canonical
                form.
        """
        try:
            rows = probe.execute(self.sql)
        except NotCacheable as fault:
            if fault.__cause__ is None:
                raise
            # What its author can do something about is what the driver said.
            raise NotCacheable(str(fault.__cause__).partition("\n")[0]) from fault.__cause__
        return digest(rows)


@lru_cache(maxsize=64)
def validator_of(sql: str, dialect: str) -> SqlValidator:
    """The validator that a person's SQL is: looked at once, and not at each read.

    Args:
        sql: the query.
        dialect: SQLAlchemy's name of the dialect.

    Raises:
        ConfigError: as `SqlValidator`.
    """
    return SqlValidator(sql, dialect)


def digest(rows: Iterable[Iterable[object]]) -> str:
    """A digest of rows, in which 1, True, 1.0 and "1" are four, and in which their order counts.

    Args:
        rows: those of an answer.

    Raises:
        NotCacheable: a value of a type that has no canonical form.

    Example:
        >>> digest([(1,)]) == digest([(1.0,)])
        False
    """
    return sha256(encode([list(row) for row in rows])).hexdigest()
