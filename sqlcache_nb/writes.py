"""Which tables does a write touch?

Only asked after a statement that is not a read: parsing costs milliseconds. What stands behind the names is not
seen: triggers, foreign keys that cascade, the tables under a view that is written through. Partitions and views
that are read are known to the entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sqlcache_nb.guard import statements

# Statements by sqlglot's words for them. These change no rows of a table that has a name by then.
_HARMLESS = frozenset(
    """analyze attach comment commit describe detach grant install kill pragma revoke rollback set show transaction
    use""".split()
)
_HARMLESS_WORDS = frozenset(
    """analyze attach begin checkpoint cluster commit detach explain install load optimize reindex rollback start
    vacuum""".split()
)
_QUERIES = frozenset("except intersect pivot select subquery table union values".split())
# What is made or dropped without any effect on rows; of anything else (a function, a schema that goes) it is
# unknown who reads it.
_TABLE_KINDS = frozenset("TABLE VIEW".split())
_HARMLESS_KINDS = frozenset("CREATE_DATABASE CREATE_INDEX CREATE_SCHEMA CREATE_SEQUENCE DROP_INDEX".split())
# PostgreSQL's, which the parser reads as a command or, one day, as a statement of its own.
_REFRESH = re.compile(
    r"""\A\s*refresh\s+materialized\s+view\s+(?:concurrently\s+)?
        (?:(?:\w+|"[^"]*")\s*\.\s*)*(\w+|"[^"]*")\s*(?:with\b.*)?\Z""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_REPLACE = re.compile(r"\A\s*replace\b", re.IGNORECASE)


def touched_tables(sql: str, dialect: str = "") -> tuple[str, ...] | None:
    """The names of the tables whose rows, or whose meaning, the SQL changes, without their schemas.

    Args:
        sql: what the driver gets; several statements together touch what each of them touches.
        dialect: SQLAlchemy's name of the dialect.

    Returns:
        The names as written; none where nothing is changed; None where it cannot be told: a procedure, a
        function, CASCADE, what cannot be parsed.

    Example:
        >>> touched_tables("insert into sales.orders select * from cart"), touched_tables("call tidy_up()")
        (('orders',), None)
    """
    # Into REPLACE INTO sqlglot does not look.
    trees = statements(_REPLACE.sub("INSERT", sql, count=1), dialect)
    names: list[str] = []
    for tree in trees:
        touched = _touched(tree)
        if touched is None:
            return None
        names += touched
    return tuple(dict.fromkeys(names)) if trees else None


def _touched(tree: Any) -> list[str] | None:
    """What one statement touches."""
    if tree.key in _HARMLESS:
        return []
    if tree.key in {"command", "refresh"} and (refreshed := _REFRESH.match(tree.sql())):
        return [refreshed[1].strip('"')]
    if tree.key in {"alias", "column", "command"}:  # a word or two may be taken for an expression
        first, *words = tree.sql().lower().split()
        runs = first == "explain" and "analyze" in " ".join(words)  # what it explains
        return [] if first in _HARMLESS_WORDS and not runs else None
    writing = [node for node in tree.walk() if node.key in _TARGETS]
    if not writing:  # a query may call what writes
        calls = any(node.key in {"anonymous", "command"} for node in tree.walk())
        return [] if tree.key in _QUERIES and not calls else None
    if any(node.key == "anonymous" for node in tree.walk()):  # a function of somebody's own may write, too
        return None
    names: list[str] = []
    for node in writing:
        targets = _TARGETS[node.key](node)
        if targets is None:
            return None
        names += targets
    return names


def _insert(node: Any) -> list[str] | None:
    """The table of INSERT and LOAD DATA; none for a directory of files."""
    return _names([node.this]) or ([] if getattr(node.this, "key", "") == "directory" else None)


def _update(node: Any) -> list[str] | None:
    """The tables of UPDATE, DELETE and MERGE, which name them by an alias, or by a WITH, in some dialects."""
    tables = list(_tables(node.args.get("tables") or [node.this]))
    if not tables:
        return None
    return [name for table in tables for name in _behind(table, node)]


def _behind(table: Any, node: Any) -> list[str]:
    """A table's name, and the names of those that it may stand for within the statement."""
    if table.db or table.alias:
        return [table.name]
    name = table.name.lower()
    block = node.args.get("with_") or node.args.get("with")
    ctes = block.expressions if block is not None else ()
    return [
        *[other.name for other in _tables([node]) if other.alias.lower() == name],
        *_names(cte.this for cte in ctes if cte.alias.lower() == name),
        table.name,
    ]


def _truncate(node: Any) -> list[str] | None:
    return None if str(node.args.get("option")).upper() == "CASCADE" else _names(node.expressions)


def _create(node: Any) -> list[str] | None:
    kind = str(node.args.get("kind")).upper()
    if kind in _TABLE_KINDS:
        # The others in there are those that its keys refer to; whose partition or child it is, gets its rows.
        kin = [part for part in node.walk() if part.key in {"partitionedofproperty", "inheritsproperty"}]
        return _names([node.this])[:1] + _names(kin)
    return [] if f"CREATE_{kind}" in _HARMLESS_KINDS else None


def _drop(node: Any) -> list[str] | None:
    kind = str(node.args.get("kind")).upper()
    if kind not in _TABLE_KINDS or node.args.get("cascade"):
        return [] if f"DROP_{kind}" in _HARMLESS_KINDS else None
    return _names([node])


def _alter(node: Any) -> list[str] | None:
    """ALTER, with the other name of a RENAME or SWAP."""
    return _names([node]) if str(node.args.get("kind")).upper() in _TABLE_KINDS else None


def _copy(node: Any) -> list[str] | None:
    """COPY into a table, or out of one."""
    names = _names([node.this])
    if node.args.get("kind"):
        return names or None
    return None if node.this.key == "select" else []  # COPY FROM DATABASE is read as a query


def _into(node: Any) -> list[str] | None:
    """SELECT INTO a table; none for a variable or a file."""
    return _names([node.this])


_TARGETS = {
    "alter": _alter,
    "copy": _copy,
    "create": _create,
    "delete": _update,
    "drop": _drop,
    "insert": _insert,
    "into": _into,
    "loaddata": _insert,
    "merge": _update,
    "truncatetable": _truncate,
    "undrop": _alter,
    "update": _update,
}
"""What a node of a tree writes to, by sqlglot's word for it; None where that cannot be told."""


def _names(nodes: Iterable[Any]) -> list[str]:
    return [table.name for table in _tables(nodes)]


def _tables(nodes: Iterable[Any]) -> Iterator[Any]:
    """The tables in some parts of a tree."""
    for node in nodes:
        if hasattr(node, "walk"):
            yield from (part for part in node.walk() if part.key == "table" and part.name)
