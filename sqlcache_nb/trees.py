"""What the tree of a statement says: its tables, the names that a catalog knows, samples, files.

Pure; `guard.py` parses, these functions look.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlcache_nb.schema import Name
from sqlcache_nb.words import Word, is_catalog, samples

if TYPE_CHECKING:
    from sqlglot import exp

_SQLITE_CATALOGS = frozenset({"sqlite_master", "sqlite_schema"})  # DuckDB has them, too
_FILE_FUNCTION = re.compile(r"read_\w+|\w+_scan|scan_\w+|glob|sniff_\w+|st_read\w*|query|query_table|getenv")
_TABLE_FUNCTIONS = frozenset("range generate_series unnest json_each json_tree".split())


def holds(tree: exp.Expression, kinds: tuple[type, ...]) -> bool:
    """Whether a tree has nodes of some kinds.

    Args:
        tree: of a statement.
        kinds: sqlglot's classes.
    """
    from sqlglot import exp

    reads = (exp.Query, exp.Values)  # some of sqlglot's queries are DDL by inheritance
    return any(isinstance(node, kinds) and not isinstance(node, reads) for node in tree.walk())


def tables_of(tree: exp.Expression) -> tuple[str, ...]:
    """The tables that the statement names, as written; names of its own WITH are left out where they hold.

    Args:
        tree: of the statement.
    """
    from sqlglot import exp

    if isinstance(tree, exp.Column):
        return (tree.name,)
    tables = [table for table in tree.find_all(exp.Table) if not isinstance(table.this, exp.Func)]
    return tuple(dict.fromkeys(table.name for table in tables if table.name and not is_own(table)))


def names_of(
    trees: Sequence[exp.Expression], words: Sequence[Word], *, anywhere: bool = False
) -> frozenset[Name]:
    """What PostgreSQL's catalog is to be asked for; without a tree, every word may be the name of a table.

    Args:
        trees: of the statements.
        words: theirs.
        anywhere: whether they go by a search path that is not known.
    """
    names = set()
    for first, dot, word in zip([Word(""), Word(""), *words], [Word(""), *words], words, strict=False):
        schema = first.text if dot.text == "." and not dot.string else None
        if word.string or not (word.quoted or word.text.isidentifier()):
            continue
        if word.is_call or schema is not None:
            names.add(Name("call" if word.is_call else "attribute", word.text, schema, anywhere))
        if not trees:
            names.add(Name("relation", word.text, None, anywhere=True))
    for tree in trees:
        names |= {
            Name("relation", text, schema, anywhere)
            for name, schema in _relations(tree)
            for text in (name, name.replace("%%", "%"))  # written twice for some drivers
        }
    return frozenset(names)


def _relations(tree: exp.Expression) -> list[tuple[str, str | None]]:
    """The tables that a tree names, as PostgreSQL takes the names, each with its schema."""
    from sqlglot import exp

    if isinstance(tree, exp.Column):
        return [(tree.name, None)]
    tables = (each for each in tree.find_all(exp.Table) if isinstance(each.this, exp.Identifier))
    return [
        (table.name if table.this.args.get("quoted") else table.name.lower(), table.db or None)
        for table in tables
        if not is_own(table)
    ]


def is_own(table: exp.Table) -> bool:
    """Whether the name is that of a WITH around it.

    A WITH holds in the query that it stands before, and not inside its own definition unless it is
    recursive: there the same name is a table's.

    Args:
        table: a node of a statement's tree.
    """
    from sqlglot import exp

    if table.db:
        return False
    inside: Any = table
    above: Any = table.parent
    while above is not None:
        # "with" became "with_" among sqlglot's names
        block = above.args.get("with_") or above.args.get("with")
        if block is not None and inside is not block:
            names = [cte.alias for cte in block.expressions]
        elif isinstance(above, exp.With):
            position = next(i for i, cte in enumerate(above.expressions) if cte is inside)
            end = len(above.expressions) if above.args.get("recursive") else position
            names = [cte.alias for cte in above.expressions[:end]]
        else:
            names = []
        if table.name.lower() in map(str.lower, names):
            return True
        inside, above = above, above.parent
    return False


def reads_files(tree: exp.Expression, words: Sequence[Word]) -> bool:
    """Whether a function may read what is not in the database.

    Args:
        tree: of the statement.
        words: its words.
    """
    from sqlglot import exp

    if any(word.is_call and _FILE_FUNCTION.fullmatch(word.text) for word in words):
        return True
    sources = [table.this for table in tree.find_all(exp.Table) if isinstance(table.this, exp.Func)]
    known = (exp.GenerateSeries, exp.ExplodingGenerateSeries, exp.Unnest)
    return any(
        not isinstance(source, known) and source.name.lower() not in _TABLE_FUNCTIONS for source in sources
    )


def calls_unknown(tree: exp.Expression) -> bool:
    """Whether it calls a function that the parser does not know, which may be of somebody's own.

    Args:
        tree: of a statement.
    """
    from sqlglot import exp

    return tree.find(exp.Anonymous) is not None


def known_functions(dialect: str) -> frozenset[str]:
    """The functions that the parser knows, in lower case: `calls_unknown` does not see when one of these is meant.

    Args:
        dialect: sqlglot's name of the dialect.
    """
    from sqlglot import Dialect

    parser = Dialect.get_or_raise(dialect).parser_class
    return frozenset(name.lower() for name in (*parser.FUNCTIONS, *parser.FUNCTION_PARSERS))


def catalogs(tree: exp.Expression) -> frozenset[str]:
    """Names that surely are those of catalogs, and of nothing else: by their schema, or those of SQLite.

    Args:
        tree: of the statement.
    """
    from sqlglot import exp

    tables = [(table.name.lower(), table.db) for table in tree.find_all(exp.Table)]
    known = {name for name, schema in tables if is_catalog("", schema) or name in _SQLITE_CATALOGS}
    return frozenset(known - {name for name, schema in tables if not schema} | known & _SQLITE_CATALOGS)


def has_sample(tree: exp.Expression | None, words: Sequence[Word]) -> bool:
    """Whether a statement reads a sample.

    Args:
        tree: its tree, or None.
        words: its words.
    """
    from sqlglot import exp

    return samples(words) if tree is None else tree.find(exp.TableSample) is not None


def reads_catalog(tree: exp.Expression) -> bool:
    """Whether it reads what the database knows of itself, which changes without any write.

    Args:
        tree: of the statement.
    """
    from sqlglot import exp

    return any(is_catalog(table.name, table.db) for table in tree.find_all(exp.Table))
