"""What the matrix reads: a table for each column type, and queries whose labels or shape are odd."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LABELS = ("id", "v", "w", "n")
"""A key, the values with NULL, the values without, and NULL alone."""


@dataclass(frozen=True)
class ColumnType:
    """One column type, with values as SQL.

    Args:
        name: as the table of results prints it.
        declared: the type in `create table`; where it is empty, no table can have it, and a query gives the values.
        values: SQL literals or expressions; NULL is added.
        needs: what a server may be without that does not have the type; None where every server has it.
    """

    name: str
    declared: str
    values: tuple[str, ...]
    needs: str | None = None


def of(name: str, *values: str, declared: str | None = None, needs: str | None = None) -> ColumnType:
    """A type that is called as it is declared, unless said otherwise."""
    return ColumnType(name, name if declared is None else declared, values, needs)


@dataclass(frozen=True)
class Shape:
    """A query whose result is odd as a whole.

    Args:
        name: as the table of results prints it.
        sql: the query.
        labels: of the columns that options may name; empty where none can be.
    """

    name: str
    sql: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """What is read: a column type, or a shape."""

    name: str
    labels: tuple[str, ...]
    source: str
    """What stands after `from`; for a shape, the whole query."""
    table: str | None = None
    """The table's name, where it is one that SQLAlchemy can reflect."""
    is_shape: bool = False

    def query(self, labels: Iterable[str], *, rows: bool = True) -> str:
        """The SQL that reads these columns, with its rows or without one."""
        if self.is_shape:
            return self.source
        return f"select {', '.join(labels)} from {self.source}{'' if rows else ' where 1 = 0'} order by id"


def fill(
    cursor: Any, types: Iterable[ColumnType], shapes: Iterable[Shape]
) -> tuple[list[Subject], dict[str, str]]:
    """Makes a table for each type, and says which types this server lacks, and what for.

    Args:
        cursor: of a DBAPI connection that commits by itself.
        types: what to make.
        shapes: are subjects as they are.

    Raises:
        Exception: the server refuses a type that every server has.
    """
    subjects: list[Subject] = []
    missing: dict[str, str] = {}
    for number, column in enumerate(types):
        values = [*column.values, "null"], [*column.values, column.values[0]]
        rows = [f"{key}, {v}, {w}, null" for key, (v, w) in enumerate(zip(*values, strict=True), 1)]
        name = f"type_{number}"
        try:
            if column.declared:
                kinds = ", ".join(f"{label} {column.declared}" for label in LABELS[1:])
                cursor.execute(f"create table {name} (id integer, {kinds})")
                cursor.execute(f"insert into {name} values {', '.join(f'({row})' for row in rows)}")
                subjects.append(Subject(column.name, LABELS, name, name))
            else:
                first = "select {} as id, {} as v, {} as w, {} as n"
                parts = [
                    first.format(key, v, w, "null") for key, (v, w) in enumerate(zip(*values, strict=True), 1)
                ]
                source = f"({' union all '.join(parts)}) as rows_of_values"
                cursor.execute(f"select * from {source}")
                cursor.fetchall()
                subjects.append(Subject(column.name, LABELS, source))
        except Exception:
            if column.needs is None:
                raise
            missing[column.name] = column.needs
    subjects += [Subject(shape.name, shape.labels, shape.sql, is_shape=True) for shape in shapes]
    return subjects, missing
