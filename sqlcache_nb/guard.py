"""May the answer to this SQL be kept, and for how long can a proof vouch for it?

Only asked on a miss: parsing costs milliseconds. What it finds is a fact of the entry.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlcache_nb.schema import Name, Schema
from sqlcache_nb.trees import (
    calls_unknown,
    catalogs,
    has_sample,
    holds,
    is_own,
    names_of,
    reads_catalog,
    reads_files,
    tables_of,
)
from sqlcache_nb.words import (
    Word,
    calls_catalog,
    chance,
    clock,
    deed,
    is_catalog,
    reads_elsewhere,
    session,
)

if TYPE_CHECKING:
    from sqlglot import exp


class Kind(StrEnum):
    """What a statement does."""

    QUERY = "query"
    """One row-returning read, or the bare name of a table."""
    INFO = "info"
    """EXPLAIN, SHOW, DESCRIBE, PRAGMA: returns rows that are not worth keeping."""
    WRITE = "write"
    """Changes data, schema or session."""
    SEVERAL = "several"
    """More than one statement."""
    UNKNOWN = "unknown"
    """Could not be parsed."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a statement.

    Args:
        kind: what it does.
        tables: the names that it reads, as written, and those behind them as far as the database tells.
        volatile: whether it, or a view behind it, asks for the time, or what the database knows of itself.
        daily: whether it, or a view behind it, asks for the date in the session's zone.
        zone: that zone, by its IANA name; None where it asks for no date, or the zone is not known.
        covered: whether it reads nothing but tables whose every change is a transaction of the database: a validator
            of the whole database then vouches for it.
        chance: why the answer is left to chance, or "".
        refusal: why the answer must not be kept, or "".
        opaque: whether it may read tables that nobody can name: what could not be parsed, or code that cannot be read.
        names: what a server's catalog is to be asked for; none for other databases than PostgreSQL.
    """

    kind: Kind
    tables: tuple[str, ...] = ()
    volatile: bool = False
    daily: bool = False
    zone: str | None = None
    covered: bool = False
    chance: str = ""
    refusal: str = ""
    opaque: bool = False
    names: frozenset[Name] = field(default=frozenset(), compare=False)


_SQLGLOT = {
    "postgresql": "postgres",
    "cockroachdb": "postgres",
    "mssql": "tsql",
    "mariadb": "mysql",
    "clickhousedb": "clickhouse",
    "awsathena": "athena",
}
_REFUSALS = {
    Kind.INFO: "the statement describes the database and is not a query",
    Kind.WRITE: "the statement is not a read",
    Kind.SEVERAL: "several statements at once",
    Kind.UNKNOWN: "the statement could not be parsed",
}

_SAMPLES = "the statement samples, and a sample is another one each time"
_UNREADABLE = "the statement calls code that cannot be read"

_INFO_WORDS = frozenset("explain show describe desc pragma summarize".split())
_READ_WORDS = frozenset("select with values from table pivot unpivot (".split())
_WRITE_WORDS = frozenset(
    """alter attach call copy create delete detach drop execute grant insert install into load lock merge refresh
    rename replace revoke set truncate update upsert vacuum""".split()
)
_SUSPICIOUS = _WRITE_WORDS | {"outfile", "share"}  # FOR SHARE locks as FOR UPDATE does
_FUNCTIONS = frozenset("insert replace truncate".split())  # as well as words of writing
_QUERIES = frozenset("select union intersect except".split())
_WRITING = frozenset("delete insert merge truncate update".split())
_ENDS = re.compile(r";|\bbegin\b", re.IGNORECASE)  # behind which some words swallow all that follows
_PARAMETER = re.compile(r"(?<![\w$])\$\d+")  # two of them look like the quotes of a text
_LOCKS = frozenset("key no share update".split())
_COMMANDS = _WRITE_WORDS | frozenset(
    "analyze begin checkpoint commit end optimize reindex reset rollback".split()
)
# Of the PRAGMAs that are given a value, these only tell.
_TELLING = frozenset(
    """foreign_key_check foreign_key_list index_info index_list index_xinfo integrity_check quick_check table_info
    table_list table_xinfo""".split()
)
_PRAGMA = re.compile(r"\W*pragma\s+(?:\w+\s*\.\s*)?(\w*)\s*([=(]?)", re.IGNORECASE)
_LEADING_COMMENTS = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_TABLE_NAME = re.compile(r"[^\W\d]\w*")
# MySQL and MariaDB run what stands in such a comment.
_CODE_IN_COMMENT = re.compile(r"/\*M?!\d*(.*?)\*/", re.DOTALL)
# What drivers and SQLAlchemy put for a bound value; the parser needs to see an operand.
_PLACEHOLDER = re.compile(r"%\(\w+\)s|%s|__\[POSTCOMPILE_\w+\]|(?<![\w:]):\d+\b")


def examine(sql: str, dialect: str = "", schema: Schema | None = None) -> Facts:
    """What the statement does, and what its answer depends on.

    Args:
        sql: the text that the driver gets, or the bare name of a table.
        dialect: SQLAlchemy's name of the dialect.
        schema: the names of a database file, or None for a server.

    Example:
        >>> examine("select 1 + 1").kind, examine("drop table t").kind
        (<Kind.QUERY: 'query'>, <Kind.WRITE: 'write'>)
    """
    return _examine(sql, _SQLGLOT.get(dialect, dialect), schema, frozenset())


def examine_code(code: str, dialect: str, *, is_sql: bool) -> Facts:
    """What code of a server does (a view's, a function's). A setting of one's own that it reads is in the key.

    Args:
        code: its text.
        dialect: SQLAlchemy's name of the dialect.
        is_sql: whether it is SQL from the first word to the last; else its words alone are looked at.
    """
    dialect = _SQLGLOT.get(dialect, dialect)
    code = _PARAMETER.sub("NULL", code)
    trees = statements(code, dialect) if is_sql else []
    words = _words(code if trees else "select " + _ENDS.sub(" , ", code), dialect)
    if trees:
        writes = any(_kind(tree, 1, words, code) is Kind.WRITE for tree in trees)
    else:
        writes = any(word.is_code and word.text in _WRITING and not word.is_call for word in words)
    volatile, daily = clock(words, dialect)
    own = [word for word in words if word.text != "current_setting"]
    return Facts(
        kind=Kind.WRITE if writes else Kind.QUERY,
        tables=tuple(dict.fromkeys(name for tree in trees for name in tables_of(tree))),
        volatile=volatile or calls_catalog(words) or any(map(reads_catalog, trees)),
        daily=daily,
        covered=not reads_elsewhere(words, dialect),
        chance=chance(words) or (_SAMPLES if any(has_sample(tree, words) for tree in trees) else ""),
        refusal=deed(words, dialect) or session(own, dialect) or ("" if words else _UNREADABLE),
        opaque=not trees,
        names=names_of(trees, words, anywhere=True),
    )


def kind_of(sql: str, dialect: str = "") -> Kind:
    """What the statement does, told without the parser wherever its words leave no doubt.

    Args:
        sql: the statement, or the bare name of a table.
        dialect: SQLAlchemy's name of the dialect.

    Example:
        >>> kind_of("select 1"), kind_of("drop table t")
        (<Kind.QUERY: 'query'>, <Kind.WRITE: 'write'>)
    """
    words = re.findall(r"\w+|;", _LEADING_COMMENTS.sub("", sql, count=1).rstrip("; \n").lower())
    # No word of writing, not even in a string: a hit shall not pay for the parser.
    surely_a_read = words and words[0] in _READ_WORDS and ";" not in words and _SUSPICIOUS.isdisjoint(words)
    return Kind.QUERY if surely_a_read or is_table_name(sql) else examine(sql, dialect).kind


def is_table_name(sql: str) -> bool:
    """Whether the SQL is one bare identifier, which pandas reads as a table.

    Example:
        >>> is_table_name("flights"), is_table_name("select 1")
        (True, False)
    """
    return _TABLE_NAME.fullmatch(sql) is not None and sql.lower() not in _COMMANDS


def _examine(sql: str, dialect: str, schema: Schema | None, seen: frozenset[str], inside: str = "") -> Facts:
    text = _PLACEHOLDER.sub("NULL", sql)
    if dialect == "mysql":
        text = _CODE_IN_COMMENT.sub(r" \1 ", text)
    words = _words(text, dialect)
    tree, count = _parse(text, dialect)
    if words and words[0].text == "table" and tree is not None and tree.key not in _QUERIES:
        tree = None  # TABLE name, which some versions of the parser do not know
    if seen and tree is not None and tree.key == "create":
        tree = tree.args.get("expression")  # the SELECT of a view's definition
    kind = _kind(tree, count, words, text)
    if kind is not Kind.QUERY:
        return Facts(kind, refusal=_REFUSALS[kind])
    volatile, daily = clock(words, dialect)
    facts = Facts(
        kind=kind,
        volatile=volatile or calls_catalog(words),
        daily=daily,
        chance=chance(words) or (_SAMPLES if has_sample(tree, words) else ""),
        refusal=deed(words, dialect) or session(words, dialect),
        opaque=tree is None,
        names=names_of([tree] if tree is not None else [], words) if dialect == "postgres" else frozenset(),
    )
    if tree is None:
        return facts
    facts = replace(
        facts,
        tables=tables_of(tree),
        volatile=facts.volatile or reads_catalog(tree),
        covered=not (reads_files(tree, words) or reads_elsewhere(words, dialect)),
    )
    if dialect == "mysql" and calls_unknown(tree):  # where no catalog is asked what it reads
        facts = replace(facts, covered=False)
    if schema is None:
        return facts
    if unreached := _unreached(tree, schema, inside):
        facts = replace(facts, covered=False, refusal=facts.refusal or _no_table(unreached))
    return _seen_through(facts, words, dialect, schema, seen, catalogs(tree))


def _seen_through(
    facts: Facts,
    words: Sequence[Word],
    dialect: str,
    schema: Schema,
    seen: frozenset[str],
    catalogs: frozenset[str],
) -> Facts:
    """The facts together with those of every view and macro behind the names."""
    tables = {table.lower() for table in facts.tables}
    # a REGEXP b calls a function, too, and a session may bring its own
    called = {word.text for word in words if word.is_call or (word.text == "regexp" and not word.string)}
    for name in sorted((tables | called) - seen):
        definition = schema.definitions.get(name)
        if definition == "":
            told = f"the statement calls {name}, whose code has no identity" if name in called else ""
            facts = replace(facts, covered=False, refusal=facts.refusal or told)
        elif definition is not None:
            behind = _examine(definition, dialect, schema, seen | {name}, name)
            facts = replace(
                facts,
                tables=tuple(dict.fromkeys((*facts.tables, *behind.tables))),
                volatile=facts.volatile or behind.volatile,
                daily=facts.daily or behind.daily,
                covered=facts.covered and behind.covered,
                chance=facts.chance or behind.chance,
                # What cannot be parsed is only not vouched for; what acts must not be kept.
                refusal=facts.refusal or (behind.refusal if behind.kind is Kind.QUERY else ""),
                opaque=facts.opaque or behind.opaque or behind.kind is not Kind.QUERY,
            )
        elif name in tables and name not in schema.tables:
            facts = replace(facts, covered=False)
            if dialect == "duckdb" and name.isidentifier() and name not in catalogs:
                facts = replace(facts, refusal=facts.refusal or _no_table(name))
    return facts


def _no_table(name: str) -> str:
    """Why a name is refused: DuckDB would look for a Python variable, whose content has no identity."""
    return f"{name} is not a table of the database"


def _unreached(tree: exp.Expression, schema: Schema, inside: str) -> str:
    """A name that is borne by tables of other schemas only than those where it is looked for, or ""."""
    from sqlglot import exp

    if isinstance(tree, exp.Column):
        named = [(tree.name, "", "")]
    else:
        tables = [table for table in tree.find_all(exp.Table) if not isinstance(table.this, exp.Func)]
        named = [(table.name, table.db, table.catalog) for table in tables if not is_own(table)]
    missing = (
        name
        for name, db, catalog in named
        if not is_catalog("", db)
        and not schema.reaches(name.lower(), db.lower(), catalog.lower(), inside=inside)
    )
    return next(missing, "")


def _words(sql: str, dialect: str) -> list[Word]:
    """The statement's tokens; none where it cannot be cut into tokens."""
    from sqlglot import Dialect, TokenType
    from sqlglot.errors import SqlglotError

    try:
        tokens = Dialect.get_or_raise(dialect or None).tokenize(sql)
    except (SqlglotError, ValueError):
        try:
            tokens = Dialect.get_or_raise(None).tokenize(sql)  # a dialect that sqlglot does not know
        except SqlglotError:
            return []
    texts = [token.text.lower() for token in tokens] + [""]
    kinds = [token.token_type for token in tokens]
    strings = {
        TokenType.STRING,
        TokenType.NATIONAL_STRING,
        TokenType.RAW_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.BYTE_STRING,  # PostgreSQL's E'...'
        TokenType.UNICODE_STRING,
    }
    arguments = _arguments(
        [text if kind not in strings else "" for text, kind in zip(texts, kinds, strict=False)]
    )
    return [
        Word(
            text=texts[position],
            quoted=kind is TokenType.IDENTIFIER,
            string=kind in strings,
            next=texts[position + 1],
            arguments=None if kind in strings else arguments.get(position),
        )
        for position, kind in enumerate(kinds)
    ]


def _arguments(texts: Sequence[str]) -> dict[int, int]:
    """How many arguments stand in the parentheses after a word, by the word's position."""
    counts: dict[int, int] = {}
    opened: list[int] = []  # positions of the words before the parentheses that are open
    for position, text in enumerate(texts):
        if opened and text != ")":
            counts[opened[-1]] = max(counts[opened[-1]], 1) + (text == ",")
        if text == "(":
            opened.append(position - 1)
            counts[position - 1] = 0
        elif text == ")" and opened:
            opened.pop()
    return counts


def _parse(sql: str, dialect: str) -> tuple[exp.Expression | None, int]:
    """The one statement's tree, None where there is none to trust, and the number of statements."""
    trees = statements(sql, dialect)
    return (trees[0] if len(trees) == 1 else None), len(trees)


def statements(sql: str, dialect: str = "") -> list[exp.Expression]:
    """The tree of each statement; none where they cannot be parsed.

    Args:
        sql: the text that the driver gets.
        dialect: SQLAlchemy's name of the dialect, or sqlglot's.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    logger = logging.getLogger("sqlglot")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it would print to stderr what it falls back on
    try:
        dialect = _SQLGLOT.get(dialect, dialect)
        parsed: list[Any] = sqlglot.parse(_PLACEHOLDER.sub("NULL", sql), dialect=dialect or None)
        return [tree for tree in parsed if tree is not None and tree.key != "semicolon"]
    except (SqlglotError, ValueError, RecursionError):
        return []
    finally:
        logger.setLevel(level)


def _kind(tree: exp.Expression | None, count: int, words: Sequence[Word], text: str) -> Kind:
    from sqlglot import exp

    first = words[0].text if words else ""
    # From the plain text: behind EXPLAIN the tokenizer sees one string.
    writes = _SUSPICIOUS & set(re.findall(r"\w+", text.lower()))
    if count > 1:
        return Kind.SEVERAL
    if tree is None:
        # Some dialects say more than the parser knows; a SELECT without a word of writing is a read.
        several = any(word.text == ";" and word.next for word in words)
        if (first in _COMMANDS or _locks(words)) and not several:
            return Kind.WRITE
        surely_a_read = first in _READ_WORDS and not several and not any(map(_may_write, words))
        return Kind.QUERY if surely_a_read else Kind.UNKNOWN
    if first in _INFO_WORDS:
        # EXPLAIN ANALYZE runs what it explains.
        runs = writes and re.search(r"\banaly[sz]e\b", text, re.IGNORECASE)
        tells = not runs if first != "pragma" else _pragma_tells(text)
        return Kind.INFO if tells else Kind.WRITE
    changing = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Lock, exp.Merge)
    reading = (exp.Query, exp.Values, exp.Pivot)
    if isinstance(tree, exp.Column):
        return Kind.QUERY if tree.name.lower() not in _COMMANDS else Kind.WRITE
    if isinstance(tree, reading) and not holds(tree, changing):
        return Kind.QUERY
    return Kind.WRITE


def _may_write(word: Word) -> bool:
    """Whether a word of a statement that has no tree may be one of writing."""
    # replace(a, 'x', 'y') is a function
    return word.is_code and word.text in _SUSPICIOUS and not (word.is_call and word.text in _FUNCTIONS)


def _locks(words: Sequence[Word]) -> bool:
    """Whether a statement that has no tree ends with FOR UPDATE, FOR SHARE or the like."""
    return any(word.is_code and word.text == "for" and word.next in _LOCKS for word in words)


def _pragma_tells(text: str) -> bool:
    """Whether a PRAGMA only tells: `name = value` and `name(value)` set."""
    match = _PRAGMA.match(_LEADING_COMMENTS.sub("", text, count=1))
    if match is None:
        return False
    name, value = match.groups()
    return name.lower() in _TELLING or (not value and name.lower() not in {"optimize", "wal_checkpoint"})
