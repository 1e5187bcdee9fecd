"""What the names in a database file stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
