"""What the names in a statement stand for: in a database file, and on a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Schema:
    """What the names in a database file stand for.

    Args:
        tables: plain tables of the file, in lower case.
        definitions: SQL behind views and macros, by name in lower case; "" for what cannot be seen
            through (a virtual table, a function written in Python).
        homes: for each table and view the database and schema of each one of that name, in lower case;
            empty where a database has no schemas.
        path: the databases and schemas in which a name without a schema is looked for.
    """

    tables: frozenset[str] = frozenset()
    definitions: Mapping[str, str] = field(default_factory=dict)
    homes: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    path: frozenset[tuple[str, str]] = frozenset()

    def reaches(self, name: str, schema: str = "", catalog: str = "", *, inside: str = "") -> bool:
        """Whether a name leads to one of the tables and views that bear it; so do names that none bears.

        Args:
            name: the table's name, all in lower case.
            schema: what stands before it, a schema or a database, or "".
            catalog: what stands before both, or "".
            inside: the view in whose definition it stands, or "".

        Example:
            >>> Schema(homes={"t": frozenset({("db", "dev")})}, path=frozenset({("db", "main")})).reaches("t")
            False
        """
        homes = self.homes.get(name)
        if homes is None:
            return True
        if catalog:
            return (catalog, schema) in homes
        if schema:
            return any(schema in home for home in homes)
        return not homes.isdisjoint(self.path | self.homes.get(inside, frozenset()))


class Name(NamedTuple):
    """A name in a statement, or in code, of which a server's catalog knows what it stands for.

    Args:
        kind: what it is the name of. An attribute (`c.total`) may be a function of the row, in any schema.
        text: the name without its quotes; a relation's in lower case unless it is quoted.
        schema: what stands before it, None where it goes by the search path.
        anywhere: whether it goes by a search path that is not known.
    """

    kind: Literal["relation", "call", "attribute"]
    text: str
    schema: str | None = None
    anywhere: bool = False


class Function(NamedTuple):
    """A function that somebody has made.

    Args:
        name: its name, without a schema.
        language: in which it is written.
        volatility: what it says of itself: "i", "s" or "v".
        body: its text, "" where it has none (C).
        is_parsed: whether what its body reads was found by what the server knows of it.
        defaults: its arguments with their defaults, "" where there are none.
    """

    name: str
    language: str
    volatility: str
    body: str
    is_parsed: bool
    defaults: str


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind some names on a server, all the way down as far as the server knows it.

    Args:
        tables: what is read, partitions and inheritance parents included; None where there are too many to be named.
        definitions: SQL of the views among them, and of the policies that say which rows are seen.
        functions: those that are called.
        elsewhere: whether what is read may change while nothing is committed here: foreign tables, sequences, tables that are
            kept in a way of their own, operators and casts of somebody's own that do more than compute.
    """

    tables: tuple[str, ...] | None = ()
    definitions: tuple[str, ...] = ()
    functions: tuple[Function, ...] = ()
    elsewhere: bool = False
