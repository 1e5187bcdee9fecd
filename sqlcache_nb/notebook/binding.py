"""A question in the form that its connection takes: `text()` with binds, or the driver's own placeholders."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from sqlcache_nb.errors import NotebookError
from sqlcache_nb.guard import is_table_name
from sqlcache_nb.notebook.connections import driver_of, speaks_sqlalchemy
from sqlcache_nb.notebook.parameters import Statement

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import BindParameter, TextClause

_TYPED_NULLS = frozenset(
    {"postgresql", "cockroachdb"}
)  # a selected NULL is text and is compared with text only


@dataclass(frozen=True, slots=True)
class Question:
    """What `QueryCache.read` gets.

    Args:
        sql: the statement, or the bare name of a table.
        params: the bound values, or None where there are none.
    """

    sql: str | TextClause
    params: dict[str, object] | None


def bind(statement: Statement, values: Mapping[str, object], con: object, dialect: str = "") -> Question:
    """The question for a connection.

    Args:
        statement: the SQL, cut at its parameters.
        values: each parameter's value, as `parameters.plain` makes it.
        con: the connection.
        dialect: SQLAlchemy's name of the dialect.

    Raises:
        NotebookError: parameters for a driver's connection that takes none, or a list out of place.
    """
    if speaks_sqlalchemy(con):
        return _for_sqlalchemy(statement, values, dialect)
    if not values:
        return Question(statement.typed, None)
    if isinstance(con, sqlite3.Connection):
        return _for_driver(statement, values, ":{}".format)
    if driver_of(con) == "duckdb":
        return _for_driver(statement, values, "${}".format)
    raise NotebookError(
        f"parameters need an engine, a session or a sqlite3 connection; this one is {driver_of(con)}'s"
    )


def _for_sqlalchemy(statement: Statement, values: Mapping[str, object], dialect: str) -> Question:
    from sqlalchemy import bindparam, text

    if is_table_name(statement.typed):
        return Question(statement.typed, None)
    bound = dict(values)
    compare = {}
    expanding: list[BindParameter[object]] = []
    for name in sorted(statement.lists(values)):
        if items := bound.pop(name):
            stem = _stem(name, values)
            compare[name] = _with_all(f":{stem}")
            expanding.append(bindparam(stem, expanding=True))
            bound[stem] = items
        else:
            compare[name] = _with_nothing(dialect)
    clause = text(statement.for_sqlalchemy(compare)).bindparams(*expanding)
    return Question(clause, bound or None)


def _for_driver(statement: Statement, values: Mapping[str, object], place: Callable[[str], str]) -> Question:
    """The SQL as typed, each list written out as one placeholder per item."""
    bound = dict(values)
    compare = {}
    for name in sorted(statement.lists(values)):
        stem = _stem(name, values)
        numbered = enumerate(cast("list[object]", bound.pop(name)), 1)
        items = {f"{stem}_{number}": item for number, item in numbered}
        compare[name] = _with_all(f"({', '.join(map(place, items))})") if items else _with_nothing()
        bound |= items
    return Question(statement.render(place, lists=compare), bound)


def _with_all(items: str) -> Callable[[str], str]:
    return lambda operator: operator + items


def _with_nothing(dialect: str = "") -> Callable[[str], str]:
    """A comparison with an empty list, for columns of every type; `NOT IN (NULL)` would find no rows."""
    if dialect in _TYPED_NULLS:
        return lambda operator: "<> ALL ('{}')" if operator.lower().startswith("not") else "= ANY ('{}')"
    return lambda operator: f"{operator}(SELECT NULL WHERE 1 = 0)"


def _stem(name: str, names: Iterable[str]) -> str:
    """A name that belongs to no other parameter, numbered or not: `:x_1` would be lost in a list `:x`."""
    others = set(names) - {name}
    while any(re.fullmatch(rf"{name}(_\d+)*", other) for other in others):
        name += "_"
    return name
